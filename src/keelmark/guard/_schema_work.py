"""What it takes to compare a value with a JSON Schema, counted before it is done.

A part of a schema looks at a place of the value. It has other parts look at the same place (in
place: `anyOf`, `$ref`) and at what is inside (`properties`, `items`). A validator walks all of
that, so the work is the number of walks, which grows exponentially where ways lead together. Each
pair of a part and a place is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import product
from typing import Any, NamedTuple

from keelmark.core.errors import KeelmarkError

LONGEST_CHAIN = 400
"""Parts of a schema that look at a value through one another, from its top to its depth."""

_MOST_PAIRS = 100_000
LISTS = ("allOf", "anyOf", "oneOf")
_BRANCHES = ("anyOf", "oneOf")
SINGLES = ("not", "if", "then", "else")
MAPS = ("dependentSchemas", "dependencies")
_ITEMS = ("items", "additionalItems", "contains", "unevaluatedItems")
_FIELDS = ("additionalProperties", "unevaluatedProperties")
INNER_MAPS = ("properties", "patternProperties", "$defs", "definitions")
INNER = (*_ITEMS, *_FIELDS, "propertyNames")
_DOORS = ("properties", "prefixItems", "items", "additionalItems", *_FIELDS, "unevaluatedItems")
AGAIN = frozenset({"if", "unevaluatedItems", "unevaluatedProperties"})


class TooMuchError(KeelmarkError):
    """A schema and an answer that would take too long, or too deep, to compare."""


class Shape(NamedTuple):
    """How much looks at one place through a part.

    Attributes:
        doors: Ways that lead into the place: parts that have others look at what is inside.
        parts: Parts, each as often as it looks.
        chain: The longest chain of them.
    """

    doors: int
    parts: int
    chain: int


class Work(NamedTuple):
    """What it takes: parts that look at places, and how many of them to say why they do not fit."""

    judge: int
    explain: int


class Count:
    """Counts the work of comparing one value, each pair of a part and a place once."""

    def __init__(
        self, in_place: Callable[[dict[str, Any]], list[Any]], plain: Collection[int]
    ) -> None:
        self._in_place = in_place
        self._plain = plain
        self._known: dict[tuple[int, int], Work] = {}

    def of(self, part: Any, value: Any, depth: int = 0) -> Work:
        if not isinstance(part, dict):
            return Work(1, 0)
        if not isinstance(value, (dict, list)) and id(part) in self._plain:
            return Work(_weight(part, value), 0)
        key = (id(part), id(value))
        known = self._known.get(key)
        if known is not None:
            return known
        if depth > LONGEST_CHAIN or len(self._known) >= _MOST_PAIRS:
            raise TooMuchError("The answer is too deep or too long to be compared with the schema.")
        judge, explain = _weight(part, value), 0
        again = 3 if AGAIN & part.keys() else 1
        branches = sum(len(listed(part.get(name))) for name in _BRANCHES)
        for one in self._in_place(part):
            work = self.of(one, value, depth + 1)
            judge += again * work.judge
            explain += again * (work.explain + (work.judge if branches else 0))
        for one, inner in _inside(part, value):
            work = self.of(one, inner, depth + 1)
            judge += work.judge
            explain += work.explain
        self._known[key] = Work(judge, explain)
        return self._known[key]


def doors(part: dict[str, Any]) -> int:
    """Ways that lead from a part to the same place inside: 0, 1, or more where they overlap."""
    basic = any(name in part for name in _DOORS)
    more = sum(isinstance(part.get(name), dict) for name in ("contains", "propertyNames"))
    return basic + more + len(values(part.get("patternProperties")))


def _inside(part: dict[str, Any], value: Any) -> Iterator[tuple[Any, Any]]:
    """The parts that look at what is inside a value, with what they look at."""
    if isinstance(value, dict):
        named = part.get("properties")
        if isinstance(named, dict):
            for name in named.keys() & value.keys():
                yield named[name], value[name]
        yield from ((part.get("propertyNames"), name) for name in value)
        others = [*values(part.get("patternProperties")), *map(part.get, _FIELDS)]
        yield from product(filter(None, others), value.values())
    elif isinstance(value, list):
        for row in ("prefixItems", "items"):
            yield from zip(listed(part.get(row)), value, strict=False)
        others = [other for other in map(part.get, _ITEMS) if isinstance(other, dict)]
        yield from product(others, value)


def _weight(part: dict[str, Any], value: Any) -> int:
    weight = 1 + len(listed(part.get("enum"))) + len(listed(part.get("required"))) // 8
    if isinstance(value, str) and ("pattern" in part or "format" in part):
        weight += len(value) // 64
    if isinstance(value, dict) and "patternProperties" in part:
        weight += len(value) * len(values(part["patternProperties"]))
    return weight


def listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def values(given: Any) -> list[Any]:
    return list(given.values()) if isinstance(given, dict) else []
