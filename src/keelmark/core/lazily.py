"""Packages that take long to import, imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any


class Lazy:
    """Stands for a module: its attributes are those of the module.

    For packages that only some inputs need. What is needed always is imported as usual.

    Args:
        name: Dotted name of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value
