"""The board: short notes by which the processes of a service, and people, tell each other things.

What happened is in the ledger; the board holds only what is so now. A note has a topic and a name;
a new one takes the place of the old one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from keelmark.core.errors import IntegrityError
from keelmark.store.ledger import Transaction
from keelmark.store.port import Db


class Note(NamedTuple):
    """One note.

    Attributes:
        topic: What kind of thing it tells.
        name: Of what it tells.
        body: JSON.
        changed: Unix time, seconds.
    """

    topic: str
    name: str
    body: str
    changed: float


def pin(transaction: Transaction, topic: str, name: str, body: Any) -> None:
    """Put up a note, in place of another one of its topic and name."""
    row = (topic, name, msgspec.json.encode(body).decode(), transaction.now)
    transaction.db.execute(
        "INSERT INTO board (topic, name, body, changed) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (topic, name) DO UPDATE SET body = excluded.body, changed = excluded.changed",
        row,
    )


def unpin(transaction: Transaction, topic: str, name: str) -> bool:
    """Take a note away; return whether there was one."""
    query = "DELETE FROM board WHERE topic = ? AND name = ?"
    return transaction.db.execute(query, (topic, name)).rowcount > 0


def notes(db: Db, topic: str | None = None) -> list[Note]:
    """Return the notes of a topic, or all, by topic and name."""
    where = "" if topic is None else " WHERE topic = ?"
    query = f"SELECT topic, name, body, changed FROM board{where} ORDER BY topic, name"  # noqa: S608 (ours)
    return [Note(*row) for row in db.execute(query, () if topic is None else (topic,))]


def note(db: Db, topic: str, name: str) -> Note | None:
    """Return one note."""
    query = "SELECT topic, name, body, changed FROM board WHERE topic = ? AND name = ?"
    row = db.execute(query, (topic, name)).fetchone()
    return None if row is None else Note(*row)


def decode(one: Note, kind: type[Any]) -> Any:
    """Read the body of a note.

    Raises:
        IntegrityError: Another version of Keelmark wrote it, or nobody did.
    """
    try:
        return msgspec.json.decode(one.body, type=kind)
    except msgspec.MsgspecError:
        raise IntegrityError(
            f"The note {one.topic}/{one.name} cannot be read; set it anew, or update Keelmark."
        ) from None
