"""What a rule is about, for `vet --explain`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from functools import cache
from importlib import resources

from keelmark.core.errors import UsageError
from keelmark.vet.registry import all_rules

_PLACES: dict[str, Callable[[str], str]] = {
    "cve": lambda name: f"https://www.cve.org/CVERecord?id={name}",
    "cwe": lambda name: f"https://cwe.mitre.org/data/definitions/{name.removeprefix('CWE-')}.html",
    "ghsa": lambda name: f"https://github.com/advisories/{name}",
    "owasp": lambda name: f"OWASP Top 10 for LLM Applications 2025, {name.upper()}",
}


def explain(rule_id: str) -> str:
    """Return what a rule finds, why it matters, what it looks like and how to mend it.

    Raises:
        UsageError: There is no such rule.
    """
    rules = all_rules()
    if rule_id not in rules:
        near = difflib.get_close_matches(rule_id, rules, 3) or [
            name for name in rules if rule_id.lower() in name
        ]
        hint = f"did you mean {', '.join(near[:3])}?" if near else "see docs/reference/checks.md."
        raise UsageError(f"There is no rule {rule_id!r}: {hint}")
    rule = rules[rule_id]
    lines = [
        f"{rule.id}  {rule.title}",
        f"severity    {rule.severity.value}",
        f"why         {rule.why}",
        *([f"example     {_examples()[rule_id]['says']}"] if rule_id in _examples() else []),
        f"what to do  {rule.mend}",
        *(f"see         {reference(tag)}" for tag in rule.tags),
    ]
    return "\n".join(lines) + "\n"


def reference(tag: str) -> str:
    """Return where a tag leads: an address, or the name of what it stands for."""
    kind, _, name = tag.partition(":")
    return _PLACES[kind](name) if kind in _PLACES else tag


@cache
def _examples() -> dict[str, dict[str, str]]:
    """What rules look like, from the corpus; rules of other distributions have none."""
    file = resources.files("keelmark.vet").joinpath("tables", "examples.json")
    found: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return found
