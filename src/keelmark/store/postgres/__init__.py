"""The store on PostgreSQL, for several machines that write to one ledger."""

from keelmark.store.postgres.backend import Postgres

__all__ = ["Postgres"]
