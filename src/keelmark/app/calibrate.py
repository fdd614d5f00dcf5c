"""Thresholds for a rate of false alarms on the user's own texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from keelmark.app.home import Home
from keelmark.app.replay import UNREADABLE, channels_of
from keelmark.core.policy import Limits, Policy
from keelmark.guard import Guard
from keelmark.serve.segments import read_segments

_Z = 1.959964  # of a 95 % interval
_STEP = 0.001


class Sample(NamedTuple):
    """A text in which nothing is wrong."""

    text: str
    stage: str = "input"
    role: str = "user"


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule does on texts in which nothing is wrong.

    Attributes:
        rule: Rule id.
        texts: Texts that it read.
        threshold: Its threshold now.
        alarms: Texts in which it finds something at that.
        wanted: Lowest threshold that keeps to the rate; None when none up to 1 does.
        left: Texts in which it finds something at `wanted`.
        at_most: Upper end of the 95 % interval of the rate at `wanted` (Wilson).
    """

    rule: str
    texts: int
    threshold: float
    alarms: int
    wanted: float | None
    left: int
    at_most: float


def stored_samples(
    home: Home, *, limit: int, unreadable: Callable[[str], None]
) -> Iterator[Sample]:
    """Yield the texts of stored requests that were not stopped, where they are kept.

    Args:
        home: The installation.
        limit: Of the newest requests, at most so many.
        unreadable: Told the trace id of each request whose texts cannot be read.
    """
    for trace in home.store.traces(limit=limit):
        try:
            content = home.store.read_content(trace.trace_id)
            if content is None:
                continue
            body = msgspec.json.decode(content.prompt)
            segments = read_segments(body, Limits()).segments
            spoken = list(channels_of(content))
        except UNREADABLE:
            unreadable(trace.trace_id)
            continue
        yield from (Sample(one.text, "input", one.role) for one in segments)
        yield from (Sample(text, "output") for _, text in spoken)


def calibrate(policy: Policy, samples: Iterable[Sample], rate: float) -> list[Calibration]:
    """Return the thresholds at which rules keep to a rate of false alarms.

    Args:
        policy: The policy; what its detectors do not report (a `least` of their own) is not seen.
        samples: Texts in which nothing is wrong.
        rate: Share of the texts that may give an alarm, 0 to 1.
    """
    now = {result.rule: result.threshold for result in _thresholds(policy)}
    guard = Guard(_open(policy))
    scores: dict[str, list[float]] = {}
    for sample in samples:
        verdict = guard.check(sample.text, stage=sample.stage, role=sample.role).verdict
        best = {result.rule: 0.0 for result in verdict.rules}
        for found in verdict.findings:
            best[found.rule] = max(best[found.rule], found.score)
        for rule, score in best.items():
            scores.setdefault(rule, []).append(score)
    return [_calibrated(rule, now[rule], found, rate) for rule, found in scores.items()]


class _Now(NamedTuple):
    rule: str
    threshold: float


def _thresholds(policy: Policy) -> Iterator[_Now]:
    """The thresholds as numbers: what operating points stand for."""
    described = Guard(_open(policy, keep=True)).describe()["rules"]
    return (_Now(rule["id"], rule["threshold"]) for rule in described)


def _open(policy: Policy, *, keep: bool = False) -> Policy:
    """The policy with every rule only noting what it sees, however unsure."""
    replace = msgspec.structs.replace
    rules = tuple(
        replace(rule, action="flag", mode="enforce", threshold=rule.threshold if keep else _STEP)
        for rule in policy.guard.rules
    )
    return replace(policy, guard=replace(policy.guard, mode="enforce", rules=rules))


def _calibrated(rule: str, threshold: float, scores: list[float], rate: float) -> Calibration:
    ranked = sorted(scores, reverse=True)
    allowed = math.floor(rate * len(ranked) + 1e-9)
    first_out = ranked[allowed] if allowed < len(ranked) else 0.0
    wanted = round(first_out + _STEP, 3) if first_out else 0.0
    reached = wanted if wanted <= 1 else None
    left = sum(score >= wanted for score in ranked if score) if reached is not None else 0
    return Calibration(
        rule=rule,
        texts=len(ranked),
        threshold=threshold,
        alarms=sum(score >= threshold for score in ranked if score),
        wanted=reached,
        left=left,
        at_most=_upper(left, len(ranked)),
    )


def _upper(hits: int, total: int) -> float:
    """Upper end of Wilson's 95 % interval of a share."""
    share = hits / total
    middle = share + _Z * _Z / (2 * total)
    spread = _Z * math.sqrt(share * (1 - share) / total + _Z * _Z / (4 * total * total))
    return round((middle + spread) / (1 + _Z * _Z / total), 6)


def calibration_text(results: list[Calibration], rate: float) -> str:
    """Return what was found for a person, and the lines for a policy."""
    lines = []
    wide = max((len(one.rule) for one in results), default=0)
    for one in results:
        reached = "no threshold keeps to the rate"
        if one.wanted is not None:
            reached = f"from {one.wanted:g} on: {one.left} (at most {one.at_most:.2%})"
        lines.append(
            f"{one.rule:<{wide}}  {one.texts} texts, {one.alarms} alarms at {one.threshold:g}; "
            f"{reached}"
        )
    raised = [r for r in results if r.wanted is not None and r.wanted > r.threshold]
    lines.append("")
    if not raised:
        lines.append(f"Every rule that can keep to {rate:.2%} of false alarms does so already.")
        return "\n".join(lines)
    lines += ["guard:", "  rules:"]
    lines += (f"    - {{id: {one.rule}, threshold: {one.wanted:g}}}" for one in raised)
    return "\n".join(lines)
