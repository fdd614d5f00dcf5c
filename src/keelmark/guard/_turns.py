"""What several messages say together: a phrase in pieces, over turns or over named values.

Two ways to hand a model an order that stands in no message: to begin it in one message and end
it in the next ("ignore all previous" / "instructions and ..."), and to give its pieces names and
have them put together ("a = 'ignore all prev'", "b = 'ious instructions'", "now do a + b"). Both
are texts that can be read: the messages of one role one after the other, and the values one after
the other, in the order in which they are given and in the order in which they are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

from keelmark.core.ports import Segment

ROLES = ("user", "tool", "retrieved", "input")
"""Roles of texts that others write than who runs the service."""

_FAR = 4096  # characters behind the last value in which names are looked for
MOST_VALUES = 64
"""Named values of one role that are put together."""

_CONTENT = re.compile(r"messages\[\d+\]\.content\b|documents\b|prompt\b|input\b")
_FINISHED = re.compile(r"[.!?。！？:;,)\]}\"'”’»」』]\s*\Z")
_VALUE = re.compile(
    r"(?:[=:>→]|\b(?:is|to|be|as|ist|est|es|è|é))\s{0,3}[\"'“‘`«„]([^\n\"“”‘„`«»]{1,256}?)[\"'”’`»“]"
)
_QUOTED = re.compile("[\"'“‘`«„]")
_NAME = re.compile(r"(\w{1,24})[\"'”’`}\])]{0,2}\s{0,3}(?:[:=-])?\Z")


class Slice(NamedTuple):
    """A stretch of the text of a segment."""

    segment: int
    start: int
    end: int


class Assembly(NamedTuple):
    """Stretches that a model may read as one text.

    Attributes:
        role: Role of the segments.
        slices: The stretches, in order.
        open_at: For each but the last, what may stand between it and the next; a phrase goes on
            over one of these, or over none.
    """

    role: str
    slices: tuple[Slice, ...]
    open_at: tuple[tuple[str, ...], ...]


def assemblies(segments: Sequence[Segment]) -> Iterator[Assembly]:
    """Yield what the segments say together: first the messages, then the values with names.

    The segments may be changed meanwhile; what is yielded holds for how they are then.
    """
    by_role: dict[str, list[int]] = {}
    for number, one in enumerate(segments):
        if one.role in ROLES and one.text and not one.is_json and _CONTENT.match(one.path):
            by_role.setdefault(one.role, []).append(number)
    for role, numbers in by_role.items():
        if len(numbers) > 1:
            yield from _turns(role, numbers, segments)
    for role, numbers in by_role.items():
        yield from _named_values(role, numbers, segments)


def _turns(role: str, numbers: list[int], segments: Sequence[Segment]) -> Iterator[Assembly]:
    """Yield the messages of a role, if one of them leaves its sentence open."""
    open_at = tuple(_between(segments[a], segments[b]) for a, b in pairwise(numbers))
    if any(open_at):
        slices = tuple(Slice(number, 0, len(segments[number].text)) for number in numbers)
        yield Assembly(role, slices, open_at)


def _named_values(role: str, numbers: list[int], segments: Sequence[Segment]) -> Iterator[Assembly]:
    """Yield the values that the messages of a role give names to, one after the other."""
    given = _given(numbers, segments)
    if len(given) < 2:
        return
    yield _together(role, [where for _, where in given])
    given = _given(numbers, segments)  # by now they may be others
    called = _as_called(given, [segments[number].text for number in numbers], numbers)
    if called and called != [where for _, where in given]:
        yield _together(role, called)


def _given(numbers: list[int], segments: Sequence[Segment]) -> list[tuple[str, Slice]]:
    """Return the first values of some segments, with their names."""
    every = (one for number in numbers for one in _values(number, segments[number].text))
    return list(islice(every, MOST_VALUES))


def _together(role: str, slices: list[Slice]) -> Assembly:
    return Assembly(role, tuple(slices), (("", " "),) * (len(slices) - 1))


def _between(first: Segment, second: Segment) -> tuple[str, ...]:
    """What may stand between two messages over which a phrase goes on."""
    if (first.part_of and first.part_of == second.part_of) or _FINISHED.search(first.text[-8:]):
        return ()
    within = first.text[-1].isalpha() and second.text[0].islower()
    return (" ", "") if within else (" ",)


def _values(number: int, text: str) -> Iterator[tuple[str, Slice]]:
    """Yield the values in a text that are in quotation marks behind a name, with the name."""
    if not _QUOTED.search(text):
        return
    for match in islice(_VALUE.finditer(text), 4 * MOST_VALUES):
        name = _NAME.search(text[max(0, match.start() - 32) : match.start()])
        if name:
            yield name[1], Slice(number, match.start(1), match.end(1))


def _as_called(given: list[tuple[str, Slice]], texts: list[str], numbers: list[int]) -> list[Slice]:
    """The values in the order in which their names are called after the last one is given."""
    if not given:
        return []
    values = dict(given)
    last = given[-1][1]
    behind = [
        text[last.end if number == last.segment else 0 :][:_FAR]
        for number, text in zip(numbers, texts, strict=True)
        if number >= last.segment
    ]
    called = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in values))
    found = (match[0] for text in behind for match in called.finditer(text))
    return [values[name] for name in islice(found, MOST_VALUES)]
