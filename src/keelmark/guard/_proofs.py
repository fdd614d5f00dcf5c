"""What a string of a known format can prove of itself: checksums, structure, kinds of characters.

A proof takes what was found and the score of its format, and returns the score it deserves; 0
where it cannot be what it looks like.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Callable

Proof = Callable[[str, float], float]

_UNPROVEN = 0.75
"""Score of a string that has the form but not the checksum of its format."""

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
_BECH32_STEPS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_ACCOUNTS = 10**12
_HEADER_NAMES = frozenset({"alg", "typ", "enc", "kid"})


def _unpadded(text: str, *, url: bool = True) -> bytes:
    """Decode base64 whose padding may be missing.

    Raises:
        ValueError: It is not base64.
    """
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    return base64.b64decode(padded, b"-_" if url else b"+/", validate=True)


def _crc62(found: str, score: float) -> float:
    """GitHub and npm end their tokens with the CRC-32 of what stands between prefix and it."""
    body = found.partition("_")[2]
    rest, digits = zlib.crc32(body[:-6].encode()), ""
    while rest:
        rest, digit = divmod(rest, 62)
        digits = _BASE62[digit] + digits
    return 1.0 if digits.rjust(6, "0") == body[-6:] else min(score, _UNPROVEN)


def _aws(found: str, score: float) -> float:
    """The 40 bits after the first of an AWS key id's base 32 hold its account of 12 digits."""
    try:
        raw = base64.b32decode(found[4:])
    except binascii.Error:
        return min(score, 0.8)
    return score if (int.from_bytes(raw[:6]) & 0x7FFF_FFFF_FF80) >> 7 < _ACCOUNTS else 0.85


def _bech32(found: str, score: float) -> float:
    """BIP 173: a prefix, "1", data and a checksum of six characters (age, Nostr)."""
    prefix, _, data = found.upper().rpartition("1")
    prefix = prefix.lower()
    try:
        values = [_BECH32.index(char) for char in data]
    except ValueError:
        return 0.0
    high = [ord(char) >> 5 for char in prefix]
    check = 1
    for value in (*high, 0, *(ord(char) & 31 for char in prefix), *values):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, step in enumerate(_BECH32_STEPS):
            check ^= step if top >> bit & 1 else 0
    return 1.0 if check == 1 else min(score, _UNPROVEN)


def _base58(found: str, score: float) -> float:  # noqa: ARG001 (the checksum decides alone)
    """Base 58 whose last four bytes begin the double SHA-256 of the others (Bitcoin keys)."""
    number = 0
    for char in found:
        place = _BASE58.find(char)
        if place < 0:
            return 0.0
        number = number * 58 + place
    raw = number.to_bytes((number.bit_length() + 7) // 8)
    digest = hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()
    return 1.0 if digest[:4] == raw[-4:] else 0.0


def _macaroon(found: str, score: float) -> float:
    """A macaroon of version 2 ends in a signature: type 6, length 32, 32 bytes."""
    try:
        raw = _unpadded(found.partition("-")[2])
    except ValueError:
        return min(score, _UNPROVEN)
    return 1.0 if raw[-34:-32] == b"\x06\x20" else min(score, 0.85)


def _jwt(found: str, score: float) -> float:
    """RFC 7519: the first part is base64url of a JSON object that names an algorithm or type."""
    try:
        header = json.loads(_unpadded(found.partition(".")[0]))
    except (ValueError, RecursionError):
        return 0.0
    return score if isinstance(header, dict) and _HEADER_NAMES & set(header) else 0.0


def _basic(found: str, score: float) -> float:
    """RFC 7617: base64 of user:password."""
    try:
        plain = _unpadded(found, url=False).decode()
    except ValueError:
        return 0.0
    return min(score, 0.9) if ":" in plain and plain.isprintable() else 0.0


def _pem(found: str, score: float) -> float:
    """A private key block, encoded once more."""
    try:
        head = base64.b64decode(found[:88])
    except ValueError:
        return 0.0
    return score if b"PRIVATE KEY" in head else 0.0


def _json(found: str, score: float) -> float:
    """Base64 of the beginning of a JSON object, after the last mark of a prefix."""
    at = found.find("eyJ")
    body = found[at:][:16]
    try:
        return score if at >= 0 and _unpadded(body)[:2] == b'{"' else 0.0
    except ValueError:
        return 0.0


def _mixed(found: str, score: float) -> float:
    """Capitals, small letters and digits."""
    kinds = (re.search("[a-z]", found), re.search("[A-Z]", found), re.search("[0-9]", found))
    return score if all(kinds) else 0.0


def _digit(found: str, score: float) -> float:
    """Letters and digits."""
    return score if re.search("[0-9]", found) and re.search("[A-Za-z]", found) else 0.0


PROOFS: dict[str, Proof] = {
    "": lambda _, score: score,
    "aws": _aws,
    "base58": _base58,
    "basic": _basic,
    "bech32": _bech32,
    "crc62": _crc62,
    "digit": _digit,
    "json": _json,
    "jwt": _jwt,
    "macaroon": _macaroon,
    "mixed": _mixed,
    "pem": _pem,
}
