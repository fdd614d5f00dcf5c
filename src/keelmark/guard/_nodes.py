"""Values of structured data, as they would be told, and where they are written."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from keelmark.guard._patterns import table

_LONG = 100  # code points of a value from which on it is a text, and told as it is
_TOLD = {"true": "yes", "false": "no"} | dict.fromkeys(("null", "nan"), "not given")
_HOURS = re.compile(r"(?<![\d:])(\d{1,2}):(\d{1,2})\s?[-–]\s?(\d{1,2}):(\d{1,2})(?![\d:])")
_JOINT = re.compile(
    r"(?<=[A-Za-z][a-z]{2})(?=[A-Z])|(?<=\bis)(?=[A-Z][a-z])|(?<=\bno)(?=[A-Z][a-z])|[_\s]+|(?<=\w)-(?=\w)"
)
_ADDRESS = re.compile(r"\b(?:address|city|street|zip|postal|postcode|country)\b", re.IGNORECASE)
_STATE = re.compile(r"\b(?:state|province|region)\b", re.IGNORECASE)


Bit = tuple[str, int, int, bool]
"""A piece of a reading, where what it says is written, and whether it stands there so, letter by
letter."""


class Node(NamedTuple):
    """A value of a record.

    Attributes:
        name: Of a field, in words; "" for an item of a list.
        text: What a leaf says, as it would be told; None for what holds others.
        inner: What it holds.
        start: Where it is written.
        end: Where that ends.
        same: Whether the text is what is written, between quotes or not.
    """

    name: str
    text: str | None
    inner: tuple[Node, ...]
    start: int
    end: int
    same: bool = False


def told(said: str) -> str:
    """Return a value of a field as it would be told.

    `true` is yes, and `9:0-21:30` is from 9 AM to 9:30 PM.
    """
    if len(said) >= _LONG or said.isdigit():
        return said.strip()
    said = _TOLD.get(said.lower(), said).strip()
    if ":" in said:
        said = _HOURS.sub(_clock, said)
    return said


def placed(fields: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return the fields of an address with their state told: TX is Texas.

    Beside no other part of an address `state` may be that of a machine: OK is not Oklahoma there.
    """
    if not any(_ADDRESS.search(one.name) for one in fields):
        return fields
    return tuple(map(_with_state, fields))


def _with_state(one: Node) -> Node:
    state = states().get(one.text or "") if _STATE.search(one.name) else None
    return one._replace(text=f"{one.text} ({state})", same=False) if state else one


def words(name: str) -> str:
    """Return the name of a field in words: `OutdoorSeating`, `review_date`."""
    first, *others = [part for part in _JOINT.split(name) if part] or [""]
    small = first[:1].islower()
    return " ".join((first, *(one.lower() if small and one.istitle() else one for one in others)))


def _clock(found: re.Match[str]) -> str:
    """Hours between which something is open: `9:0-21:30` is 9 AM to 9:30 PM."""
    first, second = ((int(found[n]), int(found[n + 1])) for n in (1, 3))
    if max(first[0], second[0]) > 24 or max(first[1], second[1]) > 59:
        return found[0]
    return f"{_hour(*first)} to {_hour(*second)}"


def _hour(hour: int, minute: int) -> str:
    half = "PM" if hour % 24 >= 12 else "AM"
    return f"{(hour + 11) % 12 + 1}{f':{minute:02}' if minute else ''} {half}"


@cache
def states() -> dict[str, str]:
    """Return states and provinces of North America by their two letters."""
    pairs = (one.split("=") for one in table("grounding")["states"].split(","))
    return {short.strip(): name.strip() for short, name in pairs}
