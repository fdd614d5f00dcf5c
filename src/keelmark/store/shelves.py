"""Holds in a SQLite file beside the store; `postgres/shelf.py` has them in PostgreSQL."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keelmark.core.metering import Amounts
from keelmark.store.errors import explained
from keelmark.store.holds import NOBODY, TABLES
from keelmark.store.port import BUSY_SECONDS
from keelmark.store.sqlite import connect
from keelmark.store.usage import read_spent

FILE = "meter.db"
_LOCKS = "owners"


class FileShelf:
    """Holds in `meter.db` of a data folder.

    Args:
        folder: The data folder; the store in it is open.
        clock: Unix time, seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / FILE
        self._locks = folder / _LOCKS
        self._files: dict[str, int] = {}
        self._clock = clock
        with explained(self._path):
            self._locks.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")  # no flush at a commit
            self._db.execute("PRAGMA wal_autocheckpoint = 4000")
            with self.transaction():
                for statement in TABLES:
                    self._db.execute(statement.format(int="INTEGER", real="REAL"))
        self._store = connect(folder / "keelmark.db", write=False)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Shelf`."""
        with explained(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:  # boundary: undo it whatever happened, and pass it on
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def execute(self, statement: str, values: Sequence[object] = ()) -> Any:
        """See `Shelf`."""
        return self._db.execute(statement, values)

    def spent(self, accounts: Sequence[str]) -> Mapping[str, Amounts]:
        """See `Shelf`."""
        return read_spent(self._store, accounts)

    def now(self) -> float:
        """See `Shelf`."""
        return self._clock()

    def claim(self, owner: str) -> bool:
        """See `Shelf`: the lock of a file, which ends with the process."""
        if owner == NOBODY or owner in self._files:
            return True
        file = os.open(self._locks / owner, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._files[owner] = file
        return True

    def unclaim(self, owner: str) -> None:
        """See `Shelf`."""
        if (file := self._files.pop(owner, None)) is not None:
            (self._locks / owner).unlink(missing_ok=True)
            os.close(file)

    def close(self) -> None:
        """See `Shelf`."""
        rows = self._db.execute("SELECT DISTINCT owner FROM holds").fetchall()
        for owner in list(self._files):
            if (owner,) in rows:  # found by the next one who looks
                os.close(self._files.pop(owner))
            else:
                self.unclaim(owner)
        self._db.close()
        self._store.close()
