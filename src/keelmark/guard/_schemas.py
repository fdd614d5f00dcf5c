"""JSON Schemas of people nobody knows: read within limits, judged within a bounded time.

A schema may come from any caller, so it is walked before anything is made of it: no reference
leaves the document, patterns match in linear time (a finite automaton, no look-around), and size,
depth and chains of references are bounded. A schema that is small can still ask for exponential
work (`anyOf` of the same `anyOf`, level upon level), so the work is counted for each answer before
it is done: every place of the answer with every part of the schema that looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from keelmark.core.errors import UsageError
from keelmark.guard._schema_work import (
    AGAIN,
    INNER,
    INNER_MAPS,
    LISTS,
    LONGEST_CHAIN,
    MAPS,
    SINGLES,
    Count,
    Shape,
    TooMuchError,
    doors,
    listed,
    values,
)

LONGEST = 256 * 1024
"""Bytes of the longest schema."""

MOST_PARTS = 20_000
MOST_PATTERNS = 64
_LONGEST_PATTERN = 1000
_DEEPEST = 64  # levels of a schema
_FEW_PARTS = 200
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
_NONE = Shape(0, 0, 0)


class SchemaError(UsageError):
    """A schema that cannot be used: broken, or of a kind that is refused."""


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
        if self._is_tame(value) and self._validator.is_valid(value):
            return ()
        work = Count(self.in_place, self.plain).of(self._root, value)
        if work.judge > _MOST_WORK:
            raise TooMuchError("The schema branches too much to be compared with this answer.")
        if self._validator.is_valid(value):
            return ()
        if work.explain > _MOST_TO_EXPLAIN:
            return (Misfit("schema", 0, "it does not fit the schema"),)
        return tuple(map(_misfit, self._errors(value, every=work.judge <= _MOST_FAULTS)))

    def _is_tame(self, value: Any) -> bool:
        """Whether the work can be told without counting: one way leads to each place."""
        doors, parts, chain = self._most
        if doors > 1 or parts > _FEW_PARTS:
            return False
        places, level = 0, [value]
        for _ in range(LONGEST_CHAIN // (chain + 1)):
            places += len(level)
            level = [one for held in level for one in (values(held) or listed(held))]
            if not level:
                return places * parts <= _MOST_WORK
        return False

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
        for name in LISTS:
            out += listed(part.get(name))
        out += [part[name] for name in SINGLES if name in part]
        for name in MAPS:
            out += [one for one in values(part.get(name)) if not isinstance(one, list)]
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
            patterns += ("pattern" in part) + len(values(part.get("patternProperties")))
            named = [part[name] for name in _REFERENCES if name in part]
            if len(named) > 1:
                raise SchemaError("The schema has two references in one place; keep one of them.")
            if named:
                self._targets[id(part)] = self._found(named[0], anchors)
            parts += self.in_place(part)
            for name in INNER_MAPS:
                parts += values(part.get(name))
            parts += [part[name] for name in INNER if name in part]
            for name in ("prefixItems", "items"):
                parts += listed(part.get(name))
        if patterns > MOST_PATTERNS:
            raise SchemaError(f"The schema has more than {MOST_PATTERNS} patterns; use fewer.")
        known: dict[int, Shape | None] = {}
        shapes = [self._shape(part, known, 0) for part in seen.values()]
        self._most = (
            Shape(*(max(each, default=1) for each in zip(*shapes, strict=True)))
            if shapes
            else Shape(0, 1, 1)
        )
        return {number for number, shape in known.items() if shape and shape.chain == 1}

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

    def _shape(self, part: Any, known: dict[int, Shape | None], depth: int) -> Shape:
        """How the parts branch that look at one place through a part.

        Raises:
            SchemaError: It leads back to itself, or too far.
        """
        if not isinstance(part, dict):
            return Shape(0, 1, 1)
        if depth > _DEEPEST or known.get(id(part), _NONE) is None:
            raise SchemaError(
                "The schema leads back to itself, or through too many references, without going "
                "deeper into the answer; shorten the chain."
            )
        shape = known.get(id(part))
        if shape is None:
            known[id(part)] = None
            below = [self._shape(one, known, depth + 1) for one in self.in_place(part)]
            again = 3 if AGAIN & part.keys() else 1
            shape = known[id(part)] = Shape(
                doors(part) + again * sum(one.doors for one in below),
                1 + len(listed(part.get("enum"))) // 8 + again * sum(one.parts for one in below),
                1 + max((one.chain for one in below), default=0),
            )
        return shape


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
            i for one in level for i in (values(one) or listed(one)) if isinstance(i, (dict, list))
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
            i for one in level for i in (values(one) or listed(one)) if isinstance(i, (dict, list))
        ]
    return found


def _check_part(part: dict[str, Any], *, is_root: bool) -> None:
    if not is_root and "$id" in part:
        raise SchemaError("The schema has a `$id` inside; keep one at its top, or none.")
    keyed = part.get("patternProperties")
    patterns = [part.get("pattern"), *(keyed if isinstance(keyed, dict) else ())]
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
