"""Which licence a text is: compared with the words of every record, never by its title alone.

Three answers: it says the words of a record and nothing else ("full"), it is a record's text with
differences, which are shown ("near"), or it is none that is known ("unknown"). A text may hold
several licences, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from keelmark.vet.licence.align import GRAM, Run, align, grams
from keelmark.vet.licence.differences import Difference, Reading, compare, outside
from keelmark.vet.licence.records import Record, all_records
from keelmark.vet.licence.words import Word, marks, unpack, words

MOST_WORDS = 60_000
"""Words of a text that are compared; the rest counts as added."""

_MOST_PARTS = 6
_CANDIDATES = 8
_LEAST_SHARE = 0.4
_LEAST_WORDS = 40
_AS_GOOD = 3


class Kind(StrEnum):
    """How sure it is that a text is what a record was written from."""

    FULL = "full"
    NEAR = "near"
    UNKNOWN = "unknown"


class Part(NamedTuple):
    """A licence found in a text.

    Attributes:
        kind: Full or near.
        licence: Id of the record.
        start: Where it begins in the text, in code points.
        end: Where it ends.
        share: Part of the record's words that stand there, 0 to 1.
        differences: What is not as in the record.
        altered: Ids of terms whose clause is not there word for word.
        also: Other records that the same words fit equally well.
    """

    kind: Kind
    licence: str
    start: int
    end: int
    share: float
    differences: tuple[Difference, ...] = ()
    altered: frozenset[str] = frozenset()
    also: tuple[str, ...] = ()


class Match(NamedTuple):
    """What a text is.

    Attributes:
        kind: Full when it consists of known licences and nothing else; near when anything is added,
            missing or changed; else unknown.
        licence: Id of the record that it is, or is nearest to; "" when unknown.
        parts: Every licence found in it, in order.
        added: Passages that belong to none of them.
        words: How many words it has.
    """

    kind: Kind
    licence: str
    parts: tuple[Part, ...]
    added: tuple[Difference, ...]
    words: int

    @property
    def licences(self) -> tuple[str, ...]:
        """Ids of all records found, in order."""
        return tuple(part.licence for part in self.parts)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Everything that is not as in the records."""
        return tuple(item for part in self.parts for item in part.differences) + self.added


def identify(text: str) -> Match:
    """Say which licence, or licences, a text is."""
    every = words(text)
    found = every[:MOST_WORDS]
    free = marks(found)
    parts: list[Part] = []
    while len(parts) < _MOST_PARTS:
        best = _best(text, found, free)
        if best is None:
            break
        part, claimed = best
        parts.append(part)
        for start, end in claimed:
            free[start:end] = [-1] * (end - start)
    parts.sort(key=lambda part: part.start)
    added = outside(text, found, free)
    if len(every) > MOST_WORDS:
        added += outside(text, every[MOST_WORDS:], marks(every[MOST_WORDS:]))
    if not parts:
        return Match(Kind.UNKNOWN, "", (), (), len(every))
    largest = max(parts, key=lambda part: (part.end - part.start, part.licence))
    full = not added and all(part.kind is Kind.FULL for part in parts)
    kind = Kind.FULL if full else Kind.NEAR
    return Match(kind, largest.licence, tuple(parts), added, len(every))


class _Known(NamedTuple):
    """The texts of all records, and where their runs of words occur."""

    records: tuple[Record, ...]
    marks: tuple[tuple[int, ...], ...]
    places: dict[tuple[int, ...], tuple[int, ...]]


@cache
def _known() -> _Known:
    records = tuple(record for record in all_records().values() if record.text != "none")
    numbers = tuple(tuple(unpack(record.body.marks)) for record in records)
    index: dict[tuple[int, ...], tuple[int, ...]] = {}
    for at, sequence in enumerate(numbers):
        for gram in set(grams(sequence)):
            index[gram] = (*index.get(gram, ()), at)
    return _Known(records, numbers, index)


def _candidates(places: Iterable[tuple[int, ...]]) -> list[int]:
    """Records that share the most runs of words with a text, by the share that is shared."""
    known = _known()
    hits = [0] * len(known.records)
    for gram in places:
        for at in known.places.get(gram, ()):
            hits[at] += 1
    sizes = [max(1, len(numbers) - GRAM + 1) for numbers in known.marks]
    order = sorted(
        (at for at in range(len(hits)) if hits[at]),
        key=lambda at: (-hits[at] * hits[at] / sizes[at], known.records[at].id),
    )
    return order[:_CANDIDATES]


def _best(
    text: str, found: Sequence[Word], free: Sequence[int]
) -> tuple[Part, list[tuple[int, int]]] | None:
    """The record that explains most of what is free of a text, and the words it explains."""
    places: dict[tuple[int, ...], int] = {}
    for at, gram in enumerate(grams(free)):
        if -1 not in gram:
            places.setdefault(gram, at)
    known = _known()
    readings: list[tuple[float, str, Reading, list[Run]]] = []
    for at in _candidates(places):
        record, numbers = known.records[at], known.marks[at]
        runs = align(free, places, numbers)
        reading = compare(text, found, runs, record)
        if reading.same >= min(_LEAST_WORDS, len(numbers) // 2) and reading.solid >= _LEAST_SHARE:
            worth = reading.same - reading.missing / 2 - reading.foreign / 4
            readings.append((worth, record.id, reading, runs))
    if not readings:
        return None
    readings.sort(key=lambda item: (-item[0], len(item[2].differences), item[1]))
    _, name, reading, runs = readings[0]
    also = tuple(
        other
        for _, other, one, _ in readings[1:]
        if reading.differences
        and one.same >= reading.same - _AS_GOOD
        and one.foreign <= reading.foreign + _AS_GOOD
    )
    claimed = [run.text for run in runs if run.same or run.text[1] - run.text[0] < _LEAST_WORDS]
    part = Part(
        Kind.NEAR if reading.differences else Kind.FULL,
        name,
        found[runs[0].text[0]].start,
        found[max(runs[-1].text[1] - 1, runs[0].text[0])].end,
        round(reading.share, 4),
        reading.differences,
        reading.altered,
        also,
    )
    return part, claimed
