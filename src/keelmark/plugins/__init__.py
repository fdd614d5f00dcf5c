"""Discovery of one-file extensions: a folder listing first, then entry points.

The file name is the id; a leading underscore hides a file. There is no central list to edit.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from keelmark.core.errors import UsageError


@cache
def _offered() -> Any:
    """What other distributions offer; what is installed does not change while a process runs."""
    return entry_points()


def discover(package: str) -> dict[str, ModuleType]:
    """Import every extension of a package.

    Args:
        package: Dotted name of the folder, e.g. `keelmark.guard.detectors`. Other distributions
            add to it by an entry point in the group of the same name.

    Returns:
        Extension id to module, sorted by id.

    Raises:
        UsageError: Two extensions claim the same id.
    """
    folder = importlib.import_module(package)
    found = {
        info.name: importlib.import_module(f"{package}.{info.name}")
        for info in pkgutil.iter_modules(folder.__path__)
        if not info.name.startswith("_")
    }
    for entry in _offered().select(group=package):
        if entry.name in found:
            raise UsageError(
                f"Two extensions are called {entry.name!r} in {package}; "
                f"uninstall or rename the one from {entry.dist and entry.dist.name}."
            )
        found[entry.name] = importlib.import_module(entry.value)
    return dict(sorted(found.items()))
