"""Model identity, statements, signatures."""
