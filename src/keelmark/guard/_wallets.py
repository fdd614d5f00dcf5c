"""Addresses of crypto-currencies, by their checksums."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, reduce
from hashlib import sha256
from operator import xor

from keelmark.guard._patterns import CONTEXT, Speech, both_views, every, table
from keelmark.guard.contract import Hit

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_WALLET = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"(?P<base58>[13LMDTXr9A][1-9A-HJ-NP-Za-km-z]{25,34})"
    r"|(?P<bech32>(?:bc|tb|ltc)1[02-9ac-hj-np-z]{11,71}|(?:BC|TB|LTC)1[02-9AC-HJ-NP-Z]{11,71})"
    r"|(?P<hex>0x[0-9A-Fa-f]{40})"
    r")(?![0-9A-Za-z])"
)
_HINT = re.compile(
    r"0x[0-9A-Fa-f]{40}|(?:bc|tb|ltc|BC|TB|LTC)1|[13LMDTXr9A][1-9A-HJ-NP-Za-km-z]{25}"
)
_WORDS = both_views(table("personal")["wallet"]["context"])
_VERSIONS: dict[int, str] = {
    int(number): name for number, name in table("personal")["wallet"]["versions"].items()
}
_RIPPLE = str.maketrans("rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz", _BASE58)


def find_wallets(text: str, start: int) -> Iterator[Hit]:
    """Yield addresses: Base58Check, Bech32 and Bech32m (BIP 173, 350), Ethereum (ERC-55).

    An Ethereum address in one case has no checksum and counts only after a word for a wallet. Of
    many close together only the first is checked: the hash is slow.
    """
    if not _HINT.search(text, start):
        return
    speech = Speech(_WORDS, text)
    for match in every(_WALLET, text, start):
        named = speech.before(match.start(), 64)
        coin = _coin(match, named=named)
        if coin:
            reason = f"{coin} address" + (" after its name" if named else "")
            yield Hit("CRYPTO", 0.95 if named else 0.85, match.start(), match.end(), reason)


def _coin(match: re.Match[str], *, named: bool) -> str:
    found = match.group()
    if match.lastgroup == "base58":
        return _base58check(found)
    if match.lastgroup == "bech32":
        return "Bech32" if _bech32(found.lower()) else ""
    digits = found[2:]
    letters = re.sub("[0-9]", "", digits)
    if not letters or letters in (letters.lower(), letters.upper()):
        return "Ethereum" if named and letters else ""
    crowded = "0x" in match.string[max(0, match.start() - CONTEXT) : match.start()]
    return "Ethereum" if crowded or _mixed_as_it_should(digits) else ""


def _base58check(found: str) -> str:
    ripple = found[0] == "r"
    value = 0
    for char in found.translate(_RIPPLE) if ripple else found:
        value = value * 58 + _BASE58.index(char)
    if value >> 200:
        return ""
    raw = value.to_bytes(25, "big")
    if sha256(sha256(raw[:21]).digest()).digest()[:4] != raw[21:]:
        return ""
    return ("Ripple" if raw[0] == 0 else "") if ripple else _VERSIONS.get(raw[0], "")


_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_FOLDED = tuple(
    reduce(xor, (word for i, word in enumerate(_GENERATOR) if top >> i & 1), 0) for top in range(32)
)
"""What the five bits that leave the checksum of BIP 173 put into it."""


def _bech32(found: str) -> bool:
    prefix, _, data = found.rpartition("1")
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    rest = 1
    for value in values + [_BECH32.index(c) for c in data]:
        top = rest >> 25
        rest = (rest & 0x1FFFFFF) << 5 ^ value ^ _FOLDED[top]
    return rest in {1, 0x2BC830A3}


def _mixed_as_it_should(digits: str) -> bool:
    """ERC-55: a letter is a capital where the hash of the small form has 8 or more."""
    marks = keccak256(digits.lower().encode()).hex()
    return all(
        c.isdigit() or c.isupper() == (mark >= "8") for c, mark in zip(digits, marks, strict=False)
    )


_MASK = (1 << 64) - 1


@cache
def _rounds() -> tuple[int, ...]:
    """Round constants of Keccak-f[1600] from its shift register."""
    constants, register = [], 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            constant |= (register & 1) << ((1 << j) - 1)
            register = register << 1 ^ (0x171 if register >> 7 else 0)
        constants.append(constant)
    return tuple(constants)


@cache
def _walk() -> tuple[tuple[int, int, int], ...]:
    """Where each lane goes in rho and pi, and by how much it is turned."""
    steps, x, y = [(0, 0, 0)], 1, 0
    for t in range(24):
        new_x, new_y = y, (2 * x + 3 * y) % 5
        steps.append((x + 5 * y, new_x + 5 * new_y, (t + 1) * (t + 2) // 2 % 64))
        x, y = new_x, new_y
    return tuple(steps)


def keccak256(message: bytes) -> bytes:
    """Keccak-256 as before FIPS 202 (another padding than SHA-3), of at most 135 bytes."""
    block = bytearray(message.ljust(136, b"\0"))
    block[len(message)] ^= 1
    block[135] ^= 0x80
    lanes = [int.from_bytes(block[i : i + 8], "little") for i in range(0, 136, 8)] + [0] * 8
    for constant in _rounds():
        columns = [
            lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]
            for x in range(5)
        ]
        theta = [
            columns[x - 1] ^ (columns[x - 4] << 1 & _MASK | columns[x - 4] >> 63) for x in range(5)
        ]
        turned = [0] * 25
        for source, target, by in _walk():
            lane = lanes[source] ^ theta[source % 5]
            turned[target] = (lane << by | lane >> 64 - by) & _MASK
        lanes = [
            turned[i] ^ ~turned[i // 5 * 5 + (i + 1) % 5] & turned[i // 5 * 5 + (i + 2) % 5]
            for i in range(25)
        ]
        lanes[0] ^= constant
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])
