"""What a rule may ask of its detector."""

from __future__ import annotations

import msgspec

from keelmark.core.policy import Rule
from keelmark.guard.contract import BaseDetector


def misplaced(rule: Rule, kind: type[BaseDetector]) -> str:
    """Say what a rule cannot ask of its detector, as the end of a sentence; "" for nothing."""
    if not kind.whole:
        if rule.repair and not kind.answers:
            return "has `repair`, which is for grounding and structured_output only; leave it out."
        if rule.repair and rule.action == "block":
            return "asks again, so it cannot block; use redact, annotate or flag."
        return ""
    if rule.action not in {"block", "flag"}:
        return f"cannot {rule.action} what has not the right form; use block or flag."
    if rule.stage not in {"both", "output", "tool_call"}:
        return "is about answers; use stage output or tool_call."
    return ""


def settled(rule: Rule, kind: type[BaseDetector]) -> Rule:
    """Return a rule with a number for its operating point, and only where its detector can look."""
    replace = msgspec.structs.replace
    if isinstance(rule.threshold, str):
        rule = replace(rule, threshold=kind.points[rule.threshold])
    return replace(rule, stage="output") if kind.whole and rule.stage == "both" else rule
