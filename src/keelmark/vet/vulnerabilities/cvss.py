"""How grave an advisory says it is.

Sources: CVSS 3.1 specification, section 7.1 (base metrics) and the qualitative scale of section 5.
Scores of version 4 need a table that we do not carry; its records nearly always say the word.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

_WORDS = {
    "low": "low",
    "moderate": "medium",
    "medium": "medium",
    "high": "high",
    "important": "high",
    "critical": "critical",
}
_WEIGHTS: dict[str, dict[str, float]] = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES = {
    "U": {"N": 0.85, "L": 0.62, "H": 0.27},
    "C": {"N": 0.85, "L": 0.68, "H": 0.5},
}


def base_score(vector: str) -> float | None:
    """Return the base score of a CVSS 3 vector, or None when it is not one."""
    if not vector.startswith("CVSS:3."):
        return None
    try:
        parts = dict(part.split(":", 1) for part in vector.split("/")[1:])
        metric = {name: _WEIGHTS[name][parts[name]] for name in _WEIGHTS}
        scope = parts["S"]
        privileges = _PRIVILEGES[scope][parts["PR"]]
    except (KeyError, ValueError):
        return None
    base = 1 - (1 - metric["C"]) * (1 - metric["I"]) * (1 - metric["A"])
    changed = scope == "C"
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if changed else 6.42 * base
    if impact <= 0:
        return 0.0
    exploit = 8.22 * metric["AV"] * metric["AC"] * privileges * metric["UI"]
    total = 1.08 * (impact + exploit) if changed else impact + exploit
    return _round_up(min(total, 10.0))


def _round_up(value: float) -> float:
    # Appendix A of the specification: rounding that floating point cannot spoil.
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (math.floor(whole / 10_000) + 1) / 10


def grade(score: float) -> str:
    """Return the word for a score."""
    for least, word in ((9.0, "critical"), (7.0, "high"), (4.0, "medium")):
        if score >= least:
            return word
    return "low"


def severity_of(severity: Iterable[Mapping[str, Any]], specific: Mapping[str, Any]) -> str:
    """Return low, medium, high or critical, or "" when neither score nor word is given.

    Args:
        severity: Vectors, as OSV lists them.
        specific: `database_specific`, where GitHub's records have the word.
    """
    scores = [base_score(str(item.get("score", ""))) for item in severity]
    known = [score for score in scores if score is not None]
    if known:
        return grade(max(known))
    return _WORDS.get(str(specific.get("severity", "")).lower(), "")
