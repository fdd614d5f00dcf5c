"""Names of licences: hub tags, SPDX expressions, addresses, and what records they may mean.

A name may mean several records (`gemma` has two editions): it then stands for all of them, and an
answer must hold for each.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import license_expression as spdx

from keelmark.vet.licence.records import all_records

_NOTHING = frozenset(
    {"", "other", "unknown", "none", "noassertion", "custom", "proprietary", "n/a"}
)
_DROPPED = re.compile(
    r"\b(?:the|licen[cs]e|agreement|version|v(?=\d)|community-license)\b|licenseref-(?:scancode-)?"
)
_SQUEEZED = re.compile(r"[^a-z0-9.+]+")
_LONGEST = 400


class Name(NamedTuple):
    """One licence as it was named.

    Attributes:
        said: The name as written.
        records: Ids of the records that it may mean; empty when there is none.
        title: What it is called elsewhere, when it is a known licence without a record.
        exception: The exception of a WITH, or "".
    """

    said: str
    records: tuple[str, ...] = ()
    title: str = ""
    exception: str = ""


class Both(NamedTuple):
    """Several licences at once: all must be kept."""

    parts: tuple[Expression, ...]


class Either(NamedTuple):
    """Several licences to choose from."""

    parts: tuple[Expression, ...]


Expression = Name | Both | Either


def says_nothing(value: str) -> bool:
    """Say whether a value names no licence at all, such as `other`."""
    return value.strip().lower() in _NOTHING


def named(value: str) -> Name:
    """Return what one name may mean: an SPDX id, a hub tag, a title, an address."""
    said = " ".join(value.split())[:_LONGEST]
    if "://" in said or said.lower().startswith("www."):
        return Name(said, _by_link(said))
    records = _names().get(_squeeze(said), ())
    return Name(said, records, "" if records else _known_elsewhere(said))


def parse(value: str) -> Expression:
    """Read an SPDX expression, or a plain name; a name that means nothing has no records."""
    whole = named(value)
    if whole.records or len(value) > _LONGEST:
        return whole
    for sign, kind in (("/", Either), (",", Both)):
        parts = tuple(named(part) for part in value.split(sign))
        if len(parts) > 1 and all(part.records for part in parts):
            return kind(parts)
    if not re.search(r"(?i)\b(and|or|with)\b", value):
        return whole
    try:
        tree = spdx.Licensing().parse(value)
    except (spdx.ExpressionError, spdx.ParseError, ValueError, TypeError, RecursionError):
        return whole
    return whole if tree is None else _from_tree(tree)


def joined(values: Iterable[str]) -> Expression | None:
    """Return several values as one expression: all of them apply."""
    parts = tuple(dict.fromkeys(parse(value) for value in values if not says_nothing(value)))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else Both(parts)


def names_in(expression: Expression) -> tuple[Name, ...]:
    """Return every name of an expression, in order."""
    if isinstance(expression, Name):
        return (expression,)
    return tuple(name for part in expression.parts for name in names_in(part))


def shown(expression: Expression) -> str:
    """Write an expression."""
    if isinstance(expression, Name):
        end = f" WITH {expression.exception}" if expression.exception else ""
        return f"{expression.said}{end}"
    word = " AND " if isinstance(expression, Both) else " OR "
    return word.join(
        f"({shown(part)})" if not isinstance(part, Name) else shown(part)
        for part in expression.parts
    )


def _from_tree(tree: Any) -> Expression:
    if isinstance(tree, spdx.LicenseWithExceptionSymbol):
        base = named(tree.license_symbol.key)
        return base._replace(exception=tree.exception_symbol.key)
    if isinstance(tree, spdx.LicenseSymbol):
        return named(tree.key)
    parts = tuple(_from_tree(part) for part in tree.args)
    return Both(parts) if isinstance(tree, spdx.AND) else Either(parts)


@cache
def _names() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for record in all_records().values():
        for value in (record.id, record.name, *record.spdx, *record.tags, *record.names):
            ids = found.setdefault(_squeeze(value), [])
            if record.id not in ids:
                ids.append(record.id)
    return {name: tuple(ids) for name, ids in found.items()}


def _by_link(link: str) -> tuple[str, ...]:
    address = link.lower()
    return tuple(
        record.id
        for record in all_records().values()
        if any(part.lower() in address for part in record.links if part)
    )


def _squeeze(value: str) -> str:
    text = unicodedata.normalize("NFKC", value).lower().strip()
    short = _SQUEEZED.sub("", _DROPPED.sub(" ", text))
    return short or _SQUEEZED.sub("", text)


@cache
def _elsewhere() -> Mapping[str, str]:
    index = spdx.get_license_index()
    return {
        key.lower(): entry.get("spdx_license_key") or entry["license_key"]
        for entry in index
        for key in (entry["license_key"], entry.get("spdx_license_key") or "",
                    *entry.get("other_spdx_license_keys", ()))
        if key
    }  # fmt: skip


def _known_elsewhere(said: str) -> str:
    """Return the SPDX or ScanCode name of a known licence for which there is no record."""
    if not re.fullmatch(r"[A-Za-z0-9.+-]{2,80}", said) or says_nothing(said):
        return ""
    return _elsewhere().get(said.lower(), "")
