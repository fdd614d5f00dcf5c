"""The class of the Model Openness Framework, computed from the files that are at hand.

Source: "The Model Openness Framework", LF AI & Data, version 1.0, and the algorithm of its Model
Openness Tool: a component's own licence counts first, then that of the whole; one that is open but
meant for another kind counts with a remark; a research paper may stand for the technical report; a
class needs every component of the classes below it.

Only what lies in the artefact, or in a clone of its project, is seen. What the card links to is
there, but its licence is not known, so a class that hangs on it "could not be told".
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import NamedTuple

INCLUDED = "included"
OTHER_KIND = "included, but its licence is meant for another kind"
NOT_OPEN = "there, but not under an open licence"
NO_LICENCE = "there, but its licence is not known"
LINKED = "linked to; its licence is not known here"
ALSO = " and "
"""Stands between the names of licences that one text holds, one after the other."""
MISSING = "not in the files at hand"
_COUNTS = (INCLUDED, OTHER_KIND)
_UNSURE = (NO_LICENCE, LINKED)
_PREFERENCE = (*_COUNTS, *_UNSURE, NOT_OPEN, MISSING)


class Component(NamedTuple):
    """A component of the framework; see openness.toml."""

    id: str
    title: str
    kind: str
    first: int
    files: re.Pattern[str]
    headings: re.Pattern[str] | None
    links: re.Pattern[str] | None


class Tables(NamedTuple):
    """What openness.toml holds."""

    components: tuple[Component, ...]
    open: Mapping[str, frozenset[str]]
    closed: tuple[str, ...]
    spelled: Mapping[str, str]


class Seen(NamedTuple):
    """A component as it was found.

    Attributes:
        component: Which one.
        status: One of the phrases above.
        where: File, section or link that shows it.
        licence: Licence that applies, "" when none is known.
    """

    component: Component
    status: str
    where: str
    licence: str


class Openness(NamedTuple):
    """The class.

    Attributes:
        reached: 1, 2 or 3; 0 when no class is reached.
        possible: The best class that what is not known leaves open; 0 when none.
        components: All components, in the framework's order.
        lacks: What the next class lacks, titles.
    """

    reached: int
    possible: int
    components: tuple[Seen, ...]
    lacks: tuple[str, ...]


@functools.cache
def tables() -> Tables:
    """Return the tables of openness.toml."""
    parsed = tomllib.loads(
        (resources.files(__package__) / "openness.toml").read_text(encoding="utf-8")
    )
    components = tuple(
        Component(
            row["id"],
            row["title"],
            row["kind"],
            row["class"],
            re.compile(row["files"]),
            re.compile(row["headings"], re.IGNORECASE) if "headings" in row else None,
            re.compile(row["links"], re.IGNORECASE) if "links" in row else None,
        )
        for row in parsed["component"]
    )
    return Tables(
        components,
        {kind: frozenset(names) for kind, names in parsed["open"].items()},
        tuple(parsed["closed"]["prefixes"]),
        {spelled: names[0] for spelled, names in parsed["spelled"].items()},
    )


def spdx(name: str) -> str:
    """Return the SPDX id of a licence as cards spell it (`apache-2.0`), or the name itself."""
    known = tables()
    if name.lower() in known.spelled:
        return known.spelled[name.lower()]
    by_small = {one.lower(): one for names in known.open.values() for one in names}
    return by_small.get(name.lower(), name)


def openness(licence: str) -> bool | None:
    """Whether a licence is open, or all that stand one after the other; None when not known."""
    answers = [_open(name) for name in licence.split(ALSO)]
    return False if False in answers else None if None in answers else True


def _open(licence: str) -> bool | None:
    known = tables()
    name = spdx(licence)
    if any(name in names for names in known.open.values()):
        return True
    if name.lower().startswith(known.closed):
        return False
    return None


def suits(licence: str, kind: str) -> bool:
    """Whether an open licence, or one of several, is meant for this kind of work."""
    return any(spdx(name) in tables().open[kind] for name in licence.split(ALSO))


def status(where: str, licence: str, kind: str, *, linked: bool) -> str:
    """Return what a component counts for."""
    if not where:
        return MISSING
    if linked:
        return LINKED
    is_open = openness(licence) if licence else None
    if is_open is None:
        return NO_LICENCE
    if not is_open:
        return NOT_OPEN
    return INCLUDED if suits(licence, kind) else OTHER_KIND


def classify(seen: Iterable[Seen]) -> Openness:
    """Return the class that components reach, and the best one that is not ruled out."""
    found = {one.component.id: one for one in seen}
    states = {name: one.status for name, one in found.items()}
    states["technical_report"] = min(
        states["technical_report"], states["research_paper"], key=_PREFERENCE.index
    )

    def all_are(number: int, accepted: Iterable[str]) -> bool:
        return all(states[one.component.id] in accepted for one in _needed(found.values(), number))

    reached = min((n for n in (3, 2, 1) if all_are(n, _COUNTS)), default=0)
    possible = min((n for n in (3, 2, 1) if all_are(n, (*_COUNTS, *_UNSURE))), default=0)
    goal = reached - 1 if reached else 3
    lacks = tuple(
        one.component.title
        for one in (_needed(found.values(), goal) if goal else ())
        if states[one.component.id] not in _COUNTS
    )
    return Openness(reached, possible, tuple(found.values()), lacks)


def _needed(seen: Iterable[Seen], number: int) -> list[Seen]:
    """Return the components that a class needs, those of the classes below it included."""
    return [one for one in seen if one.component.first >= number]
