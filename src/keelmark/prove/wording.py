"""The words of a report, shared by its forms, so that HTML and Markdown say the same."""

from __future__ import annotations

from typing import Any

import msgspec

from keelmark.prove.report import ControlResult, EvidenceResult, Gap, Report

STATUS = {
    "satisfied": ("●", "answered", "Every expectation is met by fresh records."),
    "partial": (
        "◐",
        "answered in part",
        "Some expectations are met; the gaps say what is lacking.",
    ),
    "failing": ("✕", "contradicted", "A record speaks against it."),
    "stale": ("◌", "too old", "It was answered once, but the evidence is too old to count."),
    "missing": ("○", "not answered", "Nothing in the ledger answers it."),
    "manual": ("☐", "for a person", "Records cannot answer it; a person has to."),
}
"""Status to mark, short word and meaning."""

RESULT = {
    "met": ("●", "yes"),
    "unmet": ("✕", "no"),
    "stale": ("◌", "too old"),
    "none": ("○", "nothing recorded"),
    "noted": ("·", "for information"),
}
"""Result of a query to mark and word."""

GAP = {
    "failing": "records speak against it",
    "stale": "evidence too old",
    "missing": "no evidence",
    "partial": "evidence in part",
    "manual": "for a person",
    "limit": "Keelmark does not do this yet",
}
"""Kind of a gap in words."""

_COUNTED = {
    "satisfied": "answered by fresh records",
    "partial": "answered in part",
    "failing": "contradicted by records",
    "stale": "resting on evidence that is too old",
    "missing": "not answered yet",
    "manual": "only for a person to answer",
}
_COMPARE = (
    "Compare the size and the root it prints with those of this report ({root}). A record cited "
    "here is unchanged if the SHA-256 of its line in the bundle is the one in the list of records."
)
_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def headline(report: Report) -> str:
    """The whole report in one or two sentences."""
    counts = [
        f"{number(count)} {'is' if count == 1 else 'are'} {_COUNTED[status]}"
        for status, count in report.summary.items()
        if count
    ]
    said = ", ".join(counts[:-1]) + (" and " if len(counts) > 1 else "") + counts[-1]
    against = report.summary.get("failing", 0)
    end = "" if against else " No record speaks against any of them."
    return f"Of {number(len(report.controls))} risks, {said}.{end}"


def verification(report: Report) -> str:
    """How far the ledger can be believed, in one sentence."""
    ledger = report.ledger
    if ledger.verdict == "broken":
        return (
            "The ledger does NOT verify: it was changed or damaged after it was written. "
            "Nothing below may be relied upon."
        )
    if ledger.verdict == "not checked":
        return (
            "The ledger was not verified before it was read, so nothing below counts as fully "
            "answered."
        )
    by = f", signed by {ledger.key.split('+')[0]}," if ledger.key else ""
    when = f" It was verified on {day(ledger.checked)}." if ledger.checked else ""
    return (
        f"The ledger verifies: none of the {ledger.records:,} records under its checkpoint{by} "
        f"was changed, removed or reordered.{when}"
    )


def facts(report: Report) -> list[tuple[str, str]]:
    """Scope and period, as names and values."""
    period = f"{minute(report.first)} to {minute(report.last)}" if report.first else "no records"
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in report.kinds.items())
    return [
        ("Report made", minute(report.made)),
        ("Records read", f"{sum(report.kinds.values()):,}: {kinds}" if kinds else "none"),
        ("Period of the records", period),
        ("Policy in force", report.policy_digest or "none was loaded"),
        ("Models in use", ", ".join(m or "unattested" for m in report.models) or "none"),
        ("Catalogue", f"{report.edition} ({report.source})"),
        ("Questions asked", report.framework_digest),
        ("Ledger checkpoint", f"{report.ledger.records:,} records, root {report.ledger.root}"),
        ("Signed with the key", report.ledger.key or "not named"),
    ]


def freshness(answer: EvidenceResult) -> str:
    """How old the evidence is and how old it may be."""
    if answer.age_days is None:
        return "none"
    age = "today" if answer.age_days < 1 else days(answer.age_days)
    return f"{age}, counts for {answer.fresh_days} days" if answer.fresh_days else age


def grouped(report: Report) -> list[tuple[list[str], Gap]]:
    """The gaps, gravest first, each once with the ids of all controls that have it."""
    found: dict[tuple[str, str, str], tuple[list[str], Gap]] = {}
    for gap in report.gaps:
        found.setdefault((gap.kind, gap.what, gap.how), ([], gap))[0].append(gap.control)
    return list(found.values())


def steps(report: Report) -> list[tuple[str, str]]:
    """How to check the report without trusting who sent it: what to do, and the command."""
    return [
        ("On the machine that keeps the ledger, check it again.", "keelmark ledger verify"),
        (
            "Take it elsewhere: records, checkpoint, public key and a program to check them.",
            "keelmark ledger export audit.zip",
        ),
        (
            "On any machine, without Keelmark and without a network.",
            "python verify_bundle.py audit.zip",
        ),
        (
            _COMPARE.format(root=report.ledger.root),
            "",
        ),
    ]


def quoted(shows: dict[str, Any]) -> str:
    """What a record shows, in one line."""
    return "; ".join(f"{name}: {_value(value)}" for name, value in shows.items())


def days(age: float) -> str:
    """An age in words."""
    whole = round(age)
    return f"{whole} day{'s' * (whole != 1)} old"


def number(count: int) -> str:
    """A count in words up to ten."""
    return _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"


def day(time: str) -> str:
    """The day of an RFC 3339 time."""
    return time[:10]


def minute(time: str) -> str:
    """An RFC 3339 time in UTC to the minute, for people."""
    return f"{time[:10]} {time[11:16]} UTC"


def cited(report: Report) -> list[tuple[int, str, str, str, str]]:
    """All records cited, each once: seq, time, kind, digest, and what they show."""
    found: dict[int, tuple[str, str, str, dict[str, Any]]] = {}
    for control in report.controls:
        for citation in (c for answer in control.evidence for c in answer.records):
            row = found.setdefault(
                citation.seq, (citation.time, citation.kind, citation.digest, {})
            )
            row[3].update(citation.shows)
    return [(seq, *row[:3], quoted(row[3])) for seq, row in sorted(found.items())]


def status_words(control: ControlResult) -> tuple[str, str]:
    """Mark and word of a control's status."""
    return STATUS[control.status][:2]


def _value(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, str):
        return value or "empty"
    return msgspec.json.encode(value).decode()
