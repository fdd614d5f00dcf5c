"""The ledger inside one transaction: append records, seal them with a signed checkpoint."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from keelmark.core.canonical import canonical
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.events import KINDS, Record
from keelmark.store.checkpoint import Signer
from keelmark.store.merkle import frontier_root, leaf_hash, push

KEPT_EVERY = 256  # records; how finely stored checkpoints bound what was rewritten

_RECORD = msgspec.json.Decoder(Record)


class Transaction:
    """One write transaction: the database and the end of the ledger.

    The frontier is read from the database under the write lock, never remembered, so that several
    processes can append.

    Args:
        db: Connection that holds the write lock.
        signer: Signs the checkpoint.
        now: Unix time, seconds.
    """

    def __init__(self, db: sqlite3.Connection, signer: Signer, now: float) -> None:
        self.db = db
        self.now = now
        self._signer = signer
        moment = datetime.fromtimestamp(now, UTC)
        self.time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        newest = newest_checkpoint(db)
        self._sealed, blob = newest[:2] if newest else (0, b"")
        self.size: int = self._sealed
        self._frontier = split(blob)
        signed = newest[2].split("\n")[1:3] if newest else None
        root = base64.b64encode(frontier_root(self._frontier)).decode()
        if signed not in (None, [str(self.size), root]):
            raise IntegrityError(
                "The end of the ledger was tampered with, so nothing is added to it; run "
                "`keelmark ledger verify`, then restore a backup."
            )

    def append(self, kind: str, body: Mapping[str, Any]) -> int:
        """Append one record; return its index.

        Raises:
            UsageError: The kind is not one of `keelmark.core.events`, or the body is not JSON.
        """
        if kind not in KINDS:
            raise UsageError(f"{kind!r} is no kind of ledger record; see keelmark.core.events.")
        seq = self.size
        try:
            record = canonical({"seq": seq, "time": self.time, "kind": kind, "body": dict(body)})
        except (TypeError, ValueError) as error:
            raise UsageError(f"The body of a {kind} record is not JSON: {error}.") from None
        leaf = leaf_hash(record)
        self.db.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (seq, kind, record, leaf))
        push(self._frontier, seq, leaf)
        self.size += 1
        return seq

    def mark(self) -> tuple[int, list[bytes]]:
        """Return a state to come back to."""
        return self.size, list(self._frontier)

    def reset(self, mark: tuple[int, list[bytes]]) -> None:
        """Forget the records appended since `mark`; the caller rolls the database back."""
        self.size, self._frontier = mark

    def seal(self) -> None:
        """Sign a checkpoint over everything appended.

        Of the older checkpoints the last one in every `KEPT_EVERY` records stays.
        """
        if self.size == self._sealed:
            return
        if self._sealed // KEPT_EVERY == self.size // KEPT_EVERY:
            self.db.execute("DELETE FROM checkpoints WHERE size = ?", (self._sealed,))
        note = self._signer.sign(self.size, frontier_root(self._frontier))
        row = (self.size, b"".join(self._frontier), note)
        self.db.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", row)


def newest_checkpoint(db: sqlite3.Connection) -> tuple[int, bytes, str] | None:
    """Return size, frontier and signed note of the newest checkpoint."""
    query = "SELECT size, frontier, note FROM checkpoints ORDER BY size DESC LIMIT 1"
    row: tuple[int, bytes, str] | None = db.execute(query).fetchone()
    return row


def split(frontier: bytes) -> list[bytes]:
    """Return the hashes of a stored frontier."""
    return [frontier[i : i + 32] for i in range(0, len(frontier), 32)]


def read_records(
    db: sqlite3.Connection, kinds: Iterable[str] | None, since: int
) -> Iterator[Record]:
    """Yield records in order.

    Args:
        db: Any connection.
        kinds: Only these kinds, or all.
        since: First index.

    Raises:
        IntegrityError: A record cannot be read; the message names it.
    """
    query, values = "SELECT seq, record FROM records WHERE seq >= ?", [since]
    wanted = None if kinds is None else list(kinds)
    if wanted is not None:
        query += f" AND kind IN ({','.join('?' * len(wanted))})"  # only marks are put in
    for seq, record in db.execute(query + " ORDER BY seq", [*values, *(wanted or ())]):
        try:
            yield _RECORD.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise IntegrityError(
                f"Ledger record {seq} cannot be read; run `keelmark ledger verify`."
            ) from None
