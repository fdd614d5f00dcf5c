"""The ledger inside one transaction: append records, seal them with a signed checkpoint."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from operator import add
from typing import Any, NamedTuple

import msgspec

from keelmark.core.canonical import canonical
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.events import KINDS, Record
from keelmark.store.checkpoint import Signer
from keelmark.store.merkle import frontier_root, leaf_hash, push
from keelmark.store.port import Db, stream

KEPT_EVERY = 256  # records; how finely stored checkpoints bound what was rewritten

_ADDED = " ON CONFLICT (account) DO UPDATE SET " + ", ".join(
    f"{column} = spent.{column} + excluded.{column}"
    for column in ("money", "input", "output", "calls", "lost")
)
_RECORD = msgspec.json.Decoder(Record)


class _Mark(NamedTuple):
    """A state to come back to: the end of the ledger, rows put aside, if a savepoint is set."""

    size: int
    frontier: list[bytes]
    rows: int
    saved: bool


class Transaction:
    """One write transaction of several jobs: the database and the end of the ledger.

    The frontier is read from the database under the write lock, never remembered, so that several
    processes can append. Rows may be put aside (`add`): those of all jobs are then written
    together, since every statement costs the service more than the row it writes. `db` writes them
    first, so that a job which uses the database sees them.

    Args:
        db: Connection that holds the write lock.
        signer: Signs the checkpoint.
        now: Unix time, seconds.
    """

    def __init__(self, db: Db, signer: Signer, now: float) -> None:
        self.now = now
        self.keys: dict[str, bytes] = {}
        """Data keys that were read; forgotten when a job uses the database, or is undone."""
        self.reading = db
        """The database without the rows put aside, for what is none of them."""
        self._rows: list[tuple[str, tuple[object, ...]]] = []
        self._job: _Mark | None = None
        self._signer = signer
        moment = datetime.fromtimestamp(now, UTC)
        self.time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        newest = newest_checkpoint(db)
        self._sealed, blob = newest[:2] if newest else (0, b"")
        self.size: int = self._sealed
        self._frontier = split(blob)
        signed = newest[2].split("\n")[1:3] if newest else None
        root = base64.b64encode(frontier_root(self._frontier)).decode()
        if signed not in (None, [str(self.size), root]):
            raise IntegrityError(
                "The end of the ledger was tampered with, so nothing is added to it; run "
                "`keelmark ledger verify`, then restore a backup."
            )

    def append(self, kind: str, body: Mapping[str, Any]) -> int:
        """Append one record; return its index.

        Raises:
            UsageError: The kind is not one of `keelmark.core.events`, or the body is not JSON.
        """
        if kind not in KINDS:
            raise UsageError(f"{kind!r} is no kind of ledger record; see keelmark.core.events.")
        seq = self.size
        try:
            record = canonical({"seq": seq, "time": self.time, "kind": kind, "body": dict(body)})
        except (TypeError, ValueError) as error:
            raise UsageError(f"The body of a {kind} record is not JSON: {error}.") from None
        leaf = leaf_hash(record)
        self.add("records", (seq, kind, record, leaf))
        push(self._frontier, seq, leaf)
        self.size += 1
        return seq

    @property
    def db(self) -> Db:
        """The database, for a job to read and write; all rows put aside are in it."""
        job = self._job
        if job is not None and not job.saved:
            self._write(self._rows[: job.rows])
            self.reading.execute("SAVEPOINT job")
            self._rows = self._rows[job.rows :]
            self._job = job._replace(rows=0, saved=True)
        self._write(self._rows)
        self._rows = []
        self.keys.clear()
        return self.reading

    def add(self, table: str, row: tuple[object, ...]) -> None:
        """Put a row aside for a table."""
        self._rows.append((table, row))

    @property
    def saved(self) -> bool:
        """Whether the database has a savepoint from before the job that runs."""
        return self._job is not None and self._job.saved

    def begin(self) -> None:
        """A job begins: from here on everything can be undone."""
        self._job = _Mark(self.size, list(self._frontier), len(self._rows), saved=False)

    def end(self, *, undo: bool = False) -> None:
        """The job has ended; undo what it did if it failed."""
        job, self._job = self._job, None
        if job is None:
            return
        if undo:
            self.size, self._frontier = job.size, job.frontier
            del self._rows[job.rows :]
            self.keys.clear()  # one of them may have been made by the job
            if job.saved:
                self.reading.execute("ROLLBACK TO job")
        if job.saved:
            self.reading.execute("RELEASE job")

    def _write(self, rows: list[tuple[str, tuple[object, ...]]]) -> None:
        """Write rows, all of a table in one statement."""
        tables: dict[str, list[tuple[object, ...]]] = {}
        for table, row in rows:
            tables.setdefault(table, []).append(row)
        for table, given in tables.items():
            all_of_it = _summed(given) if table == "spent" else given
            one = f"({','.join('?' * len(all_of_it[0]))})"
            marks = ",".join([one] * len(all_of_it))
            then = _ADDED if table == "spent" else ""
            statement = f"INSERT INTO {table} VALUES {marks}{then}"  # noqa: S608 (our own tables)
            self.reading.execute(statement, [value for row in all_of_it for value in row])

    def seal(self) -> None:
        """Sign a checkpoint over everything appended.

        Of the older checkpoints the last one in every `KEPT_EVERY` records stays.
        """
        db = self.db
        if self.size == self._sealed:
            return
        if self._sealed // KEPT_EVERY == self.size // KEPT_EVERY:
            db.execute("DELETE FROM checkpoints WHERE size = ?", (self._sealed,))
        note = self._signer.sign(self.size, frontier_root(self._frontier))
        row = (self.size, b"".join(self._frontier), note)
        db.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", row)


def _summed(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows of numbers, added up by name; in order, so that writers never wait in a ring."""
    sums: dict[str, tuple[int, ...]] = {}
    for name, *numbers in rows:
        before = sums.get(name)
        sums[name] = tuple(map(add, before, numbers)) if before else tuple(numbers)
    return [(name, *sums[name]) for name in sorted(sums)]


def newest_checkpoint(db: Db) -> tuple[int, bytes, str] | None:
    """Return size, frontier and signed note of the newest checkpoint."""
    query = "SELECT size, frontier, note FROM checkpoints ORDER BY size DESC LIMIT 1"
    row: tuple[int, bytes, str] | None = db.execute(query).fetchone()
    return row


def split(frontier: bytes) -> list[bytes]:
    """Return the hashes of a stored frontier."""
    return [frontier[i : i + 32] for i in range(0, len(frontier), 32)]


def read_records(db: Db, kinds: Iterable[str] | None, since: int) -> Iterator[Record]:
    """Yield records in order.

    Args:
        db: Any connection.
        kinds: Only these kinds, or all.
        since: First index.

    Raises:
        IntegrityError: A record cannot be read; the message names it.
    """
    query, values = "SELECT seq, record FROM records WHERE seq >= ?", [since]
    wanted = None if kinds is None else list(kinds)
    if wanted == []:
        return
    if wanted is not None:
        query += f" AND kind IN ({','.join('?' * len(wanted))})"  # only marks are put in
    for seq, record in stream(db, query + " ORDER BY seq", [*values, *(wanted or ())]):
        try:
            yield _RECORD.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise IntegrityError(
                f"Ledger record {seq} cannot be read; run `keelmark ledger verify`."
            ) from None
