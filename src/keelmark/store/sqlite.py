"""Connections to the database: one thread that writes, readers beside it.

The database runs in WAL mode with `synchronous=FULL`: a commit returns after the log is on the
disk, so what was acknowledged survives `kill -9` and a loss of power. The writer commits whatever
waits in its queue together, which shares one flush between all of it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from keelmark.core.errors import KeelmarkError, UnavailableError, UsageError
from keelmark.store import schema
from keelmark.store.checkpoint import Signer
from keelmark.store.errors import explain, explained
from keelmark.store.ledger import Transaction

BUSY_SECONDS = 15.0
BATCH = 256

Job = Callable[[Transaction], object]
Result = tuple[object, BaseException | None]


class Ticket(NamedTuple):
    """One job in the queue.

    Attributes:
        job: What to do.
        deliver: Called on the writer's thread with (place, result) pairs, once a batch for all
            tickets that share it.
        place: Where the result goes; only `deliver` knows what it is.
    """

    job: Job
    deliver: Callable[[list[tuple[Any, Result]]], None]
    place: Any


def prepare(folder: Path) -> Path:
    """Make the data folder (0700) and an empty database file (0600); return the file's path.

    Raises:
        UsageError: The folder cannot be made or written.
    """
    path = folder / "keelmark.db"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise UsageError(
            f"The data folder {folder} cannot be used ({error.strerror}); choose another, or "
            "check its owner and mode."
        ) from None
    return path


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open a connection.

    Raises:
        KeelmarkError: It cannot be opened or is not a store of ours.
    """
    uri = f"{path.resolve().as_uri()}?mode={'rw' if write else 'ro'}"
    with explained(path):
        db = sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            if write:
                _set_up(db)
                schema.migrate(db, path)
            else:
                # Tampered text must be read to be named, so bytes that are not UTF-8 come through.
                db.text_factory = functools.partial(str, encoding="utf-8", errors="replace")
                schema.require_current(db, path)
        except BaseException:  # boundary: close it whatever happened, and pass it on
            db.close()
            raise
    return db


def _set_up(db: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
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


class Readers:
    """A pool of read-only connections, each used by one thread at a time.

    Args:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = [connect(path, write=False)]
        self._closed = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that sees one state of the database for the whole block.

        Raises:
            KeelmarkError: The database cannot be read.
        """
        with self._lock:
            if self._closed:
                raise UnavailableError("The store is closed; open it again.", retryable=False)
            db = self._idle.pop() if self._idle else None
        db = db or connect(self._path, write=False)
        try:
            with explained(self._path):
                db.execute("BEGIN")
                try:
                    yield db
                finally:
                    db.execute("ROLLBACK")
        finally:
            self._take_back(db)

    def _take_back(self, db: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(db)
                return
        db.close()

    def close(self) -> None:
        """Close the idle connections; those that are lent close when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for db in idle:
            db.close()


class Writer:
    """The thread that owns the write connection.

    Args:
        path: The database.
        signer: Signs checkpoints.
        clock: Unix time, seconds.
    """

    def __init__(self, path: Path, signer: Signer, clock: Callable[[], float]) -> None:
        self._path = path
        self._signer = signer
        self._clock = clock
        self._db = connect(path, write=True)
        self._queue: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="keelmark-writer", daemon=True)
        self._thread.start()

    def put(self, ticket: Ticket) -> None:
        """Queue a job.

        Raises:
            UnavailableError: The store is closed.
        """
        with self._lock:
            if self._closed:
                raise UnavailableError("The store is closed; open it again.", retryable=False)
            self._queue.put(ticket)

    def close(self) -> None:
        """Finish what is queued, then close the connection."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._db.close()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch: list[Ticket] = [first]
            last = False
            while len(batch) < BATCH and not self._queue.empty():
                ticket = self._queue.get()
                if ticket is None:
                    last = True
                    break
                batch.append(ticket)
            _deliver(batch, self._run(batch))
            if last:
                return

    def _run(self, batch: list[Ticket]) -> list[Result]:
        """Run the jobs in one transaction: a job that fails leaves nothing, the others stand.

        Where rows that were put aside cannot be written, nobody can tell whose fault it is: then
        each job has a transaction of its own.
        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            transaction = Transaction(db, self._signer, self._clock())
            results = [_attempt(transaction, ticket.job, self._path) for ticket in batch]
            transaction.seal()
            db.execute("COMMIT")
        except Exception as error:  # boundary: everybody who waits must hear of it
            if db.in_transaction:
                db.execute("ROLLBACK")
            if len(batch) > 1:
                return [result for ticket in batch for result in self._run([ticket])]
            told = explain(error, self._path) if isinstance(error, sqlite3.Error) else error
            return [(None, told)] * len(batch)
        return results


def _attempt(transaction: Transaction, job: Job, path: Path) -> Result:
    transaction.begin()
    try:
        result = job(transaction)
    except KeelmarkError as error:
        failure: BaseException = error
    except sqlite3.Error as error:
        if not transaction.reading.in_transaction:  # a full disk rolls everything back
            raise
        failure = explain(error, path)
    except Exception as error:  # boundary: a job of another room must not stop the writer
        failure = error
    else:
        transaction.end()
        return result, None
    transaction.end(undo=True)
    return None, failure


def _deliver(batch: list[Ticket], results: list[Result]) -> None:
    groups: dict[Callable[[list[tuple[Any, Result]]], None], list[tuple[Any, Result]]] = {}
    for ticket, result in zip(batch, results, strict=True):
        groups.setdefault(ticket.deliver, []).append((ticket.place, result))
    for deliver, group in groups.items():
        deliver(group)


def scrub(path: Path) -> None:
    """Move the write-ahead log into the database and empty it, so that nothing old is left there.

    Raises:
        UnavailableError: A reader still needs the old state.
    """
    with explained(path), contextlib.closing(connect(path, write=True)) as db:
        busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise UnavailableError(
            "The key is destroyed, but another process still reads the old state, so its bytes "
            "are still in the write-ahead log; run the same command again when that has ended."
        )
