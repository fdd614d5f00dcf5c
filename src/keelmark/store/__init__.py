"""What is kept: a database, encrypted content, and the append-only ledger anyone can verify."""

from keelmark.store.api import Store
from keelmark.store.checkpoint import Signer
from keelmark.store.keys import StoredModel
from keelmark.store.opening import probe
from keelmark.store.report import LedgerProblem, LedgerReport

__all__ = ["LedgerProblem", "LedgerReport", "Signer", "Store", "StoredModel", "probe"]
