"""Compiling a framework against the ledger: a pure function of the records and the moment.

How the answers of the queries become the status of a control:

1. nothing met and nothing that speaks against it: missing, or manual where the framework says so;
2. an unmet expectation that means failing: failing;
3. any answer too old: stale;
4. some answers met and some not, or a limit of Keelmark itself: partial;
5. otherwise: satisfied.

A ledger that does not verify proves nothing: every control that rests on it fails. One that was
not verified is not believed either: nothing is more than partial.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import get_args

import msgspec

from keelmark.core import events
from keelmark.core.canonical import digest
from keelmark.core.errors import UsageError
from keelmark.core.events import Record
from keelmark.prove.context import IN_USE, Context, moment
from keelmark.prove.framework import Control, Framework
from keelmark.prove.gather import Gathering
from keelmark.prove.query import Query
from keelmark.prove.report import (
    ControlResult,
    EvidenceResult,
    Gap,
    LedgerState,
    Report,
    Status,
)

_GRAVITY = ("failing", "stale", "missing", "partial", "manual", "limit")
_WEIGHTS = ("high", "medium", "low")
_VERIFY = "Run `keelmark ledger verify`, find out what happened to the ledger, and report anew."
_USE = "Send requests through the service, then report anew."
_START = "Start the service with `keelmark up`, then report anew."
_UNTRUSTED = "The ledger does not verify, so nothing that is recorded in it counts as evidence."


def compile_report(
    framework: Framework, records: Iterable[Record], *, now: datetime, ledger: LedgerState
) -> Report:
    """Compile a report. Reads the records once, in order, and nothing else.

    Args:
        framework: The demands and their queries.
        records: All records of the ledger from the first one, in order.
        now: The moment the report speaks of, with a time zone.
        ledger: How the ledger was verified; records beyond its checkpoint are left out.

    Raises:
        UsageError: `now` has no time zone.
        IntegrityError: A record carries a time that cannot be read.
    """
    if now.tzinfo is None:
        raise UsageError("The moment of a report needs a time zone; give it in UTC.")
    reading = _Reading(framework, now, ledger)
    for record in reading.covered(records):
        reading.take(record)
    state = reading.ledger_state()
    answers = {id(g.query): g.close(reading.context) for g in reading.gatherings}
    controls = tuple(
        _control(control, [answers[id(q)] for q in control.evidence], state)
        for control in framework.controls
    )
    counted = Counter(control.status for control in controls)
    return Report(
        framework=framework.id,
        title=framework.title,
        edition=framework.edition,
        source=framework.source,
        about=framework.about,
        framework_digest=digest(framework),
        made=now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        first=reading.first,
        last=reading.last,
        kinds=dict(sorted(reading.kinds.items())),
        policy_digest=reading.policy_digest,
        models=tuple(str(r.body.get("digest", "")) for r in reading.context.in_use),
        ledger=state,
        summary={status: counted[status] for status in get_args(Status)},
        controls=controls,
        gaps=_ordered(controls),
        notes=tuple(reading.notes()),
    )


class _Reading:
    """One pass over the records."""

    def __init__(self, framework: Framework, now: datetime, ledger: LedgerState) -> None:
        self.context = Context()
        self.kinds: Counter[str] = Counter()
        self.first = self.last = self.policy_digest = ""
        self.gatherings = [Gathering(q, now) for c in framework.controls for q in c.evidence]
        self._by_kind: dict[str, list[Gathering]] = {}
        for gathering in self.gatherings:
            if gathering.query.kind != IN_USE:
                self._by_kind.setdefault(gathering.query.kind, []).append(gathering)
        self._now = now
        self._ledger = ledger
        self._read = self._later = self._ahead = 0
        self._problems = list(ledger.problems)

    def covered(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the records under the checkpoint; notice any that are missing or out of order."""
        for record in records:
            if record.seq >= self._ledger.records:
                self._later += 1
                continue
            if record.seq != self._read and len(self._problems) < 5:
                self._problems.append(
                    f"Record {record.seq} came where record {self._read} was expected."
                )
            self._read = record.seq + 1
            yield record

    def take(self, record: Record) -> None:
        """Let a record be read by every query of its kind, and remember it for later ones."""
        self.kinds[record.kind] += 1
        self.first = self.first or record.time
        self.last = record.time
        written = moment(record.time, f"Record {record.seq}")
        self._ahead += written > self._now
        self.context.learn(record)
        if record.kind == events.POLICY_LOADED:
            self.policy_digest = str(record.body.get("policy_digest", ""))
        waiting = self._by_kind.get(record.kind)
        if waiting:
            document = self.context.read(record)
            for gathering in waiting:
                gathering.offer(record, document, written)

    def ledger_state(self) -> LedgerState:
        """The state of the ledger, given what was seen while reading it."""
        if self._read != self._ledger.records:
            self._problems.append(
                f"The checkpoint covers {self._ledger.records:,} records, but {self._read:,} "
                "could be read."
            )
        verdict = "broken" if self._problems else self._ledger.verdict
        return msgspec.structs.replace(
            self._ledger, verdict=verdict, problems=tuple(self._problems)
        )

    def notes(self) -> Iterator[str]:
        """What the reader should know about how the report came about."""
        if not sum(self.kinds.values()):
            yield "The ledger holds no records, so there is nothing to prove anything with."
        if self._later:
            yield (
                f"{self._later:,} records written after the checkpoint are left out: "
                "a report says only what the checkpoint covers."
            )
        if self._ahead:
            yield (
                f"{self._ahead:,} records carry a time later than this report; "
                "check the clocks of the machines."
            )
        strange = sorted(set(self.kinds) - events.KINDS)
        if strange:
            yield f"Records of unknown kinds were not used: {', '.join(strange)}."


def _control(control: Control, answers: list[EvidenceResult], ledger: LedgerState) -> ControlResult:
    gaps = [
        gap
        for query, answer in zip(control.evidence, answers, strict=True)
        if (gap := _gap(control.id, query, answer)) is not None
    ]
    gaps += [Gap(control=control.id, kind="limit", what=x.what, how=x.how) for x in control.limits]
    status = _status(control, answers)
    if status not in ("missing", "manual"):
        if ledger.verdict == "broken":
            status = "failing"
            gaps.insert(0, Gap(control=control.id, kind="failing", what=_UNTRUSTED, how=_VERIFY))
        elif ledger.verdict == "not checked" and status == "satisfied":
            status = "partial"
            what = "The ledger was not verified before it was read."
            how = "Run `keelmark ledger verify`, then report anew."
            gaps.insert(0, Gap(control=control.id, kind="partial", what=what, how=how))
    gaps = list(dict.fromkeys(gaps))
    gaps.sort(key=lambda gap: _GRAVITY.index(gap.kind))
    return ControlResult(
        id=control.id,
        title=control.title,
        risk=control.risk,
        answer=control.answer,
        weight=control.weight,
        status=status,
        reason=_reason(status, gaps),
        evidence=tuple(answers),
        gaps=tuple(gaps),
        manual=control.manual,
    )


def _status(control: Control, answers: list[EvidenceResult]) -> Status:
    pairs = [
        (query, answer)
        for query, answer in zip(control.evidence, answers, strict=True)
        if query.expect is not None
    ]
    results = {answer.result for _, answer in pairs}
    lacking = {query.otherwise for query, answer in pairs if answer.result == "unmet"}
    if "failing" in lacking:
        return "failing"
    if "stale" in results:
        return "stale"
    if "met" not in results:
        manual = any(query.otherwise == "manual" for query, _ in pairs)
        return "manual" if manual else "missing"
    if control.limits or results != {"met"}:
        return "partial"
    return "satisfied"


def _gap(control: str, query: Query, answer: EvidenceResult) -> Gap | None:
    if query.expect is None or answer.result in ("met", "noted"):
        return None
    what, how, kind = query.gap, query.mend, str(query.otherwise)
    if answer.result == "stale":
        kind = "stale"
        what = f"{query.says} But that is {answer.age_days:.0f} days old, and counts for "
        what += f"{answer.fresh_days} days."
    elif answer.result == "none" and kind != "manual":
        kind, what = "missing", f"Nothing recorded: {answer.measure}."
        how = _USE if query.kind == events.REQUEST else _START
    return Gap(control=control, kind=kind, what=what, how=how)


def _reason(status: Status, gaps: list[Gap]) -> str:
    if status == "satisfied":
        return "Every expectation is met by fresh records."
    return gaps[0].what if gaps else "Nothing in the ledger answers it."


def _ordered(controls: Iterable[ControlResult]) -> tuple[Gap, ...]:
    ranked = [
        ((_GRAVITY.index(gap.kind), _WEIGHTS.index(control.weight), control.id), gap)
        for control in controls
        for gap in control.gaps
    ]
    return tuple(gap for _, gap in sorted(ranked, key=lambda pair: pair[0]))
