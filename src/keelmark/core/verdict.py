"""The verdict: what the policy makes of findings."""

from __future__ import annotations

from collections import Counter

import msgspec

from keelmark.core.findings import TextFinding
from keelmark.core.grounding import Sentence
from keelmark.core.outcome import Outcome

MOST_NAMED = 100
"""Findings of one label and rule that a record names; the others are counted."""


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
        left_out: By label, the findings that are counted but not among `findings`.
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
    left_out: dict[str, int] = {}

    def labels(self) -> dict[str, int]:
        """Return how many findings of each label there are, with those left out."""
        return dict(Counter(one.label for one in self.findings) + Counter(self.left_out))

    def shortened(self) -> Verdict:
        """Return the verdict as it is recorded: with the first findings of each kind.

        A text in which every other character is a finding would make a record of a hundred times
        its size.
        """
        if max(len(one.findings) for one in (self, *self.shadow)) <= MOST_NAMED:
            return self
        named: Counter[tuple[str, str]] = Counter()
        left_out = Counter(self.left_out)
        kept = []
        for one in self.findings:
            kind = one.rule, one.label
            named[kind] += 1
            if named[kind] <= MOST_NAMED:
                kept.append(one)
            else:
                left_out[one.label] += 1
        return msgspec.structs.replace(
            self,
            findings=tuple(kept),
            left_out=dict(left_out),
            shadow=tuple(one.shortened() for one in self.shadow),
        )
