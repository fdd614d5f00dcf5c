"""The report as Markdown. Everything that comes from records is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from keelmark.prove import wording
from keelmark.prove.report import ControlResult, Report

# What can begin something inside a line or a table cell, or a list or heading at its start.
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&]|^ ?[-+#=]|^ ?\d+(?=[.)]))")


def to_markdown(report: Report) -> str:
    """Return the report as CommonMark with tables."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield from (f"# {_text(report.title)}", "", _text(report.about), "")
    yield from ("## In short", "", _text(wording.headline(report)), "")
    yield from (f"**{_text(wording.verification(report))}**", "")
    for problem in (*report.ledger.problems, *report.notes):
        yield f"- {_text(problem)}"
    yield from _table(
        ("risk", "", "status", "why"),
        ((c.id, c.title, " ".join(wording.status_words(c)), c.reason) for c in report.controls),
    )
    yield from ("## What this report rests on", "")
    yield from _table(("", ""), wording.facts(report))
    yield from ("## What is lacking, gravest first", "")
    for number, (names, gap) in enumerate(wording.grouped(report), 1):
        kind = wording.GAP[gap.kind]
        yield f"{number}. **{_text(', '.join(names))}** ({_text(kind)}): {_text(gap.what)}"
        yield f"   How to mend it: {_prose(gap.how)}"
    if not report.gaps:
        yield "Nothing that the records could tell."
    yield ""
    for control in report.controls:
        yield from _control(control)
    yield from ("## Records cited", "")
    yield from _table(
        ("record", "written", "kind", "shows", "SHA-256"),
        (
            (str(seq), wording.minute(time), kind, shows, digest)
            for seq, time, kind, digest, shows in wording.cited(report)
        ),
    )
    yield from ("## How to check this report", "")
    for number, (what, command) in enumerate(wording.steps(report), 1):
        yield f"{number}. {_text(what)}" + (f" `{command}`" if command else "")
    yield from ("", "## What the words mean", "")
    for mark, word, meaning in wording.STATUS.values():
        yield f"- {mark} **{word}**: {meaning}"


def _control(control: ControlResult) -> Iterator[str]:
    mark, word = wording.status_words(control)
    yield from (f"## {_text(control.id)} {_text(control.title)}: {mark} {word}", "")
    yield from (_text(control.risk), "", f"**What Keelmark does.** {_text(control.answer)}", "")
    yield from _table(
        ("question to the ledger", "answer", "found", "age", "records"),
        (
            (
                answer.says,
                " ".join(wording.RESULT[answer.result]),
                answer.measure,
                wording.freshness(answer),
                ", ".join(str(c.seq) for c in answer.records) or "none",
            )
            for answer in control.evidence
        ),
    )
    for gap in control.gaps:
        yield f"- Lacking ({_text(wording.GAP[gap.kind])}): {_text(gap.what)} {_prose(gap.how)}"
    for task in control.manual:
        yield f"- For a person: {_text(task)}"
    if control.gaps or control.manual:
        yield ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield f"| {' | '.join(map(_text, row))} |"
    yield ""


def _prose(text: str) -> str:
    """Text in which `back quotes` mark what is typed."""
    parts = text.split("`")
    return "".join(f"`{part}`" if n % 2 else _text(part) for n, part in enumerate(parts))


def _text(text: str) -> str:
    """Text that Markdown takes as text: on one line, nothing in it does anything."""
    line = re.sub(r"\s+", " ", text)
    return _SPECIAL.sub(r"\\\1", line)
