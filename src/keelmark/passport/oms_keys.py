"""Keys that sign models for others: the elliptic curves that every verifier reads.

A passport is signed with Ed25519 (`keys.py`); the specification knows P-256, P-384 and P-521 only,
so a signature for others is made with a key of its own. Ed25519 is read as well: some sign so.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keelmark.core.errors import IntegrityError, UsageError
from keelmark.passport.files import printable, read_small, write_whole

SIGNING_KEY = "keys/model-signing.key"
PublicKey = ec.EllipticCurvePublicKey | Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey

_MAX_BYTES = 64 * 1024
_CURVES: Mapping[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


class SignerError(IntegrityError):
    """The signature is not by whom it should be.

    Args:
        message: One sentence.
        code: "wrong_key", "bad_signature" or "wrong_identity".
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def load_public(file: Path | str) -> PublicKey:
    """Read a public key from a PEM file.

    Raises:
        UsageError: The file is missing or is not one.
    """
    data = read_small(file, _MAX_BYTES, printable(file))
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, PublicKey) or not _usable(key):
        raise UsageError(
            f"{printable(file)} is not a public key in PEM on P-256, P-384, P-521 or Ed25519."
        )
    return key


def load_private(file: Path | str) -> PrivateKey:
    """Read a private key from an unencrypted PEM file.

    Raises:
        UsageError: The file is missing or is not one.
    """
    data = read_small(file, _MAX_BYTES, printable(file))
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, PrivateKey) or not _usable(key.public_key()):
        raise UsageError(
            f"{printable(file)} is not an unencrypted private key in PEM on P-256, P-384, P-521 or "
            "Ed25519: make one with `openssl ecparam -name prime256v1 -genkey -noout`."
        )
    return key


def own_key(file: Path) -> PrivateKey:
    """Return the key in a file, made (P-256) on first use with mode 0600.

    Raises:
        UsageError: It is not a key, or cannot be made.
    """
    try:
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            with contextlib.suppress(FileExistsError):  # somebody was faster; theirs is the key
                write_whole(file, pem, mode=0o600, replace=False)
    except OSError as error:
        raise UsageError(
            f"The key {printable(file)} cannot be made ({error.strerror}): check that this user "
            "may write to its folder, or give --key FILE."
        ) from None
    return load_private(file)


def public_pem(key: PublicKey) -> bytes:
    """Return a public key as PEM, to be given to those who verify."""
    return _encoded(key, serialization.Encoding.PEM)


def hint_of(key: PublicKey) -> str:
    """Return how a bundle names a key: SHA-256 of its PEM (SubjectPublicKeyInfo), hex."""
    return hashlib.sha256(public_pem(key)).hexdigest()


def hints_of(key: PublicKey) -> tuple[str, str, str]:
    """Return the ways in which signers name a key; the first is the specification's."""
    der = hashlib.sha256(_encoded(key, serialization.Encoding.DER)).digest()
    return hint_of(key), der.hex(), base64.b64encode(der).decode()


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Return a signature: Ed25519, or ECDSA with the hash of the curve's size."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(_CURVES[key.curve.name]))


def holds(
    key: object, signature: bytes, message: bytes, used: hashes.HashAlgorithm | None = None
) -> bool:
    """Return whether a key made a signature; a key of another kind made none.

    Args:
        key: A public key, as a certificate holds it.
        signature: The signature.
        message: What is signed.
        used: Hash of ECDSA; that of the curve's size when None.
    """
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
        elif isinstance(key, ec.EllipticCurvePublicKey) and _usable(key):
            key.verify(signature, message, ec.ECDSA(used or _CURVES[key.curve.name]))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _usable(key: PublicKey) -> bool:
    return isinstance(key, Ed25519PublicKey) or key.curve.name in _CURVES


def _encoded(key: PublicKey, encoding: serialization.Encoding) -> bytes:
    return key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
