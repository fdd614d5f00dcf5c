"""Licences along the line: what a model says of itself, beside the licence of what it is made from.

The parent's licence is what its own files say, when they are at hand, and otherwise what the
publisher of the named base model states.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.resources import files

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Line
from keelmark.vet.contract import Rule
from keelmark.vet.licence.claims import claims, effective
from keelmark.vet.licence.conflicts import Conflict, conflicts
from keelmark.vet.licence.expressions import shown
from keelmark.vet.lineage.beside import TAGS, Part
from keelmark.vet.lineage.declared import Declared
from keelmark.vet.lineage.known import lines_of
from keelmark.vet.lineage.traits import Facts

BASES = [
    (re.compile(pattern), licence)
    for pattern, licence in tomllib.loads(
        files(__package__).joinpath("base_licences.toml").read_text(encoding="utf-8")
    )["lines"]
]
"""Pattern of a name to the licence that models of such names are published under."""

LICENCE = Rule(
    "lineage.licence_conflict",
    "A licence that the model it is made from does not allow",
    Severity.MEDIUM,
    "Whoever made a model from another one is bound by that one's licence and cannot give more "
    "rights than it does; a milder label misleads everybody after.",
    "Keep to the licence of the model it is made from, and ask the publisher to correct the label.",
    TAGS,
)


def inherited(ours: Facts, said: Iterable[Declared], theirs: Facts | None) -> Part:
    """Compare the licence that the files name with that of the parent and of declared bases."""
    own = licences_of(ours)
    bases: dict[tuple[str, str], bool] = {}
    for one in said:
        licence = base_licence(one.name)
        if licence:
            bases[one.name, licence] = len(lines_of(one.name)) > 1
    found = [
        (name, licence, conflict, Severity.LOW if several else None)
        for (name, licence), several in bases.items()
        for conflict in conflicts(own, [licence])
    ]
    above = licences_of(theirs) if theirs is not None else []
    found += [
        ("the given parent", ", ".join(above), conflict, None) for conflict in conflicts(own, above)
    ]
    lines = [_line(name, conflict) for name, _, conflict, _ in found]
    lines += [
        Line(what=f"licence of {name}", answer="kept", why=f"{licence} allows what it says.")
        for name, licence in bases
        if own and not any(one[0] == name for one in found)
    ]
    data = [
        {"base": name, "licence": licence, "certain": conflict.certain, "why": conflict.why}
        for name, licence, conflict, _ in found
    ]
    return Part(lines, list(_findings(found)), (), data)


def licences_of(facts: Facts) -> list[str]:
    """Return the licences that files name for the model itself."""
    expression = effective(claims(facts))
    return [shown(expression)] if expression is not None else []


def base_licence(name: str) -> str:
    """Return the record of the licence that a model of this name is published under, or ""."""
    lowered = name.rpartition("/")[2].lower()
    return next((licence for pattern, licence in BASES if pattern.search(lowered)), "")


def _line(name: str, conflict: Conflict) -> Line:
    return Line(
        what=f"licence of {name}",
        answer="conflict" if conflict.certain else "could not check",
        why=conflict.why,
        evidence=conflict.quote,
    )


def _findings(
    found: Iterable[tuple[str, str, Conflict, Severity | None]],
) -> Iterable[ArtefactFinding]:
    for name, _, conflict, severity in found:
        if conflict.certain:
            message = f"Made from {name}: {conflict.why}"
            evidence = conflict.quote
            yield LICENCE.about(".", "licence", message, evidence=evidence, severity=severity)
