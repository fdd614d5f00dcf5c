"""The store as the other rooms see it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.core.errors import UsageError
from keelmark.core.events import SUBJECT_ERASED, Record
from keelmark.core.keys import ApiKey
from keelmark.core.metering import Usage
from keelmark.core.trace import Content, Trace
from keelmark.store import keys as shelves
from keelmark.store.checkpoint import Signer
from keelmark.store.connections import Readers, Result, Ticket, Writer
from keelmark.store.content import Vault, destroy_key, load_content, load_vault
from keelmark.store.export import export_bundle
from keelmark.store.keys import StoredModel
from keelmark.store.ledger import Transaction, newest_checkpoint, read_records
from keelmark.store.opening import find_backend, make_backend
from keelmark.store.port import Backend, Db
from keelmark.store.report import LedgerReport, add_signer, verify_ledger
from keelmark.store.traces import find_trace, list_traces, write_request

T = TypeVar("T")


class Store:
    """Everything that is kept: traces, content, keys, passports, models and the ledger.

    Made by `Store.open`. Safe to use from any thread; several processes may have the same folder
    open. Every method that changes something returns only when the change is on the disk.
    """

    def __init__(
        self, folder: Path, backend: Backend, writer: Writer | None, signer: Signer | None
    ) -> None:
        self.folder = folder
        self.backend = backend
        self._readers = Readers(backend)
        self._writer = writer
        self._signer = signer
        self._vault: Vault | None = None
        self._loops: dict[asyncio.AbstractEventLoop, Callable[[list[tuple[Any, Result]]], None]]
        self._loops = {}

    @classmethod
    def open(
        cls,
        data_dir: Path,
        signer: Ed25519PrivateKey | None = None,
        *,
        name: str = "",
        database: str = "",
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open the store of a data folder, making it (0700) and its database (0600) at first use.

        Args:
            data_dir: The data folder: keys, and the database `keelmark.db` if no other is named.
            signer: Key that signs the ledger's checkpoints; needed unless `read_only`.
            name: Name of that key and of the ledger (C2SP); made from the key by default.
            database: Address of a PostgreSQL database (`postgresql://...`) to be used instead.
            read_only: Only read; nothing is made.
            clock: Unix time, seconds.

        Raises:
            KeelmarkError: With the sentence that says what is in the way.
        """
        who = Signer(signer, name) if signer is not None else None
        if read_only:
            return cls(data_dir, find_backend(data_dir, database), None, who)
        if who is None:
            raise UsageError("The store needs the ledger's signing key, or must be read-only.")
        with contextlib.ExitStack() as undo:
            backend = make_backend(data_dir, database)
            writer = undo.enter_context(contextlib.closing(Writer(backend, who, clock)))
            store = cls(data_dir, backend, writer, who)
            undo.enter_context(store)
            store._begin(who)
            undo.pop_all()
        return store

    def _begin(self, signer: Signer) -> None:
        def job(transaction: Transaction) -> Vault:
            vault = load_vault(self.folder, transaction.db, make=True)
            add_signer(transaction.db, signer.key, alone=self.backend.remote)
            return vault

        self._vault = self.submit(job)

    def close(self) -> None:
        """Finish what is queued and close all connections."""
        self._readers.close()  # first: the last one to close tidies up, if it may write
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- writing ---

    def submit(self, job: Callable[[Transaction], T]) -> T:
        """Run a job in a write transaction and wait until it is durable.

        Raises:
            KeelmarkError: It could not be done; nothing of it was written.
        """
        future: Future[T] = Future()
        self._queue(Ticket(job, _deliver_to_threads, future))
        return future.result()

    async def run(self, job: Callable[[Transaction], T]) -> T:
        """Run a job as `submit` does, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        deliver = self._loops.get(loop)
        if deliver is None:
            deliver = self._loops[loop] = _deliver_to_loop(loop)
        future: asyncio.Future[T] = loop.create_future()
        self._queue(Ticket(job, deliver, future))
        return await future

    def _queue(self, ticket: Ticket) -> None:
        if self._writer is None:
            raise UsageError("The store was opened read-only; open it with its signing key.")
        self._writer.put(ticket)

    def append(self, kind: str, body: Mapping[str, Any]) -> int:
        """Append one ledger record durably; return its index.

        Raises:
            UsageError: Unknown kind, or a body that is not JSON.
        """
        return self.submit(lambda transaction: transaction.append(kind, body))

    async def record(
        self, trace: Trace, content: Content | None, usage: Sequence[Usage] = ()
    ) -> None:
        """Write trace, content, usage and ledger record of a request; returns when durable.

        Args:
            trace: The finished trace.
            content: What was said, or None to keep nothing (retention `none`).
            usage: What it has used, where that is metered.
        """
        vault = self.vault()
        await self.run(lambda transaction: write_request(transaction, vault, trace, content, usage))

    def pseudonym(self, subject: str) -> str:
        """Return the name under which a subject is stored."""
        return self.vault().pseudonym(subject)

    def erase(self, subject: str) -> int:
        """Destroy the key of a subject, so that what it said can never be read again.

        Returns:
            Number of requests of the subject.

        Raises:
            UsageError: Nothing is stored of this subject.
            UnavailableError: The key is destroyed, but its bytes could not be cleared from the
                write-ahead log yet because of a reader.
        """
        pseudonym = self.vault().pseudonym(subject)

        def job(transaction: Transaction) -> int:
            query = "SELECT count(*) FROM traces WHERE subject = ?"
            count: int = transaction.db.execute(query, (pseudonym,)).fetchone()[0]
            if not count:
                raise UsageError(f"Nothing is stored of {subject!r}; check the spelling.")
            destroy_key(transaction.db, pseudonym)
            transaction.append(SUBJECT_ERASED, {"subject": pseudonym})
            return count

        count = self.submit(job)
        self.backend.scrub()
        return count

    def expire(self, days: float) -> int:
        """Delete content that is older than so many days; return how much of it there was."""

        def job(transaction: Transaction) -> int:
            limit = transaction.now - days * 86400
            transaction.db.execute("DELETE FROM kept WHERE expires <= ?", (transaction.now,))
            return transaction.db.execute(
                "DELETE FROM content WHERE created < ?", (limit,)
            ).rowcount

        return self.submit(job)

    # --- reading ---

    def read(self, job: Callable[[Db], T]) -> T:
        """Return what a job reads of one state of the database."""
        with self._readers.read() as db:
            return job(db)

    def records(self, kinds: Iterable[str] | None = None, since: int = 0) -> Iterator[Record]:
        """Yield ledger records in order, from index `since`, of some kinds or of all.

        Raises:
            IntegrityError: A record cannot be read.
        """
        with self._readers.read() as db:
            yield from read_records(db, kinds, since)

    def traces(
        self,
        limit: int = 50,
        before: float | None = None,
        *,
        subject: str | None = None,
        key_id: str | None = None,
        model: str | None = None,
        team: str | None = None,
    ) -> list[Trace]:
        """Return the newest traces first; their `subject` is a pseudonym.

        Args:
            limit: At most so many.
            before: Started before this Unix time, seconds.
            subject: Only of this subject (its real name).
            key_id: Only of this API key.
            model: Only of this model name.
            team: Only of keys of this team.
        """
        hidden = None if subject is None else self.vault().pseudonym(subject)
        filters = {"subject": hidden, "key_id": key_id, "model": model, "team": team}
        with self._readers.read() as db:
            return list(list_traces(db, limit, before, filters))

    def trace(self, trace_id: str) -> Trace:
        """Return a trace by its id, or by the beginning of it when that is unique.

        Raises:
            UsageError: There is none, or several ids begin so.
        """
        with self._readers.read() as db:
            return find_trace(db, trace_id)[1]

    def read_content(self, trace_id: str) -> Content | None:
        """Return what was said, or None when it was not kept, has expired or was erased.

        Raises:
            UsageError: There is no such trace.
            IntegrityError: It was tampered with.
        """
        vault = self.vault()
        with self._readers.read() as db:
            seq, trace = find_trace(db, trace_id)
            return load_content(db, vault, (seq, trace.trace_id), trace.subject)

    def checkpoint(self) -> str | None:
        """Return the newest signed checkpoint, to be kept elsewhere; None for an empty ledger."""
        with self._readers.read() as db:
            newest = newest_checkpoint(db)
        return newest and newest[2]

    def size(self) -> int:
        """Return the number of records that the newest checkpoint covers."""
        with self._readers.read() as db:
            newest = newest_checkpoint(db)
        return newest[0] if newest else 0

    def verify(self, against: str | None = None) -> LedgerReport:
        """Recompute the whole ledger and name everything that was changed.

        Args:
            against: Text of a signed checkpoint that was saved elsewhere: finds a rollback.

        Raises:
            UsageError: `against` is not a checkpoint of this ledger.
        """
        key = self._signer.key if self._signer else None
        with self._readers.read() as db:
            return verify_ledger(db, key, against)

    def export(self, out: Path) -> int:
        """Write a bundle that verifies without Keelmark; return the number of records.

        Raises:
            UsageError: The ledger is empty, or the file cannot be written.
        """
        key = self._signer.key if self._signer else None
        with self._readers.read() as db:
            return export_bundle(db, out, key)

    def vault(self) -> Vault:
        """Return the keys derived from the master key."""
        if self._vault is None:
            with self._readers.read() as db:
                self._vault = load_vault(self.folder, db, make=False)
        return self._vault

    # --- keys, passports, models ---

    def add_key(self, key: ApiKey, *, known_too: bool = False) -> None:
        """Store a new API key and its ledger record.

        Args:
            key: The key.
            known_too: Do nothing when its secret is known already, whatever its state.

        Raises:
            UsageError: There is one with this id.
        """
        self.submit(lambda transaction: shelves.add_key(transaction, key, known_too=known_too))

    def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke an API key, with its ledger record; returns it as it is now.

        Raises:
            UsageError: There is none with this id.
        """
        return self.submit(lambda transaction: shelves.revoke_key(transaction, key_id))

    def keys(self) -> list[ApiKey]:
        """Return all API keys, oldest first."""
        with self._readers.read() as db:
            return shelves.list_keys(db)

    def key(self, key_id: str) -> ApiKey | None:
        """Return an API key by its id."""
        with self._readers.read() as db, contextlib.suppress(UsageError):
            return shelves.find_key(db, key_id)
        return None

    def key_by_hash(self, key_hash: bytes) -> ApiKey | None:
        """Return an API key by the SHA-256 of its secret, whatever its state."""
        with self._readers.read() as db:
            return shelves.find_key_hash(db, key_hash)

    def put_passport(
        self, digest: str, envelope: bytes, issued: Mapping[str, Any] | None = None
    ) -> None:
        """Store a passport.

        Args:
            digest: What it is of, `sha256:...`.
            envelope: Its bytes.
            issued: Body of the `passport.issued` record to append with it, if any.
        """
        self.submit(lambda transaction: shelves.put_passport(transaction, digest, envelope, issued))

    def passport(self, digest: str) -> bytes | None:
        """Return the newest passport of a digest."""
        with self._readers.read() as db:
            return shelves.newest_passport(db, digest)

    def passports(self) -> list[tuple[str, bytes]]:
        """Return digest and newest passport of everything that has one."""
        with self._readers.read() as db:
            return shelves.list_passports(db)

    def put_model(self, name: str, path: Path, digest: str) -> None:
        """Store a model under its name, in place of what stood there."""
        model = StoredModel(name=name, path=str(path), digest=digest)
        self.submit(lambda transaction: shelves.put_model(transaction, model))

    def models(self) -> list[StoredModel]:
        """Return all models by name."""
        with self._readers.read() as db:
            return shelves.list_models(db)

    def model(self, name: str) -> StoredModel | None:
        """Return a model by its name."""
        return next((model for model in self.models() if model.name == name), None)


def _deliver_to_threads(results: list[tuple[Any, Result]]) -> None:
    for future, (value, error) in results:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)


def _deliver_to_loop(
    loop: asyncio.AbstractEventLoop,
) -> Callable[[list[tuple[Any, Result]]], None]:
    def settle(results: list[tuple[Any, Result]]) -> None:
        waiting = [(future, result) for future, result in results if not future.done()]
        _deliver_to_threads(waiting)

    def deliver(results: list[tuple[Any, Result]]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, results)

    return deliver
