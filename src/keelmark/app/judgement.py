"""Why a stored request was judged as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keelmark.app.home import Home
from keelmark.core.events import POLICY_LOADED
from keelmark.core.outcome import Outcome
from keelmark.core.trace import Trace
from keelmark.core.verdict import RuleResult, Verdict
from keelmark.observe.show import clean, rfc3339

_DID = {
    "mask": "masked it",
    "redact": "redacted it",
    "block": "stopped the text",
    "flag": "flagged it",
    "annotate": "put a marker behind it",
}


def explain(home: Home, trace_id: str) -> str:
    """Return why a request was judged as it was, for a person.

    Args:
        home: The installation.
        trace_id: Id of the trace, or its first characters.

    Raises:
        UsageError: There is no such trace.
    """
    trace = home.store.trace(trace_id)
    rules = _rules(home, trace.policy_digest)
    asked = f"{clean(trace.operation)} of {clean(trace.model)}"
    lines = [
        f"Request {trace.trace_id} of {rfc3339(trace.started)}, {asked}.",
        _policy(home, trace, known=rules is not None),
    ]
    for what, verdict in (("prompt", trace.input), ("answer", trace.output)):
        lines += ["", *_verdict(what, verdict, rules or {})]
    return "\n".join(lines)


def _rules(home: Home, policy_digest: str) -> dict[str, dict[str, Any]] | None:
    """The rules of a policy as the ledger knows them, by id; None when it does not."""
    found = None
    for record in home.store.records([POLICY_LOADED]):
        if record.body.get("policy_digest") == policy_digest:
            found = record.body
    if found is None:
        return None
    return {rule["id"]: rule for rule in (*found.get("shadow", ()), *found["rules"])}


def _policy(home: Home, trace: Trace, *, known: bool) -> str:
    same = trace.policy_digest == home.policy.digest
    now = "which is the one given now" if same else f"not the one given now ({home.policy.digest})"
    where = "" if known else " The ledger does not say what its rules were."
    return f"It was judged under policy {trace.policy_digest}, {now}.{where}"


def _verdict(what: str, verdict: Verdict | None, rules: dict[str, dict[str, Any]]) -> Iterator[str]:
    if verdict is None:
        yield f"The {what} was not judged: the request ended before."
        return
    ending = ", and was stopped" if verdict.stops else ""
    yield (
        f"The {what} was judged {verdict.outcome}{ending}; "
        f"{verdict.coverage:.0%} of it was examined."
    )
    if verdict.reason:
        yield f"  The client was told: {clean(verdict.reason)}"
    yield from _results(verdict, rules, shadow=False)
    if verdict.left_out:
        more = ", ".join(f"{clean(label)} {count:,}" for label, count in verdict.left_out.items())
        yield f"  And more, which the record only counts: {more}."
    for shadow in verdict.shadow:
        yield (
            f"  In shadow (policy {shadow.policy_digest}) it would have been {shadow.outcome}"
            f"{', and stopped' if shadow.stops else ''}:"
        )
        yield from _results(shadow, rules, shadow=True)


def _results(verdict: Verdict, rules: dict[str, Any], *, shadow: bool) -> Iterator[str]:
    if not verdict.rules:
        yield "  No rule was for it."
    for result in verdict.rules:
        yield f"  {_result(result, rules.get(result.rule, {}), shadow=shadow)}"
        for found in verdict.findings:
            if found.rule == result.rule:
                yield (
                    f"    {clean(found.label)} at {clean(found.path) or 'the text'} "
                    f"{found.start}-{found.end}: {clean(found.reason)}; score {found.score:.2f}, "
                    f"and the rule counts from {result.threshold:g}."
                )


def _result(result: RuleResult, rule: dict[str, Any], *, shadow: bool) -> str:
    who = f"Rule {clean(result.rule)!r} ({clean(result.detector)} {clean(result.version)})"
    reason = f": {clean(result.reason)}" if result.reason else ""
    if result.outcome is Outcome.ALLOW:
        return f"{who} found nothing that counts{reason}."
    if not result.outcome.examined:
        fail = rule.get("fail")
        then = f"; it fails {fail}" if fail else ""
        return f"{who} could not examine all of it ({result.outcome}){then}{reason}."
    did = _DID.get(rule.get("action", ""), f"made it {result.outcome}")
    return f"{who} {'would have ' if shadow else ''}{did}{reason}."
