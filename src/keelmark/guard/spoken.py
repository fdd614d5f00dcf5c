"""Rules and exceptions for some languages: what is written around a hit decides.

A text may change its language, and a stream shows only what has come. So it is not the language
of the text that is asked for, but that of some ten words before and behind each hit, which is the
same wherever a text is cut. Where it does not show, the safe side is taken: a rule applies, an
exception does not hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from msgspec.structs import replace

from keelmark.core.grounding import Sentence
from keelmark.core.yamlfile import meant
from keelmark.guard._languages import Shown, known, shown
from keelmark.guard.contract import BaseDetector, Hit, Request, Token

BEFORE = 80
"""Characters before a hit that are read: LOOK_BEHIND, less the longest small word."""
AFTER = 120
"""Characters behind a hit that are read; a stream waits for them."""

_ENOUGH = 3.0  # small words
_MORE = 2.0  # times as many small words of other languages, for a rule not to apply
_LEAD = 1.5  # times as many of its own ones, for an exception to hold
_NOT_COUNTED = -1.0  # below every threshold


def unknown_language(names: Iterable[str]) -> str:
    """Say what is wrong with a scope's languages, as the end of a sentence; "" for nothing."""
    wrong = next((name for name in names if name not in known()), None)
    if wrong is None:
        return ""
    return f"is for language {wrong!r}, which cannot be told (ISO 639-1); {meant(wrong, known())}"


class Around:
    """Which languages are written around the parts of one text; asked from left to right.

    Args:
        text: The text, folded or not.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._words: deque[Shown] = deque()
        self._done = 0

    def may_be(self, languages: frozenset[str], start: int, end: int) -> bool:
        """Say whether what stands around a part of the text is not clearly in other languages."""
        own, other = self._sides(languages, start, end)
        return not (other >= _ENOUGH and other >= _MORE * own)

    def surely_is(self, languages: frozenset[str], start: int, end: int) -> bool:
        """Say whether what stands around a part of the text is clearly in some languages."""
        own, other = self._sides(languages, start, end)
        return own >= _ENOUGH and own >= _LEAD * other

    def _sides(self, languages: frozenset[str], start: int, end: int) -> tuple[float, float]:
        words, first = self._words, max(0, start - BEFORE)
        while words and words[0].start < first:
            words.popleft()
        self._done = max(self._done, first)
        for word in shown(self._text, self._done, min(len(self._text), end + AFTER)):
            words.append(word)
            self._done = word.end
        scores: dict[str, float] = {}
        for word in words:
            for name, weight in word.counts:
                scores[name] = scores.get(name, 0.0) + weight
        own = max((score for name, score in scores.items() if name in languages), default=0.0)
        other = max((score for name, score in scores.items() if name not in languages), default=0.0)
        return own, other


class _Waiting(Protocol):
    """What may want to know the language around a hit."""

    languages: frozenset[str]


def spoken(
    detector: BaseDetector, languages: Sequence[str], excuses: Iterable[_Waiting]
) -> BaseDetector:
    """Return a detector for some languages and excuses: itself when none asks for a language."""
    if not languages and not any(one.languages for one in excuses):
        return detector
    return Spoken(detector, frozenset(languages))


_SAME = tuple(BaseDetector.__annotations__)  # what it says of itself; but it wants to see more


class Spoken(BaseDetector):
    """A detector that waits until it shows which language is written around a hit.

    A hit where another one is written gets a score below every threshold. It stays a hit, so that
    a stream is not cut within it.

    Args:
        inner: The detector.
        languages: Languages in which its hits count; all when empty.
    """

    title = "A detector for some languages"
    version = ""
    labels = ()
    examples = ()

    def __init__(self, inner: BaseDetector, languages: frozenset[str] = frozenset()) -> None:
        super().__init__(inner.config)
        self._inner = inner
        self._languages = languages
        for name in _SAME:
            setattr(self, name, name != "costly" and getattr(inner, name))

    def _like(self, inner: BaseDetector) -> BaseDetector:
        return self if inner is self._inner else Spoken(inner, self._languages)

    def for_request(self, request: Request) -> BaseDetector:
        """See BaseDetector."""
        return self._like(self._inner.for_request(request))

    def for_text(self) -> BaseDetector:
        """See BaseDetector."""
        return self._like(self._inner.for_text())

    def passed(self, text: str) -> None:
        """See BaseDetector."""
        self._inner.passed(text)

    def weighs(self) -> bool:
        """See BaseDetector."""
        return self._inner.weighs()

    def samples(self) -> int:
        """See BaseDetector."""
        return self._inner.samples()

    def weigh(self, tokens: Sequence[Token]) -> None:
        """See BaseDetector."""
        self._inner.weigh(tokens)

    def judged(self) -> Iterable[Sentence]:
        """See BaseDetector."""
        return self._inner.judged()

    def find(self, text: str, start: int = 0) -> Iterator[Hit]:
        """See BaseDetector."""
        around = Around(text)
        for hit in self._inner.find(text, start):
            counts = not self._languages or around.may_be(self._languages, hit.start, hit.end)
            yield hit if counts else replace(hit, score=_NOT_COUNTED)

    def open_from(self, text: str, start: int = 0) -> int:
        """See BaseDetector: also open is a hit behind which too little has come."""
        stop = self._inner.open_from(text, start)
        hits = self._inner.find(text, start) if stop > start else ()
        waiting = (hit.start for hit in hits if hit.end + AFTER > len(text))
        return min(stop, next(iter(waiting), stop))

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector."""
        return self._inner.quiet(text, start)
