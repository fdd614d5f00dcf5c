"""Which files a run reads."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from keelmark.app.batch.tally import Problem
from keelmark.app.batch.work import FORMATS
from keelmark.core.errors import UsageError
from keelmark.passport.files import printable

LISTS = ("findings.jsonl", "rows.jsonl")
"""What is written beside the copies."""


class Source(NamedTuple):
    """One file to read.

    Attributes:
        path: Where it is.
        shown: What reports call it.
        target: Path of its copy in the folder for copies.
        kind: Its format.
        size: Bytes.
        mtime_ns: When it was changed last.
    """

    path: Path
    shown: str
    target: str
    kind: str
    size: int
    mtime_ns: int

    def changed(self) -> str:
        """Return "" when the file is still the same, else a sentence."""
        try:
            info = self.path.stat()
        except OSError:
            return "it went away while it was read"
        same = (info.st_size, info.st_mtime_ns) == (self.size, self.mtime_ns)
        return "" if same else "it changed while it was read: read it again"


def find(
    paths: Sequence[Path], *, leave: Sequence[Path] = ()
) -> tuple[list[Source], list[Problem], int]:
    """Find the files to read.

    Args:
        paths: Files and folders.
        leave: Files and folders that are no input: what the run itself writes.

    Returns:
        The files, what cannot be read, and the number of hidden files that were left out.

    Raises:
        UsageError: A path does not exist, or the copies of two files would have the same name.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    hidden = 0
    left = {path.resolve() for path in leave}
    for given in paths:
        if not given.exists():
            raise UsageError(f"{printable(given)} does not exist: check the spelling of the path.")
        for path, target in _walked(given, problems):
            if path.resolve() in left or left & set(path.resolve().parents):
                continue
            if path != given and any(part.startswith(".") for part in Path(target).parts):
                hidden += 1
                continue
            found = _source(path, target)
            if isinstance(found, Source):
                sources.append(found)
            else:
                problems.append(found)
    _refuse_twins(sources)
    return sources, problems, hidden


def _walked(given: Path, problems: list[Problem]) -> Iterator[tuple[Path, str]]:
    """Yield files and their paths below what was given, in a fixed order."""
    if not given.is_dir():
        yield given, given.name
        return

    def unread(error: OSError) -> None:
        name = printable(error.filename or given)
        problems.append(Problem(file=name, why=f"it cannot be read ({error.strerror})"))

    for folder, folders, names in os.walk(given, onerror=unread):
        folders.sort()
        for name in folders:
            inner = Path(folder, name)
            if inner.is_symlink():
                why = "it is a link to a folder: name the folder itself"
                problems.append(Problem(file=printable(inner), why=why))
        for name in sorted(names):
            path = Path(folder, name)
            yield path, str(path.relative_to(given))


def _source(path: Path, target: str) -> Source | Problem:
    shown = printable(path)
    try:
        info = path.stat()
    except OSError as error:
        return Problem(file=shown, why=f"it cannot be read ({error.strerror})")
    if not stat.S_ISREG(info.st_mode):
        return Problem(file=shown, why="it is no regular file")
    kind = kind_of(path)
    if not kind:
        return Problem(file=shown, why=f"its format is not known; known are {_known()}")
    return Source(path, shown, target, kind, info.st_size, info.st_mtime_ns)


def kind_of(path: Path) -> str:
    """Return the format of a file by its name, or ""."""
    name = path.name.lower().removesuffix(".gz")
    packed = name != path.name.lower()
    kinds = (kind for kind, form in FORMATS.items() if name.endswith(form.suffixes))
    found = next(kinds, "")
    return "" if packed and found == "parquet" else found


def _known() -> str:
    return ", ".join(suffix for form in FORMATS.values() for suffix in form.suffixes)


def _refuse_twins(sources: Sequence[Source]) -> None:
    seen: dict[str, Source] = {}
    for one in sources:
        if one.target in LISTS:
            raise UsageError(
                f"{one.shown} has the name of a list that is written beside the copies: rename it."
            )
        other = seen.setdefault(one.target, one)
        if other is not one:
            raise UsageError(
                f"The copies of {other.shown} and {one.shown} would have the same name: put them "
                "into one folder and name that, or take them one by one."
            )
