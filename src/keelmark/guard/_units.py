"""Texts cut into units for the encoder: groups of sentences that are judged each for itself.

Where a unit ends is decided by what stands from its beginning on, so a stream cuts as a whole text
does (contract): at the first end of a sentence or line after `least` characters, else at the last
white space within `most`, else there. A unit is read with what stands before it, from a word on.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from keelmark.guard._encoder import LONGEST, Encoder, Window
from keelmark.guard._support import spread
from keelmark.guard.contract import LOOK_BEHIND

_END = re.compile(r"[.!?]+[\"')\]]*(?=\s)|[。।؟]|\n")
_BLANK = re.compile(r"\s")
_SOLID = re.compile(r"\S")
_OVERLAP = 32
_PAIR = 80  # tokens of what a text answers


class Size(NamedTuple):
    """How long units are, in characters."""

    least: int
    most: int


READ = Size(600, 900)
"""For what a model reads: about what the encoder reads at once."""
WRITTEN = Size(120, 400)
"""For what a model writes, of which a stream holds one unit."""


class Unit(NamedTuple):
    """A span of a text, without white space around it; `closed` when no more text changes it."""

    start: int
    end: int
    closed: bool


def units(text: str, start: int, size: Size) -> list[Unit]:
    """Return the units of a text from `start` on, where one begins or white space is."""
    found: list[Unit] = []
    while begin := _SOLID.search(text, start):
        first = begin.start()
        limit = first + size.most
        end = _END.search(text, first + size.least, limit + 1)
        if end is None and len(text) <= limit:
            found.append(Unit(first, first + len(text[first:].rstrip()), closed=False))
            break
        start = min(end.end(), limit) if end else _last_blank(text, first, limit)
        found.append(Unit(first, first + len(text[first:start].rstrip()), closed=True))
    return found


def _last_blank(text: str, first: int, limit: int) -> int:
    kept = text[first : limit + 1]
    cut = len(kept[: 1 + max(map(kept.rfind, " \n\t\r\v\f"))].rstrip())
    return first + cut if cut else limit


def open_from(text: str, start: int, size: Size) -> int:
    """Return where the unit begins that more text may change; see contract."""
    last = units(text, start, size)[-1:]
    return last[0].start if last and not last[0].closed else len(text)


def logits(model: Encoder, text: str, unit: Unit, pair: str = "") -> list[float] | None:
    """Return what the heads say of a unit, each in the window where it is surest.

    Args:
        model: The encoder.
        text: The text with the unit in it.
        unit: The unit.
        pair: What the text answers.

    Returns:
        Logits in the order of `Encoder.sequence`; None where there is nothing to read.
    """
    before = text[max(0, unit.start - LOOK_BEHIND) : unit.start]
    word = _BLANK.search(before)
    numbers = model.words.numbers(
        (before[word.end() :] if word else "") + text[unit.start : unit.end]
    )
    if not numbers:
        return None
    other = tuple(model.words.numbers(pair[: 8 * _PAIR])[:_PAIR])
    room = LONGEST - 2 - (len(other) + 1 if other else 0)
    windows = [Window(tuple(numbers[a:b]), other) for a, b in spread(len(numbers), room, _OVERLAP)]
    said = (answer.sequence.tolist() for answer in model.ask(windows))
    return [max(column) for column in zip(*said, strict=True)]
