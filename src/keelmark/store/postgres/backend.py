"""A database of a PostgreSQL server, and connections that read."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.store import port, schema
from keelmark.store.postgres.connection import ADAPTERS, Connection, Raw, StandbyError, tables
from keelmark.store.postgres.words import explain, read_address
from keelmark.store.postgres.writing import Writing

OLDEST = 140000
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_SET_UP = """
SET lock_timeout = '{busy}ms';
SET idle_in_transaction_session_timeout = '{idle}ms';
SET client_min_messages = 'error';
SELECT set_config('synchronous_commit', 'on', false)
 WHERE current_setting('synchronous_commit') = 'off'
"""
_REWRITE = "ALTER TABLE subjects ALTER COLUMN wrapped TYPE BYTEA USING substring(wrapped FROM 1)"
_DEFAULTS: dict[str, Any] = {
    "application_name": "keelmark",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(port.BUSY_SECONDS * 1000),
}


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
        raw = Raw.connect(**settings, autocommit=True, context=ADAPTERS)
        try:
            raw.patience = port.SILENT_SECONDS
            self._check(raw, write=write)
            busy = int(port.BUSY_SECONDS * 1000)
            # A writer that was cut off lets go of the lock before those who wait for it give up.
            idle = busy * 2 // 3 if write else 40 * busy
            raw.execute(_SET_UP.format(busy=busy, idle=idle).encode())
        except BaseException:  # boundary: close it whatever happened, and pass it on
            raw.close()
            raise
        return Connection(raw)

    def _check(self, raw: Raw, *, write: bool) -> None:
        told = raw.info.parameter_status
        if raw.info.server_version < OLDEST:
            version = told("server_version") or "older"
            raise port.refused(self.place, f"its version is {version}", "PostgreSQL 14 or newer")
        if told("server_encoding") != "UTF8":
            encoding = told("server_encoding") or "another"
            raise port.refused(self.place, f"its encoding is {encoding}", "a database in UTF8")
        if write and "on" in (told("in_hot_standby"), told("default_transaction_read_only")):
            raise StandbyError("it only follows another server, or is read-only")

    def probe(self) -> None:
        """Connect, and change nothing.

        Raises:
            KeelmarkError: It does not answer, or cannot be used.
        """
        with port.explained(self):
            self.connect(write=True).raw.close()

    def reading(self) -> _Reading:
        """Open a connection that reads; see `Backend`."""
        with port.explained(self):
            return _Reading(self)

    def writing(self) -> Writing:
        """Open the connection that writes; see `Backend`."""
        with port.explained(self):
            return Writing(functools.partial(self.connect, write=True), self.place)

    def explain(self, error: Exception) -> KeelmarkError:
        """Return the one sentence for an error; see `Backend`."""
        return explain(error, self.place)

    def scrub(self) -> None:
        """Write the table of keys anew: an overwritten row would stay in the old file.

        Unlike VACUUM it leaves nothing for those who still read an older state; they are waited
        for, and no reader is left behind with half a table.
        """
        try:
            with port.explained(self), contextlib.closing(self.connect(write=True).raw) as db:
                db.patience = None
                db.execute(_REWRITE.encode())
        except UnavailableError as error:
            raise UnavailableError(
                f"The key is destroyed, but its bytes could not be cleared from the files of "
                f"{self.place} yet ({error.message}); run the same command again."
            ) from None


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
        if self._db.lost:
            self.close()
            return
        try:
            self._db.execute("ROLLBACK")
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.raw.close()
