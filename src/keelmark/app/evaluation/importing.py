"""A log of Inspect taken in as the folder of a run."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from keelmark.app.evaluation.evidence import ATTESTATION, verify_run
from keelmark.app.evaluation.run import OWNER_ONLY, RUNS, pretty
from keelmark.app.home import Home
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.lazily import Lazy
from keelmark.evaluate.inspect_log import Json
from keelmark.evaluate.inspect_read import (
    Own,
    incomplete,
    manifest_of_log,
    own_of,
    own_sample,
    sample_of_log,
)
from keelmark.evaluate.journal import AGAIN, REPLIES
from keelmark.evaluate.measures import summarise
from keelmark.evaluate.result import (
    MANIFEST,
    RESULT,
    SCORES,
    Result,
    Spent,
    each_score,
    make_result,
)
from keelmark.passport.files import printable

zstandard: Any = Lazy("zstandard")

_ZSTANDARD, _HEADER = 93, "header.json"
_LENGTHS = 26
"""Where the header of a member says how long its name and the rest of the header are."""
_MOST = 1 << 30
"""Bytes of a log in JSON, and of one member of a packed one: they are read whole."""


class Imported(NamedTuple):
    """A log that was taken in.

    Attributes:
        folder: Of the run.
        result: What came of it.
        own: Whether it says that Keelmark made the run.
        doubt: Why that cannot be told to be true, a sentence; "" when its signature holds.
    """

    folder: Path
    result: Result
    own: bool
    doubt: str = ""


class _Log(NamedTuple):
    header: Json
    samples: Iterator[Json]


def import_inspect(path: Path, home: Home) -> Imported:
    """Take in a log of Inspect, `.eval` or `.json`.

    Args:
        path: The log.
        home: The installation, whose folder of runs it goes into.

    Raises:
        UsageError: It is no such log, or the run is there already.
        IntegrityError: It is damaged.
    """
    runs = home.data / RUNS
    try:
        with contextlib.ExitStack() as stack:
            log = _opened(path, stack)
            runs.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
            place = stack.enter_context(tempfile.TemporaryDirectory(dir=runs, prefix="."))
            draft = Path(place) / "run"
            draft.mkdir(OWNER_ONLY)
            own = own_of(log.header)
            made = _restored(draft, log, own, home) if own else _made(draft, log, path)
            folder = runs / made.result.run
            if folder.exists():
                raise UsageError(f"This run is here already: {folder}.")
            draft.rename(folder)
    except OSError as error:
        raise UsageError(
            f"{printable(error.filename or path)} cannot be read or written ({error.strerror}): "
            "check the path, or free some space."
        ) from None
    return made._replace(folder=folder)


def _restored(folder: Path, log: _Log, own: Own, home: Home) -> Imported:
    """A run of Keelmark's as it was, with its signature."""
    if own.result.manifest != own.manifest.digest or own.result.run != own.manifest.id:
        raise IntegrityError("The manifest and the result of this log are of different runs.")
    with contextlib.ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        for sample in log.samples:
            first, again, scored = own_sample(sample)
            for name, one in ((REPLIES, first), (AGAIN, again), (SCORES, scored)):
                if one is not None:
                    if name not in files:
                        files[name] = stack.enter_context((folder / name).open("wb"))
                    files[name].write(msgspec.json.encode(one) + b"\n")
    (folder / MANIFEST).write_bytes(pretty(own.manifest))
    (folder / RESULT).write_bytes(pretty(own.result))
    if not own.attestation:
        return Imported(folder, own.result, own=True, doubt="It carries no signed statement.")
    (folder / ATTESTATION).write_text(own.attestation, encoding="utf-8")
    try:
        verify_run(home, folder)
    except (IntegrityError, UsageError) as error:
        said = error.message.replace(f"{folder}/", "")
        return Imported(folder, own.result, own=True, doubt=said)
    return Imported(folder, own.result, own=True)


def _made(folder: Path, log: _Log, path: Path) -> Imported:
    """A run that somebody else made."""
    names: dict[str, None] = {}
    spent = {"seconds": 0.0, "tokens_in": 0, "tokens_out": 0, "asks": 0}
    with (folder / REPLIES).open("wb") as replies, (folder / SCORES).open("wb") as scores:
        for sample in log.samples:
            kept, scored = sample_of_log(sample)
            names.update(dict.fromkeys(scored.scores))
            replies.write(msgspec.json.encode(kept) + b"\n")
            scores.write(msgspec.json.encode(scored) + b"\n")
            for reply in kept.replies:
                spent["tokens_in"] += reply.tokens_in
                spent["tokens_out"] += reply.tokens_out
                spent["asks"] += 1
    rows = int(spent["asks"])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = manifest_of_log(log.header, list(names), rows, digest)
    summary = summarise(each_score(folder), manifest.suite)
    used = Spent(tokens_in=int(spent["tokens_in"]), tokens_out=int(spent["tokens_out"]), asks=rows)
    result = make_result(manifest, summary, rows, used, incomplete(log.header))
    note = f"Inspect made this run; it was taken in from {path.name} (SHA-256 {digest[:12]})."
    result = msgspec.structs.replace(result, notes=(note, *result.notes))
    (folder / MANIFEST).write_bytes(pretty(manifest))
    (folder / RESULT).write_bytes(pretty(result))
    return Imported(folder, result, own=False)


# --- the two forms ---


def _opened(path: Path, stack: contextlib.ExitStack) -> _Log:
    file = stack.enter_context(path.open("rb"))
    if file.read(4) == b"PK\3\4":
        return _packed(path, file, stack)
    file.seek(0)
    if path.stat().st_size > _MOST:
        raise UsageError(
            f"{printable(path)} is too long to be read whole: pack it (`inspect log convert "
            "--to eval`)."
        )
    header = _decoded(file.read(), path)
    samples = header.pop("samples", None) or []
    return _Log(header, iter(samples))


def _packed(path: Path, file: IO[bytes], stack: contextlib.ExitStack) -> _Log:
    try:
        packed = stack.enter_context(zipfile.ZipFile(file))
        by_name = {one.filename: one for one in packed.infolist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged(path, str(error)) from None
    if _HEADER not in by_name:
        raise UsageError(
            f"{printable(path)} has no {_HEADER}: it is no log of Inspect, or of a run that has "
            "not ended (`inspect log recover` mends that)."
        )

    def samples() -> Iterator[Json]:
        for name, one in by_name.items():
            if name.startswith("samples/") and name.endswith(".json"):
                yield _decoded(_member(path, file, packed, one), path)

    return _Log(_decoded(_member(path, file, packed, by_name[_HEADER]), path), samples())


def _decoded(data: bytes, path: Path) -> Json:
    try:
        found = json.loads(data)  # Inspect writes NaN, which JSON does not have
    except (ValueError, RecursionError):
        raise _damaged(path, "it is not JSON") from None
    if not isinstance(found, dict):
        raise _damaged(path, "it is no object")
    return found


def _member(path: Path, file: IO[bytes], packed: zipfile.ZipFile, one: zipfile.ZipInfo) -> bytes:
    if one.file_size > _MOST:
        raise _damaged(path, f"{printable(one.filename)} is larger than {_MOST >> 20} MiB")
    if one.compress_type == _ZSTANDARD:
        return _unpacked(path, file, one)
    try:
        return packed.read(one)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise _damaged(path, str(error)) from None


def _unpacked(path: Path, file: IO[bytes], one: zipfile.ZipInfo) -> bytes:
    """A member that is packed by Zstandard, which `zipfile` knows from Python 3.14 on."""
    try:
        unpack = zstandard.ZstdDecompressor().stream_reader
    except ImportError:
        raise UsageError(
            "This log is packed by Zstandard, which needs one more package: run "
            '`pip install "keelmark[inspect]"`, or `inspect log convert --to json` elsewhere.'
        ) from None
    try:
        file.seek(one.header_offset + _LENGTHS)
        file.seek(sum(struct.unpack("<HH", file.read(4))), io.SEEK_CUR)
        packed = io.BytesIO(file.read(one.compress_size))
        data: bytes = unpack(packed, read_across_frames=True).read(one.file_size)
    except (struct.error, zstandard.ZstdError) as error:
        raise _damaged(path, str(error)) from None
    if zlib.crc32(data) != one.CRC:
        raise _damaged(path, f"the checksum of {printable(one.filename)} is wrong")
    return data


def _damaged(path: Path, why: str) -> IntegrityError:
    return IntegrityError(f"{printable(path)} cannot be read as a log ({why.rstrip('.')}).")
