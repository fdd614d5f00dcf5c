"""Binding of bytes at load time: what the engine opens is what was checked.

- `sealed`: the file is copied into anonymous memory, the memory is sealed (Linux memfd, seals
  write, shrink, grow and seal), and only then hashed. Nobody, not even the same user or this
  process, can alter it between the check and the load.
- `hash`: the file is hashed through a descriptor and that descriptor is handed on. Replacing the
  file changes nothing; somebody who may write to it can still alter it in place.
- `mtime`: like `hash`, but the reading is saved when device, inode, size and both times are those
  of the last full hash. Somebody who can set the clock can defeat it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import Literal, Self

import msgspec

from keelmark.core.errors import IntegrityError, UnavailableError, UsageError
from keelmark.core.policy import LoadMode
from keelmark.passport.files import (
    CHUNK,
    Fingerprint,
    Meter,
    Progress,
    cannot_read,
    changed,
    hash_steadily,
    open_regular,
    printable,
    resolve,
    write_whole,
)
from keelmark.passport.manifest import SINGLE_FILE, Manifest, ManifestEntry, root_digest
from keelmark.passport.memory import free_memory

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_SPARE = 64 * 1024 * 1024
# A file altered within one tick of the clock after its hash would keep its times.
_SETTLED_NS = 2_000_000_000

Backing = Literal["memfd", "unlinked file", "file"]


class SealedModel:
    """A model file that is open and was checked; a context manager.

    Attributes:
        fd: Descriptor to hand to a child (`subprocess`: `pass_fds=(model.fd,)`).
        path: What the engine opens, in this process or in that child.
        digest: `sha256:<hex>` of the model, as in its manifest.
        size: Bytes.
        mode_used: How the bytes were bound: `hash` when `mtime` found no fitting record.
        backing: What the descriptor refers to.
    """

    def __init__(self, fd: int, digest: str, mode_used: LoadMode, backing: Backing) -> None:
        self.fd, self.digest, self.mode_used, self.backing = fd, digest, mode_used, backing
        self.size = os.fstat(fd).st_size
        folder = "/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd"
        self.path = f"{folder}/{fd}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor here; a child that was given it keeps its own."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class _Record(msgspec.Struct, frozen=True):
    """The last full hash of a file."""

    looks: Fingerprint
    digest: str


def seal(
    path: Path | str,
    expected: Manifest | str,
    *,
    mode: LoadMode,
    records: Path | None = None,
    progress: Progress | None = None,
) -> SealedModel:
    """Open a single-file model so that what is loaded is what was vetted.

    Args:
        path: The file; it may be a symbolic link.
        expected: Manifest or digest from the passport.
        mode: The policy's `admission.load`.
        records: File in the data folder that remembers full hashes; needed for `mtime`.
        progress: Called with bytes done and bytes in total (copying counts too).

    Raises:
        IntegrityError: Another digest, or the file changed while it was read.
        UsageError: A folder, missing, unreadable, or `mtime` without `records`.
        UnavailableError: Not enough memory for the sealed copy.
        CouldNotCheckError: The disk does not answer.
    """
    shown = printable(path)
    real = resolve(path)
    if real.is_dir():
        raise UsageError(
            f"{shown} is a folder: the embedded engine loads one GGUF file, so give its path."
        )
    wanted = expected.digest if isinstance(expected, Manifest) else expected
    source = open_regular(real, shown)
    try:
        if mode == "sealed":
            model = _sealed(source, shown, progress)
        else:
            known = _recall(records, real, source) if mode == "mtime" else ""
            model = (
                SealedModel(os.dup(source), known, "mtime", "file")
                if known == wanted
                else _hashed(source, shown, progress)
            )
            if mode == "mtime":
                _remember(records, real, model)
    finally:
        os.close(source)
    if model.digest != wanted:
        model.close()
        raise IntegrityError(
            f"{shown} is not the model that was vetted (found {model.digest}, expected {wanted}): "
            "restore the file, or run `keelmark admit PATH` if the change is meant."
        )
    return model


def _hashed(source: int, shown: str, progress: Progress | None) -> SealedModel:
    meter = Meter(os.fstat(source).st_size, progress)
    digest = _digest(source, meter, shown)
    return SealedModel(os.dup(source), digest, "hash", "file")


def _sealed(source: int, shown: str, progress: Progress | None) -> SealedModel:
    size = os.fstat(source).st_size
    meter = Meter(2 * size, progress)
    writer, reader, backing = _room_for_copy(size, shown)
    try:
        try:
            _copy(source, writer, size, meter, shown)
            if backing == "memfd":
                _lock(writer, shown)
        finally:
            if writer != reader:
                os.close(writer)
        # Only now: while the copy was written, this user's other processes could reach it too.
        return SealedModel(reader, _digest(reader, meter, shown), "sealed", backing)
    except OSError as error:
        os.close(reader)
        raise _no_room(shown, size, error.strerror or "no room") from None
    except BaseException:  # boundary: interrupts too must give the memory back
        os.close(reader)
        raise


def _room_for_copy(size: int, shown: str) -> tuple[int, int, Backing]:
    """Return a descriptor to write to, one to read from, and what they refer to."""
    with contextlib.suppress(AttributeError, OSError):  # no such call, or it is forbidden
        fd = os.memfd_create("keelmark-model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        free = free_memory()
        if free is not None and free < size + _SPARE:
            os.close(fd)
            raise _no_room(shown, size, f"{free >> 20} MiB are free")
        return fd, fd, "memfd"
    try:
        writer, name = tempfile.mkstemp(prefix="keelmark-")
    except OSError as error:
        raise _no_room(shown, size, error.strerror or "no room") from None
    try:
        return writer, os.open(name, os.O_RDONLY | os.O_CLOEXEC), "unlinked file"
    finally:
        Path(name).unlink()


def _no_room(shown: str, size: int, reason: str) -> UnavailableError:
    return UnavailableError(
        f"The sealed copy of {shown} needs {size >> 20} MiB of memory ({reason}): free some, or "
        "set `admission.load: hash` in the policy."
    )


def _lock(fd: int, shown: str) -> None:
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:  # busy: somebody maps the copy for writing
        raise IntegrityError(
            f"Another process reached into the copy of {shown} before it was sealed: find out "
            "which process of this user does that, then retry."
        ) from None


def _copy(source: int, target: int, size: int, meter: Meter, shown: str) -> None:
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    done = 0
    while done <= size:
        try:
            count = os.readv(source, [buffer])
        except OSError as error:
            raise cannot_read(shown, error) from None
        if not count:
            break
        rest = view[:count]
        while rest:
            rest = rest[os.write(target, rest) :]
        done += count
        meter.tick(count)
    if done != size:
        raise changed(shown)


def _digest(fd: int, meter: Meter, shown: str) -> str:
    content = hash_steadily(fd, meter, shown).hex()
    size = os.fstat(fd).st_size
    return root_digest([ManifestEntry(path=SINGLE_FILE, size=size, sha256=content)])


def _records(path: Path | None) -> dict[str, _Record]:
    if path is None:
        raise UsageError("Load mode `mtime` needs a file to remember hashes in: give `records`.")
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, _Record])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}  # nothing remembered: then everything is hashed in full


def _recall(path: Path | None, real: Path, fd: int) -> str:
    """Return the digest of a file that looks as it did at its last full hash, or ""."""
    record = _records(path).get(printable(real))
    return record.digest if record and record.looks == Fingerprint.of(os.fstat(fd)) else ""


def _remember(path: Path | None, real: Path, model: SealedModel) -> None:
    """Note a full hash, unless the file is so fresh that a change would not show in its times."""
    looks = Fingerprint.of(os.fstat(model.fd))
    records = _records(path)
    if (
        path is None
        or model.mode_used != "hash"
        or time.time_ns() - max(looks.ctime_ns, looks.mtime_ns) < _SETTLED_NS
    ):
        return
    records[printable(real)] = _Record(looks, model.digest)
    with contextlib.suppress(OSError):  # not remembered: the next load hashes in full
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(records), mode=0o600)
