"""Topics: words with weights of which many come close together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

import msgspec

from keelmark.core.errors import UsageError
from keelmark.guard._pieces import LONGEST, Pieces, small
from keelmark.guard._wordlists import ALONE, WHOLE, Label, Language, forms, tokens
from keelmark.guard.contract import BaseDetector, Example, Hit

_PHRASE = 4  # words of the longest


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for a topic; several topics are several rules.

    Attributes:
        words: Words and phrases of up to four words, and what each counts; less than 0 for words
            that speak against the topic. Their plural and other endings count too.
        label: What is reported.
        enough: How much has to come together; each word counts once.
        within: In how many words of text.
        languages: Whose endings are known.
    """

    words: dict[str, float] = {}
    label: Label = "TOPIC"
    enough: Annotated[float, msgspec.Meta(gt=0)] = 3.0
    within: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 100
    languages: tuple[Language, ...] = ("en",)


_VOTES = {
    "label": "ELECTIONS",
    "words": {"election": 2, "ballot": 1, "vote": 1, "polling station": 2, "选举": 2, "board": -2},
}


class Detector(BaseDetector):
    """A topic that a text turns to. Without words it says nothing.

    It is reported once in a text, with the score 0.9, where enough has come together. The hit is
    one character there, so it suits the actions block and flag.
    """

    title = "Topics: weighted words that come together"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = ("TOPIC",)
    remembers = True
    Config = Settings
    config: Settings

    examples = (
        Example("Who wins the elections? I voted.", ("ELECTIONS",), "together", config=_VOTES),
        Example("The polling-station has no ballots.", ("ELECTIONS",), "a phrase", config=_VOTES),
        Example("你在选举中 VOTE!", ("ELECTIONS",), "Chinese", config=_VOTES),
        Example("The ELEC\u200bTION, and who v\u043ftes: v\u043ete.", ("ELECTIONS",),
            "evasion: invisible and look-alike characters", config=_VOTES),
        Example("Election, election, election!", (), "look-alike: one word", config=_VOTES),
        Example("The board votes on the election of the chair.", (), "look-alike: a board",
            config=_VOTES),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean", config=_VOTES),
        Example("Vote in the election.", (), "no words"),
    )  # fmt: skip

    def __init__(self, config: Settings | None = None, known: _Weights | None = None) -> None:
        super().__init__(config)
        self._known = _weights(self.config) if known is None else known
        self._reading = _Reading(self._known, self.config)
        if self.config.words:
            vars(self)["labels"] = (self.config.label,)

    def for_text(self) -> Detector:
        """See BaseDetector."""
        return Detector(self.config, self._known)

    def passed(self, text: str) -> None:
        """See BaseDetector."""
        if self._known:
            for _ in self._reading.read(text):
                pass

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        if not self._known:
            return []
        places = self._reading.copy().read(text[start:])
        reason = "enough words of the topic together"
        return [Hit(self.config.label, 0.9, start + at, start + at + 1, reason) for at in places]

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: it is said already, or no word ends what is looked for."""
        return not self._known or self._reading.quiet(text[start:])

    def open_from(self, text: str, start: int = 0) -> int:  # noqa: ARG002
        """Return the end: a topic is told by what has come."""
        return len(text)


class _Weights(dict[str, tuple[int, float]]):
    """Forms of words and phrases: the number of the word, and its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: set[str] = set()


def _weights(config: Settings) -> _Weights:
    known = _Weights()
    for number, (word, weight) in enumerate(config.words.items()):
        parts = tokens(word)
        if not 0 < len(parts) <= _PHRASE or max(map(len, parts)) > LONGEST:
            raise UsageError(
                f"topics: {word!r} cannot be looked for; write one to {_PHRASE} words of letters "
                "and digits (characters, in scripts without spaces)."
            )
        for form in forms(parts[-1], config.languages):
            known.setdefault(" ".join([*parts[:-1], form]), (number, weight))
            known.ends.add(form)
    return known


class _Reading:
    """The words of the topic that came last."""

    __slots__ = ("_config", "_heard", "_known", "_last", "_number", "_pieces", "said")

    def __init__(self, known: _Weights, config: Settings) -> None:
        self._known = known
        self._config = config
        self._pieces = Pieces(WHOLE, ALONE)
        self._last: deque[str] = deque(maxlen=_PHRASE)
        self._heard: dict[int, tuple[int, float]] = {}
        self._number = 0
        self.said = False

    def copy(self) -> _Reading:
        """One that goes on from here by itself."""
        other = _Reading(self._known, self._config)
        other._pieces, other._last = self._pieces.copy(), self._last.copy()
        other._heard, other._number, other.said = dict(self._heard), self._number, self.said
        return other

    def quiet(self, held: str) -> bool:
        """Whether nothing can be said while the text goes on so."""
        return self.said or self._known.ends.isdisjoint(self._pieces.ahead(small(held)))

    def read(self, text: str) -> Iterator[int]:
        """Read on; yield where enough has come together."""
        for word, at in self._pieces.read(small(text)):
            self._number += 1
            self._last.append(word)
            if word not in self._known.ends or self.said:
                continue
            if self._heard_now() and self._enough():
                self.said = True
                yield at

    def _heard_now(self) -> bool:
        """Take note of what ends with the last word; say whether there is anything."""
        recent, found = list(self._last), False
        for size in range(1, len(recent) + 1):
            if known := self._known.get(" ".join(recent[-size:])):
                self._heard[known[0]] = (self._number, known[1])
                found = True
        return found

    def _enough(self) -> bool:
        oldest = self._number - self._config.within
        self._heard = {key: one for key, one in self._heard.items() if one[0] > oldest}
        return sum(weight for _, weight in self._heard.values()) >= self._config.enough
