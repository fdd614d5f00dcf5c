"""The files of a model as OpenSSF Model Signing counts them: some left out, whole or in parts.

A manifest (`manifest.py`) leaves nothing out and follows no link; a foreign signature may do both,
so its files are read here, by its rules, and what it leaves out is said.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from keelmark.core.errors import IntegrityError, LimitError
from keelmark.passport.files import (
    CHUNK,
    Fingerprint,
    Meter,
    Progress,
    cannot_read,
    changed,
    check_name,
    check_regular,
    open_regular,
    printable,
    resolve,
)
from keelmark.passport.manifest import MAX_DEPTH, MAX_FILES, SINGLE_FILE

GIT = (".git", ".gitattributes", ".github", ".gitignore")
"""What the specification leaves out of every signature, at the top of the folder."""

HASHES = {"sha256": "sha256", "blake2b": "blake2b", "blake2": "blake2b"}
"""Names of the specification and of its signers, to those of hashlib."""

_THREADS = 4


class LinkError(IntegrityError):
    """A link, or something that is no file, where a signature allows none."""


class Part(NamedTuple):
    """A range of a file, bytes from `start` up to `end`; all of it when `end` is None."""

    start: int
    end: int | None


WHOLE = Part(0, None)


class Tree(NamedTuple):
    """What lies at a path.

    Attributes:
        name: Name of the file or folder.
        files: Path within the model to where it really lies.
        links: Those that are reached through a symbolic link.
        left_out: What is there and was not looked at: files, and folders with a final slash.
        single: Whether it is one file, called ".".
    """

    name: str
    files: dict[str, Path]
    links: tuple[str, ...]
    left_out: tuple[str, ...]
    single: bool


def read_tree(
    path: Path | str,
    *,
    ignored: Iterable[str] = (),
    wanted: Iterable[str] = (),
    links: bool = False,
) -> Tree:
    """List the files of a model.

    Args:
        path: File or folder; it may itself be a symbolic link.
        ignored: Paths within it that are left out, with all below.
        wanted: Paths that are listed even when they are ignored.
        links: Whether links to files are followed; one to a folder never is.

    Raises:
        LinkError: A link that is not followed, or something that is no file.
        LimitError: Too many files, or too deep.
        UsageError: Missing, unreadable, or a name that is not text.
    """
    real, shown = resolve(path), printable(path)
    name = real.name if Path(path).name in ("", "..") else Path(path).name
    check_name(name)
    if not real.is_dir():
        check_regular(real.stat(), shown)
        return Tree(name, {SINGLE_FILE: real}, (), (), single=True)
    skip, keep = set(ignored), set(wanted)
    ways = {"/".join(way.split("/")[:n]) for way in keep for n in range(1, way.count("/") + 1)}
    files: dict[str, Path] = {}
    linked: list[str] = []
    left: list[str] = []
    folders, seen = [""], 0
    while folders:
        prefix = folders.pop()
        for entry in _entries(real, prefix, shown):
            seen += 1
            if seen > MAX_FILES:
                raise LimitError(f"{shown} holds more than {MAX_FILES} files and folders.")
            way = prefix + entry.name
            inside = entry.is_dir(follow_symlinks=False)
            if _under(way, skip) and way not in (ways if inside else keep):
                left.append(f"{way}/" if inside else way)
            elif inside:
                folders.append(f"{way}/")
            else:
                files[way] = _file(entry, f"{shown}/{way}", links=links)
                if entry.is_symlink():
                    linked.append(way)
    return Tree(name, files, tuple(sorted(linked)), tuple(sorted(left)), single=False)


def hash_parts(
    tree: Tree,
    wanted: Mapping[str, Sequence[Part]],
    algorithm: str,
    progress: Progress | None = None,
) -> dict[str, list[str]]:
    """Hash ranges of files.

    Args:
        tree: Where they lie.
        wanted: Path to the ranges of it.
        algorithm: A key of `HASHES`.
        progress: Called with bytes done and bytes in total.

    Returns:
        Path to one digest for each range, hex.

    Raises:
        IntegrityError: A file changed while it was read.
        CouldNotCheckError: The disk does not answer.
    """
    sizes = {path: tree.files[path].stat().st_size for path in wanted}
    meter = Meter(sum(sizes.values()), progress)
    order = sorted(wanted, key=lambda path: -sizes[path])
    pool = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1))

    def work(path: str) -> list[str]:
        return _hash(tree.files[path], printable(path), wanted[path], HASHES[algorithm], meter)

    try:
        return dict(zip(order, pool.map(work, order), strict=True))
    finally:
        meter.stop()
        pool.shutdown(cancel_futures=True)


def _under(way: str, folders: set[str]) -> bool:
    parts = way.split("/")
    return any("/".join(parts[:n]) in folders for n in range(1, len(parts) + 1))


def _entries(real: Path, prefix: str, shown: str) -> list[os.DirEntry[str]]:
    if prefix.count("/") > MAX_DEPTH:
        raise LimitError(f"{shown} is nested deeper than {MAX_DEPTH} folders: flatten it.")
    try:
        with os.scandir(real / prefix) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise cannot_read(f"{shown}/{prefix}", error) from None
    for entry in entries:
        check_name(entry.name)
    return entries


def _file(entry: os.DirEntry[str], shown: str, *, links: bool) -> Path:
    """Return where a file really lies."""
    if entry.is_symlink():
        if not links:
            raise LinkError(
                f"{shown} is a symbolic link, and this signature allows none: put the file "
                "itself there."
            )
        target = resolve(entry.path)
        if not stat.S_ISREG(target.stat().st_mode):
            raise LinkError(f"{shown} is a link to something that is no file: take it out.")
        return target
    if not entry.is_file(follow_symlinks=False):
        raise LinkError(f"{shown} is not a regular file: take it out.")
    return Path(entry.path)


def _hash(real: Path, shown: str, parts: Sequence[Part], algorithm: str, meter: Meter) -> list[str]:
    fd = open_regular(real, shown)
    try:
        before = Fingerprint.of(os.fstat(fd))
        digests = [_range(fd, part, algorithm, meter.tick) for part in parts]
        if Fingerprint.of(os.fstat(fd)) != before:
            raise changed(shown)
    except OSError as error:
        raise cannot_read(shown, error) from None
    finally:
        os.close(fd)
    return digests


def _range(fd: int, part: Part, algorithm: str, tick: Callable[[int], None]) -> str:
    state, place = hashlib.new(algorithm, usedforsecurity=True), part.start
    end = os.fstat(fd).st_size if part.end is None else part.end
    while place < end and (data := os.pread(fd, min(CHUNK, end - place), place)):
        state.update(data)
        place += len(data)
        tick(len(data))
    return state.hexdigest()


def inside(path: Path, model: Path) -> str:
    """Return the path of a file within a model's folder; "" when it lies elsewhere."""
    real, root = path.absolute().parent.resolve() / path.name, resolve(model)
    return real.relative_to(root).as_posix() if root.is_dir() and real.is_relative_to(root) else ""
