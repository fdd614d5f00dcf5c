"""Reading advisories: the seed that comes with Keelmark, and dumps of OSV.

A dump is what OSV publishes for an ecosystem (`PyPI/all.zip`), osv-scanner's cache of those
(`osv-scanner/<ecosystem>/all.zip`), a folder of records, or one record. It is read as it lies, each
time: there is no index that could be older than the dump or be tampered with apart from it, and a
batch over many models reads it once (`read` remembers what it read of an unchanged dump).

Everything here may be hostile: reads are bounded, nothing is unpacked to disk, links are not
followed, and a record that cannot be read makes the database incomplete, never smaller in silence.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import BinaryIO, NamedTuple

from keelmark.core.errors import UsageError
from keelmark.vet.vulnerabilities.osv import MAX_RECORD, Advisory, decode
from keelmark.vet.vulnerabilities.versions import Package

STALE_DAYS = 30
"""Age from which a dump no longer answers for what was published since, days."""

MAX_RECORDS = 1_000_000
MAX_BYTES = 8 * 1024**3
"""Most that is unpacked of one dump, bytes."""

MAX_DIRECTORY = 48 * 1024 * 1024
"""Longest central directory of a ZIP file that is read, bytes."""

_DEPTH = 3
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError)
_BROKEN_DIRECTORY = (*_BROKEN_ZIP, OSError, struct.error, ValueError)


class Database(NamedTuple):
    """Advisories that may concern some packages.

    Attributes:
        records: Those records, by id.
        read: Number of records that were read in all.
        newest: The day on which any record was last modified; None for an empty database.
        seed: Whether this is the seed, which is a choice and not a database.
        problems: What could not be read, and why; anything here means "could not check".
        ecosystems: Ecosystems of which it holds records; `GitHub` when it holds records of
            repositories that are in no ecosystem.
    """

    records: tuple[Advisory, ...]
    read: int
    newest: dt.date | None
    seed: bool
    problems: tuple[str, ...] = ()
    ecosystems: frozenset[str] = frozenset()

    def doubts(self, today: dt.date, stale_days: int = STALE_DAYS) -> list[str]:
        """Return why this database cannot say that something has no known vulnerability."""
        doubts = list(self.problems)
        if self.newest is None:
            doubts.append("the database holds no advisory")
        elif (today - self.newest).days > stale_days:
            doubts.append(
                f"the database ends on {self.newest}, {(today - self.newest).days} days ago, and "
                f"after {stale_days} days it does not answer for what came later: "
                "fetch a newer one"
            )
        elif (self.newest - today).days > 1:
            doubts.append(f"the database is dated {self.newest}, which lies in the future")
        return doubts


@functools.cache
def seed() -> Database:
    """Return the advisories that come with Keelmark.

    Raises:
        ValueError: The installation is damaged.
    """
    folder = resources.files("keelmark.vet.vulnerabilities") / "seed"
    records = [
        decode(item.read_bytes())
        for item in sorted(folder.iterdir(), key=lambda item: item.name)
        if item.name.endswith(".json")
    ]
    newest = max(record.day for record in records)
    return Database(tuple(records), len(records), newest, seed=True)


def read(path: Path, wanted: frozenset[Package]) -> Database:
    """Read from a dump what may concern some packages.

    Raises:
        UsageError: There is no dump at the path, or it cannot be opened.
    """
    files = tuple((file, *_state(file)) for file in _find(path))
    return _read(files, wanted)


@functools.lru_cache(maxsize=8)
def _read(files: tuple[tuple[Path, int, int, int], ...], wanted: frozenset[Package]) -> Database:
    kept: list[Advisory] = []
    problems: list[str] = []
    newest: dt.date | None = None
    ecosystems: set[str] = set()
    count = broken = 0
    left = MAX_BYTES
    for name, data in _contents([file for file, *_ in files], problems):
        left -= len(data)
        if count >= MAX_RECORDS or left < 0:
            problems.append("the database is larger than the limits on vetting allow")
            break
        try:
            record = decode(data)
        except ValueError as error:
            broken += 1
            first = f"{name}: {str(error)[:120]}" if broken == 1 else ""
            problems += [first] if first else []
            continue
        count += 1
        ecosystems.update(_ecosystems(record))
        newest = record.day if newest is None or record.day > newest else newest
        if any(not wanted.isdisjoint(part.packages()) for part in record.affected):
            kept.append(record)
    if broken > 1:
        problems.append(f"{broken - 1} more records are broken")
    kept.sort(key=lambda record: (record.id, record.modified))
    return Database(
        tuple(kept),
        count,
        newest,
        seed=False,
        problems=tuple(problems),
        ecosystems=frozenset(ecosystems),
    )


def _ecosystems(record: Advisory) -> Iterator[str]:
    for part in record.affected:
        if part.package:
            yield part.package.ecosystem.partition(":")[0]
        elif part.packages():
            yield "GitHub"


def _find(path: Path) -> list[Path]:
    """Return the files of a dump: its ZIP files, or else its records."""
    try:
        mode = path.stat().st_mode
    except OSError:
        raise UsageError(f"There is no advisory database at {path}; check the path.") from None
    if stat.S_ISREG(mode):
        return [path]
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{path} is neither a file nor a folder; name an OSV dump.")
    zips: list[Path] = []
    records: list[Path] = []
    for file in _walk(path, 0):
        (zips if file.name.lower().endswith(".zip") else records).append(file)
        if len(zips) + len(records) > MAX_RECORDS:
            raise UsageError(f"{path} holds too many files; name the folder of one OSV dump.")
    if not zips and not records:
        raise UsageError(f"{path} holds no OSV dump: neither an all.zip nor a .json record.")
    return sorted(zips) or sorted(records)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEPTH:
                    yield from _walk(Path(entry.path), depth + 1)
            elif entry.is_file(follow_symlinks=False) and entry.name.endswith((".json", "all.zip")):
                yield Path(entry.path)


def _state(file: Path) -> tuple[int, int, int]:
    try:
        seen = file.stat()
    except OSError:
        raise UsageError(f"{file} cannot be read; check its permissions.") from None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def _contents(files: list[Path], problems: list[str]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        try:
            with file.open("rb") as stream:
                if stream.read(2) == b"PK":
                    yield from _members(stream, file.name, problems)
                else:
                    stream.seek(0)
                    yield file.name, stream.read(MAX_RECORD + 1)
        except OSError as error:
            problems.append(f"{file.name} cannot be read ({error.strerror})")


class _Bounded:
    """A file of which no single read is long: `zipfile` takes the central directory in one."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, MAX_DIRECTORY + 1) if size >= 0 else MAX_DIRECTORY + 1)
        if len(data) > MAX_DIRECTORY:
            raise ValueError("its central directory is too long")
        return data


def _members(stream: BinaryIO, name: str, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    stream.seek(0)
    try:
        archive = zipfile.ZipFile(_Bounded(stream))
        members = [info for info in archive.infolist() if info.filename.endswith(".json")]
    except _BROKEN_DIRECTORY as error:
        problems.append(f"{name} is no sound ZIP file ({str(error)[:80]})")
        return
    with archive:
        broken = 0
        for info in members:
            try:
                with archive.open(info) as member:
                    data = member.read(MAX_RECORD + 1)
            except (*_BROKEN_ZIP, ValueError, struct.error):
                broken += 1
                continue
            yield f"{name}!{info.filename[:80]}", data
        if broken:
            problems.append(f"{broken} members of {name} cannot be unpacked")
