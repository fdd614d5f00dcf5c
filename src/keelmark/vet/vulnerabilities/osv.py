"""Advisories in OSV's format, and whether one concerns a version.

Source: the OSV schema, version 1.7, and its evaluation algorithm. Records come from anywhere: what
is not of the expected shape is refused as a whole, and what cannot be decided is not "unaffected".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from keelmark.vet.vulnerabilities.cvss import severity_of
from keelmark.vet.vulnerabilities.versions import Package, of_repository, order_of, package, same

MAX_RECORD = 16 * 1024 * 1024
"""Largest record that is read, bytes."""


class Affects(Enum):
    """Three answers, not two."""

    YES = "affected"
    NO = "not affected"
    UNKNOWN = "could not tell"


class Event(msgspec.Struct, frozen=True):
    """One event of a range; exactly one of the fields is set."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None

    @property
    def version(self) -> str:
        """The version at which it happens."""
        return self.introduced or self.fixed or self.last_affected or self.limit or ""


class Range(msgspec.Struct, frozen=True):
    """A range of versions: `type` is ECOSYSTEM, SEMVER or GIT."""

    type: str
    events: tuple[Event, ...] = ()
    repo: str = ""


class Named(msgspec.Struct, frozen=True):
    """A package as a record names it."""

    ecosystem: str
    name: str


class Affected(msgspec.Struct, frozen=True):
    """One package and its affected versions."""

    package: Named | None = None
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    severity: tuple[dict[str, Any], ...] = ()

    def packages(self) -> set[Package]:
        """Return what it is about: the package it names, or else the repositories it names."""
        if self.package:
            return {package(self.package.ecosystem, self.package.name)}
        found = {of_repository(part.repo) for part in self.ranges if part.type == "GIT"}
        return {one for one in found if one}


class Reference(msgspec.Struct, frozen=True):
    """Where to read on."""

    url: str
    type: str = "WEB"


class Advisory(msgspec.Struct, frozen=True):
    """A record. Fields that no answer needs are left out."""

    id: str
    modified: str
    published: str = ""
    withdrawn: str | None = None
    aliases: tuple[str, ...] = ()
    summary: str = ""
    details: str = ""
    severity: tuple[dict[str, Any], ...] = ()
    affected: tuple[Affected, ...] = ()
    references: tuple[Reference, ...] = ()
    database_specific: dict[str, Any] | None = None

    @property
    def day(self) -> dt.date:
        """The day it was last modified."""
        return dt.date.fromisoformat(self.modified[:10])

    @property
    def malicious(self) -> bool:
        """Whether it says that the package itself is malware."""
        return any(name.startswith("MAL-") for name in (self.id, *self.aliases))

    def grade(self, where: Package) -> str:
        """Return low, medium, high or critical; "" when it does not say."""
        if self.malicious:
            return "critical"
        local = [one for part in self.affected if where in part.packages() for one in part.severity]
        return severity_of((*local, *self.severity), self.database_specific or {})


_DECODER = msgspec.json.Decoder(Advisory)


def decode(data: bytes) -> Advisory:
    """Read one record.

    Raises:
        ValueError: It is not a record of OSV's shape.
    """
    if len(data) > MAX_RECORD:
        raise ValueError("the record is too large")
    try:
        record = _DECODER.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    if not record.id or record.day.year < 1990:
        raise ValueError("the record has no id or no date")
    return record


def affects(record: Advisory, where: Package, version: str) -> Affects:
    """Say whether a record concerns a version, by OSV's algorithm.

    A withdrawn record concerns none. A list of versions, or any range, may say yes. What is said
    only in a way that cannot be evaluated here (commits, an order nobody told us, a version that
    is none) leaves the answer open, unless the record also lists versions.
    """
    if record.withdrawn:
        return Affects.NO
    answers = [_part(part, where, version) for part in record.affected if where in part.packages()]
    return _any(answers)


def affects_by(records: Iterable[Advisory], where: Package, version: str) -> Affects:
    """Say whether a vulnerability that several records describe concerns a version.

    Any of them may say yes. One that names no versions at all, or only commits, leaves the answer
    to the others.
    """
    answers = [(affects(record, where, version), record) for record in records]
    telling = [answer for answer, record in answers if not _is_silent(record, where)]
    return _any(telling if Affects.NO in telling else [answer for answer, _ in answers])


def _is_silent(record: Advisory, where: Package) -> bool:
    parts = [part for part in record.affected if where in part.packages()]
    if record.withdrawn or not parts:
        return True
    return not any(p.versions or any(r.type != "GIT" for r in p.ranges) for p in parts)


def _any(answers: Sequence[Affects]) -> Affects:
    for answer in (Affects.YES, Affects.UNKNOWN):
        if answer in answers:
            return answer
    return Affects.NO


def _part(part: Affected, where: Package, version: str) -> Affects:
    if any(same(where, listed, version) for listed in part.versions):
        return Affects.YES
    answers = [in_range(one, where, version) for one in part.ranges]
    if Affects.YES in answers:
        return Affects.YES
    decided = part.versions or Affects.NO in answers
    broken = any(
        answer is Affects.UNKNOWN and one.type != "GIT"
        for one, answer in zip(part.ranges, answers, strict=True)
    )
    if broken or not decided:
        return Affects.UNKNOWN
    return Affects.NO


def in_range(span: Range, where: Package, version: str) -> Affects:
    """Say whether a version lies in a range.

    Events are taken in the order of their versions; those of one version in the order they stand.
    """
    order = None if span.type == "GIT" else order_of(where, span.type)
    if order is None or not any(event.introduced is not None for event in span.events):
        return Affects.UNKNOWN
    try:
        return Affects.YES if _evaluate(span.events, order, version) else Affects.NO
    except ValueError:
        return Affects.UNKNOWN


def _evaluate(events: Iterable[Event], order: Callable[[str], Any], version: str) -> bool:
    at = order(version)
    limits = [event.limit for event in events if event.limit is not None]
    if limits and not any(limit == "*" or at < order(limit) for limit in limits):
        return False
    first = [(None, event) for event in events if event.introduced == "0"]
    rest: list[tuple[Any, Event]] = [
        (order(event.version), event)
        for event in events
        if event.limit is None and event.introduced != "0"
    ]
    rest.sort(key=lambda item: item[0])
    vulnerable = False
    for key, event in (*first, *rest):
        if event.introduced is not None:
            vulnerable = vulnerable or key is None or at >= key
        elif event.fixed is not None:
            vulnerable = vulnerable and not at >= key
        elif event.last_affected is not None:
            vulnerable = vulnerable and not at > key
    return vulnerable


def fixes(record: Advisory, where: Package, version: str) -> list[str]:
    """Return from which versions above this one on a record says it is fixed, lowest first.

    Where it names only the last affected version, that is "what comes after" it.
    """
    found: dict[str, tuple[Any, int]] = {}
    for part in record.affected:
        spans = part.ranges if where in part.packages() else ()
        for span in spans:
            order = None if span.type == "GIT" else order_of(where, span.type)
            for event in span.events if order else ():
                with suppress(ValueError):
                    _note(event, order, version, found)
    return sorted(found, key=lambda name: found[name])


def _note(event: Event, order: Any, version: str, found: dict[str, tuple[Any, int]]) -> None:
    if event.fixed and order(event.fixed) > order(version):
        found[event.fixed] = (order(event.fixed), 0)
    elif event.last_affected and order(event.last_affected) >= order(version):
        found[f"what comes after {event.last_affected}"] = (order(event.last_affected), 1)


class Group(NamedTuple):
    """Records that describe one vulnerability.

    Attributes:
        ids: All ids and aliases, the name that people know first.
        records: The records, by id.
    """

    ids: tuple[str, ...]
    records: tuple[Advisory, ...]


def merge(records: Iterable[Advisory]) -> list[Group]:
    """Put records together that are aliases of each other; the newer of two with one id counts.

    Aliases are symmetric and transitive.
    """
    newest: dict[str, Advisory] = {}
    for record in records:
        if record.id not in newest or newest[record.id].modified < record.modified:
            newest[record.id] = record
    head: dict[str, str] = {}

    def find(name: str) -> str:
        while head.setdefault(name, name) != name:
            head[name] = head[head[name]]
            name = head[name]
        return name

    for record in newest.values():
        for alias in record.aliases:
            head[find(alias)] = find(record.id)
    groups: dict[str, list[Advisory]] = {}
    for name in sorted(newest):
        groups.setdefault(find(name), []).append(newest[name])
    merged = [Group(_ids(alike), tuple(alike)) for alike in groups.values()]
    return sorted(merged, key=lambda group: group.ids)


def _ids(alike: list[Advisory]) -> tuple[str, ...]:
    names = {name for record in alike for name in (record.id, *record.aliases)}
    return tuple(sorted(names, key=lambda name: (not name.startswith("CVE-"), name)))
