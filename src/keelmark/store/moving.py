"""Move a store from its SQLite file to a PostgreSQL database, ledger and all."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from keelmark.core.errors import IntegrityError, UnavailableError, UsageError
from keelmark.store.errors import explained
from keelmark.store.ledger import newest_checkpoint
from keelmark.store.port import Db
from keelmark.store.port import explained as told
from keelmark.store.postgres.backend import Postgres
from keelmark.store.postgres.connection import tables
from keelmark.store.report import verify_ledger
from keelmark.store.sqlite import FILE, connect
from keelmark.store.traces import as_filed
from keelmark.store.verify_bundle import Key

_OURS = {"migrations", "writers"}  # each database has its own
_ROWS, _BYTES = 500, 4_000_000  # what one statement carries


def move(folder: Path, database: str, key: Key) -> int:
    """Copy everything in one transaction, verify the copy, and put the file aside.

    Args:
        folder: The data folder; nobody else has its store open.
        database: Address of a PostgreSQL database in which no ledger has begun.
        key: Key of the ledger.

    Returns:
        Number of ledger records.

    Raises:
        KeelmarkError: It could not be done; the file is as it was, and the database is empty.
    """
    path = folder / FILE
    if not path.exists():
        raise UsageError(f"There is no store in {folder} to be moved; check the data folder.")
    with _alone(path) as source:
        checked = verify_ledger(source, key, None)
        if not checked.ok:
            raise IntegrityError(
                "The ledger does not verify, so it is not moved; see `keelmark ledger verify`."
            )
        target = Postgres(database)
        writing = target.writing()
        try:
            with told(target):
                db = writing.begin()
                _copy(source, db, sorted(tables(db) - _OURS), target.place)
                copied = verify_ledger(db, key, (newest_checkpoint(source) or ("", "", ""))[2])
                if copied != checked:
                    raise IntegrityError(
                        f"What was copied to {target.place} does not verify, so nothing was "
                        "moved; try again, and report it."
                    )
                writing.commit()
        finally:
            writing.rollback()
            writing.close()
        path.rename(path.with_suffix(".db.moved"))
    return checked.size


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[sqlite3.Connection]:
    """Lend the file to nobody else."""
    with explained(path), contextlib.closing(connect(path, write=True)) as db:
        try:
            db.execute("PRAGMA busy_timeout = 0")
            db.execute("PRAGMA journal_mode = DELETE")  # is refused while anybody else has it open
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise
            raise UnavailableError(
                f"{path} is in use; stop the service and whatever else has it open, then move it."
            ) from None
        yield db


def _copy(source: sqlite3.Connection, target: Db, names: Sequence[str], place: str) -> None:
    there = {name for (name,) in source.execute("SELECT name FROM sqlite_master")}
    for name in names:
        if name not in there:
            continue  # of a part that keeps it elsewhere with SQLite, and empty when nothing runs
        if target.execute(f"SELECT count(*) FROM {name}").fetchone()[0]:  # noqa: S608 (our tables)
            raise UsageError(f"{place} holds a store already; name an empty database.")
        columns = [row[1] for row in source.execute(f"PRAGMA table_info({name})")]
        rows = source.execute(f"SELECT {', '.join(columns)} FROM {name}")  # noqa: S608 (our tables)
        for some in _portions(rows):
            _insert(target, name, columns, some)
        if "id" in columns:
            _continue_ids(target, name)


def _portions(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    some: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        some.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(some) == _ROWS or size > _BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _insert(target: Db, name: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    one = f"({', '.join('?' * len(columns))})"
    marks = ", ".join([one] * len(rows))
    values = [as_filed(v) if isinstance(v, str) else v for row in rows for v in row]
    target.execute(f"INSERT INTO {name} ({', '.join(columns)}) VALUES {marks}", values)  # noqa: S608 (our tables)


def _continue_ids(target: Db, name: str) -> None:
    """Let numbers that the database gives go on after those that were copied."""
    query = "SELECT pg_get_serial_sequence(?, 'id')"
    if (sequence := target.execute(query, (name,)).fetchone()[0]) is not None:
        query = f"SELECT setval(?, coalesce(max(id), 0) + 1, false) FROM {name}"  # noqa: S608 (our tables)
        target.execute(query, (sequence,))
