"""Whether runs show what the policy's gates demand: three answers, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec
import numpy as np

from keelmark.core.gates import Gate, Gates
from keelmark.evaluate.comparison import Change, Pair, Run, change, direction, needs_of
from keelmark.evaluate.contract import Measure
from keelmark.evaluate.measures import Table, measure
from keelmark.evaluate.statistics import Codes
from keelmark.evaluate.views import is_viewed, viewed

Answer = Literal["pass", "fail", "could not tell"]


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one demand.

    Attributes:
        suite: Id of the suite.
        measure: Which measure.
        where: The slice, in words; "" for all samples.
        demand: What is demanded, in words.
        answer: `pass`, `fail` or `could not tell`.
        reason: Why, a sentence with the figures.
        run: Name of the run.
        why: Why it is demanded, as the policy says.
        against: Name of the run that it was compared with; "" for a limit of its own.
        gate: Place of the demand in the policy's `gates.require`, from 0; -1 when the policy does
            not write it out.
    """

    suite: str
    measure: str
    where: str = ""
    demand: str
    answer: Answer
    reason: str
    run: str = ""
    why: str = ""
    against: str = ""
    gate: int = -1

    @property
    def name(self) -> str:
        """Suite, measure and slice."""
        return ", ".join(
            part for part in (f"{self.suite} {self.measure}".strip(), self.where) if part
        )


def overall(rulings: Iterable[Ruling]) -> Answer:
    """Return `fail` when one demand failed, else `could not tell` when one could not be told."""
    answers = {one.answer for one in rulings}
    if "fail" in answers:
        return "fail"
    return "pass" if answers == {"pass"} else "could not tell"


def rule(gates: Gates, runs: Sequence[Run], pairs: Sequence[Pair] = ()) -> list[Ruling]:
    """Return what becomes of every demand.

    Args:
        gates: The demands.
        runs: Runs that they are made of.
        pairs: The same runs, as B, with their baselines as A.
    """
    rulings: list[Ruling] = []
    for run in runs:
        against = next((one for one in pairs if one.b is run), None)
        rulings += _of_run(gates, run, against)
    known = {"*", *(run.suite.id for run in runs)}
    missing = ((n, gate) for n, gate in enumerate(gates.require) if gate.suite not in known)
    return [*rulings, *(_not_run(gate, number) for number, gate in missing)]


def _not_run(gate: Gate, number: int) -> Ruling:
    return Ruling(
        suite=gate.suite,
        measure=gate.measure,
        where=_where(gate.slices),
        demand=gate.limits,
        answer="could not tell",
        reason=f"No run of {gate.suite} was given.",
        why=gate.reason,
        gate=number,
    )


def _of_run(gates: Gates, run: Run, against: Pair | None) -> Iterator[Ruling]:
    primary = run.suite.primary
    yield _scored(gates, run)
    compared = set()
    for number, gate in enumerate(gates.require):
        if gate.suite not in ("*", run.suite.id):
            continue
        name = gate.measure or primary
        if gate.drop is not None and not gate.slices:
            compared.add(name)
        for one in _demanded(gate, run, against, name):
            yield msgspec.structs.replace(one, gate=number)
    if against and primary not in compared:
        gate = Gate(suite=run.suite.id, drop=gates.drop)
        yield from _relative(gate, gates.drop, against, primary)


def _demanded(gate: Gate, run: Run, against: Pair | None, name: str) -> Iterator[Ruling]:
    if gate.at_least is not None or gate.at_most is not None or gate.drop is None:
        for slices, rows in _parts(run.scores.table, gate.slices):
            yield _absolute(gate, run, name, slices, rows)
    if against and gate.drop is not None:
        yield from _relative(gate, gate.drop, against, name)


def _scored(gates: Gates, run: Run) -> Ruling:
    """Whether the run is whole enough to say anything."""
    name, table, most = run.suite.primary, run.scores.table, gates.unscored
    needs = needs_of(name)
    lacking = table.unscored(*needs) if table.has(*needs) else len(table.keys)
    n = max(len(table.keys), 1)
    answer: Answer = "pass" if lacking / n <= most else "could not tell"
    reason = f"{lacking} of {n} samples could not be scored."
    if run.result.state == "incomplete":
        answer, reason = "could not tell", f"The run is incomplete: {run.result.reason}"
    demand = f"a whole run, at most {most:.1%} unscored"
    return _ruling(Gate(suite=run.suite.id), run, name, {}, (demand, answer, reason))


def _ruling(
    gate: Gate, run: Run, name: str, slices: dict[str, str], said: tuple[str, Answer, str]
) -> Ruling:
    demand, answer, reason = said
    return Ruling(
        suite=run.suite.id,
        measure=name,
        where=_where(slices),
        demand=demand,
        answer=answer,
        reason=reason,
        run=run.result.run,
        why=gate.reason,
    )


def _where(slices: dict[str, str]) -> str:
    return ", ".join(f"{field} {value}" for field, value in slices.items())


def _parts(table: Table, slices: dict[str, str]) -> Iterator[tuple[dict[str, str], Codes]]:
    """Yield the slices that a gate is for, with their rows."""
    found: list[tuple[dict[str, str], Codes]] = [({}, np.arange(len(table.keys)))]
    for field, wanted in slices.items():
        values = dict(table.parts(field)) if field in table.fields else {}
        none = {wanted: values.get(wanted, np.empty(0, np.int64))}  # it cannot be told
        some = values if wanted == "*" and values else none
        found = [
            ({**named, field: value}, np.intersect1d(rows, those))
            for named, rows in found
            for value, those in some.items()
        ]
    yield from found


# --- limits ---


def _absolute(gate: Gate, run: Run, name: str, slices: dict[str, str], rows: Codes) -> Ruling:
    table = run.scores.table
    if is_viewed(name) and name not in table.columns:
        found = viewed(run.views, name) if not slices else _unseen("a view is of all samples")
    else:
        found = measure(table.part(rows) if slices else table, name)
    limits = [("at least", gate.at_least, 1), ("at most", gate.at_most, -1)]
    demand = " and ".join(f"{word} {it:g}" for word, it, _ in limits if it is not None)
    answers = [_kept(found, it, sign, gate.by) for _, it, sign in limits if it is not None]
    if found.value is None:
        said: tuple[Answer, str] = ("could not tell", f"Nothing was measured: {found.how}.")
    else:
        worst = next((a for a in ("fail", "could not tell") if a in answers), "pass")
        said = (worst, f"{_figures(found)}{_more(found, gate) if worst != 'fail' else ''}.")  # type: ignore[assignment]
    return _ruling(gate, run, name, slices, (demand or "measured", *said))


def _unseen(why: str) -> Measure:
    return Measure(value=None, low=None, high=None, n=0, how=why)


def _kept(found: Measure, limit: float, sign: int, by: str) -> Answer:
    """Whether a measure keeps a lower limit (sign 1) or an upper one (-1)."""
    if found.value is None:
        return "could not tell"
    near, far = (found.low, found.high) if sign > 0 else (found.high, found.low)
    if by == "value":
        near = far = found.value
    if near is None or far is None:
        return "could not tell"
    if sign * (near - limit) >= 0:
        return "pass"
    return "fail" if sign * (far - limit) < 0 else "could not tell"


def _figures(found: Measure) -> str:
    span = "" if found.low is None else f" [{found.low:.4f}, {found.high:.4f}]"
    return f"{found.value:.4f}{span} of {found.n} samples"


def _more(found: Measure, gate: Gate) -> str:
    """How many samples would tell, if the figure stays; "" when it would not help."""
    if found.value is None or found.low is None or found.high is None or gate.by == "value":
        return ""
    for limit, sign in ((gate.at_least, 1), (gate.at_most, -1)):
        if limit is not None and _kept(found, limit, sign, "interval") == "could not tell":
            room = sign * (found.value - limit)
            return _enough(found.n, (found.high - found.low) / 2, abs(room))
    return ""


def _enough(n: int, half: float, room: float) -> str:
    if room <= 0 or half <= room:
        return ""
    needed = n * (half / room) ** 2
    size = 10 ** max(0, int(math.log10(needed)) - 1)
    return f"; about {math.ceil(needed / size) * size:,} would tell"


# --- against a baseline ---


def _relative(gate: Gate, drop: float, against: Pair, name: str) -> Iterator[Ruling]:
    table = against.b.scores.table.part(against.rows_b)
    for slices, rows in _parts(table, gate.slices):
        part = against._replace(rows_a=against.rows_a[rows], rows_b=against.rows_b[rows])
        found = change(part if slices else against, name)
        sign = direction(name, against.b.suite) or (
            -1 if gate.at_most is not None and gate.at_least is None else 1
        )
        answer = _not_worse(found, drop, sign, gate.by)
        said = f"{_changed(found)}{_pairs_that_tell(found, drop, sign, answer)}."
        demand = f"at most {drop:g} worse than {against.a.result.run}"
        told = _ruling(gate, against.b, name, slices, (demand, answer, said))
        yield msgspec.structs.replace(told, against=against.a.result.run)


def _not_worse(found: Change, drop: float, sign: int, by: str) -> Answer:
    if found.difference is None or found.low is None or found.high is None:
        return "could not tell"
    worst, best = (found.low, found.high) if sign > 0 else (-found.high, -found.low)
    if by == "value":
        worst = best = sign * found.difference
    if worst >= -drop:
        return "pass"
    return "fail" if best < -drop else "could not tell"


def _changed(found: Change) -> str:
    if found.a is None or found.b is None or found.difference is None or found.low is None:
        return f"Nothing could be compared ({found.how})"
    return (
        f"from {found.a:.4f} to {found.b:.4f}, by {found.difference:+.4f} "
        f"[{found.low:+.4f}, {found.high:+.4f}] over {found.pairs} pairs"
    )


def _pairs_that_tell(found: Change, drop: float, sign: int, answer: Answer) -> str:
    if answer != "could not tell" or found.difference is None:
        return ""
    if found.low is None or found.high is None or not math.isfinite(found.low):
        return ""
    return _enough(found.pairs, (found.high - found.low) / 2, abs(sign * found.difference + drop))
