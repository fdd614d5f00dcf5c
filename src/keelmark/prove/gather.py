"""Asking one query of a stream of records, in one pass and with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from keelmark.core.canonical import digest
from keelmark.core.events import Record
from keelmark.prove.context import IN_USE, Context, moment
from keelmark.prove.query import Query, field, holds, meets
from keelmark.prove.report import Citation, EvidenceResult, Result

_CITED = 5
_Seen = tuple[Record, Mapping[str, Any], bool | None]
_NOUNS = {
    "request": ("request", "requests"),
    "policy.loaded": ("policy in force", "policies"),
    IN_USE: ("model in use", "models in use"),
    "model.loaded": ("model loaded", "models loaded"),
    "model.refused": ("model refused", "models refused"),
    "key.created": ("key made", "keys made"),
    "subject.erased": ("erasure", "erasures"),
}


class Gathering:
    """The answer to one query, as it grows.

    Args:
        query: What is asked.
        now: The moment the report speaks of.
    """

    def __init__(self, query: Query, now: datetime) -> None:
        self.query = query
        self._now = now
        self._unwanted = query.expect is not None and query.expect.unwanted
        self._since = now - timedelta(days=query.within) if query.within else None
        self._newest: dict[str, Record] = {}
        self._asked = self._holding = self._unknown = 0
        self._first = self._last = self._before = ""
        self._oldest_age: float | None = None
        self._newest_age: float | None = None
        self._exceptions: deque[_Seen] = deque(maxlen=_CITED)
        self._examples: deque[_Seen] = deque(maxlen=_CITED)

    def offer(self, record: Record, document: Mapping[str, Any], written: datetime) -> None:
        """Take a record of the query's kind, with what is added to it and when it was written."""
        asked = holds(document, self.query.where)
        if asked is False:
            return
        if self.query.take == "latest":
            group = str(field(document, self.query.per)) if self.query.per else ""
            self._newest[group] = record
        else:
            self._ask(record, document, written, asked)

    def close(self, context: Context) -> EvidenceResult:
        """The records are through: return the answer."""
        waiting = context.in_use if self.query.kind == IN_USE else self._newest.values()
        for record in sorted(waiting, key=lambda record: record.seq):
            document = context.read(record)
            asked = holds(document, self.query.where)
            if asked is not False:
                self._ask(record, document, moment(record.time, f"Record {record.seq}"), asked)
        return EvidenceResult(
            id=self.query.id,
            says=self.query.says,
            result=self._result(),
            measure=self._measure(),
            asked=self._asked,
            holding=self._holding,
            unknown=self._unknown,
            first=self._first,
            last=self._last or self._before,
            age_days=None if self._age is None else round(self._age, 1),
            fresh_days=self.query.fresh or self.query.within,
            records=tuple(self._cite(*seen) for seen in (*self._exceptions, *self._examples)),
        )

    def _ask(
        self,
        record: Record,
        document: Mapping[str, Any],
        written: datetime,
        asked: bool | None,  # noqa: FBT001 (one of three answers)
    ) -> None:
        """Count one record; `asked` None: whether it is one of those asked cannot be told."""
        age = max(0.0, (self._now - written) / timedelta(days=1))
        if self._since is not None and written < self._since:
            self._before = record.time
            self._newest_age = age
            return
        self._asked += 1
        self._first = self._first or record.time
        self._last = record.time
        self._newest_age = age
        if self.query.fresh_of:
            age = self._age_of_field(record, document)
        self._oldest_age = max(age, self._oldest_age or 0.0)
        answer = asked and holds(document, self.query.that)
        self._holding += answer is True
        self._unknown += answer is None
        supports = None if answer is None else answer is not self._unwanted
        if supports:
            self._examples.append((record, document, supports))
        elif self.query.expect is not None:
            self._exceptions.append((record, document, supports))

    def _age_of_field(self, record: Record, document: Mapping[str, Any]) -> float:
        """Age of what the query counts from; without it nothing can be stale, only unmet."""
        told = field(document, self.query.fresh_of)
        if told is None:
            return 0.0
        since = self._now - moment(told, f"What record {record.seq} rests on")
        return max(0.0, since / timedelta(days=1))

    @property
    def _age(self) -> float | None:
        """Age of the newest record for a series, of the oldest for things in force."""
        series = self.query.take == "all" and self.query.kind != IN_USE
        return self._newest_age if series else self._oldest_age

    def _result(self) -> Result:
        if not self._asked:
            return "stale" if self._before and self.query.expect else "none"
        if self.query.expect is None:
            return "noted"
        if not meets(
            self.query.expect, holding=self._holding, unknown=self._unknown, asked=self._asked
        ):
            return "unmet"
        too_old = self.query.fresh is not None and (self._age or 0.0) > self.query.fresh
        return "stale" if too_old else "met"

    def _measure(self) -> str:
        within = f" in the last {self.query.within} days" if self.query.within else ""
        one, many = _NOUNS.get(self.query.kind, ("record", "records"))
        if not self._asked:
            return f"no {one}{within}"
        if self.query.take == "latest" and not self.query.per and self.query.that:
            unknown = ", cannot tell" if self._unknown else ""
            return f"{one} since {self._last[:10]}{unknown}"
        noun = one if self._asked == 1 else many
        if not self.query.that:
            return f"{self._asked:,} {noun}{within}"
        share = self._holding / self._asked
        percent = "" if share in (0.0, 1.0) else f" ({_percent(share)})"
        unknown = f", {self._unknown:,} cannot tell" if self._unknown else ""
        return f"{self._holding:,} of {self._asked:,} {noun}{percent}{within}{unknown}"

    def _cite(
        self,
        record: Record,
        document: Mapping[str, Any],
        supports: bool | None,  # noqa: FBT001 (one of three answers)
    ) -> Citation:
        return Citation(
            seq=record.seq,
            time=record.time,
            kind=record.kind,
            digest=digest(record),
            supports=supports,
            shows={path: field(document, path) for path in self.query.show},
        )


def _percent(share: float) -> str:
    """A share that never rounds up to all or down to nothing."""
    return f"{min(max(share, 0.0001), 0.9999):.2%}".replace(".00%", "%")
