"""Findings: what a check saw in an artefact, or a detector in a text."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How grave a finding in an artefact is."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info up to 4 for critical."""
        return list(Severity).index(self)


class ArtefactFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Something a check saw in an artefact.

    Attributes:
        rule: Stable rule id, `<check id>.<name>`.
        severity: How grave it is.
        path: Path of the file within the artefact, with forward slashes; "." is the whole of it.
        location: Where in the file: a byte offset (`offset 1024`), a metadata key, a member name.
        message: One sentence for a person.
        evidence: A short quotation of what was seen, shortened, never a whole secret.
    """

    rule: str
    severity: Severity
    path: str
    location: str
    message: str
    evidence: str = ""

    @property
    def subject(self) -> str:
        """The file, as a person would say it."""
        return "the model as a whole" if self.path == "." else self.path


class TextFinding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something a detector saw in a text.

    Attributes:
        rule: Id of the policy rule that asked, or the detector id when used without a policy.
        detector: Detector id.
        label: What it is, in capitals (`EMAIL`, `CARD`, `AWS_ACCESS_KEY`, `INJECTION`).
        score: Confidence, 0 to 1.
        start: First code point of the span in the original text.
        end: One past the last code point of the span.
        reason: Why the detector says so, one phrase, without the text itself.
        tier: 1 deterministic, 2 linear model, 3 encoder, 4 judge.
        path: Where the text stands: path of the segment, or name of the channel; may be "".
    """

    rule: str
    detector: str
    label: str
    score: float
    start: int
    end: int
    reason: str
    tier: int = 1
    path: str = ""
