"""What the files of a model say of its licence: cards, licence texts, metadata, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from keelmark.vet.licence.expressions import (
    Both,
    Expression,
    Name,
    joined,
    named,
    names_in,
    parse,
    says_nothing,
    shown,
)
from keelmark.vet.licence.identify import Kind, Match, identify
from keelmark.vet.licence.records import all_records

_TEXT_FILE = re.compile(
    r"(?:^|[._-])(?:licen[cs]es?|copying|unlicense|notice|(?:acceptable[_-]?|prohibited[_-]?)?use[_-]?"
    r"policy|eula|terms(?:[_-]of[_-]use)?|model[_-]?licen[cs]e[\w-]*)(?:$|[._-])",
    re.IGNORECASE,
)
_THIRD = re.compile(
    r"third[\s_-]?part|3rd[\s_-]?part|(?:^|/)licenses?/|vendor|node_modules", re.IGNORECASE
)
_OF_CODE = re.compile(r"code", re.IGNORECASE)
_OF_DATA = re.compile(r"data(?:set)?s?(?:$|[._-])", re.IGNORECASE)
_TAG = re.compile(r"license:(.+)", re.IGNORECASE)
_MOST_TEXTS = 32
_LONG = 200
"""A metadata value longer than this is a text, not a name."""

_NOTE = 150
"""A text of fewer words that is no licence may still say which one holds."""

_MENTIONS = 20_000
_SHORT_NAME = 5
_PLAIN_WORD = re.compile(r"[^\W_]+")
_GGUF = ("general.license", "general.license.name", "general.license.link")
_SETTINGS = ("license", "license_name", "licence", "modelspec.license", "license_link")
_SETTING_FILES = frozenset({"config.json", "model_index.json", "adapter_config.json"})


class Claim(NamedTuple):
    """One place that says something of the licence.

    Attributes:
        path: File.
        location: Where in it.
        source: `card`, `text`, `gguf`, `safetensors` or `settings`.
        said: The value as written; "" for a text.
        licence: What it means; None when it names nothing, or is a text that is not known.
        match: How the text was found, for a text.
        about: What of the artefact it is about: `model`, `part` (of a folder below), `code`, `data`
            or `third parties`.
    """

    path: str
    location: str
    source: str
    said: str
    licence: Expression | None
    match: Match | None = None
    about: str = "model"

    @property
    def records(self) -> frozenset[str]:
        """Ids of every licence record that it may mean."""
        if self.licence is None:
            return frozenset()
        known = all_records()
        return frozenset(
            record
            for name in names_in(self.licence)
            for record in name.records
            if known[record].kind == "licence"
        )


def claims(facts: Mapping[str, Mapping[str, Any]]) -> tuple[Claim, ...]:
    """Return everything that is said of licences, in order of path and place."""
    found: list[Claim] = []
    texts = 0
    for path in sorted(facts):
        about = facts[path]
        if isinstance(card := about.get("card"), Mapping):
            found += _card(path, card)
        if isinstance(text := about.get("text"), str) and _is_licence_file(path):
            texts += 1
            if texts <= _MOST_TEXTS:
                found.append(_text(path, "text", "text", text))
        for fact, source, fields in (
            ("gguf", "gguf", _GGUF),
            ("safetensors", "safetensors", _SETTINGS),
        ):
            inner = about.get(fact)
            if isinstance(inner, Mapping) and isinstance(inner.get("metadata"), Mapping):
                found += _values(path, source, inner["metadata"], fields)
        settings = about.get("json")
        if isinstance(settings, Mapping) and _base(path) in _SETTING_FILES:
            found += _values(path, "settings", settings, _SETTINGS)
    return tuple(_parts_aside(found))


def _parts_aside(found: list[Claim]) -> Iterator[Claim]:
    """A licence text in a folder below is about what lies there, if anything is said above."""
    above = any("/" not in claim.path for claim in found)
    for claim in found:
        below = claim.source == "text" and "/" in claim.path and claim.about == "model"
        yield claim._replace(about="part") if above and below else claim


def text_names(text: str) -> frozenset[str]:
    """Return the records whose name, tag or address a text mentions."""
    spaced = _spaced(text[:_MENTIONS])
    return frozenset(
        record.id
        for record in all_records().values()
        for name in (record.name, *record.names, *record.links, *record.spdx)
        if len(name) > _SHORT_NAME and _spaced(name) in spaced
    )


def _spaced(text: str) -> str:
    found = " ".join(_PLAIN_WORD.findall(text.lower()))
    return f" {found} "


def effective(found: tuple[Claim, ...]) -> Expression | None:
    """Return the licences of the model as one expression: all that is claimed, each once.

    Where one place narrows down what another leaves open, the narrower reading is taken.
    """
    models = [claim for claim in found if claim.about == "model" and claim.licence is not None]
    order = sorted(models, key=lambda claim: isinstance(claim.licence, Name))
    kept: list[Expression] = []
    for claim in order:
        for part in _parts(claim.licence) if claim.licence else ():
            if not isinstance(part, Name) or not _merge(kept, part):
                kept.append(part)
    known = [part for part in kept if any(name.records for name in names_in(part))]
    kept = known if known and len(known) < len(kept) and _covered(found) else kept
    unique = _without_own_policies(tuple(dict.fromkeys(kept)))
    return unique[0] if len(unique) == 1 else (Both(unique) if unique else None)


def _without_own_policies(kept: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """Leave out policies that a licence among them makes part of itself anyway."""
    records = [record for part in kept for name in names_in(part) for record in name.records]
    own = {policy for record in records for policy in all_records()[record].policies}
    return tuple(
        part
        for part in kept
        if not (isinstance(part, Name) and part.records and own.issuperset(part.records))
    )


def _covered(found: tuple[Claim, ...]) -> bool:
    """Say whether a licence text stands beside the names: a name of nobody's may then be its."""
    return any(claim.source == "text" and claim.records for claim in found)


def _parts(licence: Expression) -> tuple[Expression, ...]:
    return licence.parts if isinstance(licence, Both) else (licence,)


def _merge(kept: list[Expression], name: Name) -> bool:
    """Merge a name into what is kept already; say whether that was possible."""
    for at, other in enumerate(kept):
        if not name.records and isinstance(other, Name) and other.said.lower() == name.said.lower():
            return True
        for one in names_in(other):
            shared = [record for record in one.records if record in name.records]
            if shared:
                if isinstance(other, Name):
                    kept[at] = other._replace(records=tuple(shared))
                return True
    return False


def _card(path: str, card: Mapping[str, Any]) -> Iterator[Claim]:
    for field in ("license", "licence"):
        value = card.get(field)
        values = [str(item) for item in (value if isinstance(value, list) else [value]) if item]
        if values:
            said = ", ".join(values)
            yield Claim(path, field, "card", said, joined(values))
    for field in ("license_name", "license_link"):
        value = card.get(field)
        if isinstance(value, str) and value.strip() and not says_nothing(value):
            name = named(value)
            if field == "license_name" or name.records:
                yield Claim(path, field, "card", value, name)
    prompt = card.get("extra_gated_prompt")
    if isinstance(prompt, str) and len(prompt) > _LONG:
        gate = _text(path, "extra_gated_prompt", "card", prompt)
        if gate.licence is not None:  # a prompt is no licence file: it may say more or less
            yield gate._replace(said=shown(gate.licence), match=None)
    tags = card.get("tags")
    for tag in tags if isinstance(tags, list) else []:
        match = _TAG.fullmatch(tag) if isinstance(tag, str) else None
        if match and not says_nothing(match[1]):
            yield Claim(path, "tags", "card", match[1], parse(match[1]))


def _values(
    path: str, source: str, values: Mapping[str, Any], fields: tuple[str, ...]
) -> Iterator[Claim]:
    for field in fields:
        value = values.get(field)
        if not isinstance(value, str) or not value.strip() or says_nothing(value):
            continue
        if len(value) > _LONG:
            yield _text(path, field, source, value)
            continue
        licence = parse(value)
        if "link" not in field or names_in(licence)[0].records:
            yield Claim(path, field, source, value, licence)


def _text(path: str, location: str, source: str, text: str) -> Claim:
    match = identify(text)
    names = tuple(
        Name(all_records()[part.licence].name, (part.licence, *part.also)) for part in match.parts
    )
    licence: Expression | None = None
    if match.kind is not Kind.UNKNOWN:
        licence = names[0] if len(names) == 1 else Both(names)
    elif match.words < _NOTE and (mentioned := text_names(text)):
        told = " or ".join(all_records()[name].name for name in sorted(mentioned))
        licence = Name(told, tuple(sorted(mentioned)))
    return Claim(path, location, source, "", licence, match, _about(path))


def _is_licence_file(path: str) -> bool:
    return bool(_TEXT_FILE.search(_base(path)))


def _about(path: str) -> str:
    base = _base(path)
    if _THIRD.search(path) or re.match(r"notices?\b", base, re.IGNORECASE):
        return "third parties"
    if _OF_CODE.search(base):
        return "code"
    return "data" if _OF_DATA.search(base) else "model"


def _base(path: str) -> str:
    return re.split(r"[/!]", path)[-1]
