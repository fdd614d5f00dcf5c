"""The meter of a store, and what is done about holds whose process has ended."""

from __future__ import annotations

from functools import partial
from typing import Any

from keelmark.core.errors import UsageError
from keelmark.store.api import Store
from keelmark.store.ledger import Transaction
from keelmark.store.meter import SharedMeter
from keelmark.store.shelves import FILE, FileShelf
from keelmark.store.usage import write_lost


def open_meter(store: Store) -> SharedMeter:
    """Return the holds, and limits that processes share, that belong to a store.

    Raises:
        KeelmarkError: They cannot be opened.
    """
    if not store.backend.remote:
        return SharedMeter(partial(FileShelf, store.folder))
    from keelmark.store.postgres.backend import Postgres  # noqa: PLC0415 (an extra)
    from keelmark.store.postgres.shelf import PostgresShelf  # noqa: PLC0415 (an extra)

    if not isinstance(store.backend, Postgres):
        raise UsageError("Holds cannot be kept in this database; use PostgreSQL.")
    return SharedMeter(partial(PostgresShelf, store.backend))


def has_meter(store: Store) -> bool:
    """Return whether holds may have been left behind."""
    return store.backend.remote or (store.folder / FILE).exists()


async def reconcile(store: Store, meter: SharedMeter) -> int:
    """Charge the holds of processes that live no more; return how many were charged.

    Each step may be repeated: a hold whose usage is recorded is never charged, and none is taken
    away before that.
    """
    charged = 0
    for owner, holds in (await meter.lost()).items():
        charged += await store.run(partial(_charge, holds, owner))
        await meter.forget(owner, [hold.id for hold in holds])
    return charged


def _charge(holds: Any, owner: str, transaction: Transaction) -> int:
    return write_lost(transaction, holds, owner)
