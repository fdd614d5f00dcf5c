"""Holds in a SQLite file beside the store; `postgres/shelf.py` has them in PostgreSQL."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
import zlib
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
_OPENING = ".opening"
_BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_BOOT = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger("keelmark.store")


class FileShelf:
    """Holds in `meter.db` of a data folder.

    Nothing of it is ever flushed: a flush when the log is moved into the database would stop all
    who reserve for as long as the disk takes. So the file is only whole as long as the machine
    runs; after a start of the machine it is looked through, and begun anew where it is broken.

    Args:
        folder: The data folder; the store in it is open.
        clock: Unix time, seconds.
        boot: Names this run of the machine; "" where nothing does.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.time, boot: str | None = None
    ) -> None:
        self._path = folder / FILE
        self._locks = folder / _LOCKS
        self._files: dict[str, int] = {}
        self._clock = clock
        with explained(self._path):
            self._locks.mkdir(mode=0o700, exist_ok=True)
            with _alone(self._locks / _OPENING):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                self._db = _opened(self._path, _this_boot() if boot is None else boot)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
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


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _this_boot() -> str:
    """What names this run of the machine."""
    try:
        return _BOOT.read_text(encoding="ascii")
    except OSError:
        return ""


def _opened(path: Path, boot: str) -> sqlite3.Connection:
    """Open the file; where the machine was started since, and it is broken, a new one."""
    stamp = zlib.crc32(boot.encode()) & 0x7FFF_FFFF if boot else 0
    db = _connected(path)
    try:
        seen = db.execute("PRAGMA user_version").fetchone()[0]
        if seen and seen == stamp:
            return db
        whole = db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.DatabaseError as error:
        if not error.sqlite_errorname.startswith(_BROKEN):
            db.close()
            raise
        whole = False
    if not whole:
        db.close()
        log.warning(
            "%s was cut off with the machine and is begun anew: rates are counted afresh, what is "
            "spent is kept elsewhere.",
            path.name,
        )
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = _connected(path)
    db.execute("REINDEX")
    db.execute(f"PRAGMA user_version = {stamp}")
    return db


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes out until the block ends."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
