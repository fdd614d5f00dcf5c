"""Rows that say the same, or nearly: MinHash signatures, compared where a band of them agrees.

One-permutation hashing: every three words are hashed once, the hash chooses one of 120 slots, and
each slot keeps its least value; an empty slot borrows from its neighbour. The share of slots that
agree estimates the Jaccard similarity of the sets of three words (standard error at 0.8: 0.04).
Broder 1997; Li, Owen and Zhang 2012; Shrivastava and Li 2014.
"""

from __future__ import annotations

import re
import sqlite3
from array import array
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

SLOTS, _BAND = 120, 6
_EXACT = 16
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|\w+")
_NONE = (1 << 64) - 1
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93)  # odd, so nothing gets lost
_MOST = 64  # rows that one is compared with
SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, file INT, row INT, exact BLOB, slots BLOB);
CREATE INDEX IF NOT EXISTS kept_exact ON kept (exact);
CREATE TABLE IF NOT EXISTS bands (hash INT, id INT, PRIMARY KEY (hash, id)) WITHOUT ROWID;
"""


class Twin(NamedTuple):
    """An earlier row that says the same.

    Attributes:
        file: Number of its file.
        row: Its number there.
        likeness: 1.0 when it says exactly the same, else an estimate below.
    """

    file: int
    row: int
    likeness: float


def signature(text: str) -> bytes:
    """Return what a text is compared by; b"" for a text without words.

    Case and everything between words make no difference.
    """
    words = _WORD.findall(text.casefold())
    if not words:
        return b""
    exact = blake2b(" ".join(words).encode("utf-8", "surrogatepass"), digest_size=_EXACT).digest()
    hashes = [_hash(word) for word in words] + [0, 0][: max(0, 3 - len(words))]
    slots = [_NONE] * SLOTS
    for one, two, three in zip(hashes, hashes[1:], hashes[2:], strict=False):
        mixed = (one + two * _MIX[0] + three * _MIX[1]) & _NONE
        mixed = ((mixed ^ (mixed >> 29)) * _MIX[2]) & _NONE
        slot = mixed % SLOTS
        slots[slot] = min(slots[slot], mixed)
    return exact + array("I", _filled(slots)).tobytes()


@lru_cache(1 << 16)
def _hash(word: str) -> int:
    said = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(said.digest(), "big")


def _filled(slots: list[int]) -> list[int]:
    """Fill empty slots from the next full one, changed by the distance, so that it stays known."""
    out, value, far = [0] * SLOTS, 0, 0
    for place in range(2 * SLOTS - 1, -1, -1):
        own = slots[place % SLOTS]
        value, far = (own >> 32, 0) if own != _NONE else (value, far + 1)
        out[place % SLOTS] = (value + _MIX[0] * far) & 0xFFFFFFFF
    return out


class Twins:
    """The rows that were kept, on disk.

    Args:
        base: Database; what is noted is there for good with its next commit.
        similar: Likeness from which rows are near duplicates, 0 to 1.
    """

    def __init__(self, base: sqlite3.Connection, similar: float) -> None:
        self._base, self._similar = base, similar
        base.executescript(SCHEMA)

    def meet(self, file: int, row: int, signed: bytes) -> Twin | None:
        """Return an earlier row that says the same; without one, keep this row for later ones."""
        exact, slots = signed[:_EXACT], signed[_EXACT:]
        same = self._base.execute("SELECT file, row FROM kept WHERE exact = ?", (exact,)).fetchone()
        if same:
            return Twin(same[0], same[1], 1.0)
        bands = _bands(slots)
        if twin := self._nearest(array("I", slots), bands):
            return twin
        added = self._base.execute(
            "INSERT INTO kept (file, row, exact, slots) VALUES (?, ?, ?, ?)",
            (file, row, exact, slots),
        )
        self._base.executemany(
            "INSERT OR IGNORE INTO bands VALUES (?, ?)", [(one, added.lastrowid) for one in bands]
        )
        return None

    def _nearest(self, slots: array[int], bands: list[int]) -> Twin | None:
        holes = ",".join("?" * len(bands))
        found = self._base.execute(
            "SELECT file, row, slots FROM kept WHERE id IN "  # noqa: S608 (only question marks)
            f"(SELECT DISTINCT id FROM bands WHERE hash IN ({holes}) LIMIT {_MOST}) ORDER BY id",
            bands,
        )
        best: Twin | None = None
        for file, row, other in found:
            agreed = sum(map(int.__eq__, slots, array("I", other)))
            twin = Twin(file, row, min(0.999, agreed / SLOTS))
            if twin.likeness >= max(self._similar, best.likeness if best else 0):
                best = twin
        return best


def _bands(slots: bytes) -> list[int]:
    width = 4 * _BAND
    return [
        int.from_bytes(
            blake2b(bytes([n]) + slots[n * width : n * width + width], digest_size=8).digest(),
            "big",
            signed=True,
        )
        for n in range(SLOTS // _BAND)
    ]
