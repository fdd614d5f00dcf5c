"""Holds on budgets, and limits that several processes share.

They lie beside the store proper: in a file of their own (`meter.db`), or in the same PostgreSQL
database. A commit here is not flushed to the disk, since what is held need not outlive the
machine: no request does. It outlives the process, for its holds have to be found.

Why no budget is exceeded. Whoever reserves has the one lock of this file, so sees every hold there
is, and reads what is spent afterwards. A hold is only taken away when its usage is recorded. So
each other call is seen as held, as spent, or for a moment as both; never as neither.

An owner (one process) has a lock of the operating system, or of the database, for as long as it
lives. Holds of an owner whose lock can be had are those of a dead one: no clock is asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from keelmark.core.gcra import level
from keelmark.core.metering import NOTHING, Amounts, Ceiling, Hold, Level, Rate, Short

_MOST_MARKS = 1000
NOBODY = "nobody"
"""Owner of holds whose usage could not be recorded."""

TABLES = (
    (
        "CREATE TABLE IF NOT EXISTS holds (id TEXT, account TEXT, owner TEXT, admitted {real},"
        " money {int}, input {int}, output {int}, about TEXT, PRIMARY KEY (id, account))"
    ),
    "CREATE INDEX IF NOT EXISTS holds_account ON holds (account)",
    "CREATE TABLE IF NOT EXISTS rates (key TEXT PRIMARY KEY, due {real}, seen {real})",
    "CREATE TABLE IF NOT EXISTS busy (call TEXT, key TEXT, owner TEXT, PRIMARY KEY (call, key))",
    "CREATE INDEX IF NOT EXISTS busy_key ON busy (key)",
)
"""Made at first use; the words in braces are the database's own."""


class Shelf(Protocol):
    """The database that holds lie in; used by one thread."""

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Be the only one who writes, in all processes, until the block ends."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> Any:
        """Run a statement with `?` marks; return a cursor."""

    def spent(self, accounts: Sequence[str]) -> Mapping[str, Amounts]:
        """Return what is spent as it is now, not as it was when the transaction began."""

    def now(self) -> float:
        """Return the time that all processes share, seconds."""

    def claim(self, owner: str) -> bool:
        """Take the lock of an owner, without waiting; say whether it was free."""

    def unclaim(self, owner: str) -> None:
        """Give the lock of an owner back."""

    def close(self) -> None:
        """Close the database; locks are given back."""


class Job(NamedTuple):
    """Something to be done, and for whom.

    Attributes:
        kind: Name of a method of `HoldDesk`, without its underscore.
        what: Its argument.
        future: Where the value goes, or None.
    """

    kind: str
    what: Any
    future: Any


class HoldDesk:
    """What is done in one transaction.

    What ends in a batch ends first, so that what begins in it finds the room.
    """

    def __init__(self, shelf: Shelf, owner: str) -> None:
        self.shelf = shelf
        self.owner = owner

    def run(self, batch: list[Job]) -> list[Any]:
        """Do the jobs; return their values in their order."""
        of: dict[str, list[Job]] = {}
        for job in _without_vain(batch):
            of.setdefault(job.kind, []).append(job)
        results: dict[int, Any] = {}
        for kind in ("end", "abandon", "leave", "reserve", "enter", "lost", "forget", "held"):
            if jobs := of.get(kind):
                values = getattr(self, f"_{kind}")([job.what for job in jobs])
                results.update(zip(map(id, jobs), values, strict=True))
        return [results.get(id(job)) for job in batch]

    def _end(self, ids: list[str]) -> list[None]:
        self.shelf.execute(f"DELETE FROM holds WHERE id IN ({_marks(ids)})", ids)  # noqa: S608
        return [None] * len(ids)

    def _abandon(self, ids: list[str]) -> list[None]:
        statement = f"UPDATE holds SET owner = ? WHERE id IN ({_marks(ids)})"  # noqa: S608
        self.shelf.execute(statement, [NOBODY, *ids])
        return [None] * len(ids)

    def _reserve(self, holds: list[Hold]) -> list[Short | None]:
        accounts = sorted({account for hold in holds for account, _ in hold.accounts})
        held = self._sums(accounts)
        spent = self.shelf.spent(accounts)  # after the holds: see the head of this file
        answers: list[Short | None] = []
        rows: list[object] = []
        for hold in holds:
            short = _short(hold, spent, held)
            answers.append(short)
            if short is not None:
                continue
            about = msgspec.json.encode(hold.about).decode()
            for account, _ in hold.accounts:
                held[account] = held.get(account, NOTHING).plus(hold.amounts)
                rows += (hold.id, account, self.owner, hold.admitted, *hold.amounts, about)
        if rows:
            marks = ",".join(["(?,?,?,?,?,?,?,?)"] * (len(rows) // 8))
            self.shelf.execute(f"INSERT INTO holds VALUES {marks}", rows)  # noqa: S608
        return answers

    def _sums(self, accounts: list[str]) -> dict[str, Amounts]:
        if not accounts:
            return {}
        query = (
            "SELECT account, sum(money), sum(input), sum(output) FROM holds"  # noqa: S608 (marks)
            f" WHERE account IN ({_marks(accounts)}) GROUP BY account"
        )
        return _amounts(self.shelf.execute(query, accounts))

    def _held(self, asked: list[None]) -> list[dict[str, Amounts]]:
        query = "SELECT account, sum(money), sum(input), sum(output) FROM holds GROUP BY account"
        return [_amounts(self.shelf.execute(query)) for _ in asked]

    def _enter(self, calls: list[tuple[str, Sequence[Rate]]]) -> list[list[Level]]:
        now = self.shelf.now()
        return [self._enter_one(call, rates, now) for call, rates in calls]

    def _enter_one(self, call: str, rates: Sequence[Rate], now: float) -> list[Level]:
        dues = {rate.key: self._due(rate.key, now) for rate in rates if rate.seconds}
        levels: list[Level] = []
        for rate in rates:
            if rate.seconds:
                dues[rate.key], one = level(dues[rate.key], now, rate)
            else:
                query = "SELECT count(*) FROM busy WHERE key = ?"
                busy = self.shelf.execute(query, (rate.key,)).fetchone()[0] + 1
                one = Level(float(busy > rate.most), max(rate.most - busy, 0), 0.0)
            levels.append(one)
        if any(one.wait for one in levels):
            return levels
        for key, due in dues.items():
            self._set_due(key, due, now)
        for rate in rates:
            if not rate.seconds:
                row = (call, rate.key, self.owner)
                self.shelf.execute("INSERT INTO busy VALUES (?, ?, ?)", row)
        return levels

    def _leave(self, calls: list[tuple[str, Sequence[Rate], int | None]]) -> list[None]:
        now = self.shelf.now()
        for call, rates, tokens in calls:
            if any(not rate.seconds for rate in rates):
                self.shelf.execute("DELETE FROM busy WHERE call = ?", (call,))
            for rate in rates:
                if rate.unit == "tokens" and tokens is not None:
                    due = max(self._due(rate.key, now), now)
                    more = (tokens - rate.cost) * rate.seconds / rate.most
                    self._set_due(rate.key, due + more, now)
        return [None] * len(calls)

    def _due(self, key: str, now: float) -> float:
        """When a limit is due; a clock that went back since takes it along."""
        query = "SELECT due, seen FROM rates WHERE key = ?"
        row = self.shelf.execute(query, (key,)).fetchone()
        return 0.0 if row is None else row[0] - max(row[1] - now, 0.0)

    def _set_due(self, key: str, due: float, now: float) -> None:
        self.shelf.execute(
            "INSERT INTO rates VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " due = excluded.due, seen = excluded.seen",
            (key, due, now),
        )

    def _lost(self, asked: list[None]) -> list[dict[str, list[Hold]]]:
        return [{owner: self._holds_of(owner) for owner in self._dead()} for _ in asked]

    def _dead(self) -> Iterator[str]:
        query = "SELECT owner FROM holds UNION SELECT owner FROM busy"
        for (owner,) in self.shelf.execute(query).fetchall():
            if owner != self.owner and self.shelf.claim(owner):
                yield owner

    def _holds_of(self, owner: str) -> list[Hold]:
        query = (
            "SELECT id, account, admitted, money, input, output, about FROM holds WHERE owner = ?"
            " ORDER BY id, account"
        )
        found: dict[str, Hold] = {}
        for name, account, admitted, money, read, written, about in self.shelf.execute(
            query, (owner,)
        ):
            before = found[name].accounts if name in found else ()
            found[name] = Hold(
                id=name,
                admitted=admitted,
                amounts=Amounts(money, read, written),
                accounts=(*before, (account, Ceiling())),
                about=msgspec.json.decode(about),
            )
        return list(found.values())

    def _forget(self, owners: list[tuple[str, list[str]]]) -> list[None]:
        for owner, holds in owners:
            for first in range(0, len(holds), _MOST_MARKS):  # by name: somebody may add some
                self._end(holds[first : first + _MOST_MARKS])
            self.shelf.execute("DELETE FROM busy WHERE owner = ?", (owner,))
            self.shelf.unclaim(owner)
        return [None] * len(owners)


def _without_vain(batch: list[Job]) -> list[Job]:
    """The jobs of a batch without what begins and ends in it: who asked has stopped waiting."""
    begun = {_NAMES[job.kind](job.what) for job in batch if job.kind in ("reserve", "enter")}
    vain = {_NAMES[job.kind](job.what) for job in batch if job.kind in ("end", "leave")} & begun
    if not vain:
        return batch
    return [j for j in batch if j.kind not in _NAMES or _NAMES[j.kind](j.what) not in vain]


_NAMES: dict[str, Callable[[Any], tuple[str, str]]] = {
    "reserve": lambda hold: ("hold", hold.id),
    "end": lambda name: ("hold", name),
    "enter": lambda asked: ("call", asked[0]),
    "leave": lambda asked: ("call", asked[0]),
}


def _short(hold: Hold, spent: Mapping[str, Amounts], held: Mapping[str, Amounts]) -> Short | None:
    """Why a hold cannot be; what no waiting mends comes first."""
    found: Short | None = None
    for account, ceiling in hold.accounts:
        used, others = spent.get(account, NOTHING), held.get(account, NOTHING)
        alone = ceiling.left(used.plus(hold.amounts))
        if alone.passed:
            return Short(account, alone.passed, used, others, ceiling, waits=False)
        if found is None and (what := alone.left(others).passed):
            found = Short(account, what, used, others, ceiling, waits=True)
    return found


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _amounts(rows: Any) -> dict[str, Amounts]:
    return {row[0]: Amounts(*map(int, row[1:])) for row in rows}
