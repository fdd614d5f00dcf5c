"""Storage: SQLite by default, the ledger, encrypted content."""
