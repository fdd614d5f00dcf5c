"""The report as one HTML file for people who were not there."""

from __future__ import annotations

from collections.abc import Mapping

from keelmark import __version__
from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.html import Html, bullets, document, facts, prose, table, tag
from keelmark.core.vetting import Section, VetReport, VetVerdict
from keelmark.vet.contract import Rule, printable
from keelmark.vet.explain import reference
from keelmark.vet.registry import all_rules
from keelmark.vet.render import advice

_ANSWER = {
    VetVerdict.PASS: ("Passed", "passed"),
    VetVerdict.FAIL: ("Failed", "broken"),
    VetVerdict.INCOMPLETE: ("Could not be fully checked", "not-checked"),
}
_CHIP = {
    Severity.CRITICAL: "failing",
    Severity.HIGH: "failing",
    Severity.MEDIUM: "partial",
    Severity.LOW: "missing",
    Severity.INFO: "missing",
}


def to_html(report: VetReport) -> str:
    """Return the report as a complete HTML document; nothing in it is loaded from anywhere."""
    name = printable(report.name, 200)
    answer, look = _ANSWER[report.verdict]
    rules = all_rules()
    return document(
        f"{name}: {answer.lower()}",
        tag(
            "header",
            tag("p", "Keelmark vetting report", class_="kicker"),
            tag("h1", name),
            tag("p", f"{report.digest} · Keelmark {__version__}", class_="sub"),
        ),
        tag(
            "div",
            tag("p", tag("b", answer + ". "), printable(report.reason, 600)),
            tag("p", prose(advice(report, rules))),
            class_=f"verdict {look}",
        ),
        _overview(report),
        *(_section(name, section) for name, section in report.sections.items()),
        _findings(report, rules),
        _coverage(report),
        _basis(report),
    )


def _overview(report: VetReport) -> Html:
    worst = max((f.severity for f in report.findings), key=lambda s: s.rank, default=None)
    covered = report.coverage
    rows = [
        (
            "Files",
            f"{len(report.findings)} findings, gravest {worst.value}" if worst else "no findings",
            f"{covered.checked} of {covered.files} files fully checked",
        ),
        *((s.title, s.answer, s.summary) for s in report.sections.values()),
    ]
    return tag("section", tag("h2", "In short"), table(("", "Answer", ""), rows, "overview"))


def _section(name: str, section: Section) -> Html:
    rows = [(line.what, line.answer, _why(line.why, line.evidence)) for line in section.lines]
    return tag(
        "section",
        tag("h2", section.title, id=name),
        tag("p", tag("b", f"{section.answer}. "), section.summary),
        table(("", "Answer", "Why"), rows, "answers") if rows else Html(),
        *_named("Could not be told", section.unanswered),
    )


def _why(why: str, evidence: str) -> Html:
    return Html(
        tag("span", why)
        + (tag("br") + tag("span", evidence, class_="note") if evidence else Html())
    )


def _findings(report: VetReport, rules: Mapping[str, Rule]) -> Html:
    worst_first = sorted(report.findings, key=lambda f: -f.severity.rank)
    return tag(
        "section",
        tag("h2", "Findings"),
        *(_finding(finding, rules.get(finding.rule)) for finding in worst_first),
        *([] if worst_first else [tag("p", "None.")]),
    )


def _finding(finding: ArtefactFinding, rule: Rule | None) -> Html:
    severity = finding.severity
    more = (
        [
            tag("p", rule.why),
            tag("p", tag("b", "What to do: "), prose(rule.mend), class_="how"),
            tag("p", ", ".join(reference(t) for t in rule.tags), class_="note"),
        ]
        if rule
        else []
    )
    return tag(
        "section",
        tag("h3", tag("span", severity.value, class_=f"chip {_CHIP[severity]}"), " ", finding.rule),
        tag("p", tag("code", printable(f"{finding.subject}: {finding.location}", 400))),
        tag("p", finding.message),
        *([tag("p", "Saw: ", tag("code", finding.evidence))] if finding.evidence else []),
        *more,
        class_="control",
    )


def _coverage(report: VetReport) -> Html:
    rows = [
        (printable(item.path, 300), printable(item.reason, 600))
        for item in report.coverage.not_checked
    ]
    if not rows:
        return Html()
    return tag(
        "section",
        tag("h2", "Not fully checked"),
        table(("File", "Why"), rows, "coverage"),
    )


def _basis(report: VetReport) -> Html:
    rows = [
        ("Digest", report.digest),
        ("Admission policy", report.policy_digest),
        ("Rule pack", report.rule_pack),
        ("Checks and surveys", ", ".join(f"{k} {v}" for k, v in report.checks.items())),
    ]
    return tag("section", tag("h2", "What this report rests on"), facts(rows))


def _named(name: str, items: tuple[str, ...]) -> list[Html]:
    return [tag("h4", name), bullets(items)] if items else []
