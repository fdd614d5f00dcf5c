"""Move an installation from its file to a database that several machines share."""

from __future__ import annotations

import asyncio
from pathlib import Path

from keelmark.app.home import data_folder
from keelmark.app.quota import StoreMeter
from keelmark.core.errors import UsageError
from keelmark.passport.keys import LEDGER_KEY, load_or_create
from keelmark.store import Signer, Store, probe
from keelmark.store.sqlite import FILE


def move_store(data: Path | None, database: str) -> tuple[int, str]:
    """Move everything; return the number of ledger records, and where they are now.

    Args:
        data: Data folder, as for `data_folder`; no service runs on it.
        database: Address of an empty PostgreSQL database.

    Raises:
        KeelmarkError: It could not be done; all is as it was.
    """
    folder = data_folder(data)
    if not database:
        raise UsageError("Name the database to move to with --database URL.")
    if not (folder / FILE).exists():
        raise UsageError(f"There is no store in {folder} to be moved; check the data folder.")
    place = probe(database)
    from keelmark.store.moving import move  # noqa: PLC0415 (an extra)

    key = load_or_create(folder / LEDGER_KEY).private
    with Store.open(folder, key) as store:
        meter = StoreMeter(store)
        try:
            asyncio.run(meter.tidy())  # what was held stays behind, so it is charged first
        finally:
            meter.close()
    return move(folder, database, Signer(key).key), place
