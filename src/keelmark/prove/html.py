"""The report as one HTML file: no script, no address outside the file, made to be printed.

Text becomes HTML in one place only: `_tag` escapes every child that is not already `Html`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files

from keelmark.prove import wording
from keelmark.prove.report import ControlResult, EvidenceResult, Gap, Report

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def to_html(report: Report) -> str:
    """Return the report as a complete HTML document."""
    style = files("keelmark.prove").joinpath("report.css").read_text(encoding="utf-8")
    head = _tag(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        _tag("title", report.title),
        _tag("style", Html(style)),
    )
    body = _tag(
        "body",
        _tag(
            "main",
            _header(report),
            _short(report),
            _lacking(report),
            _tag("h2", "Risk by risk", id="risks"),
            *(_control(control) for control in report.controls),
            _basis(report),
            _check(report),
            _records(report),
            _legend(),
        ),
    )
    return f"<!DOCTYPE html>\n{_tag('html', head, body, lang='en')}\n"


def _header(report: Report) -> Html:
    return _tag(
        "header",
        _tag("p", "Keelmark evidence report", class_="kicker"),
        _tag("h1", report.title),
        _tag("p", f"{report.edition} · made {wording.minute(report.made)}", class_="sub"),
        _tag("p", report.about),
    )


def _short(report: Report) -> Html:
    rows = [
        [
            _tag("a", c.id, href=f"#{c.id}"),
            c.title,
            _chip(c.status),
            c.reason,
        ]
        for c in report.controls
    ]
    problems = [*report.ledger.problems, *report.notes]
    return _tag(
        "section",
        _tag("h2", "In short"),
        _tag("p", wording.headline(report), class_="lead"),
        _tag(
            "div",
            _tag("p", wording.verification(report)),
            _list(problems) if problems else Html(),
            class_=f"verdict {report.ledger.verdict.replace(' ', '-')}",
        ),
        _table(("Risk", "", "State", "Why"), rows, "overview"),
    )


def _lacking(report: Report) -> Html:
    items = [
        _tag(
            "li",
            *(Html(_tag("a", name, href=f"#{name}") + " ") for name in names),
            _tag("span", wording.GAP[gap.kind], class_=f"tag {gap.kind}"),
            _tag("p", gap.what),
            _tag("p", _tag("b", "What to do: "), _prose(gap.how), class_="how"),
        )
        for names, gap in wording.grouped(report)
    ]
    nothing = _tag("p", "Nothing that the records could tell.")
    return _tag(
        "section",
        _tag("h2", "What is lacking, gravest first"),
        _tag("ol", *items, class_="gaps") if items else nothing,
    )


def _control(control: ControlResult) -> Html:
    return _tag(
        "section",
        _tag("h3", _tag("span", control.id, class_="id"), " ", control.title),
        _tag("p", _chip(control.status), " ", control.reason, class_="state"),
        _tag("p", _tag("b", "The risk. "), control.risk),
        _tag("p", _tag("b", "What Keelmark does. "), control.answer),
        _table(
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
        links += [_tag("a", str(citation.seq), href=f"#record-{citation.seq}"), " "]
    return [
        answer.says,
        _tag("span", f"{mark} {word}", class_=f"answer {answer.result}"),
        answer.measure,
        wording.freshness(answer),
        Html("".join(links)) if links else "none",
    ]


def _gap(gap: Gap) -> Html:
    tag = _tag("span", wording.GAP[gap.kind], class_=f"tag {gap.kind}")
    return _tag("span", tag, " ", gap.what, " ", _tag("span", _prose(gap.how), class_="how"))


def _basis(report: Report) -> Html:
    rows = [
        _tag("tr", _tag("th", name), _tag("td", value)) for name, value in wording.facts(report)
    ]
    return _tag(
        "section",
        _tag("h2", "What this report rests on"),
        _tag("table", *rows, class_="facts"),
        _tag("pre", report.ledger.checkpoint) if report.ledger.checkpoint else Html(),
    )


def _check(report: Report) -> Html:
    items = [
        _tag("li", what, _tag("pre", command) if command else Html())
        for what, command in wording.steps(report)
    ]
    return _tag("section", _tag("h2", "How to check this report"), _tag("ol", *items))


def _records(report: Report) -> Html:
    rows = [
        _tag(
            "tr",
            _tag("td", str(seq), class_="seq"),
            _tag("td", wording.minute(time), _tag("br"), _tag("span", kind, class_="kind")),
            _tag("td", shows, _tag("span", digest, class_="digest")),
            id=f"record-{seq}",
        )
        for seq, time, kind, digest, shows in wording.cited(report)
    ]
    return _tag(
        "section",
        _tag("h2", "Records cited"),
        _tag(
            "p",
            "At most five records for and five against each question are cited; the counts in the "
            "tables above are of all records.",
            class_="note",
        ),
        _tag(
            "table",
            _head(("Record", "Written", "What it shows")),
            _tag("tbody", *rows),
            class_="records",
        )
        if rows
        else _tag("p", "None."),
    )


def _legend() -> Html:
    items = [
        _tag("li", _chip(status), " ", meaning)
        for status, (_, _, meaning) in wording.STATUS.items()
    ]
    return _tag(
        "section",
        _tag("h2", "What the words mean"),
        _tag("ul", *items, class_="legend"),
    )


def _chip(status: str) -> Html:
    mark, word, _ = wording.STATUS[status]
    return _tag("span", f"{mark} {word}", class_=f"chip {status}")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], kind: str) -> Html:
    names = list(head)
    body = [
        _tag(
            "tr",
            *(_tag("td", cell, data_name=name) for name, cell in zip(names, row, strict=True)),
        )
        for row in rows
    ]
    return _tag("table", _head(names), _tag("tbody", *body), class_=kind)


def _head(names: Iterable[str]) -> Html:
    return _tag("thead", _tag("tr", *(_tag("th", name) for name in names)))


def _named_list(name: str, items: Iterable[str]) -> list[Html]:
    filled = list(items)
    return [_tag("h4", name), _list(filled)] if filled else []


def _list(items: Iterable[str]) -> Html:
    return _tag("ul", *(_tag("li", item) for item in items))


def _prose(text: str) -> Html:
    """Text in which `back quotes` mark what is typed."""
    parts = text.split("`")
    marked = (_tag("code", part) if n % 2 else escape(part) for n, part in enumerate(parts))
    return Html("".join(marked))


def _tag(tag: str, *children: str, **attributes: str) -> Html:
    """One element. A name ending in _ loses it, other underscores become hyphens."""
    pairs = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
    )
    if tag == "br":
        return Html("<br>")
    inner = "".join(c if isinstance(c, Html) else escape(c) for c in children)
    return Html(f"<{tag}{pairs}>{inner}</{tag}>")
