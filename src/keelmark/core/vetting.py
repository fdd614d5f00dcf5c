"""The result of vetting an artefact."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from keelmark.core.findings import ArtefactFinding


class VetVerdict(StrEnum):
    """Three answers, not two. The exit codes are 0, 1 and 2."""

    PASS = "pass"
    FAIL = "fail"
    INCOMPLETE = "incomplete"


class NotChecked(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or a part of one, that could not be checked, and why."""

    path: str
    reason: str


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at.

    Attributes:
        files: Number of files in the artefact.
        checked: Number of files fully examined by at least one check that knows their format.
        not_checked: The rest, each with its reason.
    """

    files: int
    checked: int
    not_checked: tuple[NotChecked, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a section.

    Attributes:
        what: The question, a few words ("serve to third parties", "KV cache at 8,192 tokens").
        answer: The answer, a few words.
        why: One sentence.
        evidence: A short quotation with its place, or the figures that it rests on.
    """

    what: str
    answer: str
    why: str = ""
    evidence: str = ""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """What one survey says of the whole artefact.

    Attributes:
        title: What it looked into.
        answer: The answer, two or three words ("allowed if", "fits", "could not tell").
        summary: One sentence for people.
        lines: The parts of the answer.
        unanswered: What could not be told, and why.
        required: Whether it was asked for, so that what it cannot answer leaves the vetting
            incomplete.
        data: The same for machines: plain values, sorted, no time and no host.
    """

    title: str
    answer: str
    summary: str
    lines: tuple[Line, ...] = ()
    unanswered: tuple[str, ...] = ()
    required: bool = False
    data: dict[str, Any] = {}


class VetReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything vetting says of one artefact, bound to its digest.

    Attributes:
        digest: `sha256:<hex>` of the manifest.
        name: File or folder name, for people only; trust never rests on it.
        verdict: Pass, fail or incomplete under the policy.
        findings: Sorted by path, severity, rule and location.
        coverage: What was looked at.
        checks: Check id to version (ours and the library's), for every check and survey that ran.
        policy_digest: Digest of the admission policy in force.
        reason: One sentence: why the verdict is what it is.
        sections: Survey id to what it says of the whole artefact.
        rule_pack: Digest of all checks, surveys and rules that there were.
    """

    digest: str
    name: str
    verdict: VetVerdict
    findings: tuple[ArtefactFinding, ...]
    coverage: Coverage
    checks: dict[str, str]
    policy_digest: str
    reason: str
    sections: dict[str, Section] = {}
    rule_pack: str = ""
