"""Walking through a row: every text in it, with the path where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from keelmark.core.errors import CouldNotCheckError
from keelmark.guard.contract import LOOK_BEHIND

_NUMBER = 10**6  # smaller whole numbers are not read
_EXACT = 10**20  # what is called whole beyond that is a rounded quantity
_INDEX = re.compile(r"\[\d+\]")
_BETWEEN = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\W_]+")
_GENERAL = frozenset(("id", "no", "nr", "num", "number", "nummer", "numero", "value", "code"))

Change = Callable[[str, str], str]
"""From the path and a text to the text that is to stand there."""
Name = Callable[[str, str], tuple[str, str]]
"""From the path of an object and the name of a field to the name to show, and to write."""


def chosen(path: str, fields: Sequence[str]) -> bool:
    """Say whether a path is, or lies in, one of the fields; without fields, every path is.

    A field is the name of a column, or names with dots between them: `messages.content`.
    """
    if not fields:
        return True
    plain = _INDEX.sub("", path)
    return any(plain == one or plain.startswith(f"{one}.") for one in fields)


def general(path: str) -> str:
    """Return a path without the places in lists: `messages[].content`."""
    return _INDEX.sub("[]", path)


@lru_cache(4096)
def heading(path: str) -> str:
    """Return what a text is judged behind: the name of its field, in words and as it is written.

    `passport_no` and `passportNo` say what a bare number is; of a name that says little (`id`,
    `number`) the one above it is said too. "" where there is no name.
    """
    names = [name for name in _INDEX.sub("", path).split(".") if name]
    if not names:
        return ""
    name = " ".join(names[-1].split())
    words = _words(name)
    if words.casefold() in _GENERAL and len(names) > 1:
        words = _words(f"{names[-2]} {name}")
    if not any(char.isalpha() for char in name):
        return ""
    return (f"{words}: " if words == name else f"{words} {name}: ")[-LOOK_BEHIND:]


def _words(name: str) -> str:
    return " ".join(_BETWEEN.sub(" ", name).split())


def changed(value: Any, change: Change, name: Name, path: str = "") -> Any:
    """Return a value with every text, every long whole number and every date in it changed.

    The value itself comes back where nothing in it changes.

    Args:
        value: What JSON has, a tuple, a decimal number or a date.
        change: Changes a text.
        name: Changes the names of fields.
        path: Where the value stands.

    Raises:
        CouldNotCheckError: Two names of one object became the same.
    """
    if isinstance(value, str):
        return change(path, value)
    if text := _told(value):
        out = change(path, text)
        return value if out == text else out
    if isinstance(value, list | tuple):
        items = [changed(one, change, name, f"{path}[{n}]") for n, one in enumerate(value)]
        same = all(one is other for one, other in zip(value, items, strict=True))
        return value if same else type(value)(items)
    if isinstance(value, dict):
        return _object(value, change, name, path)
    return value


def _told(value: Any) -> str:
    """A long whole number or a date as it is written; "" for all else."""
    if isinstance(value, datetime):
        return str(value).removesuffix(" 00:00:00")
    if isinstance(value, date):
        return str(value)
    whole = 0
    if isinstance(value, int):
        whole = int(value)
    elif isinstance(value, float):
        whole = int(value) if abs(value) < _EXACT and value.is_integer() else 0
    elif isinstance(value, Decimal) and value.is_finite() and abs(value) < _EXACT:
        whole = int(value) if value == int(value) else 0
    return str(whole) if abs(whole) >= _NUMBER else ""


def _object(value: dict[Any, Any], change: Change, name: Name, path: str) -> Any:
    out, same = dict[Any, Any](), True
    for key, one in value.items():
        if isinstance(key, str):
            shown, said = name(path, key)
            new = changed(one, change, name, f"{path}.{shown}" if path else shown)
        else:  # a cell of the first row, which has no name yet
            said = key
            new = changed(one, change, name, f"column {key + 1}")
        if said in out:
            raise CouldNotCheckError("two of its fields would get the same name")
        same = same and said is key and new is one
        out[said] = new
    return value if same else out
