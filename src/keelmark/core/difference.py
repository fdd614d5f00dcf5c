"""What changes between two policies, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from keelmark.core.policy import Policy

_ORDER: dict[str, tuple[Any, ...]] = {
    "action": ("flag", "annotate", "mask", "redact", "block"),
    "mode": ("shadow", "enforce"),
    "on_failure": ("open", "closed"),
    "unattested": ("allow", "refuse"),
    "load": ("mtime", "hash", "sealed"),
    "fail_on": ("critical", "high", "medium", "low", "info"),
}
"""Field to its values, the laxer first."""


def policy_difference(before: Policy, after: Policy) -> list[str]:
    """Return one sentence for everything that changes, after inheritance.

    Args:
        before: The policy that is.
        after: The policy that would be.
    """
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    out = [*_named("Rule", old["guard"].pop("rules"), new["guard"].pop("rules"))]
    out += _named("Exception", old["guard"].pop("exceptions"), new["guard"].pop("exceptions"))
    out += _routes(old["routes"].pop("models"), new["routes"].pop("models"))
    for section in (name for name, value in new.items() if isinstance(value, dict)):
        out += (f"{section}.{said}" for said in _fields(old[section], new[section]))
    if before.name != after.name:
        out.append(f"The name is {after.name!r}, was {before.name!r}.")
    return out


def _named(kind: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    """What changes in a list of things with ids."""
    was, now = {one["id"]: one for one in old}, {one["id"]: one for one in new}
    for name in was.keys() - now.keys():
        yield f"{kind} {name!r} is gone: {_short(was[name])}."
    for name, one in now.items():
        if name not in was:
            yield f"{kind} {name!r} is new: {_short(one)}."
        else:
            yield from (f"{kind} {name!r}: {said}" for said in _fields(was[name], one))


def _routes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What changes in the trees of routes, and in the order of patterns."""
    yield from (f"Route {name!r} is gone." for name in old if name not in new)
    for name, tree in new.items():
        if name not in old:
            yield f"Route {name!r} is new; `keelmark routes` shows it."
        elif old[name] != tree:
            yield f"Route {name!r} leads elsewhere; `keelmark routes` shows both."
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield "The order of routes changes, and with it which pattern comes first."


def _short(one: Mapping[str, Any]) -> str:
    if "detector" not in one:
        return f"for rule {one['rule']!r} until {one['expires']}, {one['reason'].rstrip('.')}"
    shadow = ", in shadow" if one["mode"] == "shadow" else ""
    return f"{one['action']} what {one['detector']} finds, stage {one['stage']}{shadow}"


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, value in new.items():
        if old[name] != value:
            leaning = _leaning(name, old[name], value)
            yield f"{name} is {_said(value)}, was {_said(old[name])}{leaning}."


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "empty"
    if isinstance(value, dict):
        filled = (f"{name} {_said(one)}" for name, one in value.items() if one)
        return "; ".join(filled) or "empty"
    return str(value)


def _leaning(name: str, old: Any, new: Any) -> str:
    """Whether a change makes a policy stricter, where that is sure."""
    if name == "threshold" and isinstance(old, float) and isinstance(new, float):
        return " (stricter)" if new < old else " (laxer)"
    order = _ORDER.get(name, ())
    if old in order and new in order:
        return " (stricter)" if order.index(new) > order.index(old) else " (laxer)"
    return ""
