"""The connection that writes, among others that write to the same ledger.

The ledger is a chain, so writers take turns: each transaction holds one advisory lock, from before
it reads the end of the ledger until it is committed. Every transaction also leaves its number in
the table `writers`; when the answer to a COMMIT is lost, that number tells whether it was done.
PostgreSQL's own transaction numbers could not: after a crash they may be given out again.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from keelmark.core.errors import KeelmarkError
from keelmark.store import port, schema
from keelmark.store.port import UnsureError
from keelmark.store.postgres.connection import Connection, Migrating, NotKeptError, is_lost, tables

T = TypeVar("T")

LOSSES = 4  # how often in a row a transaction is begun anew because its connection was lost
_LOCK = 0x4B45454C4D41524B  # "KEELMARK"
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_LOCK})"
_WRITERS = """
CREATE TABLE IF NOT EXISTS writers (writer TEXT PRIMARY KEY, batch BIGINT NOT NULL,
 seen TIMESTAMPTZ NOT NULL DEFAULT now())
"""
_NOTE = (
    "INSERT INTO writers VALUES ('{writer}', {batch}) ON CONFLICT (writer) DO UPDATE"
    " SET batch = excluded.batch, seen = excluded.seen; COMMIT"
)
# The planner must keep no samples of what is sealed: they would outlive an erasure.
_SEALED = (
    "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = current_schema() AND data_type = 'bytea'"
)


class Writing:
    """The connection that writes; opened anew when it is lost. See `keelmark.store.port`.

    Args:
        connect: Opens a connection.
        place: How messages name the database.
    """

    def __init__(self, connect: Callable[[], Connection], place: str) -> None:
        self._connect = connect
        self._place = place
        self._writer = secrets.token_hex(16)
        self._batch = 0
        self._losses = 0
        self._down = False
        self._db: Connection | None = connect()
        try:
            self._migrate(self._db)
        except BaseException:  # boundary: close it whatever happened, and pass it on
            self._drop()
            raise

    def _migrate(self, db: Connection) -> None:
        place = self._place
        if schema.is_current(db, tables(db), place):
            return
        with db.at_leisure():
            db.execute(_BEGIN)
            schema.migrate(Migrating(db), tables(db), place)
            db.execute(_WRITERS)
            for table, column in db.execute(_SEALED).fetchall():
                db.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
            db.execute("COMMIT")

    def begin(self) -> Connection:
        """Begin, with the lock; waits for a server that has gone."""
        return self._patiently(self._start)

    def _start(self) -> Connection:
        if self._db is None:
            self._db = self._connect()
        self._db.execute(_BEGIN)
        return self._db

    def _patiently(self, action: Callable[[], T]) -> T:
        """Do something on a new connection if need be; wait for a server that has gone.

        When it has not come back in time, the next ones do not wait: they ask once.
        """
        deadline = time.monotonic() + (0 if self._down else port.BUSY_SECONDS)
        pause = 0.02
        while True:
            try:
                result = action()
            except psycopg.Error as error:
                if not is_lost(error, self._db):
                    self.rollback()
                    raise
                self._drop()
                if time.monotonic() + pause > deadline:
                    self._down = True
                    raise
            else:
                self._down = False
                return result
            time.sleep(pause)
            pause = min(2 * pause, 0.5)

    def commit(self) -> None:
        """Commit; when the answer is lost, find out whether it was done."""
        self._batch += 1
        db = self._db
        if db is None:
            raise psycopg.OperationalError("the connection is closed")
        try:
            db.execute(_NOTE.format(writer=self._writer, batch=self._batch))
        except psycopg.Error as error:
            if not is_lost(error, db):
                raise
            self._drop()
            if not self._landed():
                raise NotKeptError("the connection was lost") from error
        self._losses = 0

    def _landed(self) -> bool:
        """Whether the transaction whose answer was lost was committed.

        Whoever had the lock has let go of it when this has it: by then all is decided.
        """

        def ask() -> bool:
            db = self._start()
            query = "SELECT batch FROM writers WHERE writer = ?"
            row = db.execute(query, (self._writer,)).fetchone()
            db.execute("ROLLBACK")
            return row == (self._batch,)

        try:
            return self._patiently(ask)
        except (psycopg.Error, KeelmarkError) as error:
            raise UnsureError(
                f"{self._place} went away while it wrote, so nobody can tell whether that "
                "was kept; look for it when the server is back."
            ) from error

    def rollback(self) -> None:
        """Undo what was begun."""
        if self._db is None or self._db.status == TransactionStatus.IDLE:
            return
        if self._db.lost:
            self._drop()
            return
        try:
            self._db.execute("ROLLBACK")
        except psycopg.Error:
            self._drop()

    def stands(self, *, saved: bool) -> bool:
        """Return whether the rest of the transaction still stands."""
        if self._db is None:
            return False
        status = self._db.status
        return status == TransactionStatus.INTRANS or (
            saved and status == TransactionStatus.INERROR
        )

    def again(self, error: Exception) -> bool:
        """Return whether only the connection was lost, and not too often."""
        if not is_lost(error, self._db):
            return False
        self._drop()
        self._losses += 1
        return self._losses <= LOSSES

    def _drop(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.raw.close()

    def close(self) -> None:
        """Close the connection, and leave nothing of this writer."""
        if self._db is not None:
            with contextlib.suppress(psycopg.Error):
                self._db.execute("DELETE FROM writers WHERE writer = ?", (self._writer,))
        self._drop()
