"""Descriptions of data sets in Croissant, when the artefact has some.

Source: the Croissant format specification, versions 1.0 and 1.1 (MLCommons): JSON-LD of a
schema.org `Dataset` that conforms to `http://mlcommons.org/croissant/<version>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from keelmark.core.vetting import Line
from keelmark.vet.contract import printable
from keelmark.vet.documentation.card import filled

_CONFORMS = re.compile(r"https?://mlcommons\.org/croissant/(\d+(?:\.\d+)*)")
_REQUIRED = ("name", "description", "license", "url", "creator", "datePublished")


class Described(NamedTuple):
    """A data set.

    Attributes:
        path: File that describes it.
        version: Version of Croissant that it claims.
        name: Its name.
        licence: Its licence, "" when none is given.
        lacks: Required properties that are missing or empty.
        files: Number of distributions.
        sets: Number of record sets.
    """

    path: str
    version: str
    name: str
    licence: str
    lacks: tuple[str, ...]
    files: int
    sets: int

    def lines(self) -> tuple[Line, ...]:
        """Return what people should read of it."""
        lacks = f"lacks {', '.join(self.lacks)}" if self.lacks else "has all required properties"
        return (
            Line(
                what=printable(f"data: {self.name or self.path}", 200),
                answer="incomplete" if self.lacks else "described",
                why=f"Croissant {self.version}; {lacks}.",
                evidence=printable(
                    f"{self.path}, {self.files} files, {self.sets} record sets", 300
                ),
            ),
        )

    def data(self) -> dict[str, Any]:
        """Return it for machines."""
        return {**self._asdict(), "lacks": list(self.lacks)}


def described(facts: Mapping[str, Mapping[str, Any]]) -> list[Described]:
    """Return every data set that a JSON file describes in Croissant."""
    found = (_one(path, facts[path].get("json")) for path in sorted(facts))
    return [one for one in found if one]


def _one(path: str, value: object) -> Described | None:
    if not isinstance(value, Mapping):
        return None
    claims = value.get("conformsTo", value.get("dct:conformsTo"))
    if isinstance(claims, Mapping):
        claims = claims.get("@id")
    match = next(
        (
            match
            for claim in (claims if isinstance(claims, list) else [claims])
            if (match := _CONFORMS.match(str(claim)))
        ),
        None,
    )
    if match is None or "@context" not in value:
        return None
    lacks = [key for key in _REQUIRED if not filled(_get(value, key))]
    files, sets = _get(value, "distribution"), _get(value, "recordSet")
    lacks += [] if isinstance(files, list) and files else ["distribution"]
    licence = _get(value, "license")
    return Described(
        path,
        match[1],
        str(_get(value, "name") or "")[:100],
        str(licence or "")[:200] if isinstance(licence, str | None) else "stated",
        tuple(lacks),
        len(files) if isinstance(files, list) else 0,
        len(sets) if isinstance(sets, list) else 0,
    )


def _get(value: Mapping[str, Any], key: str) -> Any:
    return value.get(key, value.get(f"sc:{key}", value.get(f"cr:{key}")))
