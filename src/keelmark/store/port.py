"""What the store asks of a database: SQLite and PostgreSQL each have one file that gives it.

Statements are written once, in what both understand: `?` marks, `ON CONFLICT`, and the types
INTEGER, REAL, TEXT and BLOB in migrations.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from keelmark.core.errors import KeelmarkError, UnavailableError, UsageError

BUSY_SECONDS = 15.0
"""How long to wait for somebody else's lock, and for a server that went away."""
SILENT_SECONDS = 30.0
"""How long to wait for the answer of a server that is there and says nothing."""


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Number of rows that were changed."""

    def fetchone(self) -> Any:
        """Return the next row as a tuple, or None."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Db(Protocol):
    """A connection within a transaction."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run one statement with `?` marks."""


@runtime_checkable
class _Streaming(Protocol):
    def stream(self, sql: str, parameters: Sequence[Any]) -> Iterator[Any]:
        """Yield rows without holding all of them."""


def stream(db: Db, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
    """Yield the rows of a query that may have more of them than fit into memory."""
    if isinstance(db, _Streaming):
        return db.stream(sql, parameters)
    return iter(db.execute(sql, parameters))


class UnsureError(UnavailableError):
    """Nobody can tell whether a transaction was committed; it must not be run again."""


class Reading(Protocol):
    """A connection that reads."""

    def begin(self) -> Db:
        """Begin a transaction that sees one state of the database."""

    def end(self) -> None:
        """End it."""

    def close(self) -> None:
        """Close the connection."""


class Writing(Protocol):
    """The connection that writes; one transaction after the other, of all processes."""

    def begin(self) -> Db:
        """Begin a transaction that holds the one lock for writing.

        Raises:
            Exception: One of `Backend.errors`; nothing was begun.
        """

    def commit(self) -> None:
        """Commit; returns when it is durable.

        Raises:
            UnsureError: The answer was lost, and nobody could be asked afterwards.
            Exception: One of `Backend.errors`; nothing was written.
        """

    def rollback(self) -> None:
        """Undo what was begun, if it was; raises nothing."""

    def stands(self, *, saved: bool) -> bool:
        """Return whether after an error the rest of the transaction still stands.

        Args:
            saved: There is a savepoint to go back to.
        """

    def again(self, error: Exception) -> bool:
        """Return whether the transaction failed only because the connection was lost."""

    def close(self) -> None:
        """Close the connection."""


class Backend(Protocol):
    """A database."""

    @property
    def place(self) -> str:
        """How messages name it; without a password."""

    @property
    def remote(self) -> bool:
        """Whether an answer takes so long that an event loop must not wait for it."""

    @property
    def errors(self) -> type[Exception]:
        """What its driver raises."""

    def reading(self) -> Reading:
        """Open a connection that reads.

        Raises:
            KeelmarkError: It cannot be opened, is not a store of ours, or has to be migrated.
        """

    def writing(self) -> Writing:
        """Open the connection that writes, and bring the tables up to date.

        Raises:
            KeelmarkError: It cannot be opened or is not a store of ours.
        """

    def explain(self, error: Exception) -> KeelmarkError:
        """Return the one sentence for an error of the driver."""

    def scrub(self) -> None:
        """Clear what overwritten keys have left behind.

        Raises:
            UnavailableError: Somebody still reads the old state.
        """


def refused(place: str, why: str, wanted: str) -> UsageError:
    """Return the error for a database that is not of the kind that is needed."""
    return UsageError(f"{place} cannot be used, because {why}; Keelmark needs {wanted}.")


@contextlib.contextmanager
def explained(backend: Backend) -> Iterator[None]:
    """Turn errors of the driver within the block into KeelmarkErrors."""
    try:
        yield
    except backend.errors as error:
        raise backend.explain(error) from error
