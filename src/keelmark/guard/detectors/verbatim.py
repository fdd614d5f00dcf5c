"""Long stretches of registered texts, word for word: licences, books, documents of your own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec.structs import replace

from keelmark.guard._corpus import GRAM, WINDOW, Corpus, Grams, pieces
from keelmark.guard._pieces import LONGEST, small
from keelmark.guard.contract import BaseDetector, Example, Hit


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for registered texts.

    Attributes:
        corpus: File made with `keelmark guard corpus build`; empty means the licence texts that
            come with Keelmark.
        words: Words in a row that count. A character of a script without spaces is a word.
    """

    corpus: str = ""
    words: Annotated[int, msgspec.Meta(ge=16, le=100_000)] = 40


class Detector(BaseDetector):
    """Stretches of registered texts, whatever their case, spacing and punctuation.

    A stretch is reported when it has become long enough, and again when it has twice the length,
    and so on. The hit is one character there, so it suits the actions block and flag. Scores:
    0.8, then 0.9, then 0.95. Found for certain with up to 14 words more than `words`. A changed
    word every fifteen words hides a text, and so does a translation.
    """

    title = "Registered texts word for word: licences, copyright"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = ("VERBATIM",)
    tags = ("nist-ai-600-1:intellectual-property",)
    remembers = True
    Config = Settings
    config: Settings

    _text = (
        "Permission is hereby granted, free of charge, to any person obtaining a copy of this "
        "software and associated documentation files (the Software), to deal in the Software "
        "without restriction, including without limitation the rights to use, copy, modify, merge,"
        " publish, distribute, sublicense, and/or sell copies of the Software, and to permit "
        "persons to whom the Software is furnished to do so"
    )
    examples = (
        Example(f"Here it is: {_text}, and so on.", ("VERBATIM",), "a licence"),
        Example(f"# {_text.upper()}.", ("VERBATIM",), "in capitals"),
        Example("\n".join(_text.split()) + "\n", ("VERBATIM",), "evasion: a word a line"),
        Example(
            _text.replace("o", "\u043e").replace("f", "\u200bf") + " ",
            ("VERBATIM",),
            "evasion: look-alike and invisible characters",
        ),
        Example(_text[:160], (), "look-alike: a short quote"),
        Example(
            "You may use, copy, modify and sell copies of this software free of charge, without "
            "restriction, as long as the notice goes along with all of the copies that are made "
            "and nobody holds the authors liable for any damage that comes of it.",
            (),
            "look-alike: in other words",
        ),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean"),
    )

    def __init__(self, config: Settings | None = None, corpus: Corpus | None = None) -> None:
        super().__init__(config)
        self._corpus = corpus or _opened(self.config.corpus)
        self._reading = _Reading(self._corpus, self.config.words)
        self._ahead: tuple[str, _Reading] | None = None

    def for_text(self) -> Detector:
        """See BaseDetector."""
        return Detector(self.config, self._corpus)

    def passed(self, text: str) -> None:
        """See BaseDetector: what was looked at as a whole is not read again."""
        ahead, self._ahead = self._ahead, None
        if ahead and ahead[0] == text:
            self._reading = ahead[1]
        else:
            self._reading.later(text)

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        reading = self._reading.copy()
        found = reading.read(text[start:])
        self._ahead = text[start:], reading
        return [replace(hit, start=start + hit.start, end=start + hit.end) for hit in found]

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: too few words to make a stretch long enough."""
        return self._reading.too_short(text[start:])

    def open_from(self, text: str, start: int = 0) -> int:  # noqa: ARG002
        """Return the end: a stretch is told by what has come."""
        return len(text)


@cache
def _opened(path: str) -> Corpus:
    if path:
        return Corpus(Path(path))
    own = resources.files("keelmark.guard").joinpath("models", "licences.fingerprints")
    with resources.as_file(own) as file:
        return Corpus(file)


class _Reading:
    """How far the text has followed a registered one."""

    __slots__ = (
        "_begun", "_corpus", "_goal", "_grams", "_last", "_late", "_number", "_pieces", "_words"
    )  # fmt: skip

    def __init__(self, corpus: Corpus, words: int) -> None:
        self._corpus = corpus
        self._words = self._goal = words
        self._grams = Grams()
        self._pieces = pieces()
        self._number = self._begun = 0
        self._late = ""
        self._last = -WINDOW - 1

    def copy(self) -> _Reading:
        """One that goes on from here by itself."""
        other = _Reading(self._corpus, self._words)
        other._goal, other._number = self._goal, self._number
        other._begun, other._last, other._late = self._begun, self._last, self._late
        other._grams, other._pieces = self._grams.copy(), self._pieces.copy()
        return other

    def later(self, text: str) -> None:
        """Read on, at the latest when it matters: a few words at a time cost more than many."""
        self._late += text

    def too_short(self, text: str) -> bool:
        """Whether the words that come next are too few to make a stretch long enough."""
        if self._missing() <= _most_words(self._late) + _most_words(text) and self._late:
            self._catch_up()
        return self._missing() > _most_words(self._late) + _most_words(text)

    def _missing(self) -> int:
        """Words that had to come, after those read, before a stretch was long enough."""
        follows = self._number - self._last <= WINDOW
        return self._goal - (self._number - self._begun) if follows else self._words - GRAM - WINDOW

    def _catch_up(self) -> None:
        late, self._late = self._late, ""
        self._read(late)

    def read(self, text: str) -> list[Hit]:
        """Read on; return where a stretch has become long enough."""
        self._catch_up()
        return self._read(text)

    def _read(self, text: str) -> list[Hit]:
        text = small(text)
        again = self._pieces.copy()
        words = [word for word in self._pieces.words(text) if len(word) <= LONGEST]
        values = self._grams.push(words)
        before = len(words) - len(values)
        first, self._number = self._number, self._number + len(words)
        long = [
            (before + at, score, length)
            for at in self._corpus.known(values).tolist()
            for score, length in self._follow(first + before + at + 1)
        ]
        if not long:
            return []
        places = [at for word, at in again.read(text) if len(word) <= LONGEST]
        return [
            Hit("VERBATIM", score, at, at + 1, f"{length} words of a registered text in a row")
            for at, score, length in ((places[word], score, length) for word, score, length in long)
        ]

    def _follow(self, number: int) -> Iterator[tuple[float, int]]:
        """Follow to a word that ends a known gram; yield score and length when long enough."""
        if number - self._last > WINDOW:
            self._begun, self._goal = number - GRAM, self._words
        self._last = number
        length = number - self._begun
        if length >= self._goal:
            level, self._goal = self._goal // self._words, 2 * self._goal
            yield {1: 0.8, 2: 0.9}.get(level, 0.95), length


def _most_words(text: str) -> int:
    return (len(text) // 2 if text.isascii() else len(text)) + 1
