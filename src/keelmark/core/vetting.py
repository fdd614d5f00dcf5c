"""The result of vetting an artefact."""

from __future__ import annotations

from enum import StrEnum

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


class VetReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything vetting says of one artefact, bound to its digest.

    Attributes:
        digest: `sha256:<hex>` of the manifest.
        name: File or folder name, for people only; trust never rests on it.
        verdict: Pass, fail or incomplete under the policy.
        findings: Sorted by path, severity, rule and location.
        coverage: What was looked at.
        checks: Check id to version (ours and the library's), for every check that ran.
        policy_digest: Digest of the admission policy in force.
        reason: One sentence: why the verdict is what it is.
    """

    digest: str
    name: str
    verdict: VetVerdict
    findings: tuple[ArtefactFinding, ...]
    coverage: Coverage
    checks: dict[str, str]
    policy_digest: str
    reason: str
