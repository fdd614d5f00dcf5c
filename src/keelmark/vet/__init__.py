"""Vetting of artefacts: from files to findings, coverage and a verdict, bound to the digest."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from keelmark.core.canonical import digest
from keelmark.core.errors import IntegrityError
from keelmark.core.findings import ArtefactFinding
from keelmark.core.policy import Admission
from keelmark.core.vetting import Coverage, NotChecked, VetReport
from keelmark.passport.files import Fingerprint, Meter, hash_steadily, open_regular, resolve
from keelmark.passport.manifest import Manifest, ManifestEntry, build_manifest
from keelmark.vet.examiner import Examiner, FileResult, VetLimits
from keelmark.vet.judge import judge
from keelmark.vet.registry import all_checks, all_rules

__all__ = ["Admission", "VetLimits", "VetReport", "all_checks", "all_rules", "vet"]


def vet(
    path: Path | str,
    *,
    admission: Admission | None = None,
    manifest: Manifest | None = None,
    progress: Callable[[int, int], None] | None = None,
    limits: VetLimits | None = None,
    today: dt.date | None = None,
) -> VetReport:
    """Examine a model with every check that applies, and judge it under a policy.

    Nothing of it is executed, imported, rendered or unpacked to disk; everything is read in a
    process of its own with limits. The report says of every file whether it was fully examined.
    The same input gives the same report, byte for byte.

    Args:
        path: File or folder.
        admission: Policy; the default one fails on high and critical findings.
        manifest: Manifest of the same path, if there is one already.
        progress: Called with bytes done and bytes in total.
        limits: What may be used.
        today: The day on which waivers must still hold; today by default.

    Raises:
        UsageError: Missing, unreadable, a link, a special file.
        LimitError: Too many files, too deep.
        IntegrityError: What was examined is not what the manifest names.
        UnavailableError: The worker process does not start.
    """
    admission = admission or Admission()
    manifest = manifest or build_manifest(path)
    findings: list[ArtefactFinding] = []
    not_checked: list[NotChecked] = []
    ran: dict[str, str] = {}
    done = 0
    with Examiner(limits or VetLimits()) as examiner:
        for entry in manifest.entries:
            name = manifest.name if manifest.is_file else entry.path
            result = _examine(examiner, resolve(path), entry, name)
            findings += result.findings
            ran |= result.ran
            if result.unexamined:
                not_checked.append(NotChecked(path=name, reason="; ".join(result.unexamined)))
            done += entry.size
            if progress:
                progress(done, manifest.size)
    findings.sort(key=_order)
    not_checked.sort(key=lambda item: item.path)
    day = today or dt.datetime.now(dt.UTC).date()
    verdict, reason = judge(findings, not_checked, admission, day)
    files = len(manifest.entries)
    return VetReport(
        digest=manifest.digest,
        name=manifest.name,
        verdict=verdict,
        findings=tuple(findings),
        coverage=Coverage(
            files=files, checked=files - len(not_checked), not_checked=tuple(not_checked)
        ),
        checks=dict(sorted(ran.items())),
        policy_digest=digest(admission),
        reason=reason,
    )


def _examine(examiner: Examiner, root: Path, entry: ManifestEntry, name: str) -> FileResult:
    """Examine one file through one descriptor, and make sure that it is the manifest's."""
    real = root if entry.path == "." else resolve(root / entry.path)
    fd = open_regular(real, name)
    try:
        before = Fingerprint.of(os.fstat(fd))
        result = examiner.examine(name, fd)
        found = hash_steadily(fd, Meter(entry.size, None), name, before)
    finally:
        os.close(fd)
    if found.hex() != entry.sha256:
        raise IntegrityError(
            f"{name} is no longer what its manifest names: let nothing write to it, then retry."
        )
    return result


def _order(finding: ArtefactFinding) -> tuple[str, int, str, str, str, str]:
    return (
        finding.path,
        -finding.severity.rank,
        finding.rule,
        finding.location,
        finding.message,
        finding.evidence,
    )


class _Room(ModuleType):
    """Lets `from keelmark import vet; vet(path)` work although the room has the same name."""

    __call__ = staticmethod(vet)


sys.modules[__name__].__class__ = _Room
