"""The Python library: `from keelmark import Guard, vet, Passport`. Nothing heavy is imported."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keelmark.core.scope import Origin as Origin
    from keelmark.guard import Guard as Guard
    from keelmark.passport.passport import Passport as Passport
    from keelmark.vet import vet as vet

__version__ = "0.1.0"
__all__ = ["Guard", "Origin", "Passport", "__version__", "vet"]

_HOMES = {
    "Guard": "keelmark.guard",
    "Origin": "keelmark.core.scope",
    "Passport": "keelmark.passport.passport",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'keelmark' has no attribute {name!r}")
