"""All checks, surveys and rules, as found in their folders and in installed extensions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import chain

from keelmark.core.canonical import digest
from keelmark.plugins import discover
from keelmark.vet.contract import Check, Rule
from keelmark.vet.survey import Survey


@cache
def all_checks() -> Mapping[str, Check]:
    """Return every check by id, sorted by id."""
    return dict(discover("keelmark.vet.checks", "CHECK"))


@cache
def all_surveys() -> Mapping[str, Survey]:
    """Return every survey by id, sorted by id."""
    return dict(discover("keelmark.vet.surveys", "SURVEY"))


@cache
def all_rules() -> Mapping[str, Rule]:
    """Return every rule that a check or survey may report, by id, sorted by id."""
    found = chain(
        (rule for check in all_checks().values() for rule in check.rules),
        (rule for survey in all_surveys().values() for rule in survey.rules),
    )
    return dict(sorted((rule.id, rule) for rule in found))


@cache
def rule_pack() -> str:
    """Return what tells one state of checks, surveys and rules from another, `sha256:<hex>`."""
    checks = {name: check.version for name, check in all_checks().items()}
    surveys = {name: survey.version for name, survey in all_surveys().items()}
    return digest(
        {
            "versions": checks | surveys,
            "rules": {name: rule._asdict() for name, rule in all_rules().items()},
        }
    )
