"""Whether a declared use fits licences: allowed, allowed if, not allowed, or could not tell.

Every line names its record and its clause. What no clause answers could not be told; a name that
may mean several records, and licences joined by AND, take the strictest answer; of licences joined
by OR the best is shown. This is not legal advice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from keelmark.vet.licence.expressions import Both, Expression, Name, shown
from keelmark.vet.licence.identify import Kind, Part
from keelmark.vet.licence.records import Act, Effect, Record, Term, When, all_records
from keelmark.vet.licence.use import HARMLESS, Use

NOT_ADVICE = "This is a reading of clauses by a machine, not legal advice."

_ACTS = {
    Act.USE: "use it",
    Act.COMMERCIAL: "use it commercially",
    Act.FINE_TUNE: "fine-tune it",
    Act.QUANTISE: "quantise or convert it",
    Act.DISTIL: "distil it into another model",
    Act.TRAIN_ON_OUTPUTS: "train another model on its outputs",
    Act.PUBLISH_WEIGHTS: "publish its weights",
    Act.PUBLISH_DERIVATIVES: "publish what is made from it",
    Act.SERVE: "serve it to third parties",
    Act.EMBED: "ship it inside a product",
}


class Answer(StrEnum):
    """What can be said, from worst to best."""

    NOT_ALLOWED = "not allowed"
    COULD_NOT_TELL = "could not tell"
    ALLOWED_IF = "allowed if"
    ALLOWED = "allowed"

    @property
    def rank(self) -> int:
        """0 for not allowed up to 3 for allowed."""
        return list(Answer).index(self)


class Clause(NamedTuple):
    """One line of a decision, with the clause behind it.

    Attributes:
        what: What was asked, or for a duty its topic.
        answer: The answer to it; of a duty "allowed if".
        why: One sentence.
        record: Id of the record, or "".
        term: Id of the term, or "".
        quote: The clause, or "".
        offset: Where it begins in the record's text, in code points; -1 without a clause.
        confidence: How sure the reading is.
    """

    what: str
    answer: Answer
    why: str
    record: str = ""
    term: str = ""
    quote: str = ""
    offset: int = -1
    confidence: str = "high"


class Decision(NamedTuple):
    """What can be said of a use under licences.

    Attributes:
        answer: The answer.
        summary: One sentence.
        licence: The licences, as an expression.
        chosen: For licences joined by OR, the one that was chosen; else "".
        lines: Answers to what was asked, the worst first.
        duties: What must be done, if it is allowed.
        notes: What else is worth knowing: termination, law, ownership.
        unanswered: What could not be told, and why.
    """

    answer: Answer
    summary: str
    licence: str
    chosen: str
    lines: tuple[Clause, ...]
    duties: tuple[Clause, ...]
    notes: tuple[Clause, ...]
    unanswered: tuple[str, ...]


class _Says(NamedTuple):
    """What one branch of an expression says."""

    lines: list[Clause]
    duties: list[Clause]
    notes: list[Clause]
    chosen: list[str]

    @property
    def answer(self) -> Answer:
        worst = min((line.answer for line in self.lines), key=_rank, default=Answer.COULD_NOT_TELL)
        return Answer.ALLOWED_IF if worst is Answer.ALLOWED and self.duties else worst


def decide(
    use: Use, licence: Expression | None, texts: Mapping[str, Part] | None = None
) -> Decision:
    """Say whether a use fits licences.

    Args:
        use: What is to be done; nothing declared gives the duties of plain use.
        licence: The licences, or None when none was found.
        texts: For records whose text is at hand with differences, how it was found.
    """
    if licence is None:
        why = "No licence was found: without one nothing is allowed, but one may exist elsewhere."
        says = _Says([Clause("licence", Answer.COULD_NOT_TELL, why)], [], [], [])
        return _decision(says, "none found")
    return _decision(_branch(use, licence, texts or {}), shown(licence))


def duties_of(record: Record) -> tuple[Clause, ...]:
    """Return everything that a record demands, whatever the use."""
    return tuple(_clause(record, term, term.topic, Answer.ALLOWED_IF)
                 for term in record.terms if term.effect is Effect.REQUIRES)  # fmt: skip


def places(count: int) -> str:
    """Write a number of places."""
    return "1 place" if count == 1 else f"{count} places"


def applies(when: When, use: Use) -> bool | None:
    """Say whether the condition of a term holds for a use; None when the use does not say."""
    answers: list[bool | None] = []
    if when.commercial is not None:
        answers.append(None if use.commercial is None else use.commercial is when.commercial)
    for limit, value in (
        (when.monthly_users, use.monthly_users),
        (when.annual_revenue, use.annual_revenue),
    ):
        if limit is not None:
            answers.append(None if value is None else value > limit)
    if when.regions:
        answers.append(_any(use.in_region(region) for region in when.regions))
    if when.domains:
        answers.append(None if use.domains is None else bool({*when.domains} & {*use.domains}))
    if when.modality:
        answers.append(None if use.modality is None else bool({*when.modality} & {*use.modality}))
    if False in answers:
        return False
    return None if None in answers else True


def _any(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    if True in found:
        return True
    return None if None in found else False


def _rank(answer: Answer) -> int:
    return answer.rank


def _branch(use: Use, licence: Expression, texts: Mapping[str, Part]) -> _Says:
    if isinstance(licence, Name):
        return _name(use, licence, texts)
    branches = [_branch(use, part, texts) for part in licence.parts]
    if isinstance(licence, Both):
        return _all(branches)
    order = sorted(range(len(branches)), key=lambda at: _worth(branches[at]))
    best = branches[order[0]]
    return best._replace(chosen=[*best.chosen, shown(licence.parts[order[0]])])


def _worth(says: _Says) -> tuple[int, int]:
    return -says.answer.rank, len(says.duties)


def _all(branches: Sequence[_Says]) -> _Says:
    return _Says(
        [line for branch in branches for line in branch.lines],
        [duty for branch in branches for duty in branch.duties],
        [note for branch in branches for note in branch.notes],
        [name for branch in branches for name in branch.chosen],
    )


def _name(use: Use, name: Name, texts: Mapping[str, Part]) -> _Says:
    if not name.records:
        known = f" (a known licence, {name.title})" if name.title else ""
        why = f"There is no record of {name.said!r}{known}: read its text."
        return _Says([Clause("licence", Answer.COULD_NOT_TELL, why)], [], [], [])
    says = _all(
        [_record(use, all_records()[record], texts.get(record), texts) for record in name.records]
    )
    if name.exception:
        says.lines[:] = [
            line._replace(
                answer=max(line.answer, Answer.COULD_NOT_TELL, key=_rank),
                why=f"{line.why} The exception {name.exception} may allow more: read it.",
            )
            for line in says.lines
        ]
    return says


def _record(
    use: Use, record: Record, part: Part | None, texts: Mapping[str, Part] | None = None
) -> _Says:
    """What one licence says of a use, with the policies that it makes part of itself."""
    if record.text == "none":
        why = (
            f"The text of {record.name} is not at hand, so that nothing could be checked: read it."
        )
        return _Says([Clause("licence", Answer.COULD_NOT_TELL, why, record.id)], [], [], [])
    says = _Says([], [], [], [])
    altered = part.altered if part and part.kind is Kind.NEAR else frozenset()
    if part and part.kind is Kind.NEAR:
        where = places(len(part.differences))
        why = f"The text differs from {record.name} in {where}: a person must read it."
        says.lines.append(Clause("text", Answer.COULD_NOT_TELL, why, record.id))
    if record.kind == "licence":
        says.lines.extend(_act(use, record, act, altered) for act in use.acts)
        if use.commercial is None:
            says.lines.extend(_undeclared(record))
    _limits(use, record, altered, says)
    for term in record.terms:
        _duty_or_note(use, record, term, altered, says)
    for name in record.policies:
        _policy(use, all_records()[name], (texts or {}).get(name), says)
    return says


def _act(use: Use, record: Record, act: Act, altered: frozenset[str]) -> Clause:
    """Answer one act: forbidden, permitted, or not mentioned."""
    doubt: Clause | None = None
    for term in _covering(record, Effect.FORBIDS, act):
        if not _plain(term.when):
            continue  # caps, fields and territories are lines of their own
        if term.id in altered:
            doubt = _altered(record, term, _ACTS[act])
            continue
        held = applies(term.when, use)
        if held:
            return _clause(record, term, _ACTS[act], Answer.NOT_ALLOWED)
        if held is None:
            why = f"{term.says} Declare whether the use is commercial."
            doubt = _clause(record, term, _ACTS[act], Answer.COULD_NOT_TELL)._replace(why=why)
    if doubt:
        return doubt
    for term in _covering(record, Effect.PERMITS, act):
        if term.id in altered:
            doubt = _altered(record, term, _ACTS[act])
        else:
            return _clause(record, term, _ACTS[act], Answer.ALLOWED)
    if doubt:
        return doubt
    why = f"No clause that the record of {record.name} knows answers this: read the text."
    return Clause(_ACTS[act], Answer.COULD_NOT_TELL, why, record.id)


def _undeclared(record: Record) -> list[Clause]:
    """What a ban on commercial use leaves open when the use does not say whether it is one."""
    return [
        _clause(record, term, _ACTS[Act.COMMERCIAL], Answer.COULD_NOT_TELL)._replace(
            why=f"{term.says} Declare `commercial`."
        )
        for term in _covering(record, Effect.FORBIDS, Act.COMMERCIAL)
        if "all" not in term.acts and _plain(term.when)
    ][:1]


def _covering(record: Record, effect: Effect, act: Act) -> list[Term]:
    return [term for term in record.terms if term.effect is effect and term.covers(act)]


def _plain(when: When) -> bool:
    return not (
        when.monthly_users or when.annual_revenue or when.regions or when.domains or when.modality
    )


def _limits(use: Use, record: Record, altered: frozenset[str], says: _Says) -> None:
    """Caps, territories and fields of use: bans that depend on the declared use."""
    possible = (*use.acts, *((Act.COMMERCIAL,) if use.commercial is None else ()))
    for term in record.terms:
        if term.effect is not Effect.FORBIDS or _plain(term.when):
            continue
        if not any(term.covers(act) for act in possible):
            continue
        what, asks = _limit(term.when)
        held = applies(term.when, use)
        if term.id in altered and held is not False:
            says.lines.append(_altered(record, term, what))
        elif held:
            says.lines.append(_clause(record, term, what, Answer.NOT_ALLOWED))
        elif held is None and term.when.domains:
            says.duties.append(_clause(record, term, "field_of_use", Answer.ALLOWED_IF))
        elif held is None:
            why = f"{term.says} Declare {asks}."
            says.lines.append(_clause(record, term, what, Answer.COULD_NOT_TELL)._replace(why=why))
        elif not term.when.domains and term.id not in altered:
            why = f"Below the limit, or outside it: {term.says}"
            says.lines.append(_clause(record, term, what, Answer.ALLOWED)._replace(why=why))


def _limit(when: When) -> tuple[str, str]:
    if when.monthly_users:
        return f"more than {when.monthly_users:,} monthly users", "`commercial` and `monthly_users`"
    if when.annual_revenue:
        return (
            f"annual revenue above {when.annual_revenue:,} USD",
            "`commercial` and `annual_revenue`",
        )
    if when.regions:
        return f"use in {', '.join(when.regions)}", "`regions` and `modality`"
    if when.domains:
        return f"fields: {', '.join(when.domains)}", "`domains`"
    return f"modality: {', '.join(when.modality)}", "`modality`"


def _duty_or_note(
    use: Use, record: Record, term: Term, altered: frozenset[str], says: _Says
) -> None:
    if term.effect is Effect.NOTES:
        if any(term.covers(act) for act in use.acts):
            says.notes.append(_clause(record, term, term.topic, Answer.ALLOWED))
        return
    if term.effect is not Effect.REQUIRES or not any(term.covers(act) for act in use.acts):
        return
    held = applies(term.when, use)
    if term.id in altered and held is not False:
        says.lines.append(_altered(record, term, f"duty: {term.topic}"))
    elif held is not False:
        says.duties.append(_clause(record, term, term.topic, Answer.ALLOWED_IF))


def _policy(use: Use, policy: Record, part: Part | None, says: _Says) -> None:
    """Add what a policy on use says; without its text, fields that it may exclude stay open."""
    if policy.text != "none":
        inner = _record(use, policy, part)
        says.lines.extend(inner.lines)
        says.duties.extend(inner.duties)
        says.notes.extend(inner.notes)
        return
    why = f"The text of the {policy.name} is not at hand: read it for the fields you use it in."
    risky = [domain for domain in use.domains or () if domain not in HARMLESS]
    if risky:
        what = f"fields: {', '.join(risky)}"
        says.lines.append(Clause(what, Answer.COULD_NOT_TELL, why, policy.id))
    else:
        says.duties.append(Clause("use_policy", Answer.ALLOWED_IF, why, policy.id))


def _clause(record: Record, term: Term, what: str, answer: Answer) -> Clause:
    return Clause(
        what, answer, term.says, record.id, term.id, term.quote, term.offset, term.confidence
    )


def _altered(record: Record, term: Term, what: str) -> Clause:
    why = f"The clause is not in the text as in {record.name}, which says: {term.says}"
    return _clause(record, term, what, Answer.COULD_NOT_TELL)._replace(why=why)


def _decision(says: _Says, licence: str) -> Decision:
    lines = tuple(sorted(dict.fromkeys(says.lines), key=lambda line: line.answer.rank))
    duties = tuple(dict.fromkeys(says.duties))
    answer = says.answer
    open_ = tuple(dict.fromkeys(
        f"{line.what}: {line.why}" for line in lines if line.answer is Answer.COULD_NOT_TELL
    ))  # fmt: skip
    count = len(duties)
    bad = next((line for line in lines if line.answer is Answer.NOT_ALLOWED), None)
    said = {
        Answer.ALLOWED: "The use is allowed.",
        Answer.ALLOWED_IF: f"The use is allowed if duties are met: {count}.",
        Answer.NOT_ALLOWED: f"The use is not allowed: {bad.why if bad else ''}",
        Answer.COULD_NOT_TELL: f"It could not be told whether it is allowed: {len(open_)} open.",
    }[answer]
    return Decision(
        answer,
        f"{said} {NOT_ADVICE}",
        licence,
        "; ".join(says.chosen),
        lines,
        duties,
        tuple(dict.fromkeys(says.notes)),
        open_,
    )
