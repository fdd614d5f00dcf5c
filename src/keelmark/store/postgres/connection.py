"""A connection to PostgreSQL that understands the statements of the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, TypeVar

import psycopg
from psycopg.abc import AdaptContext, Buffer, PQGen
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.pq import TransactionStatus

from keelmark.store import port
from keelmark.store.postgres.words import in_types, translated

T = TypeVar("T")

_LOST = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.IdleSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
)


class StandbyError(psycopg.OperationalError):
    """The server is one that only follows another."""


class NotKeptError(psycopg.OperationalError):
    """The connection was lost at the end, and the transaction is known not to be committed."""


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


ADAPTERS = _adapters()


class Raw(psycopg.Connection[tuple[Any, ...]]):
    """The driver's connection, except that it does not wait for ever for a silent server."""

    patience: float | None = None
    """How long a statement may take, seconds; None for as long as it takes."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an answer. Raises OperationalError when it does not come in time."""
        return super().wait(gen, interval, self.patience if timeout is None else timeout)


class Connection:
    """A connection that understands our statements.

    Args:
        raw: The driver's connection.
    """

    def __init__(self, raw: Raw) -> None:
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
        with self.at_leisure(), self.raw.cursor(f"rows_{next(self._names)}") as cursor:
            cursor.itersize = 1000
            statement = translated(sql) if parameters else sql.encode()
            yield from cursor.execute(statement, parameters or None)

    @contextlib.contextmanager
    def at_leisure(self) -> Iterator[None]:
        """Let statements within the block take as long as they take."""
        patience, self.raw.patience = self.raw.patience, None
        try:
            yield
        finally:
            self.raw.patience = patience

    @property
    def lost(self) -> bool:
        """Whether it was closed, by whomever, or a statement on it was given up."""
        return self.raw.closed or self.status == TransactionStatus.ACTIVE

    @property
    def status(self) -> TransactionStatus:
        """Where it is in a transaction."""
        return self.raw.info.transaction_status


class Migrating:
    """A connection for migrations: declares tables in PostgreSQL's types."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> port.Cursor:
        """Run one statement of a migration."""
        return self._db.execute(in_types(sql), parameters)


def tables(db: Connection) -> set[str]:
    """Return the names of the tables of our schema."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    return {name for (name,) in db.execute(query)}


def is_lost(error: Exception, db: Connection | None) -> bool:
    """Return whether an error means that a connection cannot be used any more."""
    return isinstance(error, psycopg.Error) and (
        db is None or db.lost or isinstance(error, (*_LOST, StandbyError, NotKeptError))
    )
