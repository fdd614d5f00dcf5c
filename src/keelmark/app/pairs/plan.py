"""Which prompts are compared with which: templates, slots, and pairs that differ in one thing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.yamlfile import Document, Strict, fill, meant, read_document

_SLOT = re.compile(r"\{(\w+)\}")
_ID = r"^[a-z0-9][a-z0-9-]{0,63}$"
Value = str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Comparison(Strict, frozen=True):
    """Two sides that ought to be treated alike.

    Attributes:
        id: Its name.
        a: `label`, and what stands in the slots; a list is gone through template by template.
        b: The same slots for the other side.
    """

    id: Annotated[str, msgspec.Meta(pattern=_ID)]
    a: dict[str, Value]
    b: dict[str, Value]


class PairSet(Strict, frozen=True):
    """Prompts in pairs, as a file has them.

    Attributes:
        version: Of the form of the file.
        name: What the set is called.
        comparisons: What is compared.
        templates: Prompts with slots in braces.
    """

    version: Literal[1]
    comparisons: Annotated[tuple[Comparison, ...], msgspec.Meta(min_length=1)]
    templates: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    name: str = "yours"


class Pair(NamedTuple):
    """Two prompts that differ in nothing but what is compared."""

    comparison: str
    template: str
    a: str
    b: str


def load_pairs(path: Path | None) -> PairSet:
    """Read a set of pairs; the one that comes with Keelmark when None.

    Raises:
        UsageError: It cannot be read, or does not hold together; the message names the line.
    """
    if path is None:
        source = "the shipped pairs"
        text = resources.files("keelmark.app.pairs").joinpath("shipped.yaml").read_text("utf-8")
    else:
        source = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be read ({error.strerror}); check the path.") from None
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8; convert the file.") from None
    document = read_document(text, source=source)
    read = fill(document, PairSet)
    _check(document, read)
    return read


def _check(document: Document, read: PairSet) -> None:
    seen: set[str] = set()
    for number, one in enumerate(read.comparisons):
        where = document.at(f"$.comparisons[{number}]")
        if one.id in seen:
            raise UsageError(f"{where}: the comparison {one.id!r} is there twice; rename one.")
        seen.add(one.id)
        if "label" not in one.a or "label" not in one.b:
            raise UsageError(f"{where}: both sides of {one.id!r} need a `label`.")
        if one.a.keys() != one.b.keys() or len(one.a) < 2:
            raise UsageError(
                f"{where}: both sides of {one.id!r} need the same slots, at least one; "
                f"a has {_named(one.a)}, b has {_named(one.b)}."
            )
    _check_templates(document, read)
    for number, one in enumerate(read.comparisons):
        if not any(_fits(template, one) for template in read.templates):
            raise UsageError(
                f"{document.at(f'$.comparisons[{number}]')}: no template has only slots of "
                f"{one.id!r} ({_named(one.a)}) that differ; add one."
            )


def _check_templates(document: Document, read: PairSet) -> None:
    known = {slot for one in read.comparisons for slot in one.a} - {"label"}
    for number, template in enumerate(read.templates):
        where = document.at(f"$.templates[{number}]")
        slots = set(_SLOT.findall(template))
        if not slots:
            raise UsageError(f"{where}: the template has no slot; write one, such as {{who}}.")
        for slot in sorted(slots - known):
            raise UsageError(f"{where}: no comparison has the slot {slot!r}; {meant(slot, known)}")


def _named(side: dict[str, Value]) -> str:
    return ", ".join(sorted(side.keys() - {"label"})) or "none"


def _fits(template: str, one: Comparison) -> bool:
    slots = set(_SLOT.findall(template))
    return slots <= one.a.keys() - {"label"} and any(one.a[slot] != one.b[slot] for slot in slots)


def pairs_of(
    read: PairSet, *, only: tuple[str, ...] = (), limit: int | None = None
) -> Iterator[Pair]:
    """Yield the pairs of a set.

    Args:
        read: The set.
        only: Comparisons to take; all when empty.
        limit: Most pairs of one comparison.

    Raises:
        UsageError: There is no such comparison.
    """
    known = [one.id for one in read.comparisons]
    for name in only:
        if name not in known:
            raise UsageError(f"There is no comparison {name!r}; {meant(name, known)}")
    for one in read.comparisons:
        if only and one.id not in only:
            continue
        fitting = [template for template in read.templates if _fits(template, one)]
        for number, template in enumerate(fitting[:limit]):
            yield Pair(
                one.id, template, _filled(template, one.a, number), _filled(template, one.b, number)
            )


def _filled(template: str, side: dict[str, Value], number: int) -> str:
    """Put the values of a side into a template; a sentence begins with a capital."""

    def value(match: re.Match[str]) -> str:
        values = side[match[1]]
        chosen = values if isinstance(values, str) else values[number % len(values)]
        first = match.start() == 0 or template[: match.start()].endswith((". ", "? ", "! "))
        return chosen[:1].upper() + chosen[1:] if first else chosen

    return _SLOT.sub(value, template)
