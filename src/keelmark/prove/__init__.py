"""Controls, evidence queries and reports: a pure function of the ledger."""
