"""JSON Schemas of people nobody knows: read within limits, judged within a bounded time.

A schema may come from any caller, so it is walked before anything is made of it: no reference
leaves the document, patterns match in linear time (a finite automaton, no look-around), and size,
depth and chains of references are bounded. A schema that is small can still ask for exponential
work (`anyOf` of the same `anyOf`, level upon level), so the work is counted for each answer before
it is done: every place of the answer with every part of the schema that looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice, product
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from keelmark.core.errors import KeelmarkError, UsageError

LONGEST = 256 * 1024
"""Bytes of the longest schema."""

MOST_PARTS = 20_000
MOST_PATTERNS = 64
_LONGEST_PATTERN = 1000
_DEEPEST = 64  # levels of a schema
_LONGEST_CHAIN = 400  # parts of a schema that look at a place through one another
_MOST_PAIRS = 100_000  # places of an answer, with the parts that look at them
_MOST_WORK = 2_000_000
_MOST_TO_EXPLAIN = 10_000  # in branches, of which every one is explained
_MOST_FAULTS = 30_000  # places in which something may be wrong, when all of it is to be told
_AUTOMATON = 128 * 1024  # bytes of one compiled pattern
_FAULTS = 5
_LONGEST_FAULT = 300

_DRAFTS = {
    "json-schema.org/draft/2020-12/schema": "Draft202012Validator",
    "json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "json-schema.org/draft-07/schema": "Draft7Validator",
    "json-schema.org/draft-06/schema": "Draft6Validator",
}
_NEWEST = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS = ("$anchor", "$dynamicAnchor")
_LISTS = ("allOf", "anyOf", "oneOf")
_BRANCHES = ("anyOf", "oneOf")
_SINGLES = ("not", "if", "then", "else")
_MAPS = ("dependentSchemas", "dependencies")
_ITEMS = ("items", "additionalItems", "contains", "unevaluatedItems")
_FIELDS = ("additionalProperties", "unevaluatedProperties")
_INNER_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_INNER = (*_ITEMS, *_FIELDS, "propertyNames")
_AGAIN = frozenset({"if", "unevaluatedItems", "unevaluatedProperties"})


class SchemaError(UsageError):
    """A schema that cannot be used: broken, or of a kind that is refused."""


class TooMuchError(KeelmarkError):
    """A schema and an answer that would take too long, or too deep, to compare."""


class Misfit(NamedTuple):
    """One thing in which a value does not fit a schema.

    Attributes:
        keyword: The keyword that it breaks (`required`, `type`).
        depth: How many levels down.
        said: Where and what, for who may see the value.
    """

    keyword: str
    depth: int
    said: str


class Schema:
    """A schema within the limits.

    Attributes:
        plain: The parts (their `id`) that ask no other part about the same place.

    Args:
        source: The schema as JSON.

    Raises:
        SchemaError: It is broken, or of a kind that is refused; the message says why.
    """

    def __init__(self, source: bytes) -> None:
        if len(source) > LONGEST:
            raise SchemaError(f"The schema is longer than {LONGEST // 1024} KiB; make it smaller.")
        try:
            self._root: Any = msgspec.json.decode(source)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise SchemaError("The schema is no JSON document; write one.") from None
        if not isinstance(self._root, (dict, bool)):
            raise SchemaError("A schema is an object, true or false; write one of these.")
        _refuse_deep(self._root)
        self._targets: dict[int, Any] = {}
        self.plain = self._walk()
        self._validator = _validator(self._root)

    def misfits(self, value: Any) -> tuple[Misfit, ...]:
        """Return in what a value does not fit; nothing when it does.

        Raises:
            TooMuchError: It would take too long to say.
        """
        work = _Count(self).of(self._root, value)
        if work.judge > _MOST_WORK:
            raise TooMuchError("The schema branches too much to be compared with this answer.")
        if self._validator.is_valid(value):
            return ()
        if work.explain > _MOST_TO_EXPLAIN:
            return (Misfit("schema", 0, "it does not fit the schema"),)
        return tuple(map(_misfit, self._errors(value, every=work.judge <= _MOST_FAULTS)))

    def _errors(self, value: Any, *, every: bool) -> list[Any]:
        """The first faults; the very first one where there may be very many."""
        if every:
            return list(islice(self._validator.iter_errors(value), _FAULTS))
        try:
            self._validator.validate(value)
        except ValueError as error:
            return [error]
        return []

    def in_place(self, part: dict[str, Any]) -> list[Any]:
        """Return the parts that look at the same place as a part, each as often as it does."""
        out = [self._targets[id(part)]] if id(part) in self._targets else []
        for name in _LISTS:
            out += _list(part.get(name))
        out += [part[name] for name in _SINGLES if name in part]
        for name in _MAPS:
            out += [one for one in _values(part.get(name)) if not isinstance(one, list)]
        return out

    def _walk(self) -> set[int]:
        """Check every part, find what references lead to; return the parts that ask no other."""
        parts, seen, patterns = [self._root], dict[int, Any](), 0
        anchors = _anchors(self._root)
        while parts:
            part = parts.pop()
            if not isinstance(part, dict) or id(part) in seen:
                continue
            seen[id(part)] = part
            _check_part(part, is_root=part is self._root)
            patterns += ("pattern" in part) + len(_values(part.get("patternProperties")))
            named = [part[name] for name in _REFERENCES if name in part]
            if len(named) > 1:
                raise SchemaError("The schema has two references in one place; keep one of them.")
            if named:
                self._targets[id(part)] = self._found(named[0], anchors)
            parts += self.in_place(part)
            for name in _INNER_MAPS:
                parts += _values(part.get(name))
            parts += [part[name] for name in _INNER if name in part]
            for name in ("prefixItems", "items"):
                parts += _list(part.get(name))
        if patterns > MOST_PATTERNS:
            raise SchemaError(f"The schema has more than {MOST_PATTERNS} patterns; use fewer.")
        reached: dict[int, int] = {}
        for part in seen.values():
            self._reach(part, reached, 0)
        return {number for number, chain in reached.items() if chain == 1}

    def _found(self, reference: Any, anchors: dict[str, Any]) -> Any:
        if not isinstance(reference, str):
            raise SchemaError("The schema has a `$ref` that is no text; write `#/$defs/NAME`.")
        own = str(self._root.get("$id", "")).partition("#")[0]
        document, _, place = reference.partition("#")
        if document not in {"", own}:
            raise SchemaError(
                "The schema refers to another document; put what it refers to into `$defs`."
            )
        found = self._root
        if place.startswith("/"):
            for step in unquote(place).split("/")[1:]:
                found = _step(found, step.replace("~1", "/").replace("~0", "~"))
        elif place:
            found = anchors.get(place)
        if not isinstance(found, (dict, bool)):
            raise SchemaError("The schema has a `$ref` that leads nowhere; mend its path.")
        return found

    def _reach(self, part: Any, reached: dict[int, int], depth: int) -> int:
        """Longest chain of parts that look at one place through one another."""
        if not isinstance(part, dict):
            return 1
        if depth > _DEEPEST or reached.get(id(part)) == 0:
            raise SchemaError(
                "The schema leads back to itself, or through too many references, without going "
                "deeper into the answer; shorten the chain."
            )
        if id(part) not in reached:
            reached[id(part)] = longest = 0
            for one in self.in_place(part):
                longest = max(longest, self._reach(one, reached, depth + 1))
            reached[id(part)] = 1 + longest
        return reached[id(part)]


class _Work(NamedTuple):
    """What it takes: parts that look at places, and how many of them to say why they do not fit."""

    judge: int
    explain: int


class _Count:
    """Counts the work of comparing one value, each pair of a part and a place once."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._known: dict[tuple[int, int], _Work] = {}

    def of(self, part: Any, value: Any, depth: int = 0) -> _Work:
        if not isinstance(part, dict):
            return _Work(1, 0)
        if not isinstance(value, (dict, list)) and id(part) in self._schema.plain:
            return _Work(_weight(part, value), 0)
        key = (id(part), id(value))
        known = self._known.get(key)
        if known is not None:
            return known
        if depth > _LONGEST_CHAIN or len(self._known) >= _MOST_PAIRS:
            raise TooMuchError("The answer is too deep or too long to be compared with the schema.")
        judge, explain = _weight(part, value), 0
        again = 3 if _AGAIN & part.keys() else 1
        branches = sum(len(_list(part.get(name))) for name in _BRANCHES)
        for one in self._schema.in_place(part):
            work = self.of(one, value, depth + 1)
            judge += again * work.judge
            explain += again * (work.explain + (work.judge if branches else 0))
        for one, inner in _inside(part, value):
            work = self.of(one, inner, depth + 1)
            judge += work.judge
            explain += work.explain
        self._known[key] = _Work(judge, explain)
        return self._known[key]


def _inside(part: dict[str, Any], value: Any) -> Iterator[tuple[Any, Any]]:
    """The parts that look at what is inside a value, with what they look at."""
    if isinstance(value, dict):
        named = part.get("properties")
        if isinstance(named, dict):
            for name in named.keys() & value.keys():
                yield named[name], value[name]
        yield from ((part.get("propertyNames"), name) for name in value)
        others = [*_values(part.get("patternProperties")), *map(part.get, _FIELDS)]
        yield from product(filter(None, others), value.values())
    elif isinstance(value, list):
        for row in ("prefixItems", "items"):
            yield from zip(_list(part.get(row)), value, strict=False)
        others = [other for other in map(part.get, _ITEMS) if isinstance(other, dict)]
        yield from product(others, value)


def _weight(part: dict[str, Any], value: Any) -> int:
    weight = 1 + len(_list(part.get("enum"))) + len(_list(part.get("required"))) // 8
    if isinstance(value, str) and ("pattern" in part or "format" in part):
        weight += len(value) // 64
    if isinstance(value, dict) and "patternProperties" in part:
        weight += len(value) * len(_values(part["patternProperties"]))
    return weight


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _values(given: Any) -> list[Any]:
    return list(given.values()) if isinstance(given, dict) else []


def _step(found: Any, step: str) -> Any:
    if isinstance(found, dict):
        return found.get(step)
    if isinstance(found, list) and step.isdecimal() and len(step) < 8 and int(step) < len(found):
        return found[int(step)]
    return None


def _refuse_deep(root: Any) -> None:
    level: list[Any] = [root]
    number = 0
    for _ in range(_DEEPEST):
        number += len(level)
        if number > MOST_PARTS:
            raise SchemaError(f"The schema has more than {MOST_PARTS} parts; make it smaller.")
        level = [
            i for one in level for i in (_values(one) or _list(one)) if isinstance(i, (dict, list))
        ]
        if not level:
            return
    raise SchemaError(f"The schema is nested deeper than {_DEEPEST} levels; move parts to `$defs`.")


def _anchors(root: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    level: list[Any] = [root]
    while level:
        for one in level:
            for name in _ANCHORS if isinstance(one, dict) else ():
                if isinstance(one.get(name), str):
                    found.setdefault(one[name], one)
        level = [
            i for one in level for i in (_values(one) or _list(one)) if isinstance(i, (dict, list))
        ]
    return found


def _check_part(part: dict[str, Any], *, is_root: bool) -> None:
    if not is_root and "$id" in part:
        raise SchemaError("The schema has a `$id` inside; keep one at its top, or none.")
    patterns = [part.get("pattern"), *(part.get("patternProperties") or ())]
    if any(isinstance(p, str) and len(p) > _LONGEST_PATTERN for p in patterns):
        raise SchemaError(f"A pattern of the schema is longer than {_LONGEST_PATTERN} characters.")


def _validator(root: Any) -> Any:
    import jsonschema_rs as library  # noqa: PLC0415 (15 MB that few requests need)

    said = root.get("$schema", _NEWEST) if isinstance(root, dict) else _NEWEST
    draft = _DRAFTS.get(str(said).partition("://")[2].rstrip("#"))
    if draft is None:
        raise SchemaError("The schema is of a draft that is not known; use 2020-12 or draft 7.")
    limits = library.RegexOptions(size_limit=_AUTOMATON, dfa_size_limit=_AUTOMATON)
    try:
        return getattr(library, draft)(
            root, pattern_options=limits, offline=True, validate_formats=True, mask="it"
        )
    except (ValueError, library.ReferencingError) as error:
        where = getattr(error, "instance_path", None) or []
        if getattr(getattr(error, "kind", None), "name", "") == "format":
            raise SchemaError(
                "A pattern of the schema is broken, too large, or looks around; use one that can "
                "be matched in linear time."
            ) from None
        place = "/".join(["#", *map(str, where)])[:_LONGEST_FAULT]
        raise SchemaError(f"The schema is broken at {place}; mend it there.") from None


@lru_cache(maxsize=16)
def _kept(source: bytes) -> Schema:
    return Schema(source)


def schema_of(given: Any) -> Schema:
    """Return the schema that a decoded JSON value is.

    Raises:
        SchemaError: It is none, or one that is refused; the message says why.
    """
    try:
        source = msgspec.json.encode(given, order="deterministic")
    except (TypeError, ValueError, RecursionError, UnicodeError):
        raise SchemaError("The schema is no JSON document; write one.") from None
    return _kept(source)


def _misfit(error: Any) -> Misfit:
    """What the library says, of a choice what its nearest branch says."""
    keyword = str(error.kind.name)
    for _ in range(8):
        nearest = _nearest(error)
        if nearest is None:
            break
        error = nearest
    path = list(error.instance_path)
    where = "".join(f"/{step}" for step in path) or "the whole"
    return Misfit(keyword, len(path), f"{where}: {error.message}"[:_LONGEST_FAULT])


def _nearest(error: Any) -> Any:
    """The first fault of the branch that went deepest; None where no branch fits at all."""
    branches: Iterable[Any] = getattr(error.kind, "context", None) or ()
    depth = len(error.instance_path)
    firsts = [branch[0] for branch in branches if branch]
    deepest = max(firsts, key=lambda one: len(one.instance_path), default=None)
    return deepest if deepest is not None and len(deepest.instance_path) > depth else None
