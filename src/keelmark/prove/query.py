"""The query language of evidence: what is asked of the ledger, and what answer is wanted.

One query is one entry under `evidence:` in a framework file::

    - id: prompts-judged
      says: Every answered prompt was judged by a rule against injected instructions.
      kind: request                 # a kind of ledger record, or `model.in_use`
      where:                        # which records are asked (all conditions must hold)
        - [status, below, 400]
      within: 30                    # days: older records are not asked
      that:                         # what should hold of each of them
        - [missed, lacks, "owasp:llm01"]
      expect: {share: {at_least: 1}}   # or {count: {at_most: 0}}; none: the number is only noted
      otherwise: failing            # what it means when the expectation is not met
      gap: Some prompts were answered without being examined.
      mend: Find the rule that failed with `keelmark traces`.

- `take: latest` asks only the newest record, or with `per: <field>` the newest for each value of
  the field; it is read in the light of everything recorded since. `take: all` (the default) reads
  each record in the light of what was recorded up to then.
- `model.in_use` stands for the last `model.loaded` of every engine that is not known to have been
  given up: engines stopped before the service last started are left out.
- `fresh: 90` makes evidence older than 90 days stale; `fresh_of: vetted.time` counts the age of
  that field instead of the record's own time.
- `show: [digest, vetted.verdict]` quotes fields in the list of evidence.

A field is a dotted path into the body of the record or into what `keelmark.prove.context` adds to
it. A condition on a field that is not there (or null) is neither true nor false but *unknown*,
except `exists`. What is unknown never counts as fulfilled; a record of which it is unknown whether
it is asked counts as asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal

import msgspec

from keelmark.core.events import FIELDS
from keelmark.core.yamlfile import Strict
from keelmark.prove.context import ADDED, IN_USE

Operator = Literal["is", "is-not", "in", "not-in", "has", "lacks", "below", "at-least", "exists"]
Condition = tuple[str, Operator, Any]
Shortfall = Literal["failing", "partial", "missing", "manual"]
Days = Annotated[int, msgspec.Meta(ge=1)]


class Bounds(Strict, frozen=True):
    """What a number must satisfy.

    Attributes:
        at_least: Smallest number wanted.
        at_most: Largest number wanted.
    """

    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError("An expectation needs `at_least` or `at_most`")


class Expect(Strict, frozen=True):
    """What is expected of the answers: exactly one of the two.

    Attributes:
        count: Bounds on the number of records for which `that` holds.
        share: Bounds on the part of the asked records for which `that` holds, 0 to 1.
    """

    count: Bounds | None = None
    share: Bounds | None = None

    def __post_init__(self) -> None:
        if (self.count is None) == (self.share is None):
            raise ValueError("Expect either a `count` or a `share`")

    @property
    def unwanted(self) -> bool:
        """Whether a record for which `that` holds speaks against the expectation."""
        return all(b is None or b.at_least is None for b in (self.count, self.share))


class Query(Strict, frozen=True):
    """One question to the ledger. The module's text explains every field."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    says: Annotated[str, msgspec.Meta(min_length=1)]
    kind: str
    take: Literal["all", "latest"] = "all"
    per: str = ""
    where: tuple[Condition, ...] = ()
    within: Days | None = None
    that: tuple[Condition, ...] = ()
    expect: Expect | None = None
    fresh: Days | None = None
    fresh_of: str = ""
    otherwise: Shortfall = "failing"
    gap: str = ""
    mend: str = ""
    show: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = known_fields(self.kind)
        paths = [c[0] for c in (*self.where, *self.that)] + [*self.show, self.per, self.fresh_of]
        for path in filter(None, paths):
            if path.split(".")[0] not in known:
                raise ValueError(
                    f"`{path}` is not a field of {self.kind} (it has {', '.join(sorted(known))})"
                )
        for field, operator, value in (*self.where, *self.that):
            if not isinstance(value, _OPERANDS.get(operator, object)):
                raise TypeError(f"`{field} {operator}` cannot be compared with {value!r}")
        if self.expect is not None and not (self.gap and self.mend):
            raise ValueError("A query that expects something needs a `gap` and a `mend`")
        if self.per and self.take != "latest":
            raise ValueError("`per` goes with `take: latest`")


def known_fields(kind: str) -> frozenset[str]:
    """Return the first-level fields a query may use for a kind.

    Raises:
        ValueError: No such kind.
    """
    real = "model.loaded" if kind == IN_USE else kind
    if real not in FIELDS:
        raise ValueError(f"`{kind}` is no kind of record (there are {', '.join(sorted(FIELDS))})")
    return FIELDS[real] | ADDED.get(real, frozenset())


def field(document: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, or None when it is not there."""
    value: Any = document
    for name in _names(path):
        if not isinstance(value, dict):  # a Mapping check costs ten times more
            return None
        value = value.get(name)
    return value


def holds(document: Mapping[str, Any], conditions: tuple[Condition, ...]) -> bool | None:
    """Return whether all conditions hold; None when that cannot be told."""
    unknown = False
    for path, operator, wanted in conditions:
        value = field(document, path)
        if operator == "exists":
            answer: bool | None = (value is not None) == wanted
        else:
            answer = None if value is None else _compare(operator, value, wanted)
        if answer is False:
            return False
        unknown = unknown or answer is None
    return None if unknown else True


def meets(expect: Expect, *, holding: int, unknown: int, asked: int) -> bool:
    """Return whether the numbers satisfy the expectation, whatever the unknown ones really are."""
    low, high = float(holding), float(holding + unknown)
    bounds = expect.count
    if expect.share is not None:
        bounds = expect.share
        low, high = low / asked, high / asked
    if bounds is None:
        return True
    enough = bounds.at_least is None or low >= bounds.at_least
    return enough and (bounds.at_most is None or high <= bounds.at_most)


@cache
def _names(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


_OPERANDS: dict[str, type | tuple[type, ...]] = {
    "in": list,
    "not-in": list,
    "below": (int, float),
    "at-least": (int, float),
    "exists": bool,
}
_OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "is": lambda value, wanted: bool(value == wanted),
    "is-not": lambda value, wanted: bool(value != wanted),
    "in": lambda value, wanted: value in wanted,
    "not-in": lambda value, wanted: value not in wanted,
    "has": lambda value, wanted: wanted in value,
    "lacks": lambda value, wanted: wanted not in value,
    "below": lambda value, wanted: bool(value < wanted),
    "at-least": lambda value, wanted: bool(value >= wanted),
}


def _compare(operator: str, value: Any, wanted: Any) -> bool | None:
    try:
        return _OPERATIONS[operator](value, wanted)
    except TypeError:  # a field of another type than the query thought
        return None
