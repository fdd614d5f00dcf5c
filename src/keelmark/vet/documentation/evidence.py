"""Where components of a model are seen: in its files, a clone of its project, its card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from keelmark.vet.documentation import card as cards
from keelmark.vet.documentation.mof import (
    ALSO,
    Component,
    Seen,
    openness,
    spdx,
    status,
    tables,
)
from keelmark.vet.licence.claims import text_names
from keelmark.vet.licence.identify import Kind, identify
from keelmark.vet.licence.records import all_records

PROJECT = "project: "
"""What stands before paths of the clone."""

_LICENCE_FILE = re.compile(r"(^|/)(licen[cs]es?|copying|unlicense)([._-][^/]*)?$", re.IGNORECASE)
_RESERVED = re.compile(r"\ball rights reserved\b\.?", re.IGNORECASE)
_MOST_LICENCES = 20
_MOST_TEXT = 500_000
CHANGED = ", with changes"
"""What follows the name of a licence whose text has more, less or other words than it should."""

NAMED = ", by its name only"
"""What follows the name of a licence that a text names without being it."""

_MOST_NAMING = 20_000
_LEAST_PROSE = 200
_ASIDE = re.compile(r"(^|/)(docs?|tests?|testing|examples?/tests?|third_?party|vendor)/")


class Shown(NamedTuple):
    """Everything in which components may be seen.

    Attributes:
        paths: Files of the artefact, and of the clone with `PROJECT` before them.
        texts: Path of a licence file to its text.
        card: Text of the card, "" when there is none.
        card_path: Its path.
        metadata: Front matter, and what weights say of themselves.
        croissant: Paths of data descriptions in Croissant.
    """

    paths: Sequence[str]
    texts: Mapping[str, str]
    card: str
    card_path: str
    metadata: Mapping[str, Any]
    croissant: Sequence[str]


def licence_of_text(text: str) -> str:
    """Return the licence, or licences, that a text is; "" if none that is known.

    A text is compared with the whole licence: one that adds a sentence to it, or leaves one out,
    is that licence `CHANGED`, and no longer known to be open. Nor is one that it only names.
    """
    found = identify(_RESERVED.sub(" ", text[:_MOST_TEXT]))
    if found.kind is Kind.NEAR:
        return f"{_name(found.licence)}{CHANGED}"
    if found.kind is Kind.UNKNOWN:
        named = text_names(text[:_MOST_NAMING])
        return f"{_name(*named)}{NAMED}" if len(named) == 1 else ""
    return ALSO.join(dict.fromkeys(_name(part.licence) for part in found.parts))


def _name(record: str) -> str:
    """Return the name by which the table of open licences knows a record."""
    names = (spdx(name) for name in (record, *all_records()[record].spdx))
    return next((name for name in names if openness(name)), record)


def components(shown: Shown) -> list[Seen]:
    """Return every component of the framework as it was found."""
    licences = _licences(shown)
    body = cards.strip_front_matter(shown.card[: cards.MAX_TEXT])
    parts = list(cards.sections(body))
    return [_component(one, shown, licences, body, parts) for one in tables().components]


def _component(
    one: Component,
    shown: Shown,
    licences: Mapping[str, str],
    body: str,
    parts: Sequence[cards.Part],
) -> Seen:
    where = _first(one, shown, parts)
    licence = _nearest(where, licences) if where else ""
    linked = ""
    if not where and one.links:
        found = one.links.search(body) or _tagged(one, shown.metadata)
        linked = found if isinstance(found, str) else found[0] if found else ""
    place = where or linked[:100]
    state = status(place, licence, one.kind, linked=bool(linked) and not where)
    return Seen(one, state, place, licence)


def _first(one: Component, shown: Shown, parts: Sequence[cards.Part]) -> str:
    """Return the file or section that is the component, the artefact's own first."""
    if one.id == "model_card" and shown.card_path and _tells(shown.card):
        return shown.card_path
    if one.id == "data_card" and shown.croissant:
        return shown.croissant[0]
    for path in shown.paths:
        plain = path.removeprefix(PROJECT).lower()
        if one.files.search(plain) and not (one.kind == "code" and _ASIDE.search(plain)):
            return path
    if one.id == "evaluation_results" and _results(shown.metadata, parts):
        return shown.card_path
    if one.headings:
        for part in parts:
            heading = cards.plain_heading(part.heading)
            if one.headings.fullmatch(heading) and cards.says_something(part.text, _LEAST_PROSE):
                return shown.card_path
    return ""


def _tells(text: str) -> bool:
    return cards.says_something(cards.strip_front_matter(text), _LEAST_PROSE)


def _results(metadata: Mapping[str, Any], parts: Iterable[cards.Part]) -> bool:
    """Whether the card has figures of an evaluation: in its metadata, or in a section."""
    index = metadata.get("model-index")
    models = index if isinstance(index, list) else []
    if any(isinstance(model, dict) and cards.filled(model.get("results")) for model in models):
        return True
    wanted = next(item for item in cards.items() if item.id == "evaluation").headings
    return any(
        wanted.fullmatch(cards.plain_heading(part.heading))
        and cards.says_something(part.text)
        and re.search(r"\d[\d.,]*\s*%?", re.sub(r"https?://\S+", "", part.text))
        for part in parts
    )


def _tagged(one: Component, metadata: Mapping[str, Any]) -> str:
    """Return a link that the front matter gives: tags like `arxiv:2307.09288`, and `datasets`."""
    if one.id in {"datasets", "data_card"} and one.links:
        named = metadata.get("datasets")
        names = [str(name) for name in named] if isinstance(named, list) else []
        return f"datasets: {', '.join(names[:3])}" if names else ""
    tags = metadata.get("tags")
    for tag in tags if isinstance(tags, list) else []:
        if one.links and one.id == "research_paper" and one.links.search(str(tag)):
            return str(tag)
    return ""


def _licences(shown: Shown) -> dict[str, str]:
    """Return folder to licence.

    For the whole artefact the text of a licence counts before the card's word for it, unless the
    card itself names one that is not open.
    """
    found: dict[str, str] = {}
    paths = [path for path in shown.texts if _LICENCE_FILE.search(path.removeprefix(PROJECT))]
    for path in sorted(paths, key=lambda path: (path.count("/"), path))[:_MOST_LICENCES]:
        name = licence_of_text(shown.texts[path])
        if name:
            found.setdefault(path.rpartition("/")[0] if "/" in path else _root(path), name)
    said = shown.metadata.get("license") or shown.metadata.get("general.license")
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if said in ("other", "unknown"):
        said = shown.metadata.get("license_name")
    if isinstance(said, str) and said.strip():
        name = spdx(said.strip())
        if "" not in found or openness(name) is False:
            found[""] = name
    return found


def _root(path: str) -> str:
    return PROJECT if path.startswith(PROJECT) else ""


def _nearest(path: str, licences: Mapping[str, str]) -> str:
    """Return the licence in the folder of a file, or in the nearest folder above it."""
    folder = path
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if folder in licences:
            return licences[folder]
    return licences.get(_root(path), "")
