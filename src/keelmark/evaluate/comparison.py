"""Two runs of one suite, sample by sample: what changed, and whether chance explains it.

A is the baseline, B what might take its place. Differences are B minus A, in units of the measure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.exact import benjamini_hochberg, holm
from keelmark.evaluate import statistics
from keelmark.evaluate.contract import Measure
from keelmark.evaluate.manifest import Manifest
from keelmark.evaluate.measures import Gathered, Table, gather, measure, wholes
from keelmark.evaluate.result import RESULT, Result, each_score, read_manifest, read_result
from keelmark.evaluate.statistics import Codes, Difference
from keelmark.evaluate.suite import Suite
from keelmark.evaluate.views import View

replace = msgspec.structs.replace
ERROR = 0.05
FEWEST_PAIRS = 10
"""Slices with fewer pairs are not looked at."""
_LOWER = frozenset({"brier"})

Found = Literal["better", "worse", "differs", "could not tell"]


class Run(NamedTuple):
    """A run with its scores.

    Attributes:
        folder: Where it is.
        manifest: What decided it.
        result: What came of it.
        scores: Its scores as columns.
        views: Its seven views, where somebody has asked for them.
    """

    folder: Path
    manifest: Manifest
    result: Result
    scores: Gathered
    views: tuple[View, ...] = ()

    @property
    def suite(self) -> Suite:
        """The suite that was run."""
        return self.manifest.suite


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one measure changed.

    Attributes:
        measure: Its name.
        field: Field of the slice; "" for all samples.
        value: Value of that field.
        a: The measure of A, over the pairs.
        b: The measure of B, over the pairs.
        pairs: Samples that both have scored.
        unpaired: Samples that only one has scored, or neither.
        difference: B minus A; None when it could not be told.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided probability of so much, if they did not differ.
        corrected: The same, corrected for the number of tests: after Holm for measures, after
            Benjamini and Hochberg for slices.
        gained: Pairs in which B has more.
        lost: Pairs in which A has more.
        how: How interval and probability were made.
        direction: 1 when more is better, -1 when less is, 0 when nobody said.
        found: `better` or `worse` (or `differs`, without a direction) when the corrected
            probability is below 0.05, else `could not tell`.
    """

    measure: str
    field: str = ""
    value: str = ""
    a: float | None = None
    b: float | None = None
    pairs: int = 0
    unpaired: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float = 1.0
    corrected: float = 1.0
    gained: int = 0
    lost: int = 0
    how: str = ""
    direction: int = 0
    found: Found = "could not tell"


class Pair(NamedTuple):
    """Two runs of one suite.

    Attributes:
        a: The baseline.
        b: What might take its place.
        rows_a: Rows of A's table whose samples B has, too.
        rows_b: The rows of the same samples in B's table.
        notes: What differs between them besides the model, sentences.
    """

    a: Run
    b: Run
    rows_a: Codes
    rows_b: Codes
    notes: tuple[str, ...]


def read_run(folder: Path) -> Run:
    """Read a run.

    Raises:
        UsageError: There is none.
        IntegrityError: Its files do not belong together.
    """
    manifest, result = read_manifest(folder), read_result(folder)
    if result.manifest != manifest.digest:
        raise IntegrityError(f"{folder}: manifest and result are of different runs.")
    return Run(folder, manifest, result, gather(each_score(folder)))


def run_folders(path: Path) -> list[Path]:
    """Return the folder of a run, or those of all runs in a folder, sorted.

    Raises:
        UsageError: There is none.
    """
    if (path / RESULT).is_file():
        return [path]
    found = sorted(one.parent for one in path.glob(f"*/{RESULT}")) if path.is_dir() else []
    if not found:
        raise UsageError(
            f"{path} is no folder of a run, and no run lies in it; `keelmark eval show` lists runs."
        )
    return found


def direction(name: str, suite: Suite) -> int:
    """Return 1 when more of a measure is better, -1 when less is, 0 when nobody said."""
    if name == suite.primary:
        return 1 if suite.higher_is_better else -1
    if name in wholes():
        return int(getattr(wholes()[name], "DIRECTION", 0))
    if name in _LOWER:
        return -1
    return int(name.startswith("acc"))


def pair(a: Run, b: Run) -> Pair:
    """Match the samples of two runs by their ids.

    Raises:
        UsageError: They cannot be compared.
    """
    _refuse_unlike(a, b)
    keys_a, keys_b = a.scores.table.keys, b.scores.table.keys
    both, rows_a, rows_b = np.intersect1d(keys_a, keys_b, return_indices=True)
    if not len(both):
        raise UsageError(
            f"{a.folder.name} and {b.folder.name} have no sample in common: run both on the same "
            "rows."
        )
    return Pair(a, b, rows_a, rows_b, tuple(_beside(a, b, len(both))))


def _refuse_unlike(a: Run, b: Run) -> None:
    names = f"{a.folder.name} and {b.folder.name}"
    if a.suite.id != b.suite.id:
        raise UsageError(f"{names} are of different suites ({a.suite.id}, {b.suite.id}).")
    old, new = (one.suite.version.partition("-")[0] for one in (a, b))
    if old != new:
        raise UsageError(
            f"{names} are of versions {a.suite.version} and {b.suite.version} of {a.suite.id}, "
            "whose figures do not mean the same: run the older one again."
        )
    if a.suite.primary != b.suite.primary:
        raise UsageError(f"{names} are decided by different measures.")


def _beside(a: Run, b: Run, both: int) -> Iterator[str]:
    one, other = a.manifest, b.manifest
    if one.data.sha256 != other.data.sha256:
        yield "The data files differ; only samples with the same id are compared."
    most = max(len(a.scores.table.keys), len(b.scores.table.keys))
    if both < most:
        yield f"{both} of {most} samples are in both runs; the others are left out."
    if one.suite_digest != other.suite_digest:
        yield f"The suite {a.suite.id} changed between the runs, as its version allows."
    for field in ("shots", "max_tokens", "temperature", "system", "seed"):
        if getattr(one.sampling, field) != getattr(other.sampling, field):
            yield f"They were asked with different `{field}`."
    for side in (a, b):
        if side.result.state == "incomplete":
            yield f"{side.result.run} is incomplete: {side.result.reason}"


def changes(matched: Pair) -> list[Change]:
    """Return how each measure of the suite changed, without correction."""
    return [change(matched, name) for name in matched.a.suite.measures]


def slice_changes(matched: Pair) -> Iterator[Change]:
    """Yield how the deciding measure changed in every slice with enough pairs, uncorrected."""
    table = matched.a.scores.table.part(matched.rows_a)
    for field in table.fields:
        for value, rows in table.parts(field):
            if len(rows) >= FEWEST_PAIRS:
                part = matched._replace(rows_a=matched.rows_a[rows], rows_b=matched.rows_b[rows])
                yield change(part, matched.a.suite.primary, field, value)


def change(matched: Pair, name: str, field: str = "", value: str = "") -> Change:
    """Return how one measure changed over the samples of a pair.

    Args:
        matched: The pair.
        name: Name of the measure.
        field: What the slice is called that the pair was cut to.
        value: Value of that field.
    """
    a = matched.a.scores.table.part(matched.rows_a)
    b = matched.b.scores.table.part(matched.rows_b)
    suite = matched.a.suite
    told = Change(measure=name, field=field, value=value, direction=direction(name, suite))
    needs = needs_of(name)
    asked = int((_asked(a, needs) | _asked(b, needs)).sum())
    if not (a.has(*needs) and b.has(*needs)):
        return replace(told, unpaired=asked, how="not scored in both runs")
    rows = np.intersect1d(a.scored(*needs), b.scored(*needs), assume_unique=True)
    one, other = a.part(rows), b.part(rows)
    apart = _difference(one, other, name)
    told = replace(
        told,
        a=_plain(one, name),
        b=_plain(other, name),
        pairs=len(rows),
        unpaired=asked - len(rows),
        how=apart.how if apart else "too few pairs",
    )
    if apart is None:
        return told
    return replace(
        told,
        difference=apart.value,
        low=apart.low,
        high=apart.high,
        p=apart.p,
        corrected=apart.p,
        gained=apart.gained,
        lost=apart.lost,
    )


def needs_of(name: str) -> tuple[str, ...]:
    """Return the names of the scores that a measure is made of."""
    whole = wholes().get(name)
    return tuple(whole.NEEDS) if whole else (name,)


def _asked(table: Table, needs: Iterable[str]) -> NDArray[np.bool_]:
    """Whether a row was asked for all of these scores."""
    asked = np.ones(len(table.keys), bool)
    for name in needs:
        asked &= table.columns[name] != np.inf if name in table.columns else False
    return asked


def _difference(a: Table, b: Table, name: str) -> Difference | None:
    whole = wholes().get(name)
    if whole is None:
        return statistics.mean_difference(a.columns[name], b.columns[name], a.clusters)
    if len(a.keys) < getattr(whole, "FEWEST", 2):
        return None
    return statistics.figure_difference(
        whole.figure, a.values(*whole.NEEDS), b.values(*whole.NEEDS), a.clusters
    )


def _plain(table: Table, name: str) -> float | None:
    """The figure alone."""
    whole = wholes().get(name)
    if whole is None:
        return float(table.columns[name].mean()) if len(table.keys) else None
    if not len(table.keys):
        return None
    found: float | None = whole.figure(*table.values(*whole.NEEDS))
    return found


def holm_corrected(found: Sequence[Change]) -> list[Change]:
    """Return changes with probabilities corrected so that none of them is an error."""
    return _judged(found, holm([one.p for one in found]))


def discoveries(found: Sequence[Change]) -> list[Change]:
    """Return changes with probabilities corrected so that few that are found are errors."""
    return _judged(found, benjamini_hochberg([one.p for one in found]))


def _judged(found: Iterable[Change], corrected: Iterable[float]) -> list[Change]:
    return [
        replace(one, corrected=p, found=_found(one, p))
        for one, p in zip(found, corrected, strict=True)
    ]


def _found(one: Change, corrected: float) -> Found:
    if one.difference is None or corrected >= ERROR or not one.difference:
        return "could not tell"
    if not one.direction:
        return "differs"
    return "better" if one.difference * one.direction > 0 else "worse"


def measured(run: Run, name: str, rows: Codes | None = None) -> Measure:
    """Return a measure of a run, of all samples or of some."""
    table = run.scores.table
    return measure(table if rows is None else table.part(rows), name)
