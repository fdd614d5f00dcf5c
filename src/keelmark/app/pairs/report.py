"""The report of a run of pairs: for programmes, and for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from keelmark.app.pairs.ask import Answer, Asking
from keelmark.app.pairs.compare import Result, fewest
from keelmark.app.pairs.plan import Pair, PairSet

_SAID = {
    "refused": "refused",
    "blocked": "blocked",
    "bias": "biased wording",
    "longer": "longer answers",
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run.

    Attributes:
        version: Of the form of this report.
        set: Name of the set of pairs.
        url: Service that was asked.
        model: Model that was asked.
        temperature: Of the draw.
        seed: Of the draw.
        max_tokens: Longest answer.
        margin: Difference in rate that matters.
        prompts: Different prompts that were asked.
        failed: Answers of which nothing can be said, by reason.
        cut: Answers that were cut at the longest length.
        results: One for each measure of each comparison.
    """

    version: int = 1
    set: str
    url: str
    model: str
    temperature: float
    seed: int
    max_tokens: int
    margin: float
    prompts: int
    failed: dict[str, int]
    cut: int
    results: list[Result]

    @property
    def exit_code(self) -> int:
        """1 when something differs, 2 when something could not be told, else 0."""
        verdicts = {one.verdict for one in self.results}
        if "differs" in verdicts:
            return 1
        return 0 if verdicts == {"alike"} else 2


def make_report(
    read: PairSet,
    asking: Asking,
    model: str,
    answers: Mapping[str, Answer],
    results: list[Result],
    margin: float,
) -> Report:
    """Put a run together."""
    failed = Counter(one.error for one in answers.values() if one.state == "failed")
    return Report(
        set=read.name,
        url=asking.url,
        model=model,
        temperature=asking.temperature,
        seed=asking.seed,
        max_tokens=asking.max_tokens,
        margin=margin,
        prompts=len(answers),
        failed=dict(failed.most_common()),
        cut=sum(one.cut for one in answers.values()),
        results=results,
    )


def detailed(
    report: Report, pairs: Sequence[Pair], answers: Mapping[str, Answer]
) -> dict[str, Any]:
    """Return the report with every pair and both answers."""
    rows = [
        {
            "comparison": pair.comparison,
            "template": pair.template,
            "a": {"prompt": pair.a, **msgspec.to_builtins(answers[pair.a])},
            "b": {"prompt": pair.b, **msgspec.to_builtins(answers[pair.b])},
        }
        for pair in pairs
    ]
    return {**msgspec.to_builtins(report), "pairs": rows}


def report_text(report: Report) -> str:
    """Return the report as text for people."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield (
        f"{report.model} at {report.url}: {report.prompts} prompts of the set {report.set!r}, "
        f"temperature {report.temperature:g}, seed {report.seed}"
    )
    if report.failed:
        count = sum(report.failed.values())
        yield f"{count} answers failed; pairs with one of them are unscored:"
        yield from (f"  {number} x {why}" for why, number in list(report.failed.items())[:5])
    if report.cut:
        yield (
            f"{report.cut} answers were cut at {report.max_tokens} tokens; where both of a pair "
            "were, their length is unscored."
        )
    for verdict, head in (
        ("differs", "DIFFERS (p < 0.05 after correction for all tests)"),
        ("could not tell", "COULD NOT TELL (too few pairs, or too many that differ either way)"),
    ):
        some = [one for one in report.results if one.verdict == verdict]
        if some:
            yield f"\n{head}"
            yield from (line for one in some for line in _told(one))
    alike: dict[str, list[Result]] = {}
    for one in report.results:
        if one.verdict == "alike":
            alike.setdefault(one.comparison, []).append(one)
    if alike:
        yield "\nALIKE (a difference beyond the margin is ruled out; counts of both sides)"
        yield from (_briefly(name, some) for name, some in alike.items())
    short = {one.comparison for one in report.results if one.pairs < fewest(report.margin)}
    if short:
        yield (
            f"\nIt takes at least {fewest(report.margin)} scored pairs, all of them alike, to rule "
            f"out a difference of {report.margin:.0%}; fewer had: {', '.join(sorted(short))}."
        )


def _told(one: Result) -> Iterator[str]:
    if not one.pairs:
        yield f"  {one.comparison:<18} {_SAID[one.measure]:<15} none of {one.unscored} pairs scored"
        return
    low, high = one.interval
    unscored = f", {one.unscored} unscored" if one.unscored else ""
    ratio = "" if one.ratio is None else f", ratio {one.ratio:.2f}"
    chance = "p < 0.001" if one.corrected < 0.001 else f"p {one.corrected:.3f}"
    yield (
        f"  {one.comparison:<18} {_SAID[one.measure]:<15} "
        f"{one.a} {one.in_a}, {one.b} {one.in_b} of {one.pairs} pairs{unscored}{ratio}; "
        f"difference {100 * one.difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] points, "
        f"{chance}"
    )
    if one.measure != "longer":
        yield from (f"      {template}" for template in one.examples)


def _briefly(name: str, some: Sequence[Result]) -> str:
    counts = ", ".join(f"{_SAID[one.measure]} {one.in_a} / {one.in_b}" for one in some)
    fewest_pairs = min(one.pairs for one in some)
    return f"  {name:<18} {some[0].a} / {some[0].b}, {fewest_pairs} pairs: {counts}"
