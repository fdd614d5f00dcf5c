"""What is kept: SQLite, encrypted content, and the append-only ledger that anyone can verify."""

from keelmark.store.api import Store
from keelmark.store.checkpoint import Signer
from keelmark.store.keys import StoredModel
from keelmark.store.report import LedgerProblem, LedgerReport

__all__ = ["LedgerProblem", "LedgerReport", "Signer", "Store", "StoredModel"]
