"""Long stretches of registered texts, word for word: licences, books, documents of your own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

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
        " publish, distribute, sublicense, and/or sell copies of the Software"
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

    def for_text(self) -> Detector:
        """See BaseDetector."""
        return Detector(self.config, self._corpus)

    def passed(self, text: str) -> None:
        """See BaseDetector."""
        for _ in self._reading.read(text):
            pass

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        found = self._reading.copy().read(text[start:])
        return [hit._replace(start=start + hit.start, end=start + hit.end) for hit in found]

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: too few words to make a stretch long enough."""
        held = text[start:]
        return self._reading.missing() > (len(held) // 2 if held.isascii() else len(held)) + 2

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

    __slots__ = ("_begun", "_corpus", "_goal", "_grams", "_last", "_number", "_pieces", "_words")

    def __init__(self, corpus: Corpus, words: int) -> None:
        self._corpus = corpus
        self._words = self._goal = words
        self._grams = Grams()
        self._pieces = pieces()
        self._number = self._begun = 0
        self._last = -WINDOW - 1

    def copy(self) -> _Reading:
        """One that goes on from here by itself."""
        other = _Reading(self._corpus, self._words)
        other._goal, other._number = self._goal, self._number
        other._begun, other._last = self._begun, self._last
        other._grams, other._pieces = self._grams.copy(), self._pieces.copy()
        return other

    def missing(self) -> int:
        """Words that have to come before a stretch is long enough."""
        follows = self._number - self._last <= WINDOW
        length = self._number - self._begun if follows else GRAM + WINDOW
        return self._goal - length if follows else self._words - length

    def read(self, text: str) -> Iterator[Hit]:
        """Read on; yield where a stretch has become long enough."""
        for word, at in self._pieces.read(small(text)):
            if len(word) > LONGEST:
                continue
            self._number += 1
            value = self._grams.push(word)
            document = None if value is None else self._corpus.document(value)
            if document is None:
                continue
            if self._number - self._last > WINDOW:
                self._begun, self._goal = self._number - GRAM, self._words
            self._last = self._number
            if self._number - self._begun >= self._goal:
                level, self._goal = self._goal // self._words, 2 * self._goal
                score = {1: 0.8, 2: 0.9}.get(level, 0.95)
                words = f"{self._number - self._begun} words"
                yield Hit("VERBATIM", score, at, at + 1, f"{words} of a registered text in a row")
