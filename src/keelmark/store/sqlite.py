"""The store on SQLite: one file in the data folder.

The database runs in WAL mode with `synchronous=FULL`: a commit returns after the log is on the
disk, so what was acknowledged survives `kill -9` and a loss of power.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import time
from pathlib import Path

from keelmark.core.errors import KeelmarkError, UnavailableError, UsageError
from keelmark.store import port, schema
from keelmark.store.errors import explain, explained

FILE = "keelmark.db"


def make_folder(folder: Path) -> None:
    """Make the data folder (0700), if there is none.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from None


def prepare(folder: Path) -> Path:
    """Make the data folder and an empty database file (0600) in it; return the file's path.

    Raises:
        UsageError: The folder cannot be made or written.
    """
    make_folder(folder)
    path = folder / FILE
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise _unusable(folder, error) from None
    return path


def _unusable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"The data folder {folder} cannot be used ({error.strerror}); choose another, or check "
        "its owner and mode."
    )


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open a connection.

    Raises:
        KeelmarkError: It cannot be opened or is not a store of ours.
    """
    uri = f"{path.resolve().as_uri()}?mode={'rw' if write else 'ro'}"
    with explained(path):
        db = sqlite3.connect(
            uri, uri=True, timeout=port.BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            if write:
                _set_up(db)
                _migrate(db, path)
            else:
                # Tampered text must be read to be named, so bytes that are not UTF-8 come through.
                db.text_factory = functools.partial(str, encoding="utf-8", errors="replace")
                schema.require_current(db, _tables(db), str(path))
        except BaseException:  # boundary: close it whatever happened, and pass it on
            db.close()
            raise
    return db


def _set_up(db: sqlite3.Connection) -> None:
    deadline = time.monotonic() + port.BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # Switching the mode does not wait for other openers by itself.
            busy = error.sqlite_errorname.startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA journal_size_limit = 67108864")


def _tables(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master")}


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    if schema.is_current(db, _tables(db), str(path)):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        schema.migrate(db, _tables(db), str(path))
    except BaseException:  # boundary: nothing half-migrated stays
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


class Sqlite:
    """A store in a file.

    Args:
        path: The file.
    """

    remote = False
    errors = sqlite3.Error

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)

    def reading(self) -> _Reading:
        """Open a connection that reads; see `Backend`."""
        return _Reading(connect(self.path, write=False))

    def writing(self) -> _Writing:
        """Open the connection that writes; see `Backend`."""
        return _Writing(connect(self.path, write=True))

    def explain(self, error: Exception) -> KeelmarkError:
        """Return the one sentence for an error; see `Backend`."""
        return explain(error, self.path)

    def scrub(self) -> None:
        """Move the write-ahead log into the database and empty it; nothing old is left there."""
        with explained(self.path), contextlib.closing(connect(self.path, write=True)) as db:
            busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise UnavailableError(
                "The key is destroyed, but another process still reads the old state, so its bytes "
                "are still in the write-ahead log; run the same command again when that has ended."
            )


class _Reading:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def begin(self) -> sqlite3.Connection:
        self._db.execute("BEGIN")
        return self._db

    def end(self) -> None:
        self._db.execute("ROLLBACK")

    def close(self) -> None:
        self._db.close()


class _Writing:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def begin(self) -> sqlite3.Connection:
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def commit(self) -> None:
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def stands(self, *, saved: bool) -> bool:  # noqa: ARG002 (an error undoes its statement only)
        return self._db.in_transaction  # a full disk rolls everything back

    def again(self, error: Exception) -> bool:  # noqa: ARG002 (a file is not lost)
        return False

    def close(self) -> None:
        self._db.close()
