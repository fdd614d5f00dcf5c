"""Measures of a run: its scores as columns, their means, and figures over all of them.

Scores are read once, one after the other, and kept as columns of numbers: eight bytes a score and
some forty a sample, so that a million samples fit wherever one does. A score that a sample does not
have (no such name) was not asked of it; one that is None could not be had, and is counted.

Means and slices are of the samples as they came. Variants of them (`ID~VARIANT`) are told apart, as
slices of the field `variant`.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import NamedTuple

import msgspec
import numpy as np

from keelmark.evaluate import statistics
from keelmark.evaluate.contract import Measure, Scored
from keelmark.evaluate.statistics import Array, Codes, Estimate
from keelmark.evaluate.suite import Suite
from keelmark.plugins import discover

VARIANT = "variant"
_WHOLE = "keelmark.evaluate.whole"
_ABSENT = math.inf  # no score: what is not finite counts as None
_NONE = -1
_COUNTS = ("asked", "answered", "blocked", "masked", "failed", "variants")


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the scores of a run come to.

    Attributes:
        measures: Name of a measure to the measure, as the suite lists them.
        slices: Field to its values to the measures of each.
        counts: How many samples were `asked`, `answered`, `blocked`, `masked`, `failed` (or one
            of its variants), and `unscored` (the primary measure could not be had); how many
            `variants` there were besides.
    """

    measures: dict[str, Measure]
    slices: dict[str, dict[str, dict[str, Measure]]] = {}
    counts: dict[str, int] = {}


class Field(NamedTuple):
    """One field of slices.

    Attributes:
        names: The values that there are.
        codes: Number of each sample's value in `names`; -1 for none.
    """

    names: list[str]
    codes: Codes


class Table(NamedTuple):
    """The scores of a run as columns, one row for each sample.

    Attributes:
        columns: Name of a score to the scores; NaN: it could not be had, inf: it was not asked.
        clusters: Code of each sample's cluster, `statistics.ALONE` for one of its own.
        fields: Slices.
        keys: 63 bits of a digest of each sample's id, by which two runs are paired.
    """

    columns: dict[str, Array]
    clusters: Codes
    fields: dict[str, Field]
    keys: Codes

    def part(self, rows: Codes) -> Table:
        """Return some rows of it."""
        return Table(
            {name: column[rows] for name, column in self.columns.items()},
            self.clusters[rows],
            {name: Field(one.names, one.codes[rows]) for name, one in self.fields.items()},
            self.keys[rows],
        )

    def has(self, *names: str) -> bool:
        """Whether there are such scores."""
        return all(name in self.columns for name in names)

    def scored(self, *names: str) -> Codes:
        """Return the rows that have all of these scores."""
        kept = np.ones(len(self.keys), bool)
        for name in names:
            kept &= np.isfinite(self.columns[name])
        return np.flatnonzero(kept)

    def unscored(self, *names: str) -> int:
        """Return how many rows were asked for all of these scores and lack one."""
        lacks, asked = np.zeros(len(self.keys), bool), np.ones(len(self.keys), bool)
        for name in names:
            lacks |= np.isnan(self.columns[name])
            asked &= self.columns[name] != _ABSENT
        return int((lacks & asked).sum())

    def values(self, *names: str) -> tuple[Array, ...]:
        """Return these scores of the rows that have all of them."""
        rows = self.scored(*names)
        return tuple(self.columns[name][rows] for name in names)

    def parts(self, field: str) -> Iterator[tuple[str, Codes]]:
        """Yield the values of a field, sorted, with their rows."""
        one = self.fields[field]
        order = np.argsort(one.codes, kind="stable")
        ends = np.searchsorted(one.codes[order], np.arange(len(one.names) + 1))
        for code in sorted(range(len(one.names)), key=one.names.__getitem__):
            rows = order[ends[code] : ends[code + 1]]
            if len(rows):
                yield one.names[code], np.sort(rows)


class Gathered(NamedTuple):
    """What was read of a run.

    Attributes:
        table: The samples as they came.
        variants: Their variants, with the field `variant`.
        counts: See `Summary`, without `unscored`.
    """

    table: Table
    variants: Table
    counts: dict[str, int]


class _Columns:
    """Takes scores one by one."""

    def __init__(self) -> None:
        self.columns: dict[str, array[float]] = {}
        self.fields: dict[str, tuple[dict[str, int], array[int]]] = {}
        self.clusters: array[int] = array("q")
        self.keys: array[int] = array("q")

    def add(self, one: Scored, key: int, slices: Mapping[str, str]) -> None:
        n = len(self.keys)
        self.keys.append(key)
        self.clusters.append(code_of(one.cluster) if one.cluster else statistics.ALONE)
        for name in one.scores.keys() - self.columns.keys():
            self.columns[name] = array("d", [_ABSENT]) * n
        for name, column in self.columns.items():
            column.append(_number(one.scores[name]) if name in one.scores else _ABSENT)
        for name in slices.keys() - self.fields.keys():
            self.fields[name] = ({}, array("q", [_NONE]) * n)
        for name, (names, codes) in self.fields.items():
            value = slices.get(name)
            codes.append(_NONE if value is None else names.setdefault(value, len(names)))

    def table(self) -> Table:
        return Table(
            {
                name: np.frombuffer(one) if one else np.empty(0)
                for name, one in self.columns.items()
            },
            np.array(self.clusters, np.int64),
            {
                name: Field(list(names), np.array(codes, np.int64))
                for name, (names, codes) in self.fields.items()
            },
            np.array(self.keys, np.int64),
        )


def _number(score: float | None) -> float:
    return score if score is not None and math.isfinite(score) else math.nan


def code_of(text: str) -> int:
    """Return 63 bits of a digest of a text, never `statistics.ALONE`."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1 or 1


def gather(scored: Iterable[Scored]) -> Gathered:
    """Read scores into columns."""
    own, varied = _Columns(), _Columns()
    counts: Counter[str] = Counter()
    last = None
    for one in scored:
        base, mark, variant = one.id.rpartition("~")
        if mark and base == last:
            varied.add(one, code_of(base), {**one.slices, VARIANT: variant})
            counts["variants"] += 1
            counts["failed"] += one.state == "failed"
            continue
        last = one.id
        own.add(one, code_of(one.id), one.slices)
        counts["asked"] += 1
        counts[one.state] += 1
    states = ("asked", "answered", "blocked", "masked", "failed")
    told = {name: counts[name] for name in (*states, *(["variants"] if counts["variants"] else []))}
    return Gathered(own.table(), varied.table(), told)


@cache
def wholes() -> Mapping[str, ModuleType]:
    """Return the figures over a whole run, by their ids.

    A file in `whole/` has `NEEDS` (names of scores), `figure` (from these columns to a number, or
    None when they do not tell), `ABOUT` (what it is, for people), `RANGE` (what it can be), and may
    have `FEWEST` (samples below which it means nothing), `DIRECTION` (1: more is better,
    -1: less is) and `estimate` (columns and clusters to an `Estimate`, where drawing rows anew does
    not give a good interval).
    """
    return discover(_WHOLE)


def estimate(whole: ModuleType, columns: tuple[Array, ...], clusters: Codes) -> Estimate:
    """Return a figure over a whole run, with its interval."""
    if hasattr(whole, "estimate"):
        found: Estimate = whole.estimate(columns, clusters)
        return found
    return statistics.bootstrap(whole.figure, columns, clusters, whole.RANGE)


def summarise(scored: Iterable[Scored], suite: Suite) -> Summary:
    """Make measures of the scores of a run.

    Args:
        scored: The samples, in their order.
        suite: Whose `measures` are made.
    """
    table, variants, counts = gather(scored)
    overall = measure_all(table, suite)
    slices = {name: _sliced(table, name, suite) for name in table.fields}
    if len(variants.keys):
        slices[VARIANT] = {
            value: measure_all(variants.part(rows), suite)
            for value, rows in variants.parts(VARIANT)
        }
    unscored = overall[suite.primary].unscored
    return Summary(measures=overall, slices=slices, counts={**counts, "unscored": unscored})


def _sliced(table: Table, field: str, suite: Suite) -> dict[str, dict[str, Measure]]:
    return {value: measure_all(table.part(rows), suite) for value, rows in table.parts(field)}


def measure_all(table: Table, suite: Suite) -> dict[str, Measure]:
    """Return the suite's measures of some samples."""
    return {name: measure(table, name) for name in suite.measures}


def measure(table: Table, name: str) -> Measure:
    """Return one measure of some samples: the mean of a score, or a figure over all of them."""
    whole = wholes().get(name)
    needs = whole.NEEDS if whole else (name,)
    if not table.has(*needs):
        lacking = ", ".join(one for one in needs if not table.has(one))
        return _as_measure(
            Estimate(None, how=f"no sample has a score {lacking}"), 0, len(table.keys)
        )
    rows = table.scored(*needs)
    n, unscored = len(rows), table.unscored(*needs)
    columns, clusters = tuple(table.columns[one][rows] for one in needs), table.clusters[rows]
    if whole is None:
        return _as_measure(statistics.mean(columns[0], clusters), n, unscored)
    fewest = getattr(whole, "FEWEST", 1)
    if n < fewest:
        return _as_measure(Estimate(None, how=f"means nothing below {fewest} samples"), n, unscored)
    found = estimate(whole, columns, clusters)
    return _as_measure(found._replace(how=f"{whole.ABOUT}, {found.how}"), n, unscored)


def _as_measure(found: Estimate, n: int, unscored: int) -> Measure:
    value, low, high, how = found
    return Measure(value=value, low=low, high=high, n=n, unscored=unscored, how=how)
