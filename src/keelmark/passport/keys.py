"""Ed25519 keys: one signs passports, another ledger checkpoints; and whose signatures count.

A key is made on first use. Its file holds PEM PKCS #8, mode 0600; public keys are PEM
SubjectPublicKeyInfo. A key id is the SHA-256 of the SubjectPublicKeyInfo in DER, hex.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keelmark.core.errors import UsageError
from keelmark.passport.files import cannot_read, printable, read_small, write_whole

PASSPORT_KEY = "keys/passport.key"
LEDGER_KEY = "keys/ledger.key"
TRUST_FOLDER = "trust"
_MAX_BYTES = 16 * 1024

TrustedKeys = Mapping[str, Ed25519PublicKey]
"""Key id to public key."""


class SigningKey:
    """A private key and its id.

    Args:
        private: The key.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.private = private
        self.public = private.public_key()
        self.key_id = key_id(self.public)

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature (RFC 8032) of some bytes."""
        return self.private.sign(data)


def key_id(public: Ed25519PublicKey) -> str:
    """Return the id of a public key: SHA-256 of its SubjectPublicKeyInfo in DER, hex."""
    encoded = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(encoded).hexdigest()


def export_public(public: Ed25519PublicKey) -> str:
    """Return a public key as PEM text, to be given to others."""
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def import_public(pem: bytes, *, source: str = "The public key") -> Ed25519PublicKey:
    """Read a public key from PEM.

    Args:
        pem: What `export_public` wrote.
        source: How messages call it.

    Raises:
        UsageError: Not an Ed25519 public key in PEM.
    """
    try:
        public = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if not isinstance(public, Ed25519PublicKey):
        raise UsageError(f"{source} is not an Ed25519 public key in PEM: export it anew.")
    return public


def load_or_create(path: Path | str) -> SigningKey:
    """Return the key in a file, made on first use.

    Safe when several processes start at once: the file appears whole, or not at all, and all
    of them get the same key.

    Args:
        path: Key file; a missing folder is made with mode 0700.

    Raises:
        UsageError: Others may read the key or replace it, it is not a key, or it cannot be made.
    """
    path = Path(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_folder(path.parent)
        if not path.exists():
            _create(path)
        return SigningKey(_read_private(path))
    except OSError as error:
        raise UsageError(
            f"The key {printable(path)} can be neither read nor made ({error.strerror}): check "
            "that this user may write to its folder and that the disk is not full."
        ) from None


def load_trusted(folder: Path | str, *own: SigningKey) -> dict[str, Ed25519PublicKey]:
    """Return the keys whose passports count: our own, and every `*.pub` of a folder.

    Args:
        folder: Folder of public keys; it need not exist.
        own: Our own keys.

    Raises:
        UsageError: A file is not a public key, or others may write to the folder.
    """
    folder = Path(folder)
    trusted = {key.key_id: key.public for key in own}
    try:
        if folder.is_dir():
            _check_folder(folder)
        files = sorted(path for path in folder.iterdir() if path.suffix == ".pub")
    except FileNotFoundError:
        files = []
    except OSError as error:
        raise cannot_read(f"The folder of trusted keys {printable(folder)}", error) from None
    for path in files:
        shown = printable(path)
        public = import_public(read_small(path, _MAX_BYTES, shown), source=shown)
        trusted[key_id(public)] = public
    return trusted


def _check_folder(folder: Path) -> None:
    mode = folder.stat().st_mode
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise UsageError(
            f"The folder {printable(folder)} can be written by other users, who could replace the "
            f"keys in it: run chmod 700 {printable(folder)}."
        )


def _read_private(path: Path) -> Ed25519PrivateKey:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            raise UsageError(
                f"The key {printable(path)} can be read by other users (mode "
                f"{stat.S_IMODE(mode):04o}): run chmod 600 {printable(path)}."
            )
        pem = file.read(_MAX_BYTES)
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(
            f"The key {printable(path)} is not an unencrypted Ed25519 key in PEM (PKCS #8): "
            "restore it from a backup, or move it away to have a new one made."
        )
    return private


def _create(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with contextlib.suppress(FileExistsError):  # somebody was faster; theirs is the key
        write_whole(path, pem, mode=0o600, replace=False)
