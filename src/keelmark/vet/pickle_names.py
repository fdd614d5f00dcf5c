"""How a name that a pickle stream imports is judged: harmless, dangerous, or not known.

Only what is listed is harmless; lists of what is dangerous merely make the answer graver. The
tables are `tables/pickle_names.toml` and `tables/pickle_danger.toml`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from enum import IntEnum
from functools import cache
from importlib import resources
from typing import Any


class Level(IntEnum):
    """How a name is judged for one way of using it."""

    HARMLESS = 0
    FOREIGN = 1
    """Of a package that is not known, and not called: its publisher's own code."""
    UNKNOWN = 2
    """Called without being known to be harmless, or unexpected in a package that is known."""
    DANGEROUS = 3


JUDGED_BY_CALL = {"builtins.getattr", "builtins.type"}
"""Harmless or not by what they are called with; importing them decides nothing."""

CLASS = re.compile(r"_*[A-Z]\w*\Z")
_IDENTIFIER = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*\Z")
_LOWER_CLASS = re.compile(
    r"(\w+_(matrix|array|gen|frozen)|rv_\w+|cKDTree|interp1d|interp2d|gaussian_kde)\Z"
)
_ERROR = re.compile(r"[A-Z]\w*(Error|Exception|Warning|Interrupt|Exit|Iteration)\Z")
_DUNDER = re.compile(r"__\w+__\Z")
_ALIASES = {"__builtin__": "builtins", "copy_reg": "copyreg", "exceptions": "builtins"}
_OWN_NAMES = {"__main__", "__torch__", "__mp_main__"}


@cache
def _tables() -> dict[str, Any]:
    folder = resources.files("keelmark.vet").joinpath("tables")
    found: dict[str, Any] = {}
    for file in ("pickle_names", "pickle_danger"):
        found |= tomllib.loads(folder.joinpath(f"{file}.toml").read_text("utf-8"))
    return found | {key: frozenset(found[key]) for key in ("modules", "names", "words", "known")}


def _below(name: str, prefixes: frozenset[str] | list[str]) -> bool:
    """Whether a dotted name is one of the prefixes or below it."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in prefixes for count in range(1, len(parts) + 1))


@cache
def level(module: str, name: str, how: str) -> Level:
    """Judge a name.

    Args:
        module: Module it is imported from.
        name: Name in the module, may have dots.
        how: `import`, `new` (made without its constructor) or `call`.
    """
    module = _ALIASES.get(module, module)
    if _is_listed(module, name, how):
        return Level.HARMLESS
    if _is_dangerous(module, name):
        return Level.DANGEROUS
    if not _IDENTIFIER.match(module) or not _IDENTIFIER.match(name):
        return Level.UNKNOWN
    package = module.partition(".")[0]
    if how != "call" and (package == "__torch__" or _in_family(module, name)):
        return Level.HARMLESS
    if package in _tables()["known"] and how == "import" and _is_own(name):
        return Level.HARMLESS
    if how == "call" or package in _tables()["known"] or package in sys.stdlib_module_names:
        return Level.UNKNOWN
    return Level.FOREIGN


def _is_listed(module: str, name: str, how: str) -> bool:
    known = _tables()
    if name in known["call"].get(module, ()) or (module == "builtins" and _ERROR.match(name)):
        return True
    if how != "call" and name in known["new"].get(module, ()):
        return True
    return how == "import" and f"{module}.{name}" in JUDGED_BY_CALL


def _is_own(name: str) -> bool:
    """Whether a name with dots leads to a part of a class, not to a module met on the way."""
    parts = name.split(".")
    return len(parts) == 1 or not sys.stdlib_module_names & set(parts)


def _in_family(module: str, name: str) -> bool:
    if not CLASS.match(name) and not _LOWER_CLASS.match(name):
        return False
    families, parts = _tables()["families"], module.split(".")
    for count in range(len(parts), 0, -1):
        but = families.get(".".join(parts[:count]))
        if but is not None:
            return not _below(module, but)
    return False


def _is_dangerous(module: str, name: str) -> bool:
    known, parts = _tables(), name.split(".")
    if _below(module, known["modules"]) or _below(f"{module}.{name}", known["names"]):
        return True
    if parts[-1] in known["words"]:
        return True
    if any(_DUNDER.match(part) for part in (*module.split("."), *parts) if part not in _OWN_NAMES):
        return True
    return len(parts) > 1 and any(part in known["modules"] for part in parts)
