"""Discovery of one-file extensions: a folder listing first, then entry points.

The file name is the id; a leading underscore hides a file. There is no central list to edit.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from keelmark.core.errors import UsageError


@cache
def _offered() -> Any:
    """What other distributions offer; what is installed does not change while a process runs."""
    return entry_points()


class Extensions(Mapping[str, Any]):
    """Extensions by their ids, sorted; one is imported when it is asked for.

    Args:
        places: Dotted name of each module, by id.
        attribute: What of a module is wanted; the module itself when "".
    """

    def __init__(self, places: Mapping[str, str], attribute: str = "") -> None:
        self._places = dict(sorted(places.items()))
        self._attribute = attribute

    def __getitem__(self, name: str) -> Any:
        """Return an extension.

        Raises:
            KeyError: There is none of this id.
            UsageError: It cannot be imported, or lacks what it should have.
        """
        place = self._places[name]
        try:
            module = importlib.import_module(place)
            return getattr(module, self._attribute) if self._attribute else module
        except Exception as error:  # boundary: extensions are anybody's
            raise UsageError(
                f"The extension {name!r} does not load ({type(error).__name__} in {place}): "
                "mend or uninstall what it comes from."
            ) from error

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def discover(package: str, attribute: str = "") -> Extensions:
    """Find every extension of a package.

    Args:
        package: Dotted name of the folder, e.g. `keelmark.guard.detectors`. Other distributions
            add to it by an entry point in the group of the same name.
        attribute: What of each module is wanted, e.g. `Detector`; the module itself when "".

    Raises:
        UsageError: Two extensions claim the same id.
    """
    folder = importlib.import_module(package)
    found = {
        info.name: f"{package}.{info.name}"
        for info in pkgutil.iter_modules(folder.__path__)
        if not info.name.startswith("_")
    }
    for entry in _offered().select(group=package):
        if entry.name in found:
            raise UsageError(
                f"Two extensions are called {entry.name!r} in {package}; "
                f"uninstall or rename the one from {entry.dist and entry.dist.name}."
            )
        found[entry.name] = entry.value
    return Extensions(found, attribute)
