"""Requests that were served, judged again under another policy: what would change.

What is stored is what the engine read and wrote, with placeholders where values were masked. So
what another policy finds in it is found again, and what was masked, redacted or stopped then is
taken from the findings of the trace.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from keelmark.app.home import Home
from keelmark.core.errors import KeelmarkError, UsageError
from keelmark.core.findings import TextFinding
from keelmark.core.outcome import OF_ACTION, Outcome, gravest
from keelmark.core.policy import Limits
from keelmark.core.scope import Origin
from keelmark.core.trace import Content, Trace
from keelmark.core.verdict import Verdict
from keelmark.guard import Guard
from keelmark.guard.engine import discovered
from keelmark.guard.places import channel_role
from keelmark.observe.show import clean
from keelmark.serve.segments import read_segments

_AROUND = 24
_MOST_SAMPLES = 3  # of each rule
Progress = Callable[[int, int], None]
UNREADABLE = (KeelmarkError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What stored texts raise that somebody has changed, or that another version wrote."""


class RuleChange(msgspec.Struct, kw_only=True):
    """What changes for one rule, counted in requests.

    Attributes:
        rule: Rule id.
        newly: It would find something where it found nothing.
        no_more: It would find nothing where it found something.
        still: It finds something either way.
        samples: Where it newly would, everything that is found replaced by its label.
    """

    rule: str
    newly: int = 0
    no_more: int = 0
    still: int = 0
    samples: list[str] = []


class Replay(msgspec.Struct, kw_only=True):
    """What would change.

    Attributes:
        policy_digest: Digest of the policy it was judged under now.
        requests: Requests that were judged again.
        without_content: Those of which the texts are not kept: judged by their findings only.
        unreadable: Those whose stored texts could not be read; they are not judged.
        outcomes: `prompt allow -> block` to the number of requests; the unchanged included.
        newly_stopped: Trace ids of requests that would be stopped, and were not.
        no_longer_stopped: Trace ids of those that were, and would not be.
        rules: What changes for each rule.
    """

    policy_digest: str
    requests: int = 0
    without_content: int = 0
    unreadable: int = 0
    outcomes: dict[str, int] = {}
    newly_stopped: list[str] = []
    no_longer_stopped: list[str] = []
    rules: list[RuleChange] = []


class _Side(NamedTuple):
    """One stage of one request, judged again."""

    outcome: Outcome
    stops: bool
    rules: frozenset[str]
    findings: tuple[TextFinding, ...]
    texts: dict[str, str]


def replay(home: Home, guard: Guard, *, limit: int, progress: Progress) -> Replay:
    """Judge the newest requests again.

    Args:
        home: The installation.
        guard: The guard of the other policy.
        limit: At most so many.
        progress: Told how many of how many are done.

    Raises:
        UsageError: There is none that came to the guard.
    """
    report = Replay(policy_digest=guard.policy_digest)
    changes: dict[str, RuleChange] = {}
    outcomes: Counter[str] = Counter()
    names = {key.id: key.name for key in home.store.keys()}
    traces = list(home.store.traces(limit=limit))
    for number, trace in enumerate(traces, 1):
        progress(number, len(traces))
        if trace.input is None:
            continue  # it never came to the guard
        origin = Origin(
            trace.key_id,
            names.get(trace.key_id, ""),
            trace.model,
            trace.engine,
            trace.operation,
            trace.team,
        )
        try:
            content = home.store.read_content(trace.trace_id)
            sides = asyncio.run(_judge(guard, origin, trace, content))
        except UNREADABLE:
            report.unreadable += 1
            continue
        report.requests += 1
        report.without_content += content is None
        _note(report, changes, outcomes, trace, sides)
    if not report.requests + report.unreadable:
        raise UsageError(
            f"There is no stored request to judge in {home.data}; serve some first, or name "
            "another data folder with --data."
        )
    report.outcomes = dict(outcomes.most_common())
    report.rules = sorted(changes.values(), key=lambda one: one.rule)
    return report


async def _judge(
    guard: Guard, origin: Origin, trace: Trace, content: Content | None
) -> list[tuple[Verdict, _Side]]:
    """Judge prompt and answer; return each as it was and as it would be."""
    if trace.input is None:
        return []
    request = guard.open(origin)
    body = msgspec.json.decode(content.prompt) if content else {}
    segments = read_segments(body, Limits()).segments
    judged = await request.check_input(segments)
    roles = {one.path: one.role for one in segments}
    texts = {one.path: one.text for one in segments}
    prompt = _side(guard, origin, (trace.input, judged.verdict), texts, roles)
    sides = [(trace.input, prompt)]
    if trace.output is not None:
        spoken = dict(channels_of(content))
        for name, text in spoken.items():
            channel = request.channel(name, is_json=name.endswith(".arguments"))
            channel.feed(text)
            channel.finish()
        pair = trace.output, request.output_verdict()
        sides.append((trace.output, _side(guard, origin, pair, spoken, {})))
    return sides


def channels_of(content: Content | None) -> Iterator[tuple[str, str]]:
    """Yield the channels of a stored answer: name, and text with placeholders in place."""
    for choice in msgspec.json.decode(content.answer or b"[]") if content else ():
        for name, text in choice.items():
            if isinstance(text, str):
                yield f"choices[{choice.get('index', 0)}].{name}", text


def _side(
    guard: Guard,
    origin: Origin,
    verdicts: tuple[Verdict, Verdict],
    texts: dict[str, str],
    roles: dict[str, str],
) -> _Side:
    """What a stage would be, with what cannot be found again because it was taken out then."""
    then, now = verdicts
    kinds = discovered()
    known = {r.detector for r in then.rules}.intersection(kinds)
    whole = {name for name in known if kinds[name].whole}  # forms are judged as they leave
    gone = {
        r.rule
        for r in then.rules
        if r.outcome is Outcome.REDACT or not texts or r.detector in whole
    }
    rules = {finding.rule for finding in now.findings}
    outcomes, stops = [now.outcome], now.stops
    for found in then.findings:
        if found.rule in gone:
            role = roles.get(found.path, "") or channel_role(found.path)
            for rule in guard.counting(found, then.stage, role, origin):
                rules.add(rule.id)
                outcomes.append(OF_ACTION[rule.action])
                stops = stops or rule.action == "block"
    return _Side(gravest(*outcomes), stops, frozenset(rules), now.findings, texts)


def _note(
    report: Replay,
    changes: dict[str, RuleChange],
    outcomes: Counter[str],
    trace: Trace,
    sides: Sequence[tuple[Verdict, _Side]],
) -> None:
    before = any(then.stops for then, _ in sides)
    after = any(now.stops for _, now in sides)
    if after and not before:
        report.newly_stopped.append(trace.trace_id)
    if before and not after:
        report.no_longer_stopped.append(trace.trace_id)
    for (then, now), what in zip(sides, ("prompt", "answer"), strict=False):
        pair = _word(then.outcome, then.stops), _word(now.outcome, now.stops)
        outcomes[f"{what} {' -> '.join(pair)}"] += 1
        was = {finding.rule for finding in then.findings}
        for rule in was | now.rules:
            change = changes.setdefault(rule, RuleChange(rule=rule))
            if rule in was and rule in now.rules:
                change.still += 1
            elif rule in was:
                change.no_more += 1
            else:
                change.newly += 1
                if len(change.samples) < _MOST_SAMPLES:
                    change.samples += _samples(trace, now, rule)[:1]


def _word(outcome: Outcome, stops: bool) -> str:  # noqa: FBT001 (a pair of one thing)
    return outcome if outcome is Outcome.BLOCK or not stops else f"{outcome} (stopped)"


def _samples(trace: Trace, side: _Side, rule: str) -> list[str]:
    """Where a rule finds something, with everything found replaced by its label."""
    out = []
    for found in side.findings:
        if found.rule == rule and found.path in side.texts:
            near = [f for f in side.findings if f.path == found.path]
            shown = clean(surroundings(side.texts[found.path], found, near))
            out.append(f"{trace.trace_id[:8]} {clean(found.path)}: {shown}")
    return out


def surroundings(text: str, found: TextFinding, every: Sequence[TextFinding]) -> str:
    """Return what stands around a finding; nothing that any rule found is in it."""
    start, end = max(0, found.start - _AROUND), min(len(text), found.end + _AROUND)
    out: list[Any] = []
    done = start
    for one in sorted(every, key=lambda f: (f.start, -f.end)):
        if one.end <= done or one.start >= end:
            continue
        out += [text[done : max(done, one.start)], f"[{one.label}]"]
        done = max(done, one.end)
    out.append(text[done:end] if done < end else "")
    return "…" * (start > 0) + "".join(out) + "…" * (end < len(text))


def replay_text(report: Replay) -> str:
    """Return what would change, for a person."""
    known = f"of {report.without_content} only the findings are kept"
    lines = [f"{report.requests} requests judged again under {report.policy_digest}; {known}."]
    if report.unreadable:
        lines.append(f"{report.unreadable} could not be read and were left out.")
    changed = [f"  {n:>6}  {name}" for name, n in report.outcomes.items() if _changes(name)]
    lines += changed
    if not changed and report.requests:
        lines.append("  No outcome changes.")
    lines.append(
        f"Newly stopped: {len(report.newly_stopped)}. No longer stopped: "
        f"{len(report.no_longer_stopped)}."
    )
    wide = max((len(one.rule) for one in report.rules), default=0)
    for one in report.rules:
        lines.append(
            f"  {one.rule:<{wide}}  newly {one.newly}, no more {one.no_more}, still {one.still}"
        )
        lines += (f"    {sample}" for sample in one.samples)
    return "\n".join(lines)


def _changes(name: str) -> bool:
    before, after = name.split(" ", 1)[1].split(" -> ")
    return before != after
