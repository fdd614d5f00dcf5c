"""Under which licence the model is, whether its files agree on it, and what a use then owes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keelmark.core.errors import UsageError
from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Line, Section
from keelmark.vet.contract import Rule
from keelmark.vet.licence.claims import Claim, claims, effective, text_names
from keelmark.vet.licence.decide import (
    NOT_ADVICE,
    Answer,
    Clause,
    Decision,
    decide,
    duties_of,
    places,
)
from keelmark.vet.licence.expressions import Expression, names_in, shown
from keelmark.vet.licence.identify import Kind, Match, Part
from keelmark.vet.licence.records import all_records
from keelmark.vet.licence.use import use_from
from keelmark.vet.survey import Facts, Subject, Survey, Surveyed

TITLE = "Licence"
_TAGS = ("owasp:llm03",)
_WHOLE = 0.9
_LONG_TEXT = 80
_SHOWN = 24
_PLAIN_MARKS = str.maketrans("“”‘’–—", "\"\"''--")

CONTRADICTION = Rule(
    "licence.contradiction",
    "Files that name different licences",
    Severity.MEDIUM,
    "Who relies on the milder one breaks the stricter one.",
    "Ask the publisher which licence holds, or keep to the strictest.",
    _TAGS,
)
ALTERED = Rule(
    "licence.altered",
    "A licence text that was changed",
    Severity.MEDIUM,
    "It reads like a known licence, but a clause that matters is not as in it: duties and limits "
    "may be missing, or be others.",
    "Read the places where it differs, and ask the publisher for the licence that holds.",
    _TAGS,
)
UNKNOWN_TEXT = Rule(
    "licence.unknown_text",
    "A licence text that is not known",
    Severity.INFO,
    "What it allows and demands could not be checked.",
    "Read it.",
    _TAGS,
)
MISSING = Rule(
    "licence.missing",
    "No licence",
    Severity.INFO,
    "Without a licence nobody may use the model, unless one is given elsewhere.",
    "Look for the licence where the model was published, and keep it with the model.",
    _TAGS,
)
NOT_ALLOWED = Rule(
    "licence.not_allowed",
    "A declared use that the licence does not allow",
    Severity.HIGH,
    "Using the model so breaks its licence.",
    "Change the use, get a licence of its own from the publisher, or take another model.",
    _TAGS,
)


def run(subject: Subject) -> Surveyed:
    """Say which licence holds, where files contradict, and what the declared use owes."""
    found = claims(subject.facts)
    licence = effective(found)
    findings = [*_contradictions(found), *_texts(found, subject.facts)]
    if not found:
        findings.append(MISSING.about(".", "model", "No file says under which licence it is."))
    if subject.asked.use is None:
        return Surveyed(_without_use(found, licence, findings), tuple(findings))
    try:
        use = use_from(subject.asked.use)
    except UsageError as error:
        section = Section(
            title=TITLE,
            answer="could not tell",
            summary="The declared use cannot be read, so that nothing was decided.",
            unanswered=(error.message,),
            required=True,
        )
        return Surveyed(section, tuple(findings))
    decision = decide(use, licence, _parts(found))
    if decision.answer is Answer.NOT_ALLOWED:
        worst = next(line for line in decision.lines if line.answer is Answer.NOT_ALLOWED)
        findings.append(NOT_ALLOWED.about(".", worst.what, worst.why, evidence=_evidence(worst)))
    return Surveyed(_with_use(found, decision), tuple(findings))


def _contradictions(found: tuple[Claim, ...]) -> list[ArtefactFinding]:
    """Two places that name licences which have nothing in common."""
    known = [claim for claim in found if claim.about == "model" and _definite(claim)]
    findings, seen = [], set()
    for at, one in enumerate(known):
        for other in known[at + 1 :]:
            if one.records & other.records or _pair(one, other) in seen:
                continue
            if not one.records and not other.records:
                continue
            seen.add(_pair(one, other))
            findings.append(
                CONTRADICTION.about(
                    _file(other),
                    other.location,
                    f"It says {_said(other)}, but {one.path} ({one.location}) says {_said(one)}.",
                    evidence=other.said,
                )
            )
    return findings[:8]


def _definite(claim: Claim) -> bool:
    """Say whether a claim is sure enough to contradict another."""
    if claim.licence is None:
        return False
    if claim.source == "card" and claim.location == "license_name":
        return bool(claim.records)
    if claim.match is not None:
        return bool(claim.records)
    return bool(claim.records) or any(name.title for name in names_in(claim.licence))


def _pair(one: Claim, other: Claim) -> frozenset[str]:
    return frozenset({_said(one), _said(other)})


def _said(claim: Claim) -> str:
    return claim.said or (shown(claim.licence) if claim.licence else "nothing")


def _texts(found: tuple[Claim, ...], facts: Facts) -> list[ArtefactFinding]:
    findings: list[ArtefactFinding] = []
    wanted = frozenset().union(*(c.records for c in found if c.match is None))
    for claim in found:
        if claim.match is None or claim.about not in ("model", "code", "data"):
            continue
        if claim.match.kind is Kind.UNKNOWN:
            findings += _unknown(claim, claim.match, wanted, facts)
        elif claim.match.kind is Kind.NEAR:
            findings.append(_near(claim, claim.match))
    return findings


def _near(claim: Claim, match: Match) -> ArtefactFinding:
    altered = [part for part in match.parts if part.altered and part.share >= _WHOLE]
    first = match.differences[0]
    if altered:
        part = altered[0]
        first = next(item for item in part.differences if item.terms)
        terms = ", ".join(sorted(part.altered))
        message = f"It is not quite the {_title(part)}: clauses differ ({terms})."
        severity = Severity.MEDIUM
    else:
        name = _title(next(p for p in match.parts if p.licence == match.licence))
        message = f"It is not word for word the {name}: it differs in {places(_count(claim))}."
        severity = Severity.LOW
    shown_ = first.found or f'{first.missing} words are missing after "{first.after}"'
    return ALTERED.about(
        _file(claim),
        f"{claim.location}, line {first.line}",
        message,
        evidence=shown_.translate(_PLAIN_MARKS),
        severity=severity,
    )


def _file(claim: Claim) -> str:
    return claim.path.partition("!")[0]


def _count(claim: Claim) -> int:
    return len(claim.match.differences) if claim.match else 0


def _title(part: Part) -> str:
    return all_records()[part.licence].name


def _unknown(
    claim: Claim, match: Match, wanted: frozenset[str], facts: Facts
) -> list[ArtefactFinding]:
    """A text that is none of the known ones, beside a name whose text is known."""
    text = str(facts.get(claim.path, {}).get("text", ""))
    mentioned = text_names(text)
    held = [name for name in sorted(wanted) if all_records()[name].text != "none"]
    if held and match.words >= _LONG_TEXT and not mentioned & wanted:
        name = all_records()[held[0]].name
        message = f"It is not the text of the {name}, which another file names."
        return [CONTRADICTION.about(_file(claim), claim.location, message)]
    if mentioned:
        return []
    message = "It is none of the licence texts that are known."
    return [UNKNOWN_TEXT.about(_file(claim), claim.location, message)]


def _parts(found: tuple[Claim, ...]) -> dict[str, Part]:
    """How each record's text was found, the worst first; a full copy beats an altered one."""
    parts: dict[str, Part] = {}
    for claim in found:
        for part in claim.match.parts if claim.match and claim.about == "model" else ():
            if part.licence not in parts or part.kind is Kind.FULL:
                added = claim.match.added if claim.match else ()
                whole = part._replace(differences=part.differences + added)
                parts[part.licence] = whole._replace(kind=Kind.NEAR) if whole.differences else whole
    return parts


def _without_use(
    found: tuple[Claim, ...], licence: Expression | None, findings: list[ArtefactFinding]
) -> Section:
    if licence is None:
        why = "No known licence was found" if found else "No licence was found"
        return _section("could not tell", f"{why}.", found, [], (f"{why}.",), {})
    records = dict.fromkeys(name for one in names_in(licence) for name in one.records)
    duties = [clause for name in records for clause in duties_of(all_records()[name])]
    unread = tuple(
        f"The text of {all_records()[name].name} is not at hand: read it."
        for name in records
        if all_records()[name].text == "none"
    ) + tuple(
        f"There is no record of {one.said}: read its text."
        for one in names_in(licence)
        if not one.records
    )
    answer = (
        "could not tell"
        if unread
        else ("contradictory" if any(f.rule == CONTRADICTION.id for f in findings) else "known")
    )
    summary = f"It is under {_nice(licence)}. Declare a use to see whether it is allowed."
    data = {"expression": shown(licence), "records": list(records)}
    return _section(answer, summary, found, _duties(duties), unread, data)


def _nice(licence: Expression) -> str:
    if licence and len(names_in(licence)) == 1 and len(names_in(licence)[0].records) == 1:
        return all_records()[names_in(licence)[0].records[0]].name
    return shown(licence)


def _with_use(found: tuple[Claim, ...], decision: Decision) -> Section:
    lines = [*_answers(decision.lines), *_duties(decision.duties)]
    data: dict[str, Any] = {
        "expression": decision.licence,
        "records": sorted({clause.record for clause in decision.lines if clause.record}),
        "chosen": decision.chosen,
        "lines": [_plain(clause) for clause in decision.lines],
        "duties": [_plain(clause) for clause in decision.duties],
        "notes": [_plain(clause) for clause in decision.notes],
    }
    section = _section(
        decision.answer.value, decision.summary, found, lines, decision.unanswered, data
    )
    required = decision.answer is Answer.COULD_NOT_TELL
    return Section(**{name: getattr(section, name) for name in section.__struct_fields__}
                   | {"required": required})  # fmt: skip


def _section(
    answer: str,
    summary: str,
    found: tuple[Claim, ...],
    lines: list[Line],
    unanswered: tuple[str, ...],
    data: dict[str, Any],
) -> Section:
    sources = [
        Line(what=f"{claim.path} ({claim.location})", answer=_said(claim)[:200], why=_how(claim))
        for claim in found[:_SHOWN]
    ]
    claimed = [
        {
            "path": claim.path, "location": claim.location, "source": claim.source,
            "about": claim.about, "said": claim.said, "records": sorted(claim.records),
            "match": claim.match.kind.value if claim.match else None,
            "texts": list(claim.match.licences) if claim.match else [],
            "differences": [
                item._asdict() for item in (claim.match.differences if claim.match else ())[:_SHOWN]
            ],
        }
        for claim in found
    ]  # fmt: skip
    return Section(
        title=TITLE,
        answer=answer,
        summary=summary,
        lines=(*sources, *lines),
        unanswered=unanswered,
        data={**data, "claims": claimed, "advice": NOT_ADVICE},
    )


def _how(claim: Claim) -> str:
    if claim.match is None:
        return ""
    if claim.match.kind is Kind.FULL:
        return "The text is word for word as in the record."
    if claim.match.kind is Kind.NEAR:
        return f"The text differs from the record in {places(_count(claim))}."
    return "The text is not known."


def _answers(clauses: tuple[Clause, ...]) -> list[Line]:
    """One line for each clause, with everything that it answers."""
    groups: dict[tuple[str, str, str], list[Clause]] = {}
    for clause in clauses:
        key = (clause.answer.value, clause.term, clause.why)
        groups.setdefault(key, []).append(clause)
    return [
        Line(
            what="; ".join(dict.fromkeys(clause.what for clause in group)),
            answer=group[0].answer.value,
            why=_why(group[0]),
            evidence=_evidence(group[0]),
        )
        for group in groups.values()
    ]


def _duties(clauses: Iterable[Clause]) -> list[Line]:
    return [
        Line(
            what=clause.what.replace("_", " "),
            answer="duty",
            why=_why(clause),
            evidence=_evidence(clause),
        )
        for clause in {(one.what, one.why): one for one in clauses}.values()
    ]


def _why(clause: Clause) -> str:
    doubt = "" if clause.confidence == "high" else " This reading is not certain: read the clause."
    return f"{clause.why}{doubt}"


def _evidence(clause: Clause) -> str:
    if not clause.quote:
        return clause.record
    return f'{clause.record} at {clause.offset}: "{clause.quote.translate(_PLAIN_MARKS)}"'


def _plain(clause: Clause) -> dict[str, Any]:
    return {name: value for name, value in clause._asdict().items() if value not in ("", -1)}


SURVEY = Survey(
    title="Licence and what it demands",
    version="1",
    tags=_TAGS,
    rules=(CONTRADICTION, ALTERED, UNKNOWN_TEXT, MISSING, NOT_ALLOWED),
    examples=("licence-contradiction", "licence-altered", "licence-not-allowed"),
    run=run,
)
