"""What other tools say, and where they do not agree with us."""

from __future__ import annotations

from collections.abc import Iterable

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Line, Section
from keelmark.vet.contract import Rule
from keelmark.vet.survey import Opinion, Remark, Subject, Survey, Surveyed

_TAGS = ("owasp:llm03",)

REMARK = Rule(
    "opinions.remark",
    "Another tool sees something",
    Severity.MEDIUM,
    "A tool that was asked on purpose reports something; it may know what we do not, or err.",
    "Read what it says and look at the file; waive the finding if the other is mistaken.",
    _TAGS,
)


def _run(subject: Subject) -> Surveyed:
    opinions = subject.asked.opinions
    if not opinions:
        return Surveyed(None)
    ours = _worst((f.path, f.severity) for f in subject.findings)
    findings = [_finding(one, remark) for one in opinions for remark in one.remarks]
    lines, unanswered = [], []
    for one in opinions:
        theirs = _worst((r.path, r.severity) for r in one.remarks)
        lines += [
            _line(one, path, ours.get(path), theirs.get(path))
            for path in sorted(ours.keys() | theirs.keys())
        ]
        if not one.complete:
            unanswered.append(f"{one.tool} says that it could not look at everything")
    apart = sum(line.answer != "agree" for line in lines)
    names = " and ".join(one.tool for one in opinions)
    said = f"{names} and Keelmark " + (
        f"do not agree on {apart} of {len(lines)} files with findings"
        if apart
        else "see something in the same files"
    )
    section = Section(
        title="Second opinions",
        answer="they disagree" if apart else "they agree",
        summary=f"{said}." if lines else f"{names} and Keelmark found nothing.",
        lines=tuple(lines),
        unanswered=tuple(unanswered),
        required=True,
        data={one.tool: one.version for one in opinions},
    )
    return Surveyed(section, tuple(findings))


def _worst(seen: Iterable[tuple[str, Severity]]) -> dict[str, Severity]:
    """The gravest for each path, of what counts as more than a remark in passing."""
    worst: dict[str, Severity] = {}
    for path, severity in seen:
        if severity.rank >= Severity.MEDIUM.rank:
            worst[path] = max(worst.get(path, severity), severity, key=lambda s: s.rank)
    return worst


def _line(one: Opinion, path: str, ours: Severity | None, theirs: Severity | None) -> Line:
    alone = "only Keelmark" if ours else f"only {one.tool}"
    answer = "agree" if ours and theirs else alone
    said = f"Keelmark: {_word(ours)}; {one.tool}: {_word(theirs)}."
    return Line(what=path, answer=answer, why=said)


def _word(severity: Severity | None) -> str:
    return severity.value if severity else "nothing"


def _finding(one: Opinion, remark: Remark) -> ArtefactFinding:
    return REMARK.about(
        remark.path,
        remark.location,
        f"{one.tool} {remark.code}: {remark.message}",
        severity=remark.severity,
    )


SURVEY = Survey(
    title="Second opinions",
    version="1",
    tags=_TAGS,
    rules=(REMARK,),
    examples=("second-opinion",),
    run=_run,
)
