"""The manifest: what a model consists of, and the digest that identifies it.

Order and hash form are those of the OpenSSF Model Signing specification v1.0, method `files`:
resources sorted by the parts of their path, root digest = SHA-256 over the raw SHA-256 digests of
the files in that order, a single file is the resource `.`. Two consequences to know:

- Nothing is ignored. The specification's signer leaves out `.git` and the like by default; a file
  that is left out is a file nobody checked. To compare with such a signature, filter `entries`
  and use `root_digest`.
- The root digest covers contents and their order but not names. So a folder is compared by its
  whole manifest (`Manifest.difference`), never by the digest alone; see `Passport.verify`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from keelmark.core.errors import LimitError, UsageError
from keelmark.passport.files import (
    READ,
    SWAPPED,
    Fingerprint,
    Meter,
    Progress,
    cannot_read,
    changed,
    check_name,
    check_regular,
    fingerprint_at,
    hash_steadily,
    open_regular,
    printable,
    resolve,
)

MAX_FILES = 100_000
MAX_DEPTH = 64
MAX_PATH_BYTES = 4096
SINGLE_FILE = "."
_THREADS = 4

Visit = Callable[[str, int], None]
"""Called with the path of a file and a descriptor of it; one file after another."""


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file.

    Attributes:
        path: Path within the model, with forward slashes; "." when the model is this one file.
        size: Bytes.
        sha256: Digest of the content, hex.
    """

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Every file of a model.

    Attributes:
        name: File or folder name, for people only.
        entries: The files, sorted by the parts of their path.
        links_followed: Whether files were reached through links of a Hugging Face hub cache.
    """

    name: str
    entries: tuple[ManifestEntry, ...]
    links_followed: bool = False

    @property
    def digest(self) -> str:
        """The identity of the contents: `sha256:<hex>` of the root digest."""
        return root_digest(self.entries)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.entries)

    @property
    def is_file(self) -> bool:
        """Whether the model is one file and not a folder."""
        return [entry.path for entry in self.entries] == [SINGLE_FILE]

    def difference(self, other: Manifest) -> str:
        """Say where another manifest differs in names or contents; "" when it does not."""
        mine = {entry.path: entry for entry in self.entries}
        theirs = {entry.path: entry for entry in other.entries}
        for path in sorted(mine.keys() | theirs.keys(), key=path_order):
            name = self.name if path == SINGLE_FILE else path
            if path not in theirs:
                return f"{name} is missing"
            if path not in mine:
                return f"{name} was added"
            if mine[path] != theirs[path]:
                return f"{name} has other content"
        return ""


def path_order(path: str) -> tuple[str, ...]:
    """Sort key of a path: by its parts, so that `a/b` stands before `a-b`."""
    return tuple(path.split("/"))


def root_digest(entries: Iterable[ManifestEntry]) -> str:
    """Return `sha256:<hex>` over the raw digests of entries that are in order."""
    state = hashlib.sha256()
    for entry in entries:
        state.update(bytes.fromhex(entry.sha256))
    return "sha256:" + state.hexdigest()


def build_manifest(
    path: Path | str, progress: Progress | None = None, visit: Visit | None = None
) -> Manifest:
    """Read every file of a model and return its manifest.

    The path itself may be a symbolic link. Within a folder links are refused, except those of a
    Hugging Face hub cache: when the folder is `…/snapshots/<revision>`, a link may lead to a
    regular file directly in the `blobs` folder beside `snapshots`, and nowhere else.

    Args:
        path: File or folder.
        progress: Called with bytes done and bytes in total.
        visit: Called with every file while others are hashed, so that what is looked at is what
            the manifest names.

    Raises:
        UsageError: Missing, unreadable, empty, a link, a special file, or a name that is not text.
        LimitError: Too many files, too deep, or too long a path.
        IntegrityError: A file changed while it was read; the message names it.
        CouldNotCheckError: The disk does not answer.
    """
    real = resolve(path)
    name = name_of(path, real)
    check_name(name)
    if not real.is_dir():
        return Manifest(name=name, entries=(_single(real, printable(path), progress, visit),))
    with _Tree(real, printable(path)) as tree:
        before = tree.listing()
        if not before:
            raise UsageError(f"{tree.shown} holds no files: give the folder that holds the model.")
        opened = {
            entry: _Opened(f"{tree.shown}/{entry}", file.seen, partial(tree.open, entry, file))
            for entry, file in before.items()
        }
        digests = _read_all(opened, progress, visit)
        after = tree.listing()
        for entry in before.keys() | after.keys():
            if before.get(entry) != after.get(entry):
                raise changed(f"{tree.shown}/{entry}")
    return Manifest(
        name=name,
        entries=tuple(
            ManifestEntry(path=entry, size=before[entry].seen.size, sha256=digests[entry].hex())
            for entry in sorted(before, key=path_order)
        ),
        links_followed=any(file.blob for file in before.values()),
    )


def name_of(path: Path | str, real: Path) -> str:
    """Return what people call a model that lies at a path."""
    return Path(path).name or real.name or "model"


def _single(
    real: Path, shown: str, progress: Progress | None, visit: Visit | None
) -> ManifestEntry:
    fd = open_regular(real, shown)
    try:
        seen = Fingerprint.of(os.fstat(fd))
    finally:
        os.close(fd)
    opened = {SINGLE_FILE: _Opened(shown, seen, partial(open_regular, real, shown))}
    digest = _read_all(opened, progress, visit)[SINGLE_FILE]
    if fingerprint_at(real) != seen:
        raise changed(shown)
    return ManifestEntry(path=SINGLE_FILE, size=seen.size, sha256=digest.hex())


class _Opened(NamedTuple):
    """A file that was seen, and how to open it again."""

    shown: str
    seen: Fingerprint
    open: Callable[[], int]

    def hash(self, meter: Meter) -> bytes:
        """Return the SHA-256 of the file, which must still be the same."""
        fd = self.open()
        try:
            return hash_steadily(fd, meter, self.shown, self.seen)
        finally:
            os.close(fd)

    def look(self, path: str, visit: Visit) -> None:
        """Have the file visited, which must be the same before and after."""
        fd = self.open()
        try:
            if Fingerprint.of(os.fstat(fd)) != self.seen:
                raise changed(self.shown)
            visit(path, fd)
            if Fingerprint.of(os.fstat(fd)) != self.seen:
                raise changed(self.shown)
        finally:
            os.close(fd)


class _File(NamedTuple):
    """A file of a folder: its blob's name if it is reached through a hub link, and its looks."""

    blob: str
    seen: Fingerprint


class _Tree:
    """An open folder, read through descriptors only, so that a swapped parent changes nothing."""

    def __init__(self, real: Path, shown: str) -> None:
        self.shown = shown
        self._blobs: int | None = None
        try:
            self._root = os.open(real, READ | os.O_DIRECTORY)
        except OSError as error:
            raise cannot_read(shown, error) from None
        if real.parent.name == "snapshots":
            try:
                self._blobs = os.open("../../blobs", READ | os.O_DIRECTORY, dir_fd=self._root)
            except OSError:
                self._blobs = None  # no hub cache after all: then links stay refused

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)
        if self._blobs is not None:
            os.close(self._blobs)

    def listing(self) -> dict[str, _File]:
        """Return every file of the tree, by path."""
        found: dict[str, _File] = {}
        folders = [""]
        seen = 0
        while folders:
            prefix = folders.pop()
            folder = self._folder(prefix)
            try:
                for name in self._names(folder, prefix):
                    seen += 1
                    file = self._look(folder, name, prefix + name)
                    if file is None:
                        folders.append(f"{prefix}{name}/")
                    else:
                        found[prefix + name] = file
            finally:
                os.close(folder)
            if seen > MAX_FILES:
                raise LimitError(
                    f"{self.shown} holds more than {MAX_FILES} files and folders: "
                    "give the folder that holds only the model."
                )
        return found

    def open(self, path: str, file: _File) -> int:
        """Open a listed file; the caller closes the descriptor."""
        shown = f"{self.shown}/{path}"
        if file.blob:
            return open_regular(file.blob, shown, dir_fd=self._blobs)
        parent, _, name = path.rpartition("/")
        folder = self._folder(parent)
        try:
            return open_regular(name, shown, dir_fd=folder)
        finally:
            os.close(folder)

    def _names(self, folder: int, prefix: str) -> list[str]:
        if prefix.count("/") > MAX_DEPTH:
            raise LimitError(f"{self.shown} is nested deeper than {MAX_DEPTH} folders: flatten it.")
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise cannot_read(f"{self.shown}/{prefix}", error) from None
        for name in names:
            check_name(name)
            if len((prefix + name).encode()) > MAX_PATH_BYTES:
                raise LimitError(
                    f"{self.shown} holds a path of more than {MAX_PATH_BYTES} bytes: shorten it."
                )
        return names

    def _look(self, folder: int, name: str, path: str) -> _File | None:
        """Return what stands at a path: a file, or None for a folder."""
        shown = f"{self.shown}/{path}"
        blob = ""
        try:
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                return None
            if stat.S_ISLNK(info.st_mode):
                blob = self._blob_name(os.readlink(name, dir_fd=folder), path, shown)
                info = os.stat(blob, dir_fd=self._blobs, follow_symlinks=False)
        except FileNotFoundError:
            if not blob:
                raise changed(shown) from None
            raise UsageError(
                f"{shown} is a link to a file that is not there: download the model again."
            ) from None
        except OSError as error:
            raise cannot_read(shown, error) from None
        check_regular(info, shown)
        return _File(blob, Fingerprint.of(info))

    def _blob_name(self, target: str, path: str, shown: str) -> str:
        """Return the blob that a hub-cache link leads to.

        Raises:
            UsageError: The link leads anywhere else.
        """
        way, _, name = target.rpartition("/")
        wanted = "../" * path.count("/") + "../../blobs"
        if self._blobs is None or way != wanted or name in ("", ".", ".."):
            raise UsageError(
                f"{shown} is a symbolic link that leaves the folder or hides another file: "
                "put the file itself there (cp -L copies what links lead to)."
            )
        return name

    def _folder(self, path: str) -> int:
        """Open a folder of the tree, part by part, following no link."""
        fd = os.dup(self._root)
        for part in filter(None, path.split("/")):
            try:
                deeper = os.open(part, READ | os.O_DIRECTORY, dir_fd=fd)
            except OSError as error:
                shown = f"{self.shown}/{path}"
                swapped = error.errno in SWAPPED
                raise (changed(shown) if swapped else cannot_read(shown, error)) from None
            finally:
                os.close(fd)
            fd = deeper
        return fd


def _read_all(
    files: dict[str, _Opened], progress: Progress | None, visit: Visit | None
) -> dict[str, bytes]:
    """Hash the files on a few threads (hashing and reading release the GIL), largest first.

    Visits happen meanwhile, here: an interrupt reaches them, and they need not be thread-safe.
    """
    meter = Meter(sum(file.seen.size for file in files.values()), progress)
    order = sorted(files, key=lambda path: -files[path].seen.size)
    pool = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1, len(files)))
    try:
        jobs = {path: pool.submit(files[path].hash, meter) for path in order}
        if visit:
            for path in sorted(files, key=path_order):
                files[path].look(path, visit)
        for job in wait(jobs.values(), return_when=FIRST_EXCEPTION).done:
            job.result()
        return {path: job.result() for path, job in jobs.items()}
    finally:
        meter.stop()
        pool.shutdown(cancel_futures=True)
