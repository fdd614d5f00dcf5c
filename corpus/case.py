"""What a case of the corpus is, and the register of them all."""

from __future__ import annotations

from typing import NamedTuple

CASES: dict[str, Case] = {}


class Case(NamedTuple):
    """One artefact.

    Attributes:
        id: Name of the case; a twin's name ends in `-twin`.
        verdict: What vetting must say: pass, fail or incomplete.
        rules: Rules that must fire; a benign case fires none above info.
        files: Relative path to content.
        quiet: Whether nothing above info may be found.
    """

    id: str
    verdict: str
    rules: tuple[str, ...]
    files: dict[str, bytes]
    quiet: bool


def hostile(name: str, rules: str, files: dict[str, bytes], verdict: str = "fail") -> None:
    _register(Case(name, verdict, tuple(rules.split()), files, quiet=False))


def benign(name: str, files: dict[str, bytes], verdict: str = "pass", rules: str = "") -> None:
    _register(Case(name, verdict, tuple(rules.split()), files, quiet=True))


def _register(case: Case) -> None:
    assert case.id not in CASES, f"two cases are called {case.id}"
    CASES[case.id] = case
