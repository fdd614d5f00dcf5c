"""Reading files so that nothing can be swapped between the look and the read.

Everything is opened without following links, looked at before it is opened (opening a device or a
pipe has effects of its own), and looked at again through the descriptor.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import NamedTuple

from keelmark.core.errors import CouldNotCheckError, IntegrityError, KeelmarkError, UsageError

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in total, at least once a megabyte, never concurrently."""

CHUNK = 1 << 20
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

SWAPPED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What opening says when something listed is gone, or a link stands in its place."""

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_REASONS = {
    errno.ENOENT: "does not exist: check the spelling of the path",
    errno.ENOTDIR: "does not exist: a part of the path is a file, not a folder",
    errno.ELOOP: "is a symbolic link where none is allowed, or one that leads in a circle: "
    "put the file itself there",
    errno.EACCES: "cannot be read by this user: give it read permission (chmod u+r)",
    errno.EPERM: "cannot be read by this user: give it read permission (chmod u+r)",
    errno.ENAMETOOLONG: "has a path that is too long: move the model to a shorter one",
}


class Fingerprint(NamedTuple):
    """What tells, without reading a file, that it is still the same: times in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, info: os.stat_result) -> Fingerprint:
        """Return the fingerprint of a stat result."""
        return cls(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


class Meter:
    """Counts bytes over several threads, tells the progress, and can stop the work."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._done = 0
        self._stopped = False
        self._lock = threading.Lock()

    def tick(self, count: int) -> None:
        """Add bytes that are done.

        Raises:
            CancelledError: The work was stopped.
        """
        with self._lock:
            if self._stopped:
                raise CancelledError
            self._done += count
            if self._progress:
                self._progress(self._done, self._total)

    def stop(self) -> None:
        """Make every later `tick` raise."""
        with self._lock:
            self._stopped = True


def cannot_read(shown: str, error: OSError) -> KeelmarkError:
    """Return the error that says in one sentence why a path could not be read."""
    if error.errno in _REASONS:
        return UsageError(f"{shown} {_REASONS[error.errno]}.")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return CouldNotCheckError(f"{shown} could not be read ({reason}): check the disk and retry.")


def changed(shown: str) -> IntegrityError:
    """Return the error for a file that did not hold still."""
    return IntegrityError(
        f"{shown} changed while it was read: wait until nothing writes to it, then retry."
    )


def check_name(name: str) -> None:
    """Refuse a file name that cannot stand in a signed document or on a screen.

    Raises:
        UsageError: Not UTF-8, or with control characters.
    """
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise UsageError(f"The file name {name!a} is not plain UTF-8 text: rename the file.")


def check_regular(info: os.stat_result, shown: str) -> None:
    """Refuse everything that is not a regular file.

    Raises:
        UsageError: With a sentence that says what it is instead.
    """
    if not stat.S_ISREG(info.st_mode):
        kind = _KINDS.get(stat.S_IFMT(info.st_mode), "something special")
        raise UsageError(f"{shown} is {kind}, not a regular file: put the file itself there.")


def resolve(path: Path | str) -> Path:
    """Return the real path of what the user named; here, and only here, links are followed.

    Raises:
        UsageError: Missing, a circle of links, not permitted, or not a path at all.
    """
    try:
        real = os.path.realpath(path, strict=True)
    except OSError as error:
        raise cannot_read(printable(path), error) from None
    except ValueError:
        raise UsageError(f"{printable(path)} is not a path: leave out zero bytes.") from None
    return Path(real)


def fingerprint_at(path: Path) -> Fingerprint | None:
    """Return the fingerprint of what stands at a path now, or None for nothing."""
    try:
        return Fingerprint.of(path.lstat())
    except OSError:
        return None


def printable(path: Path | str) -> str:
    """Return a path for a message; what is not UTF-8 or not printable becomes escapes."""
    return escape(os.fsencode(path).decode("utf-8", "backslashreplace"))


def escape(text: str) -> str:
    """Return text that is safe on a terminal: control and format characters become escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def escape_lines(text: str) -> str:
    """Return text of several lines that is safe on a terminal; see `escape`."""
    return "\n".join(map(escape, text.split("\n")))


def open_regular(name: Path | str, shown: str, *, dir_fd: int | None = None) -> int:
    """Open a regular file for reading; the caller closes the descriptor.

    Args:
        name: Path, or the name within `dir_fd`; its last part is never followed as a link.
        shown: How messages call the file.
        dir_fd: Folder that `name` is in.

    Raises:
        UsageError: Missing, not permitted, or not a regular file.
        CouldNotCheckError: The disk does not answer.
    """
    try:
        check_regular(os.stat(name, dir_fd=dir_fd, follow_symlinks=False), shown)
        fd = os.open(name, READ, dir_fd=dir_fd)
    except OSError as error:
        if dir_fd is not None and error.errno in SWAPPED:
            raise changed(shown) from None  # it was in the listing a moment ago
        raise cannot_read(shown, error) from None
    try:
        check_regular(os.fstat(fd), shown)
    except KeelmarkError:
        os.close(fd)
        raise
    return fd


def read_small(path: Path | str, limit: int, shown: str) -> bytes:
    """Return the content of a regular file that is not meant to be long.

    Raises:
        UsageError: Missing, not permitted, or not a regular file.
        IntegrityError: Longer than `limit` bytes.
        CouldNotCheckError: The disk does not answer.
    """
    fd = open_regular(resolve(path), shown)
    with os.fdopen(fd, "rb") as file:
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise cannot_read(shown, error) from None
    if len(data) > limit:
        raise IntegrityError(f"{shown} is longer than {limit} bytes: it is not the right file.")
    return data


def hash_steadily(fd: int, meter: Meter, shown: str, expected: Fingerprint | None = None) -> bytes:
    """Return the SHA-256 of a whole open file that does not change meanwhile.

    Args:
        fd: Descriptor; reading begins at the start of the file.
        meter: Told of every chunk.
        shown: How messages call the file.
        expected: What the file must look like; how it looks now when None.

    Raises:
        IntegrityError: The file changed while it was read, or is not the expected one.
        CouldNotCheckError: The disk does not answer.
    """
    before = Fingerprint.of(os.fstat(fd))
    if expected not in (None, before):
        raise changed(shown)
    state, done = hashlib.sha256(), 0
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        # A file that somebody appends to would never end: stop at the size that was seen.
        while done <= before.size and (count := os.readv(fd, [buffer])):
            state.update(view[:count])
            done += count
            meter.tick(count)
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError as error:
        raise cannot_read(shown, error) from None
    if done != before.size or Fingerprint.of(os.fstat(fd)) != before:
        raise changed(shown)
    return state.digest()


def write_whole(path: Path, data: bytes, *, mode: int = 0o644, replace: bool = True) -> None:
    """Write a file so that it is there whole and durable, or not at all.

    Args:
        path: Where; its folder must exist.
        data: Content.
        mode: Permissions, further narrowed by the umask.
        replace: Whether to take the place of a file that is there.

    Raises:
        FileExistsError: There is a file and `replace` is false.
        OSError: As the system says.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)  # unlike a rename this fails when the name is taken
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
