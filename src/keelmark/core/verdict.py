"""The verdict: what the policy makes of findings."""

from __future__ import annotations

import msgspec

from keelmark.core.findings import TextFinding
from keelmark.core.grounding import Sentence
from keelmark.core.outcome import Outcome


class RuleResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one rule.

    Attributes:
        rule: Rule id in the policy.
        detector: Detector id.
        version: Detector version.
        outcome: What the rule decided, or why it could not.
        threshold: Lowest score that counts, 0 to 1.
        ms: Time it took, milliseconds.
        reason: One sentence when the outcome is not allow.
    """

    rule: str
    detector: str
    version: str
    outcome: Outcome
    threshold: float
    ms: float
    reason: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy makes of the findings in one stage of one request.

    Attributes:
        stage: `input` or `output`.
        outcome: The gravest outcome of the rules after their fail modes.
        findings: All findings, offsets relative to the text they name.
        rules: One result per rule that applied.
        coverage: Share of the text that every rule examined, 0 to 1.
        policy_digest: Digest of the policy in force.
        ms: Time of the whole stage, milliseconds.
        stops: Whether the text must not pass: a block, or a rule that failed and fails closed.
        reason: One sentence for the client when `stops`; names the rule, never quotes the text.
        shadow: What would have happened under rules that are in shadow, and under a policy that
            is; nothing of it was done.
        sentences: What is said of each sentence of an answer, where a rule asks for its grounds.
    """

    stage: str
    outcome: Outcome
    findings: tuple[TextFinding, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    coverage: float = 1.0
    policy_digest: str = ""
    ms: float = 0.0
    stops: bool = False
    reason: str = ""
    shadow: tuple[Verdict, ...] = ()
    sentences: tuple[Sentence, ...] = ()
