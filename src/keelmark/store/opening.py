"""Which database a store is in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keelmark.core.errors import UsageError
from keelmark.store.port import Backend
from keelmark.store.sqlite import FILE, Sqlite, make_folder, prepare

if TYPE_CHECKING:
    from keelmark.store.postgres import Postgres


def find_backend(folder: Path, database: str) -> Backend:
    """Return the database of a data folder that there is.

    Raises:
        KeelmarkError: There is none, or its address cannot be used.
    """
    if database:
        return _postgres(database)
    if not (folder / FILE).exists():
        raise UsageError(f"There is no store in {folder}; check the data folder.")
    return Sqlite(folder / FILE)


def make_backend(folder: Path, database: str) -> Backend:
    """Return the database of a data folder, which is made on first use.

    Raises:
        KeelmarkError: It cannot be made, or its address cannot be used.
    """
    if not database:
        return Sqlite(prepare(folder))
    make_folder(folder)
    return _postgres(database)


def probe(database: str) -> str:
    """Connect to a PostgreSQL database and change nothing; return how messages name it.

    Raises:
        KeelmarkError: It does not answer, or cannot be used.
    """
    backend = _postgres(database)
    backend.probe()
    return backend.place


def _postgres(database: str) -> Postgres:
    try:
        from keelmark.store.postgres import Postgres  # noqa: PLC0415 (an extra)
    except ImportError:
        raise UsageError(
            'PostgreSQL needs a package: run `pip install "keelmark[postgres]"`.'
        ) from None
    return Postgres(database)
