"""Signed checkpoints of the ledger (C2SP tlog-checkpoint over signed-note, Ed25519)."""

from __future__ import annotations

import base64
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keelmark.core.errors import UsageError
from keelmark.store.verify_bundle import Key


class Signer:
    """The key that signs checkpoints.

    Args:
        private: The Ed25519 key.
        name: Key name and origin of the log, without spaces and plus signs; by default made from
            the public key, so that it is unique.

    Raises:
        UsageError: The name is not one of C2SP signed-note.
    """

    def __init__(self, private: Ed25519PrivateKey, name: str = "") -> None:
        public = private.public_key().public_bytes_raw()
        self.key = Key(name or f"keelmark.ledger/{public.hex()[:16]}", public)
        self._private = private
        if re.search(r"[\s+]", name):
            raise UsageError(f"{name!r} cannot name a ledger: leave out spaces and plus signs.")

    def sign(self, size: int, root: bytes) -> str:
        """Return the signed note of a checkpoint.

        Args:
            size: Number of records.
            root: Root over them.
        """
        text = f"{self.key.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(self.key.id + self._private.sign(text.encode())).decode()
        return f"{text}\n— {self.key.name} {signature}\n"


def verify_signature(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether an Ed25519 signature holds; the fast twin of the bundle's own check."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
