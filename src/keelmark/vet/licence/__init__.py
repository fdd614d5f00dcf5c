"""Licences: which one a text or a name is, what it demands, and whether a declared use fits it."""
