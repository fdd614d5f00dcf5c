"""How sure a model was of its sentences, by the probabilities of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import NamedTuple

from keelmark.core.grounding import Ground, Sentence
from keelmark.guard._claims import claims
from keelmark.guard.contract import Token

_LEAST = 0.5
_MOST = 16_384  # tokens that are kept; what is asked about are the last ones


class _Placed(NamedTuple):
    start: int
    end: int
    token: Token


class Tokens:
    """The tokens of one text so far."""

    def __init__(self) -> None:
        self._placed: list[_Placed] = []
        self._end = 0

    def __bool__(self) -> bool:
        return self._end > 0

    def add(self, tokens: Sequence[Token]) -> None:
        """Take note of tokens; their texts are the text."""
        for token in tokens:
            self._placed.append(_Placed(self._end, self._end + len(token.text), token))
            self._end += len(token.text)
        if len(self._placed) > 2 * _MOST:
            del self._placed[:-_MOST]

    def judged(self, text: str, start: int) -> Sentence:
        """Return what is said of a sentence: the less likely its tokens, the less sure.

        The score is 1 less the geometric mean of their probabilities. Where the tokens are not
        those of the text (another one has been there), nothing is known.

        Args:
            text: The sentence.
            start: Where it begins in the text.
        """
        end = start + len(text)
        if not claims(text):
            return Sentence(0, len(text), Ground.NO_CLAIM, 0.0, 1, "claims nothing")
        own = [one for one in self._placed if one.start < end and one.end > start]
        written = "".join(one.token.text for one in own)
        if not own or written[start - own[0].start :][: len(text)] != text:
            reason = "there are no sources, and no probabilities of its tokens"
            return Sentence(0, len(text), Ground.UNCHECKED, 0.0, 1, reason, by="tokens")
        score = 1 - exp(min(0.0, sum(one.token.logprob for one in own) / len(own)))
        if score < _LEAST:
            reason = "there are no sources; the model was sure of its words"
            return Sentence(0, len(text), Ground.UNCHECKED, score, 1, reason, by="tokens")
        reason = "there are no sources; the model was not sure of its words"
        return Sentence(0, len(text), Ground.UNCERTAIN, score, 1, reason, by="tokens")
