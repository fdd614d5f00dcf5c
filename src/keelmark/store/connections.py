"""One thread that writes, readers beside it, on any database.

The writer commits whatever waits in its queue together, which shares one flush between all of it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.store.checkpoint import Signer
from keelmark.store.ledger import Transaction
from keelmark.store.port import Backend, Db, Reading, UnsureError, explained

BATCH = 256
IDLE = 8  # connections that are kept open for the next reader

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


class Readers:
    """A pool of read-only connections, each used by one thread at a time.

    Args:
        backend: The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._idle: list[Reading] = [backend.reading()]
        self._closed = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def read(self) -> Iterator[Db]:
        """Lend a connection that sees one state of the database for the whole block.

        Raises:
            KeelmarkError: The database cannot be read.
        """
        with self._lock:
            if self._closed:
                raise UnavailableError("The store is closed; open it again.", retryable=False)
            reading = self._idle.pop() if self._idle else None
        reading = reading or self._backend.reading()
        try:
            with explained(self._backend):
                db = reading.begin()
                try:
                    yield db
                finally:
                    reading.end()
        finally:
            self._take_back(reading)

    def _take_back(self, reading: Reading) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < IDLE:
                self._idle.append(reading)
                return
        reading.close()

    def close(self) -> None:
        """Close the idle connections; those that are lent close when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for reading in idle:
            reading.close()


class Writer:
    """The thread that owns the write connection.

    Args:
        backend: The database.
        signer: Signs checkpoints.
        clock: Unix time, seconds.
    """

    def __init__(self, backend: Backend, signer: Signer, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._signer = signer
        self._clock = clock
        self._writing = backend.writing()
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
        self._writing.close()

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
        each job has a transaction of its own. Where the connection was lost, all of them are run
        once more; that is right because nothing of them was written.
        """
        try:
            db = self._writing.begin()
        except Exception as error:  # boundary: everybody who waits must hear of it
            return self._failed(batch, error)
        try:
            transaction = Transaction(db, self._signer, self._clock())
            results = [self._attempt(transaction, ticket.job) for ticket in batch]
            transaction.seal()
            self._writing.commit()
        except UnsureError as error:
            return self._failed(batch, error)
        except Exception as error:  # boundary: everybody who waits must hear of it
            self._writing.rollback()
            if self._writing.again(error):
                return self._run(batch)
            if len(batch) > 1:
                return [result for ticket in batch for result in self._run([ticket])]
            return self._failed(batch, error)
        return results

    def _failed(self, batch: list[Ticket], error: Exception) -> list[Result]:
        told = self._backend.explain(error) if isinstance(error, self._backend.errors) else error
        return [(None, told)] * len(batch)

    def _attempt(self, transaction: Transaction, job: Job) -> Result:
        transaction.begin()
        try:
            result = job(transaction)
        except KeelmarkError as error:
            failure: BaseException = error
        except self._backend.errors as error:
            if not self._writing.stands(saved=transaction.saved):
                raise
            failure = self._backend.explain(error)
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
