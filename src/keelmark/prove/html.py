"""The report as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence

from keelmark.core.html import Html, bullets, columns, document, facts, prose, table, tag
from keelmark.prove import wording
from keelmark.prove.report import ControlResult, EvidenceResult, Gap, Report


def to_html(report: Report) -> str:
    """Return the report as a complete HTML document."""
    return document(
        report.title,
        _header(report),
        _short(report),
        _lacking(report),
        tag("h2", "Risk by risk", id="risks"),
        *(_control(control) for control in report.controls),
        _basis(report),
        _check(report),
        _records(report),
        _legend(),
    )


def _header(report: Report) -> Html:
    return tag(
        "header",
        tag("p", "Keelmark evidence report", class_="kicker"),
        tag("h1", report.title),
        tag("p", f"{report.edition} · made {wording.minute(report.made)}", class_="sub"),
        tag("p", report.about),
    )


def _short(report: Report) -> Html:
    rows = [
        [
            tag("a", c.id, href=f"#{c.id}"),
            c.title,
            _chip(c.status),
            c.reason,
        ]
        for c in report.controls
    ]
    problems = [*report.ledger.problems, *report.notes]
    return tag(
        "section",
        tag("h2", "In short"),
        tag("p", wording.headline(report), class_="lead"),
        tag(
            "div",
            tag("p", wording.verification(report)),
            bullets(problems) if problems else Html(),
            class_=f"verdict {report.ledger.verdict.replace(' ', '-')}",
        ),
        table(("Risk", "", "State", "Why"), rows, "overview"),
    )


def _lacking(report: Report) -> Html:
    items = [
        tag(
            "li",
            *(Html(tag("a", name, href=f"#{name}") + " ") for name in names),
            tag("span", wording.GAP[gap.kind], class_=f"tag {gap.kind}"),
            tag("p", gap.what),
            tag("p", tag("b", "What to do: "), prose(gap.how), class_="how"),
        )
        for names, gap in wording.grouped(report)
    ]
    nothing = tag("p", "Nothing that the records could tell.")
    return tag(
        "section",
        tag("h2", "What is lacking, gravest first"),
        tag("ol", *items, class_="gaps") if items else nothing,
    )


def _control(control: ControlResult) -> Html:
    return tag(
        "section",
        tag("h3", tag("span", control.id, class_="id"), " ", control.title),
        tag("p", _chip(control.status), " ", control.reason, class_="state"),
        tag("p", tag("b", "The risk. "), control.risk),
        tag("p", tag("b", "What Keelmark does. "), control.answer),
        table(
            ("Question to the ledger", "Answer", "Found", "Age", "Records"),
            [_evidence_row(answer) for answer in control.evidence],
            "evidence",
        ),
        *_named_list("Lacking", [_gap(gap) for gap in control.gaps]),
        *_named_list("For a person to see to", control.manual),
        id=control.id,
        class_="control",
    )


def _evidence_row(answer: EvidenceResult) -> list[str]:
    mark, word = wording.RESULT[answer.result]
    links: list[str] = []
    for citation in answer.records:
        links += [tag("a", str(citation.seq), href=f"#record-{citation.seq}"), " "]
    return [
        answer.says,
        tag("span", f"{mark} {word}", class_=f"answer {answer.result}"),
        answer.measure,
        wording.freshness(answer),
        Html("".join(links)) if links else "none",
    ]


def _gap(gap: Gap) -> Html:
    kind = tag("span", wording.GAP[gap.kind], class_=f"tag {gap.kind}")
    return tag("span", kind, " ", gap.what, " ", tag("span", prose(gap.how), class_="how"))


def _basis(report: Report) -> Html:
    return tag(
        "section",
        tag("h2", "What this report rests on"),
        facts(wording.facts(report)),
        tag("pre", report.ledger.checkpoint) if report.ledger.checkpoint else Html(),
    )


def _check(report: Report) -> Html:
    items = [
        tag("li", what, tag("pre", command) if command else Html())
        for what, command in wording.steps(report)
    ]
    return tag("section", tag("h2", "How to check this report"), tag("ol", *items))


def _records(report: Report) -> Html:
    rows = [
        tag(
            "tr",
            tag("td", str(seq), class_="seq"),
            tag("td", wording.minute(time), tag("br"), tag("span", kind, class_="kind")),
            tag("td", shows, tag("span", digest, class_="digest")),
            id=f"record-{seq}",
        )
        for seq, time, kind, digest, shows in wording.cited(report)
    ]
    return tag(
        "section",
        tag("h2", "Records cited"),
        tag(
            "p",
            "At most five records for and five against each question are cited; the counts in the "
            "tables above are of all records.",
            class_="note",
        ),
        tag(
            "table",
            columns(("Record", "Written", "What it shows")),
            tag("tbody", *rows),
            class_="records",
        )
        if rows
        else tag("p", "None."),
    )


def _legend() -> Html:
    items = [
        tag("li", _chip(status), " ", meaning) for status, (_, _, meaning) in wording.STATUS.items()
    ]
    return tag(
        "section",
        tag("h2", "What the words mean"),
        tag("ul", *items, class_="legend"),
    )


def _chip(status: str) -> Html:
    mark, word, _ = wording.STATUS[status]
    return tag("span", f"{mark} {word}", class_=f"chip {status}")


def _named_list(name: str, items: Sequence[str]) -> list[Html]:
    return [tag("h4", name), bullets(items)] if items else []
