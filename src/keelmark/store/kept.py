"""Answers that are kept for the same request again, each encrypted under its subject's data key.

The name of a row is an HMAC under the store's own secret, so a database alone does not tell
whether something was asked. Erasing a subject destroys its key and deletes its rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keelmark.core.caching import KeptAnswer
from keelmark.core.errors import IntegrityError, KeelmarkError
from keelmark.store.api import Store
from keelmark.store.content import Vault, open_sealed, seal
from keelmark.store.ledger import Transaction
from keelmark.store.port import Db

_LOOK = 16  # when this part of the room was filled, it is looked whether it is too much
_DRAINED = 0.9
_USED_SECONDS = 60.0
_decode = msgspec.msgpack.Decoder(KeptAnswer).decode


class StoredAnswers:
    """Kept answers in the store. Implements `keelmark.core.ports.Answers`.

    Args:
        store: The store; where it is read-only, answers are found and not kept.
        on_use: Gets the name of an answer that was given again after some time; without it that
            is noted in the store.
    """

    def __init__(self, store: Store, on_use: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._on_use = on_use or self.used
        self._added: int | None = None  # bytes since it was looked whether there is room
        self._noting: set[asyncio.Task[None]] = set()

    async def find(self, name: str) -> KeptAnswer | None:
        """See `keelmark.core.ports.Answers`. One that was tampered with is none."""
        found = await asyncio.to_thread(self._find, name) if self._remote else self._find(name)
        if found is None:
            return None
        if found[1]:
            self._on_use(name)
        return found[0]

    @property
    def _remote(self) -> bool:
        return self._store.backend.remote

    def _find(self, name: str) -> tuple[KeptAnswer, bool] | None:
        vault, now = self._store.vault(), time.time()
        with contextlib.suppress(IntegrityError):
            return self._store.read(lambda db: find_kept(db, vault, name, now))
        return None

    def used(self, name: str) -> None:
        """Note a use in the background; one that cannot be noted is not worth an error."""

        async def note() -> None:
            with contextlib.suppress(KeelmarkError):
                vault = self._store.vault()
                await self._store.run(lambda step: note_use(step.db, vault, name, step.now))

        task = asyncio.create_task(note())
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def keep(self, answer: KeptAnswer, room: int) -> None:
        """See `keelmark.core.ports.Answers`.

        Raises:
            KeelmarkError: It could not be written.
        """
        vault, look = self._store.vault(), self._added is None or self._added > room // _LOOK

        def job(step: Transaction) -> int:
            size = keep(step.db, vault, answer)
            if look:
                make_room(step.db, room, step.now)
            return size

        size = await self._store.run(job)
        self._added = size if look else size + (self._added or 0)


def find_kept(db: Db, vault: Vault, name: str, now: float) -> tuple[KeptAnswer, bool] | None:
    """Return an answer and whether its use is worth noting; None when there is none (any more).

    Raises:
        IntegrityError: It was tampered with.
    """
    row = vault.kept_name(name)
    query = "SELECT subject, used, sealed FROM kept WHERE name = ? AND expires > ?"
    found = db.execute(query, (row, now)).fetchone()
    key = None if found is None else vault.data_key(db, found[0])
    if found is None or key is None:
        return None
    plain = open_sealed(AESGCM(key[:32]), found[2], _bound(row), "An answer that was kept")
    return _decode(plain), now - found[1] > _USED_SECONDS


def keep(db: Db, vault: Vault, answer: KeptAnswer) -> int:
    """Keep an answer in the place of what has its name; return its size, bytes."""
    row, subject = vault.kept_name(answer.name), vault.pseudonym(answer.subject)
    key = vault.make_data_key(db, subject)
    sealed = seal(AESGCM(key[:32]), msgspec.msgpack.encode(answer), _bound(row))
    db.execute(
        "INSERT INTO kept (name, subject, used, expires, size, sealed) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET subject = excluded.subject, used = excluded.used,"
        " expires = excluded.expires, size = excluded.size, sealed = excluded.sealed",
        (row, subject, answer.created, answer.expires, len(sealed), sealed),
    )
    return len(sealed)


def note_use(db: Db, vault: Vault, name: str, now: float) -> None:
    """Note that an answer was given again."""
    db.execute("UPDATE kept SET used = ? WHERE name = ?", (now, vault.kept_name(name)))


def make_room(db: Db, room: int, now: float) -> None:
    """Delete what has expired and, while there is too much, what was not used for longest."""
    db.execute("DELETE FROM kept WHERE expires <= ?", (now,))
    if (db.execute("SELECT sum(size) FROM kept").fetchone()[0] or 0) <= room:
        return
    db.execute(
        "DELETE FROM kept WHERE name IN (SELECT name FROM (SELECT name, sum(size) OVER"
        " (ORDER BY used DESC, name) AS total FROM kept) AS newest WHERE total > ?)",
        (int(_DRAINED * room),),
    )


def _bound(row: str) -> bytes:
    return f"keelmark kept answer 1\n{row}".encode()
