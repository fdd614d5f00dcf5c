"""Whether a model says the same when it is asked again: sentences held to other answers.

Where there are no sources, what a model knows it says each time, and what it makes up it says
otherwise. Each other answer is read as a source, by the same exact checks, words and encoder.

Source: Manakul, Liusie and Gales, "SelfCheckGPT" (EMNLP 2023, arXiv 2303.08896).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from keelmark.core.grounding import Ground, Sentence
from keelmark.core.ports import Sample
from keelmark.guard._claims import claims
from keelmark.guard._grounds import Voice, judge
from keelmark.guard._sources import Index, Source

_LEAST = 0.5
_LACKING = Ground.UNSUPPORTED
_NONE = "there are no sources, and no samples of the answer came"
_SHORT = "there are no sources, and the samples do not go as far"


class Samples:
    """Other answers to one request.

    Args:
        given: The answers.
        rest: What is said in the request: an answer may repeat it.
        voice: The encoder, where there is one.
    """

    def __init__(self, given: Sequence[Sample], rest: str, voice: Voice | None) -> None:
        self._voice = voice
        self._indexes = [
            (
                Index([Source(f"samples[{number}]", one.text)], rest),
                sys.maxsize if one.whole else len(one.text),
            )
            for number, one in enumerate(given)
        ]

    def __bool__(self) -> bool:
        return bool(self._indexes)

    def judged(self, text: str, start: int) -> Sentence:
        """Judge one sentence: its score is the mean of what the samples say of it.

        One that does not say it counts in full, so that half of them are enough for doubt. One
        that was cut short before it got as far as the answer has no say.

        Args:
            text: The sentence.
            start: Where it begins in the answer.

        Raises:
            UnavailableError: There is an encoder, and it cannot be asked.
        """
        if not claims(text):
            return Sentence(0, len(text), Ground.NO_CLAIM, 0.0, 1, "claims nothing")
        every = [(judge(text, index, self._voice), reach) for index, reach in self._indexes]
        far = start + len(text)
        said = [one for one, reach in every if reach >= far or one.verdict is not _LACKING]
        if not said:
            reason = _SHORT if every else _NONE
            return Sentence(0, len(text), Ground.UNCHECKED, _LEAST, 1, reason, by="samples")
        agree = [one.score for one in said if one.verdict is Ground.SUPPORTED]
        score = (sum(agree) + len(said) - len(agree)) / len(said)
        best = min(said, key=lambda one: one.score)
        return Sentence(
            0,
            len(text),
            Ground.CONSISTENT if score < _LEAST else Ground.UNCERTAIN,
            score,
            max(one.tier for one in said),
            f"there are no sources; {len(agree)} of {len(said)} samples say so",
            best.source,
            spans=max(said, key=lambda one: one.score).spans if score >= _LEAST else (),
            by="samples",
        )
