"""What a case of the corpus is, and the register of them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

CASES: dict[str, Case] = {}


class Case(NamedTuple):
    """One artefact, and what is asked about it.

    Attributes:
        id: Name of the case; a twin's name ends in `-twin`.
        verdict: What vetting must say: pass, fail or incomplete.
        rules: Rules that must fire; a benign case fires none above info.
        files: Relative path to content.
        quiet: Whether nothing above info may be found.
        use: The declared use, if one is.
        parent: Files of the model it is said to be made from, if they are at hand.
        stack: Requirements of what will load it, if they are declared.
        advisories: Files of an OSV dump, if there is one.
    """

    id: str
    verdict: str
    rules: tuple[str, ...]
    files: dict[str, bytes]
    quiet: bool
    use: Mapping[str, object] | None = None
    parent: dict[str, bytes] | None = None
    stack: str = ""
    advisories: dict[str, bytes] | None = None
    remarks: tuple[tuple[str, str, str, str], ...] = ()


def hostile(
    name: str, rules: str, files: dict[str, bytes], verdict: str = "fail", **asked: Any
) -> None:
    """Register a case that must not pass unseen; `asked` are the attributes after `quiet`."""
    _register(Case(name, verdict, tuple(rules.split()), files, quiet=False, **asked))


def benign(
    name: str, files: dict[str, bytes], verdict: str = "pass", rules: str = "", **asked: Any
) -> None:
    """Register a case of which nothing above info may be said."""
    _register(Case(name, verdict, tuple(rules.split()), files, quiet=True, **asked))


def _register(case: Case) -> None:
    assert case.id not in CASES, f"two cases are called {case.id}"
    CASES[case.id] = case
