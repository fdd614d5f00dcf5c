"""Numbers and dates of a sentence that its sources do not bear out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import inf
from typing import NamedTuple

from keelmark.guard._bounds import Numbers, bound, kept, numbers
from keelmark.guard._dates import Dated, Years, dated
from keelmark.guard._derived import derived
from keelmark.guard._measures import Quantity
from keelmark.guard._quantities import Known, decimals_of, quantities
from keelmark.guard._sources import Found, Index

_NONE = "a number that no source has"
_BOUND = "a bound that the sources do not keep"


class Fault(NamedTuple):
    """What an exact check has found.

    Attributes:
        reason: What it is.
        span: Where in the sentence.
        contradicts: Whether the sources say something else.
        doubt: What it adds to the log odds that nothing supports the sentence, where an encoder
            is asked: a source may say `he` in the place of a name. Infinite where it decides.
    """

    reason: str
    span: tuple[int, int]
    contradicts: bool
    doubt: float = inf


class Figures(NamedTuple):
    """The numbers of a sentence.

    Attributes:
        dates: Its dates and times.
        numbers: The others.
    """

    dates: list[Dated]
    numbers: list[Quantity]

    def covers(self, at: int) -> bool:
        """Whether a character belongs to one of them, with its unit."""
        return any(one.start <= at < one.end for one in self.dates) or any(
            one.start <= at < one.end for one in self.numbers
        )


def figures_in(text: str, index: Index) -> Figures:
    """Return the numbers of a sentence, read as the sources write theirs."""
    dates = dated(text)
    both = {index.decimals, decimals_of(text)}
    spans = [(date.start, date.end) for date in dates]
    return Figures(dates, quantities(text, "," if "," in both else ".", spans))


def number_faults(
    text: str, figures: Figures, index: Index, rival: str, found: Sequence[Found]
) -> Iterator[Fault]:
    """Yield what is wrong with the numbers of a sentence.

    Args:
        text: The sentence.
        figures: Its numbers.
        index: The sources.
        rival: The sentence of the sources that says about the same, "" for none.
        found: The sentences of the sources that have most of its words.
    """
    others = dated(rival)
    spans = [(date.start, date.end) for date in others]
    kinds = {one.unit and one.unit.kind for one in quantities(rival, index.decimals, spans)}
    exact = any(not isinstance(one.readings[0], Years) for one in others)
    kinds |= {None} if exact else set()
    for date in figures.dates:
        if not index.calendar.has(date):
            against = bool(others) or None in kinds
            yield Fault("a date that no source has", (date.start, date.end), contradicts=against)
    known = Known([one for one in figures.numbers if not one.small and index.numbers.has(one)])
    near = _Near(index, found)
    for one in figures.numbers:
        span, unit = (one.start, one.end), one.unit and one.unit.kind
        limit, has = bound(text, one), index.numbers.has(one)
        if limit and not has:
            said = kept(one, limit, near.numbers, index.figures)
            if said is None and not derived(one, text, near.numbers):
                yield Fault(_NONE, span, contradicts=False)
            elif said is not None and not said.within:
                yield Fault(_BOUND, span, contradicts=bool(rival) and said.same)
        elif one.small and index.numbers.differs(one):
            yield Fault(_NONE, span, contradicts=True)
        elif not (one.small or has or known.has(one) or derived(one, text, near.numbers)):
            yield Fault(_NONE, span, contradicts=unit in kinds)


class _Near:
    """The numbers of the sentences that say about the same, read when they are asked for."""

    def __init__(self, index: Index, found: Sequence[Found]) -> None:
        self._index, self._found = index, found

    @cached_property
    def numbers(self) -> list[Numbers]:
        """The numbers of each sentence."""
        return [numbers(self._index.text(each.place)) for each in self._found]
