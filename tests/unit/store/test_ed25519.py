"""The pure-Python Ed25519 of the bundle against RFC 8032 section 7.1 and against `cryptography`."""

import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.store.checkpoint import verify_signature
from keelmark.store.verify_bundle import _L, ed25519_verify

VECTORS = [  # public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_rfc_8032(public: str, message: str, signature: str) -> None:
    parts = bytes.fromhex(public), bytes.fromhex(signature), bytes.fromhex(message)
    assert ed25519_verify(*parts)
    assert verify_signature(*parts)
    assert not ed25519_verify(parts[0], parts[1], parts[2] + b"!")


def test_agrees_with_cryptography_on_forgeries() -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    for size in (0, 1, 100):
        message = secrets.token_bytes(size)
        signature = key.sign(message)
        assert ed25519_verify(public, signature, message)
        for position in (0, 31, 32, 63):
            forged = bytearray(signature)
            forged[position] ^= 1
            assert not ed25519_verify(public, bytes(forged), message)
            assert not verify_signature(public, bytes(forged), message)


def test_refuses_a_scalar_that_is_not_reduced_and_wrong_lengths() -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"x")
    scalar = int.from_bytes(signature[32:], "little") + _L
    malleable = signature[:32] + scalar.to_bytes(32, "little")
    for bad in (malleable, signature[:-1], signature + b"\0", b""):
        assert not ed25519_verify(public, bad, b"x")
    assert not ed25519_verify(b"\xff" * 32, signature, b"x")
    assert not ed25519_verify(public[:-1], signature, b"x")
