"""Licences along a line of descent: what a model made from another may not be labelled as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from keelmark.vet.licence.expressions import Either, Expression, Name, joined, shown
from keelmark.vet.licence.records import Record, all_records


class Conflict(NamedTuple):
    """A label of a child that its parent's licence does not allow, or that could not be checked.

    Attributes:
        child: The child's licences.
        parent: Id of the parent's record, or the name that has none.
        why: One sentence.
        quote: The clause of the parent's licence, or "".
        offset: Where it begins in the record's text; -1 without one.
        certain: False when it could not be told, for want of a record or a text.
    """

    child: str
    parent: str
    why: str
    quote: str = ""
    offset: int = -1
    certain: bool = False


def conflicts(child: Iterable[str], parent: Iterable[str]) -> tuple[Conflict, ...]:
    """Return what contradicts between a model's licences and those of what it was made from.

    Args:
        child: Licences of the model: SPDX expressions, hub tags or record ids; all apply.
        parent: Licences of its parent, or parents, in the same forms.
    """
    above, below = joined(parent), joined(child)
    if above is None:
        return ()
    if below is None:
        heirs = [record for record in _records(above) if _binds(record)]
        return tuple(
            Conflict("", record.id, f"It names no licence; its parent's says: {_says(record)}")
            for record in heirs
        )
    return tuple(dict.fromkeys(_under(below, above)))


def name_must_begin(licences: Iterable[str]) -> str:
    """Return what the name of a model made under these licences must begin with, or ""."""
    expression = joined(licences)
    found = (
        [record.heirs.name for record in _records(expression) if record.heirs] if expression else []
    )
    return next((name for name in found if name), "")


def _under(child: Expression, parent: Expression) -> list[Conflict]:
    if isinstance(parent, Name):
        return _against(child, parent)
    branches = [_under(child, part) for part in parent.parts]
    if isinstance(parent, Either):
        return min(branches, key=lambda found: (sum(item.certain for item in found), len(found)))
    return [item for branch in branches for item in branch]


def _against(child: Expression, parent: Name) -> list[Conflict]:
    """Compare with one name, which may mean several records: any that fits is enough."""
    if not parent.records:
        why = f"There is no record of {parent.said!r}, the licence of its parent: read it."
        return [Conflict(shown(child), parent.said, why)]
    found = [_one(child, all_records()[record]) for record in parent.records]
    return [] if None in found else [item for item in found if item][:1]


def _one(child: Expression, parent: Record) -> Conflict | None:
    label = shown(child)
    if parent.heirs is None:
        if parent.text == "none":
            why = f"The text of {parent.name}, the licence of its parent, is not at hand: read it."
            return Conflict(label, parent.id, why)
        return None
    if parent.heirs.keeps in ("nothing", "notice"):
        return None
    fits = _fits(child, {parent.id, *parent.heirs.accepts})
    if fits:
        return None
    if fits is None:
        why = (
            f"It is not known whether {label} keeps what {parent.name} demands: {parent.heirs.says}"
        )
    else:
        why = f"It says {label}, but its parent is under {parent.name}: {parent.heirs.says}"
    heirs = parent.heirs
    return Conflict(label, parent.id, why, heirs.quote, heirs.offset, fits is False)


def _fits(child: Expression, allowed: set[str]) -> bool | None:
    """Say whether an expression carries one of the licences; None when a name has no record."""
    if isinstance(child, Name):
        if not child.records:
            return False if child.title else None
        return bool(allowed & set(child.records))
    answers = [_fits(part, allowed) for part in child.parts]
    if isinstance(child, Either):
        return all(answers) if None not in answers else None
    return True if True in answers else (None if None in answers else False)


def _records(expression: Expression) -> list[Record]:
    if isinstance(expression, Name):
        return [all_records()[name] for name in expression.records]
    return [record for part in expression.parts for record in _records(part)]


def _binds(record: Record) -> bool:
    return record.heirs is not None and record.heirs.keeps in ("terms", "licence")


def _says(record: Record) -> str:
    return record.heirs.says if record.heirs else ""
