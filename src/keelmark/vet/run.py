"""From a path to a report: every file examined by every check, the whole surveyed, then judged."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from keelmark.core.canonical import digest
from keelmark.core.findings import ArtefactFinding
from keelmark.core.policy import Admission
from keelmark.core.vetting import Coverage, Line, NotChecked, Section, VetReport
from keelmark.passport.files import Progress, resolve
from keelmark.passport.manifest import SINGLE_FILE, Manifest, build_manifest, name_of
from keelmark.vet.contract import printable
from keelmark.vet.examiner import Examiner, FileResult, VetLimits
from keelmark.vet.judge import judge
from keelmark.vet.machine import Machine, this_machine
from keelmark.vet.registry import all_surveys, rule_pack
from keelmark.vet.sniff import UNKNOWN
from keelmark.vet.survey import NOTHING, Asked, Facts, Subject, Survey, Surveyed, Whole

_FIRST = ("licence", "vulnerabilities", "opinions", "lineage", "fit", "documentation", "health")

FACTS_IN_ALL = 128 * 1024 * 1024
"""Facts that are kept of one artefact, bytes of JSON."""


class Vetted(NamedTuple):
    """What came of vetting.

    Attributes:
        report: What is said of the model.
        manifest: Its files: those bytes that were examined.
        facts: What checks learnt of them.
    """

    report: VetReport
    manifest: Manifest
    facts: Facts


class _Examined(NamedTuple):
    """What the checks said of all files."""

    findings: list[ArtefactFinding]
    not_checked: list[NotChecked]
    ran: dict[str, str]
    facts: dict[str, dict[str, Any]]
    left_out: list[str]


def examine_and_judge(
    path: Path | str,
    *,
    admission: Admission,
    asked: Asked = NOTHING,
    machine: Machine | None = None,
    progress: Progress | None = None,
    examiner: Examiner,
    today: dt.date | None = None,
) -> Vetted:
    """Examine a model with every check and survey, and judge it under a policy.

    Each file is read once to be hashed, and as far as its checks need it to be examined; a file
    that does not stay as it was from before the first to after the last read is an error.

    Args:
        path: File or folder.
        admission: Policy.
        asked: What is to be answered beyond the artefact itself.
        machine: Where it would run; this machine by default.
        progress: Called with bytes done and bytes in total.
        examiner: The process in which hostile bytes are read.
        today: The day on which waivers must still hold; today by default.

    Raises:
        UsageError: Missing, unreadable, a link, a special file.
        LimitError: Too many files, too deep.
        IntegrityError: It changed while it was read.
        UnavailableError: The worker process does not start.
    """
    manifest, examined = _examine(path, examiner, progress)
    day = today or dt.datetime.now(dt.UTC).date()
    subject = Subject(
        manifest,
        examined.facts,
        tuple(examined.findings),
        asked,
        machine or this_machine(),
        day,
    )
    sections = _survey(subject, examined)
    findings = sorted(set(examined.findings), key=_order)
    verdict, reason = judge(findings, examined.not_checked, admission, day, sections)
    files = len(manifest.entries)
    not_checked = tuple(examined.not_checked)
    report = VetReport(
        digest=manifest.digest,
        name=manifest.name,
        verdict=verdict,
        findings=tuple(findings),
        coverage=Coverage(files=files, checked=files - len(not_checked), not_checked=not_checked),
        checks=dict(sorted(examined.ran.items())),
        policy_digest=digest(admission),
        reason=reason,
        sections=sections,
        rule_pack=rule_pack(),
    )
    return Vetted(report, manifest, examined.facts)


def _examine(
    path: Path | str, examiner: Examiner, progress: Progress | None
) -> tuple[Manifest, _Examined]:
    """Examine and hash every file in one walk."""
    results: dict[str, FileResult] = {}
    single = name_of(path, resolve(path))

    def visit(entry: str, fd: int) -> None:
        name = single if entry == SINGLE_FILE else entry
        results[name] = examiner.examine(name, fd)

    return build_manifest(path, progress, visit), _gather(results)


def _gather(results: dict[str, FileResult]) -> _Examined:
    said = _Examined([], [], {}, {}, [])
    kept = 0
    for name, result in sorted(results.items()):
        said.findings.extend(result.findings)
        said.ran.update(result.ran)
        if result.unexamined:
            said.not_checked.append(NotChecked(path=name, reason="; ".join(result.unexamined)))
        said.left_out.extend(f"{name} {which}".strip() for which in result.left_out)
        for inner, facts in result.facts.items():
            where = f"{name}!{inner}" if inner else name
            kept += len(json.dumps(facts))
            if kept > FACTS_IN_ALL:
                said.left_out.append(where)
            else:
                said.facts[where] = facts
    return said


def _survey(subject: Subject, examined: _Examined) -> dict[str, Section]:
    """Run every survey; their findings and versions join those of the checks."""
    sections = {}
    for name, survey in all_surveys().items():
        section, findings, numbers = _answer(survey, subject)
        examined.not_checked[:] = [
            gap
            for gap in examined.not_checked
            if not (gap.reason == UNKNOWN and gap.path in numbers)
        ]
        if section is None:
            continue
        examined.findings.extend(findings)
        examined.ran[name] = survey.version
        if examined.left_out:
            more = f"not everything about {examined.left_out[0]} could be kept in memory"
            section = msgspec.structs.replace(section, unanswered=(*section.unanswered, more))
        sections[name] = _shown(section)
    return dict(sorted(sections.items(), key=lambda item: _place(item[0])))


def _answer(survey: Survey, subject: Subject) -> Surveyed:
    """Run a survey; one that fails has not answered, and what it would have found is not known."""
    try:
        return survey.run(subject)
    except Exception as error:  # boundary: a survey that fails leaves the vetting incomplete
        return Surveyed(
            Section(
                title=survey.title,
                answer="could not tell",
                summary="The survey failed on what the files say, so it has no answer.",
                unanswered=(f"the survey failed ({type(error).__name__})",),
                required=True,
            )
        )


def _shown(section: Section) -> Section:
    """A section whose words may go to a screen: names in it may come from a hostile file."""
    lines = tuple(
        Line(
            what=printable(line.what, 300),
            answer=printable(line.answer, 300),
            why=printable(line.why, 1000),
            evidence=printable(line.evidence, 1000),
        )
        for line in section.lines
    )
    return msgspec.structs.replace(
        section,
        answer=printable(section.answer, 300),
        summary=printable(section.summary, 1000),
        lines=lines,
        unanswered=tuple(printable(reason, 600) for reason in section.unanswered),
    )


def _place(name: str) -> tuple[int, str]:
    """Where a section stands: what forbids first, what is good to know last."""
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _order(finding: ArtefactFinding) -> tuple[str, int, str, str, str, str]:
    return (
        finding.path,
        -finding.severity.rank,
        finding.rule,
        finding.location,
        finding.message,
        finding.evidence,
    )


def vetted(
    path: Path | str,
    *,
    admission: Admission | None = None,
    asked: Asked = NOTHING,
    progress: Progress | None = None,
    limits: VetLimits | None = None,
    today: dt.date | None = None,
) -> Vetted:
    """Vet a model and return the report together with its files and facts; see `vet`."""
    with Examiner(limits or VetLimits()) as examiner:
        return examine_and_judge(
            path,
            admission=admission or Admission(),
            asked=asked,
            progress=progress,
            examiner=examiner,
            today=today,
        )


def look(path: Path | str, *, limits: VetLimits | None = None) -> Whole:
    """Return an artefact to compare with, such as a parent: its files and what is learnt of them.

    Raises:
        KeelmarkError: As `vet`.
    """
    with Examiner(limits or VetLimits()) as examiner:
        manifest, examined = _examine(path, examiner, None)
    return Whole(manifest, examined.facts)
