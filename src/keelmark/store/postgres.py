"""The store on PostgreSQL, for several machines that write to one ledger.

The ledger is a chain, so writers take turns: each transaction holds one advisory lock, from before
it reads the end of the ledger until it is committed. Every transaction also leaves its number in
the table `writers`; when the answer to a COMMIT is lost, that number tells whether it was done.
PostgreSQL's own transaction numbers could not: after a crash they may be given out again.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, TypeVar

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.pq import TransactionStatus

from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.store import port, schema
from keelmark.store.port import UnsureError
from keelmark.store.postgres_words import explain as explain_error
from keelmark.store.postgres_words import in_types, read_address, translated

T = TypeVar("T")
_Raw = psycopg.Connection[tuple[Any, ...]]

OLDEST = 140000
LOSSES = 4  # how often in a row a transaction is begun anew because its connection was lost
_LOCK = 0x4B45454C4D41524B  # "KEELMARK"
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_LOCK})"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_SET_UP = """
SET lock_timeout = '{busy}ms';
SET idle_in_transaction_session_timeout = '{idle}ms';
SET client_min_messages = 'error';
SELECT set_config('synchronous_commit', 'on', false)
 WHERE current_setting('synchronous_commit') = 'off'
"""
_WRITERS = """
CREATE TABLE IF NOT EXISTS writers (writer TEXT PRIMARY KEY, batch BIGINT NOT NULL,
 seen TIMESTAMPTZ NOT NULL DEFAULT now())
"""
_NOTE = (
    "INSERT INTO writers VALUES ('{writer}', {batch}) ON CONFLICT (writer) DO UPDATE"
    " SET batch = excluded.batch, seen = excluded.seen; COMMIT"
)
# Columns that the planner must keep no samples of: those would outlive an erasure.
_SEALED = (("subjects", "wrapped"), ("content", "sealed"), ("secrets", "value"))
_REWRITE = "ALTER TABLE subjects ALTER COLUMN wrapped TYPE BYTEA USING substring(wrapped FROM 1)"

_LOST = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.IdleSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
)
_DEFAULTS: dict[str, Any] = {
    "application_name": "keelmark",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(port.BUSY_SECONDS * 1000),
}


class StandbyError(psycopg.OperationalError):
    """The server is one that only follows another."""


class _BoolDumper(Dumper):
    """Truth as 0 and 1, which is what SQLite knows."""

    oid = 20

    def dump(self, obj: bool) -> bytes:  # noqa: FBT001 (the signature of psycopg)
        return b"1" if obj else b"0"


class _NumericLoader(Loader):
    """Sums of whole numbers as whole numbers, which is what SQLite gives."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdigit() else float(text)


def _adapters() -> AdaptContext:
    known = AdaptersMap(psycopg.adapters)
    known.register_dumper(bool, _BoolDumper)
    known.register_loader("numeric", _NumericLoader)
    return known


_ADAPTERS = _adapters()


class Connection:
    """A connection that understands our statements.

    Args:
        raw: The driver's connection.
    """

    def __init__(self, raw: _Raw) -> None:
        self.raw = raw
        self._names = count()

    def execute(
        self, sql: str, parameters: Sequence[Any] = (), /
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run one statement with `?` marks."""
        if not parameters:
            return self.raw.execute(sql.encode())
        return self.raw.execute(translated(sql), parameters)

    def stream(self, sql: str, parameters: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield rows without holding all of them."""
        with self.raw.cursor(f"rows_{next(self._names)}") as cursor:
            cursor.itersize = 1000
            statement = translated(sql) if parameters else sql.encode()
            yield from cursor.execute(statement, parameters or None)

    @property
    def lost(self) -> bool:
        """Whether it was closed, by whomever."""
        return self.raw.closed

    @property
    def status(self) -> TransactionStatus:
        """Where it is in a transaction."""
        return self.raw.info.transaction_status


class _Migrating:
    """A connection for migrations: declares tables in PostgreSQL's types."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> port.Cursor:
        return self._db.execute(in_types(sql), parameters)


class Postgres:
    """A store in a database of a PostgreSQL server.

    Args:
        address: `postgresql://user:password@host/database?sslmode=...`, as libpq reads it.

    Raises:
        UsageError: That is no such address.
    """

    remote = True
    errors = psycopg.Error

    def __init__(self, address: str) -> None:
        self._settings, self.place = read_address(address)

    def connect(self, *, write: bool) -> Connection:
        """Open a connection.

        Raises:
            psycopg.Error: It cannot be opened.
            KeelmarkError: The server or the database is not one that can be used.
        """
        settings = {**_DEFAULTS, **self._settings}
        raw: _Raw = psycopg.connect(**settings, autocommit=True, context=_ADAPTERS)
        try:
            self._check(raw, write=write)
            busy = int(port.BUSY_SECONDS * 1000)
            idle = busy if write else 40 * busy
            raw.execute(_SET_UP.format(busy=busy, idle=idle).encode())
        except BaseException:  # boundary: close it whatever happened, and pass it on
            raw.close()
            raise
        return Connection(raw)

    def _check(self, raw: _Raw, *, write: bool) -> None:
        told = raw.info.parameter_status
        if raw.info.server_version < OLDEST:
            version = told("server_version") or "older"
            raise port.refused(self.place, f"its version is {version}", "PostgreSQL 14 or newer")
        if told("server_encoding") != "UTF8":
            encoding = told("server_encoding") or "another"
            raise port.refused(self.place, f"its encoding is {encoding}", "a database in UTF8")
        if write and "on" in (told("in_hot_standby"), told("default_transaction_read_only")):
            raise StandbyError("it only follows another server, or is read-only")

    def reading(self) -> _Reading:
        """Open a connection that reads; see `Backend`."""
        with port.explained(self):
            return _Reading(self)

    def writing(self) -> _Writing:
        """Open the connection that writes; see `Backend`."""
        with port.explained(self):
            return _Writing(self)

    def explain(self, error: Exception) -> KeelmarkError:
        """Return the one sentence for an error; see `Backend`."""
        return explain_error(error, self.place)

    def scrub(self) -> None:
        """Write the table of keys anew: an overwritten row would stay in the old file.

        Unlike VACUUM it leaves nothing for those who still read an older state; they are waited
        for, and no reader is left behind with half a table.
        """
        try:
            with port.explained(self), contextlib.closing(self.connect(write=True).raw) as db:
                db.execute(_REWRITE.encode())
        except UnavailableError as error:
            raise UnavailableError(
                f"The key is destroyed, but its bytes could not be cleared from the files of "
                f"{self.place} yet ({error.message}); run the same command again."
            ) from None


def tables(db: Connection) -> set[str]:
    """Return the names of the tables of our schema."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    return {name for (name,) in db.execute(query)}


def _is_lost(error: Exception, db: Connection | None) -> bool:
    return isinstance(error, psycopg.Error) and (
        db is None or db.lost or isinstance(error, (*_LOST, StandbyError))
    )


class _Reading:
    """A connection that reads; opened anew when the server has closed it."""

    def __init__(self, base: Postgres) -> None:
        self._base = base
        self._db: Connection | None = base.connect(write=False)
        try:
            schema.require_current(self._db, tables(self._db), base.place)
        except BaseException:  # boundary: close it whatever happened, and pass it on
            self.close()
            raise

    def begin(self) -> Connection:
        if self._db is not None:
            with contextlib.suppress(psycopg.OperationalError):
                self._db.execute(_READ)
                return self._db
            self.close()
        self._db = self._base.connect(write=False)
        self._db.execute(_READ)
        return self._db

    def end(self) -> None:
        if self._db is None or self._db.status == TransactionStatus.IDLE:
            return
        try:
            self._db.execute("ROLLBACK")
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.raw.close()


class _Writing:
    """The connection that writes; opened anew when it is lost."""

    def __init__(self, base: Postgres) -> None:
        self._base = base
        self._writer = secrets.token_hex(16)
        self._batch = 0
        self._losses = 0
        self._down = False
        self._db: Connection | None = base.connect(write=True)
        try:
            self._migrate(self._db)
        except BaseException:  # boundary: close it whatever happened, and pass it on
            self._drop()
            raise

    def _migrate(self, db: Connection) -> None:
        place = self._base.place
        if schema.is_current(db, tables(db), place):
            return
        db.execute(_BEGIN)
        schema.migrate(_Migrating(db), tables(db), place)
        db.execute(_WRITERS)
        for table, column in _SEALED:
            db.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
        db.execute("COMMIT")

    def begin(self) -> Connection:
        return self._patiently(self._start)

    def _start(self) -> Connection:
        if self._db is None:
            self._db = self._base.connect(write=True)
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
                if not _is_lost(error, self._db):
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
        self._batch += 1
        db = self._db
        if db is None:
            raise psycopg.OperationalError("the connection is closed")
        try:
            db.execute(_NOTE.format(writer=self._writer, batch=self._batch))
        except psycopg.Error as error:
            if not _is_lost(error, db):
                raise
            self._drop()
            if not self._landed():
                raise
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
                f"{self._base.place} went away while it wrote, so nobody can tell whether that "
                "was kept; look for it when the server is back."
            ) from error

    def rollback(self) -> None:
        if self._db is None or self._db.status == TransactionStatus.IDLE:
            return
        try:
            self._db.execute("ROLLBACK")
        except psycopg.Error:
            self._drop()

    def stands(self, *, saved: bool) -> bool:
        if self._db is None:
            return False
        status = self._db.status
        return status == TransactionStatus.INTRANS or (
            saved and status == TransactionStatus.INERROR
        )

    def again(self, error: Exception) -> bool:
        if not _is_lost(error, self._db):
            return False
        self._drop()
        self._losses += 1
        return self._losses <= LOSSES

    def _drop(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.raw.close()

    def close(self) -> None:
        if self._db is not None:
            with contextlib.suppress(psycopg.Error):
                self._db.execute("DELETE FROM writers WHERE writer = ?", (self._writer,))
        self._drop()
