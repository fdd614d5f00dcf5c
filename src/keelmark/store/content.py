"""What was said, encrypted under one data key per subject, and how it is forgotten.

A master key (`keys/master.key`, 32 bytes, mode 0600) wraps the data keys and makes the pseudonyms;
without it the database tells neither who spoke nor what was said. Erasing a subject overwrites its
data key in place. A backup that was taken before still holds the wrapped key: let backups expire.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.trace import Content
from keelmark.store.port import Db

MASTER_KEY = Path("keys") / "master.key"
_NONCE = 12
_WRAPPED = _NONCE + 64 + 16  # nonce, encryption key and hash key, tag

_CONTENT = msgspec.msgpack.Decoder(Content)


class Vault:
    """Derived keys of one store.

    Args:
        master: 32 bytes.
    """

    def __init__(self, master: bytes) -> None:
        self._wrap = AESGCM(_derive(master, b"wrap"))
        self._pseudonyms = _derive(master, b"pseudonym")
        self._kept = _derive(master, b"kept")
        self.check = _derive(master, b"check")

    def pseudonym(self, subject: str) -> str:
        """Return the name under which a subject is stored: 32 hex digits of an HMAC-SHA256."""
        return hmac.digest(self._pseudonyms, subject.encode(), "sha256").hex()[:32]

    def kept_name(self, name: str) -> str:
        """Return the name under which an answer is kept: an HMAC-SHA256, hex."""
        return hmac.digest(self._kept, name.encode(), "sha256").hex()

    def data_key(self, db: Db, subject: str) -> bytes | None:
        """Return the data key of a pseudonym, or None when it has none (any more).

        Raises:
            IntegrityError: The stored key was tampered with.
        """
        row = db.execute("SELECT wrapped FROM subjects WHERE subject = ?", (subject,)).fetchone()
        if row is None or not any(row[0]):
            return None
        what = f"The data key of subject {subject}"
        return open_sealed(self._wrap, row[0], subject.encode(), what)

    def make_data_key(self, db: Db, subject: str) -> bytes:
        """Return the data key of a pseudonym, made if there is none; `db` is being written."""
        key = self.data_key(db, subject)
        if key is None:
            key = secrets.token_bytes(64)
            db.execute(
                "INSERT INTO subjects (subject, wrapped) VALUES (?, ?)"
                " ON CONFLICT (subject) DO UPDATE SET wrapped = excluded.wrapped",
                (subject, seal(self._wrap, key, subject.encode())),
            )
        return key


def _derive(master: bytes, purpose: bytes) -> bytes:
    return hmac.digest(master, b"keelmark store " + purpose, "sha256")


def seal(cipher: AESGCM, data: bytes, bound_to: bytes) -> bytes:
    """Encrypt what can only be opened again for the same purpose."""
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, data, bound_to)


def open_sealed(cipher: AESGCM, sealed: bytes, bound_to: bytes, what: str) -> bytes:
    """Decrypt what `seal` made.

    Raises:
        IntegrityError: It was changed, or sealed for something else.
    """
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to)
    except (InvalidTag, ValueError):
        raise IntegrityError(
            f"{what} was changed or belongs elsewhere; restore it from a backup."
        ) from None


def load_vault(folder: Path, db: Db, *, make: bool) -> Vault:
    """Read the master key and compare it with the one that the store was made with.

    Args:
        folder: The data folder.
        db: Any connection; one that is being written when `make`.
        make: Make the key on first use.

    Raises:
        IntegrityError: It is missing, or another one, although the store was made with one.
        UsageError: It cannot be read or written.
    """
    path = folder / MASTER_KEY
    row = db.execute("SELECT value FROM secrets WHERE name = 'master'").fetchone()
    try:
        if make and row is None and not path.exists():
            _write_new(path, secrets.token_bytes(32))
        master = path.read_bytes()
    except FileNotFoundError:
        raise IntegrityError(
            f"{path} is missing; restore it from a backup, or copy it from another machine that "
            "uses the same database."
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be used ({error.strerror}); check its mode.") from None
    vault = Vault(master)
    if len(master) != 32 or (row is not None and row[0] != vault.check):
        raise IntegrityError(f"{path} is not the key that this store was made with; restore it.")
    if make and row is None:
        db.execute("INSERT INTO secrets VALUES ('master', ?)", (vault.check,))
    return vault


def _write_new(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 whole; another process that was first wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()


def seal_content(
    key: bytes, place: tuple[int, str, float], content: Content
) -> tuple[tuple[int, float, bytes], str]:
    """Encrypt what was said; return its row and its keyed hash for the ledger.

    Args:
        key: Data key of the subject.
        place: Ledger index, trace id, Unix time.
        content: What was said.
    """
    seq, trace_id, now = place
    plain = msgspec.msgpack.encode(content)
    sealed = seal(AESGCM(key[:32]), plain, _bound(seq, trace_id))
    return (seq, now, sealed), f"hmac-sha256:{hmac.digest(key[32:], plain, 'sha256').hex()}"


def load_content(db: Db, vault: Vault, place: tuple[int, str], subject: str) -> Content | None:
    """Return what was said, or None when it was not kept, has expired or was erased.

    Raises:
        IntegrityError: It was tampered with.
    """
    row = db.execute("SELECT sealed FROM content WHERE seq = ?", (place[0],)).fetchone()
    key = vault.data_key(db, subject)
    if row is None or key is None:
        return None
    what = f"The content of trace {place[1]}"
    return _CONTENT.decode(open_sealed(AESGCM(key[:32]), row[0], _bound(*place), what))


def destroy_key(db: Db, subject: str) -> None:
    """Overwrite the data key of a pseudonym in place and delete what it encrypted."""
    db.execute("UPDATE subjects SET wrapped = ? WHERE subject = ?", (bytes(_WRAPPED), subject))
    db.execute(
        "DELETE FROM content WHERE seq IN (SELECT seq FROM traces WHERE subject = ?)", (subject,)
    )
    db.execute("DELETE FROM kept WHERE subject = ?", (subject,))


def _bound(seq: int, trace_id: str) -> bytes:
    return f"keelmark content 1\n{seq}\n{trace_id}".encode()
