"""All checks and all rules, as found in `vet/checks/` and in installed extensions."""

from __future__ import annotations

from keelmark.plugins import discover
from keelmark.vet.contract import Check, Rule


def all_checks() -> dict[str, Check]:
    """Return every check by id, sorted by id."""
    return {name: module.CHECK for name, module in discover("keelmark.vet.checks").items()}


def all_rules() -> dict[str, Rule]:
    """Return every rule that a check may report, by id, sorted by id."""
    rules = {rule.id: rule for check in all_checks().values() for rule in check.rules}
    return dict(sorted(rules.items()))
