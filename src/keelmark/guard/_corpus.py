"""A registered corpus: fingerprints of texts in a sorted file that is searched where it lies.

Of every eight words in a row a hash is made, and of every eight hashes in a row the smallest is
kept (winnowing: Schleimer, Wilkerson and Aiken, SIGMOD 2003). So of any fifteen words that stand
in the corpus at least one fingerprint is there. The file holds no text, only fingerprints and the
names of the documents.

Layout: the magic, the size of the header (8 bytes, little-endian), the header in JSON, padding to
a multiple of eight, then the entries in order, 8 bytes each: 44 bits of a hash, 20 of a document.
"""

from __future__ import annotations

import heapq
import mmap
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import msgspec
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from keelmark.core.errors import UsageError
from keelmark.guard._pieces import LONGEST, Pieces, small
from keelmark.guard._wordlists import ALONE, WHOLE
from keelmark.guard.normalise import fold

GRAM = 8
"""Words of a fingerprint."""

WINDOW = 8
"""Neighbouring fingerprints of which one is kept."""

Numbers = npt.NDArray[np.uint64]
Places = npt.NDArray[np.intp]

_MAGIC = b"KMCORP2\n"
_DOCUMENT = 20  # bits
_RUN = 1 << 20  # entries sorted at once
_SHIFT = np.uint64(_DOCUMENT)
_BASE = 0x9E3779B97F4A7C15
_POWERS = np.array([pow(_BASE, GRAM - 1 - place, 1 << 64) for place in range(GRAM)], np.uint64)


def pieces() -> Pieces:
    """What reads the words of a text that comes in pieces, folded and in small letters."""
    return Pieces(WHOLE, ALONE)


@lru_cache(1 << 17)
def _word(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(errors="replace"), digest_size=8).digest())


class Grams:
    """The hashes of every eight words in a row, of words that come in parts.

    Args:
        last: Hashes of the last words.
    """

    __slots__ = ("_last",)

    def __init__(self, last: Numbers | None = None) -> None:
        self._last = np.empty(0, np.uint64) if last is None else last

    def copy(self) -> Grams:
        """One that goes on from here by itself."""
        return Grams(self._last)

    def push(self, words: Sequence[str]) -> Numbers:
        """Take words; return the hash, 44 bits, of the eight that end with each.

        Only the first words of all have none, so what is missing is missing in front.
        """
        hashes = np.fromiter(map(_word, words), np.uint64, len(words))
        line = np.concatenate((self._last, hashes))
        self._last = line[1 - GRAM :]
        count = len(line) - GRAM + 1
        if count <= 0:
            return line[:0]
        total: Numbers = line[:count] * _POWERS[0]
        for place, power in enumerate(_POWERS[1:], 1):
            total += line[place : place + count] * power  # modulo 2^64
        total >>= _SHIFT
        return total


def fingerprints(texts: Iterable[str]) -> Iterator[int]:
    """Yield the fingerprints that are kept of a text that comes in pieces."""
    reading, grams = pieces(), Grams()
    values = np.empty(0, np.uint64)
    first, kept = 0, -1
    for text in chain(texts, "\n"):  # the last word is whole, too
        words = [word for word in reading.words(small(fold(text))) if len(word) <= LONGEST]
        values = np.concatenate((values, grams.push(words)))
        if len(values) < WINDOW:
            continue
        windows = sliding_window_view(values, WINDOW)[:, ::-1]  # of equal ones the last is kept
        smallest = np.arange(len(windows)) + (WINDOW - 1) - windows.argmin(axis=1)
        fresh = smallest[np.diff(smallest, prepend=kept - first) != 0]
        yield from values[fresh].tolist()
        done = len(windows)
        kept = first + int(smallest[-1])
        first, values = first + done, values[done:]
    if not first and len(values):
        yield int(values.min())


class Built(msgspec.Struct, frozen=True):
    """What became of a build.

    Attributes:
        documents: How many texts are in it.
        entries: How many fingerprints.
        unread: Files that are no UTF-8 text, which are not in it.
    """

    documents: int
    entries: int
    unread: tuple[str, ...]


def build(folder: Path, out: Path) -> Built:
    """Write the fingerprints of all texts under a folder to a file.

    Raises:
        UsageError: The folder cannot be read, holds no text or too many, or the file cannot be
            written. Nothing is left half written.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name one that holds the texts to register.")
    names: list[str] = []
    unread: list[str] = []
    with ExitStack() as stack:
        runs = [stack.enter_context(run) for run in _runs(folder, names, unread)]
        if not names:
            raise UsageError(f"{folder} holds no text in UTF-8; nothing was written.")
        part = out.with_name(f".{out.name}.part")
        try:
            with part.open("wb") as file:
                entries = _write(file, names, runs)
            part.replace(out)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise UsageError(f"{out} cannot be written ({error.strerror}).") from None
    return Built(len(names), entries, tuple(unread))


def _runs(folder: Path, names: list[str], unread: list[str]) -> Iterator[IO[bytes]]:
    """Yield files of sorted entries; fill the names of what was read and what was not."""
    entries = array("Q")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        try:
            with path.open(encoding="utf-8") as file:
                found = array("Q", fingerprints(iter(lambda: file.read(1 << 20), "")))
        except (OSError, UnicodeDecodeError):
            unread.append(name)
            continue
        if len(names) >> _DOCUMENT:
            raise UsageError(f"{folder} holds more than a million texts; make several files of it.")
        entries.extend(value << _DOCUMENT | len(names) for value in found)
        names.append(name)
        if len(entries) >= _RUN:
            yield _spilled(entries)
            entries = array("Q")
    yield _spilled(entries)


def _spilled(entries: array[int]) -> IO[bytes]:
    file = TemporaryFile()  # noqa: SIM115 (closed by the caller's stack)
    array("Q", sorted(entries)).tofile(file)
    file.seek(0)
    return file


def _entries(file: IO[bytes]) -> Iterator[int]:
    while block := file.read(1 << 16):
        yield from array("Q", block)


def _write(file: IO[bytes], names: list[str], runs: list[IO[bytes]]) -> int:
    header = msgspec.json.encode(_Header(GRAM, WINDOW, tuple(names)))
    file.write(_MAGIC + len(header).to_bytes(8, "little") + header + b" " * (-len(header) % 8))
    count, last, block = 0, -1, array("Q")
    for entry in heapq.merge(*map(_entries, runs)):
        if entry >> _DOCUMENT == last:  # of a passage that several have, the first
            continue
        last = entry >> _DOCUMENT
        block.append(entry)
        count += 1
        if len(block) == 1 << 16:
            _little(block).tofile(file)
            block = array("Q")
    _little(block).tofile(file)
    return count


def _little(block: array[int]) -> array[int]:
    if sys.byteorder == "big":
        block.byteswap()
    return block


class Corpus:
    """An open file of fingerprints; it stays where it lies.

    Raises:
        UsageError: There is no such file, or it is none of ours.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is empty"
            raise UsageError(f"The corpus {path} cannot be read: {reason}.") from None
        header, first = _header(self._map, path)
        self.documents: tuple[str, ...] = header.documents
        self._entries = np.frombuffer(self._map, np.uint64, offset=first)

    def __len__(self) -> int:
        return len(self._entries)

    def known(self, values: Numbers) -> Places:
        """Return where in a row of hashes those are that the corpus has."""
        if not len(self._entries):
            return np.empty(0, np.intp)
        at = np.searchsorted(self._entries, values << _SHIFT)
        at[at == len(self._entries)] = 0
        return np.flatnonzero(self._entries[at] >> _SHIFT == values)


class _Header(msgspec.Struct):
    gram: int
    window: int
    documents: tuple[str, ...]

    def is_ours(self) -> bool:
        return (self.gram, self.window, sys.byteorder) == (GRAM, WINDOW, "little")


def _header(mapped: mmap.mmap, path: Path) -> tuple[_Header, int]:
    """The header, and where the entries begin."""
    size = int.from_bytes(mapped[8:16], "little")
    first = 16 + size + -size % 8
    header = None
    if mapped[:8] == _MAGIC and first <= len(mapped) and (len(mapped) - first) % 8 == 0:
        with suppress(msgspec.MsgspecError):
            header = msgspec.json.decode(mapped[16 : 16 + size], type=_Header)
    if header is None or not header.is_ours():
        raise UsageError(
            f"{path} is no corpus that this version can read; build it again with "
            "`keelmark guard corpus build`."
        )
    return header, first
