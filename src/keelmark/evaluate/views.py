"""Seven views of one run, after HELM: each is measured, or says why it could not be.

Source of the seven: Liang et al., "Holistic Evaluation of Language Models" (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from keelmark.core.yamlfile import meant
from keelmark.evaluate import statistics
from keelmark.evaluate.contract import Judge, Measure
from keelmark.evaluate.journal import Kept
from keelmark.evaluate.measures import Gathered, measure, wholes
from keelmark.evaluate.representation import Mentions, mentions, representation
from keelmark.evaluate.result import Spent, figure
from keelmark.evaluate.suite import Suite
from keelmark.evaluate.vary import unfit, variants
from keelmark.evaluate.wording import table
from keelmark.evaluate.worst import worst_case

JUDGES = ("bias_wording", "words")
"""Detectors of the guard that look at what was written."""
_CALIBRATION = ("_confidence", "_right")
_SLUR = "SLUR"
_NAMES = (
    *("accuracy", "calibration", "robustness", "fairness"),
    *("bias", "toxicity", "efficiency"),
)


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One view of a run.

    Attributes:
        name: `accuracy`, `calibration`, `robustness`, `fairness`, `bias`, `toxicity` or
            `efficiency`.
        measures: Name of a measure to the measure; empty when it could not be measured.
        reason: Why it could not be measured, a sentence.
        note: What a reader has to know.
    """

    name: str
    measures: dict[str, Measure] = {}
    reason: str = ""
    note: str = ""


class Looked(NamedTuple):
    """What one pass over the replies has found.

    Attributes:
        spoken: Who is spoken of in each answer.
        worded: 1 for each answer with biased wording, else 0.
        abusive: 1 for each answer that insults, threatens or is obscene, else 0.
        seconds: Time of each request.
        tokens_out: Tokens that were written, of each request.
    """

    spoken: list[Mentions]
    worded: list[float]
    abusive: list[float]
    seconds: list[float]
    tokens_out: list[int]


def look(kept: Iterable[Kept], judges: Mapping[str, Judge], asks: int | None = None) -> Looked:
    """Read the replies of a run once. Answers to variants are left out, all requests are timed.

    Args:
        kept: What came back.
        judges: Those named in `JUDGES`.
        asks: Replies of a sample that are the model's own, before those of a judge; None for all.
    """
    looked = Looked([], [], [], [], [])
    lists: Mapping[str, Any] = {"lists": [{"words": table("abuse")["words"], "label": "ABUSE"}]}
    known: set[str] = set()
    for one in kept:
        base, mark, name = one.id.rpartition("~")
        varied = bool(mark) and name in variants() and base in known
        known = known if varied else {one.id}
        for number, reply in enumerate(one.replies):
            if reply.state == "failed":
                continue
            looked.seconds.append(reply.seconds)
            looked.tokens_out.append(reply.tokens_out)
            own = asks is None or number < asks
            for text in reply.texts if own and not varied else ():
                wording = {hit["label"].split("_")[0] for hit in judges["bias_wording"](text)}
                insults = judges["words"](text, options=lists)
                looked.spoken.append(mentions(text))
                looked.worded.append(float(bool(wording)))
                looked.abusive.append(float(bool(insults) or _SLUR in wording))
    return looked


def views(
    suite: Suite, gathered: Gathered, looked: Looked, spent: Spent, asked: Collection[str] = ()
) -> list[View]:
    """Return the seven views of a run, in HELM's order.

    Args:
        suite: What was asked.
        gathered: Its scores.
        looked: What its replies show.
        spent: What it used.
        asked: Variants that were asked where they change something.
    """
    return [
        _accuracy(suite, gathered),
        _calibration(suite, gathered),
        _otherwise(suite, gathered, "robustness", asked),
        _otherwise(suite, gathered, "fairness", asked),
        _bias(suite, gathered, looked),
        _toxicity(looked),
        _efficiency(looked, spent),
    ]


def is_viewed(name: str) -> bool:
    """Whether a measure is called as one of a view is: `robustness.worst_case`."""
    view, dot, _ = name.partition(".")
    return bool(dot) and view in _NAMES


def viewed(made: Iterable[View], name: str) -> Measure:
    """Return a measure of a view, by `VIEW.MEASURE` (`robustness.worst_case`).

    Where there is none it has no value, and says why.
    """
    view, _, key = name.partition(".")
    one = next((it for it in made if it.name == view), View(name=view, reason="Nobody looked."))
    if key in one.measures:
        return one.measures[key]
    why = one.reason or f"{view} has no {key!r}; {meant(key, one.measures)}"
    return Measure(value=None, low=None, high=None, n=0, how=why.rstrip("."))


def _accuracy(suite: Suite, gathered: Gathered) -> View:
    found = measure(gathered.table, suite.primary)
    if "helm:bias" in suite.tags:
        return View(name="accuracy", reason=f"{suite.id} measures bias, and nothing else.")
    return _kept("accuracy", {suite.primary: found})


def _kept(name: str, measures: Mapping[str, Measure], note: str = "") -> View:
    """A view of the measures that have a value; it says why the others have none."""
    there = {key: one for key, one in measures.items() if one.value is not None}
    lacking = "; ".join(
        f"{key}: {one.how or 'nothing was scored'}"
        for key, one in measures.items()
        if one.value is None
    )
    if not there:
        return View(name=name, reason=f"{lacking}.")
    besides = f"Not measured: {lacking}." if lacking else ""
    return View(name=name, measures=there, note=" ".join(one for one in (note, besides) if one))


def _calibration(suite: Suite, gathered: Gathered) -> View:
    if not gathered.table.has(*_CALIBRATION):
        return View(
            name="calibration",
            reason=f"The scorer {suite.scorer.id!r} tells no confidence; that of choices does.",
        )
    names = [name for name, one in wholes().items() if tuple(one.NEEDS) == _CALIBRATION]
    names += [name for name in ("brier",) if name in gathered.table.columns]
    return _kept("calibration", {name: measure(gathered.table, name) for name in names})


def _otherwise(suite: Suite, gathered: Gathered, view: str, asked: Collection[str]) -> View:
    names = [name for name, one in variants().items() if view == one.VIEW]
    found = worst_case(gathered, suite, names)
    if found is None and set(names) & set(asked):
        return View(name=view, reason="The variants that were asked change nothing in these rows.")
    if found is None:
        reasons = {unfit(suite, name) for name in names}
        advice = f"No variant was asked: run it with --variants {view}."
        return View(name=view, reason=advice if "" in reasons else " ".join(sorted(reasons)))
    idle = [name for name in names if name in asked and name not in found.by_variant]
    left = [name for name in names if name not in asked and name not in found.by_variant]
    notes = [f"Changed nothing: {', '.join(idle)}."] if idle else []
    notes += [f"Not asked: {', '.join(left)}."] if left else []
    changed = {f"change_{name}": one for name, one in found.by_variant.items()}
    return View(
        name=view,
        measures={"worst_case": found.worst, "change": found.change, **changed},
        note=" ".join(notes),
    )


def _bias(suite: Suite, gathered: Gathered, looked: Looked) -> View:
    if "helm:bias" in suite.tags:
        return _kept("bias", {one: measure(gathered.table, one) for one in suite.measures})
    if not looked.spoken:
        return View(name="bias", reason=_NOTHING_WRITTEN)
    told = {"biased_wording": _share(looked.worded), **representation(looked.spoken)}
    return _kept("bias", told)


def _toxicity(looked: Looked) -> View:
    if not looked.abusive:
        return View(name="toxicity", reason=_NOTHING_WRITTEN)
    note = "By words alone: what is cruel in plain words is not seen."
    return _kept("toxicity", {"abusive": _share(looked.abusive)}, note)


_NOTHING_WRITTEN = "The model writes nothing in this suite: its choices are weighed."


def _share(flags: list[float]) -> Measure:
    found = statistics.mean(np.array(flags))
    return Measure(value=found.value, low=found.low, high=found.high, n=len(flags), how=found.how)


def _efficiency(looked: Looked, spent: Spent) -> View:
    if not looked.seconds:
        return View(name="efficiency", reason="Nothing was answered.")
    seconds, tokens = np.array(looked.seconds), np.array(looked.tokens_out, float)
    told: dict[str, Callable[..., float | None]] = {
        "seconds_median": lambda one: float(np.median(one)),
        "seconds_95": lambda one: float(np.quantile(one, 0.95)),
    }
    found = {name: _figure(one, "a request", seconds) for name, one in told.items()}
    if tokens.sum():
        found["tokens_written"] = _figure(lambda one: float(one.mean()), "a request", tokens)
    found |= _used(spent)
    lacking = "" if "joules" in found else f" Energy: {spent.more.get('energy_how', 'unknown')}."
    lacking += "" if "memory_bytes" in found else " Memory could not be seen from here."
    note = f"Times hold for this machine, with what else it did.{lacking}"
    return _kept("efficiency", found, note)


def _used(spent: Spent) -> dict[str, Measure]:
    """What the whole run has used, as far as it is known."""
    more, tokens, told = spent.more, spent.tokens_in + spent.tokens_out, {}
    if spent.seconds:
        told["tokens_per_second"] = (tokens / spent.seconds, "read and written, whole run")
    if "cpu_seconds" in more:
        told["cpu_seconds"] = (more["cpu_seconds"], "whole run")
    if "joules" in more:
        how = f"{more.get('energy', '')}, whole run"
        told["joules"] = (more["joules"], how)
        told |= {"joules_per_token": (more["joules"] / tokens, how)} if tokens else {}
    if "memory_bytes" in more:
        told["memory_bytes"] = (more["memory_bytes"], "largest of each process, added up")
    if "cost" in more:
        told["cost"] = (more["cost"], str(more.get("currency", "")))
    return {
        name: Measure(value=value, low=None, high=None, n=spent.asks, how=how)
        for name, (value, how) in told.items()
    }


def _figure(made: statistics.Figure, what: str, values: statistics.Array) -> Measure:
    found = statistics.bootstrap(made, (values,))
    how = f"{what}; {found.how}"
    return Measure(value=found.value, low=found.low, high=found.high, n=len(values), how=how)


def shown(views: Iterable[View]) -> str:
    """Return views as a person reads them."""
    lines = []
    for view in views:
        lines.append(view.name)
        width = max(map(len, view.measures), default=0)
        lines += [f"  {key:{width}}  {figure(one)}" for key, one in view.measures.items()]
        if view.reason:
            lines.append(f"  not measured: {view.reason}")
        if view.note:
            lines.append(f"  {view.note}")
    return "\n".join(lines)
