"""Holds in the PostgreSQL database of the store: see `keelmark.store.holds`.

An owner's lock is an advisory lock of its session: it ends with the connection, on whatever machine
that was. An owner whose connection broke takes its lock again; should its holds have been given up
for lost meanwhile, its usage is written as the difference.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg

from keelmark.core.metering import Amounts
from keelmark.store import port
from keelmark.store.holds import NOBODY, TABLES
from keelmark.store.postgres.backend import Postgres
from keelmark.store.postgres.connection import Connection
from keelmark.store.usage import read_spent

_LOCK = 0x4B45454C484F4C44  # "KEELHOLD"
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_LOCK})"
_SESSION = """
SET synchronous_commit = off;
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3
"""


class PostgresShelf:
    """Holds in a database of a PostgreSQL server.

    Args:
        base: The database.
    """

    def __init__(self, base: Postgres) -> None:
        self._base = base
        self._claimed: set[str] = set()
        self._db: Connection | None = None
        with self.transaction():
            for statement in TABLES:
                self.execute(statement.format(int="BIGINT", real="DOUBLE PRECISION"))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Shelf`."""
        with port.explained(self._base):
            self._begin().execute(_BEGIN)
            try:
                yield
                self._use.execute("COMMIT")
            except BaseException:  # boundary: undo it whatever happened, and pass it on
                self._undo()
                raise

    def _begin(self) -> Connection:
        """The connection; opened anew, with its locks, when it was lost."""
        if self._db is not None and self._db.lost:
            self._db = None
        if self._db is None:
            self._db = self._base.connect(write=True)
            self._db.execute(_SESSION)
            owners, self._claimed = self._claimed, set()
            for owner in owners:
                if not self.claim(owner):  # the old session is not gone yet
                    self._db.raw.close()
                    self._db, self._claimed = None, owners
                    raise psycopg.OperationalError("the connection from before still stands")
        return self._db

    def _undo(self) -> None:
        if self._db is None:
            return
        try:
            self._db.execute("ROLLBACK")
        except psycopg.Error:
            self._db.raw.close()

    @property
    def _use(self) -> Connection:
        if self._db is None:
            raise psycopg.OperationalError("the connection was lost")
        return self._db

    def execute(self, statement: str, values: Sequence[object] = ()) -> Any:
        """See `Shelf`."""
        return self._use.execute(statement, values)

    def spent(self, accounts: Sequence[str]) -> Mapping[str, Amounts]:
        """See `Shelf`: a statement of its own sees what is committed before it begins."""
        return read_spent(self._use, accounts)

    def now(self) -> float:
        """See `Shelf`: the server's clock."""
        row = self.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        return float(row[0])

    def claim(self, owner: str) -> bool:
        """See `Shelf`."""
        if owner == NOBODY or owner in self._claimed:
            return True
        row = self.execute("SELECT pg_try_advisory_lock(?)", (_number(owner),)).fetchone()
        if row[0]:
            self._claimed.add(owner)
        return bool(row[0])

    def unclaim(self, owner: str) -> None:
        """See `Shelf`."""
        if owner in self._claimed:
            self._claimed.discard(owner)
            self.execute("SELECT pg_advisory_unlock(?)", (_number(owner),))

    def close(self) -> None:
        """See `Shelf`."""
        if self._db is not None:
            self._db.raw.close()
            self._db = None


def _number(owner: str) -> int:
    return int(owner, 16) & 0x7FFFFFFFFFFFFFFF
