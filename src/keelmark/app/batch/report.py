"""The report of a run: for programs, for a terminal, and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import chain

import msgspec

from keelmark import __version__
from keelmark.app.batch.tally import Place, Problem
from keelmark.observe.show import clean

_MOST_SHOWN = 20  # places and problems in a terminal
_LEGEND = (
    "What was found is not on this page: in the samples its name stands in its place, such as "
    "[EMAIL]. A line of the table is one kind of thing, in one field of one file; the rule is the "
    "one of the policy that asked for it."
)
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0 0 2rem; }
caption { text-align: left; font-weight: 600; font-size: 1.1rem; padding: .4rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8885; }
td { vertical-align: top; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font-size: .9em; }
.verdict { font-size: 1.15rem; padding: .6rem 1rem; border-left: .4rem solid; }
.clean { border-color: #2a7; background: #2a72; } .found { border-color: #d80; background: #d802; }
.unknown { border-color: #c22; background: #c222; }
"""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found where. No value that was found is in it.

    Attributes:
        keelmark: Version.
        policy: Name of the policy.
        policy_digest: Its digest.
        stage: Stage that the texts were judged as.
        fields: Fields that were read; all when empty.
        files: Files that were read.
        hidden: Files that were left out because their names begin with a dot.
        rows: Rows that were read, or parts of documents.
        texts: Texts that were checked.
        characters: Their length, code points.
        found: Findings by label.
        places: What was found where.
        unchecked: How many things could not be checked.
        problems: The first thousand of them.
        copies: What was written: "", masked or redacted.
        written: Rows written to copies.
        rows_by: Rows that were duplicates, near duplicates, blocked, dropped.
        seconds: Time.
    """

    keelmark: str = __version__
    policy: str
    policy_digest: str
    stage: str
    fields: tuple[str, ...]
    files: int
    hidden: int
    rows: int
    texts: int
    characters: int
    found: dict[str, int]
    places: list[Place]
    unchecked: int
    problems: list[Problem]
    copies: str
    written: int
    rows_by: dict[str, int]
    seconds: float

    @property
    def exit_code(self) -> int:
        """2 when something could not be checked, 1 when something was found, else 0."""
        return 2 if self.unchecked else int(bool(self.places or self.rows_by))


def labels(places: Iterable[Place]) -> dict[str, int]:
    """Return how often each label was found, the most frequent first."""
    found: Counter[str] = Counter()
    for one in places:
        found[one.label] += one.count
    return dict(found.most_common())


def as_text(report: Report) -> str:
    """Return a report for a terminal."""
    lines = list(_summary(report))
    if report.places:
        places = sorted(report.places, key=lambda one: -one.count)
        rows = [_cells(one) for one in places[:_MOST_SHOWN]]
        lines += ["", *_aligned(("COUNT", "ROWS", "LABEL", "RULE", "WHERE", "SUCH AS"), rows)]
        lines += _more(len(places))
    if report.problems:
        lines += ["", "Could not be checked:"]
        lines += [f"  {_where(one)}: {clean(one.why)}" for one in report.problems[:_MOST_SHOWN]]
        lines += _more(report.unchecked)
    return "\n".join(lines)


def _summary(report: Report) -> Iterator[str]:
    speed = report.characters / max(report.seconds, 1e-3) / 1e6
    yield (
        f"Read {_number(report.files, 'file')}, {_number(report.rows, 'row')}, "
        f"{_number(report.texts, 'text')} under policy {clean(report.policy)} in "
        f"{report.seconds:,.1f} s ({speed:.1f} million characters each second)."
    )
    if report.hidden:
        yield f"Left out {_number(report.hidden, 'file')} with a name that begins with a dot."
    found = ", ".join(f"{count:,} {label}" for label, count in report.found.items())
    yield f"Found: {found or 'nothing'}."
    if report.rows_by:
        yield f"Rows: {', '.join(f'{count:,} {what}' for what, count in report.rows_by.items())}."
    if report.copies:
        yield (
            f"Written {_number(report.written, 'row')} of {report.rows:,}, {report.copies}; what "
            "could not be checked is not among them."
        )
    if report.unchecked:
        things = _number(report.unchecked, "thing")
        yield f"Could not check {things}: what was not checked is not known to be clean."


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _cells(one: Place) -> tuple[str, ...]:
    sample = f"{one.samples[0][0]}: {one.samples[0][1]}" if one.samples else ""
    where = clean(f"{one.file} {one.field}".strip())
    return f"{one.count:,}", f"{one.rows:,}", one.label, one.rule, where, sample


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]


def _more(total: int) -> list[str]:
    left = total - _MOST_SHOWN
    return [f"  … and {left:,} more: --report FILE has them."] if left > 0 else []


def _where(one: Problem) -> str:
    row = f", row {one.row}" if one.row else ""
    return clean(one.file + row + (f", {one.field}" if one.field else ""))


def as_page(report: Report) -> str:
    """Return a report as an HTML page that needs nothing else."""
    say = "".join(f"<p>{escape(line)}</p>" for line in _summary(report))
    places = _table(
        "What was found where",
        ("-Count", "-Rows", "What", "Rule", "File", "Field", "Row: what stands around"),
        (
            (f"{p.count:,}", f"{p.rows:,}", p.label, p.rule, p.file, p.field, _samples(p))
            for p in sorted(report.places, key=lambda one: -one.count)
        ),
    )
    problems = _table(
        "What could not be checked",
        ("File", "-Row", "Field", "Why"),
        ((p.file, str(p.row or ""), p.field, p.why) for p in report.problems),
    )
    more = report.unchecked - len(report.problems)
    problems += f"<p>… and {more:,} more.</p>" if more else ""
    kind, verdict = _verdict(report)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>What was found in the data</title><style>{_STYLE}</style>"
        f"<h1>What was found in the data</h1>"
        f'<p class="verdict {kind}">{escape(verdict)}</p>{say}'
        f"<p>{_LEGEND}</p>{problems if report.problems else ''}{places}"
        f"<p><small>Keelmark {escape(report.keelmark)}, policy "
        f"<code>{escape(report.policy_digest)}</code>, judged as {escape(report.stage)}.</small>"
        "</p></html>\n"
    )


def _verdict(report: Report) -> tuple[str, str]:
    """What matters most, in a sentence, and what colour it has."""
    found = sum(report.found.values())
    files = len({place.file for place in report.places})
    what = f"{_number(found, 'thing')} found, in {files:,} of {_number(report.files, 'file')}"
    said = what if found else "Nothing found"
    if report.unchecked:
        left = f"{_number(report.unchecked, 'thing')} could not be checked: see below"
        return "unknown", f"{said}. {left}."
    return "found" if found else "clean", f"{said}. Everything was checked."


def _samples(place: Place) -> str:
    return "\n".join(f"{row}: {shown}" for row, shown in place.samples)


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; columns whose heading begins with "-" hold numbers."""
    kinds = ['class="n"' if name.startswith("-") else "" for name in head]
    titles = "".join(
        f'<th scope="col" {kind}>{escape(name.lstrip("-"))}</th>'
        for name, kind in zip(head, kinds, strict=True)
    )
    body = list(chain.from_iterable(_row(row, kinds) for row in rows))
    if not body:
        return f"<h2>{escape(caption)}</h2><p>Nothing.</p>"
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{titles}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _row(row: Sequence[str], kinds: Sequence[str]) -> Iterator[str]:
    yield "<tr>"
    for cell, kind in zip(row, kinds, strict=True):
        yield f"<td {kind}>{escape(clean_lines(cell)).replace(chr(10), '<br>')}</td>"
    yield "</tr>"


def clean_lines(text: str) -> str:
    """Return text whose characters can all be seen; ends of lines stay."""
    return "\n".join(clean(line) for line in text.split("\n"))
