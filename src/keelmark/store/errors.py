"""What SQLite says, in sentences that tell how to mend it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from keelmark.core.errors import IntegrityError, KeelmarkError, UnavailableError, UsageError

_CAUSES: tuple[tuple[str, type[KeelmarkError], str], ...] = (
    ("SQLITE_FULL", UnavailableError, "The disk that holds {path} is full; free some space."),
    (
        "SQLITE_BUSY",
        UnavailableError,
        "{path} is locked by another process that does not let go; close it and try again.",
    ),
    ("SQLITE_LOCKED", UnavailableError, "{path} is locked; try again."),
    (
        "SQLITE_READONLY",
        UsageError,
        "{path} cannot be written; check its owner and mode, and those of its folder.",
    ),
    (
        "SQLITE_CANTOPEN",
        UsageError,
        "{path} cannot be opened; check that it exists and that its folder may be read.",
    ),
    ("SQLITE_PERM", UsageError, "{path} cannot be opened; check its owner and mode."),
    ("SQLITE_NOTADB", IntegrityError, "{path} is not a Keelmark store; restore it from a backup."),
    ("SQLITE_CORRUPT", IntegrityError, "{path} is damaged; restore it from a backup."),
    (
        "SQLITE_CONSTRAINT",
        IntegrityError,
        "{path} already holds what was to be added ({reason}); run `keelmark ledger verify`.",
    ),
    (
        "SQLITE_IOERR",
        UnavailableError,
        "{path} could not be read or written ({reason}); check the disk and its free space.",
    ),
)


def explain(error: Exception, path: Path) -> KeelmarkError:
    """Return the one sentence for an error of SQLite."""
    name = getattr(error, "sqlite_errorname", "") or ""
    reason = str(error).partition("\n")[0] or type(error).__name__
    for prefix, kind, sentence in _CAUSES:
        if name.startswith(prefix):
            return kind(sentence.format(path=path, reason=reason))
    return IntegrityError(f"{path} does not have the form of a Keelmark store ({reason}).")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite within the block into KeelmarkErrors."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error
