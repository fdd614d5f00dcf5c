"""The best answer that vetting ever gave to each case: it may rise, it must not fall.

`floor.json` keeps, by case, the verdict and how many rules above info fired. `UPDATE_FLOOR=1` with
the contract tests records what is better or new; to lower a floor is a change made by hand, and
therefore seen.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from corpus.case import Case

PATH = Path(__file__).with_name("floor.json")
_ORDER = ("pass", "incomplete", "fail")


class Answer(NamedTuple):
    """A verdict, and how many rules above info fired."""

    verdict: str
    rules: int


def recorded() -> dict[str, Answer]:
    """Return the floor of every case that has one."""
    if not PATH.exists():
        return {}
    found = json.loads(PATH.read_text(encoding="utf-8"))
    return {name: Answer(entry["verdict"], entry["rules"]) for name, entry in found.items()}


def worse(case: Case, now: Answer) -> str:
    """Say how an answer falls below the floor, "" when it does not; record it when asked to."""
    floor = recorded()
    best = floor.get(case.id)
    if best is None or _goodness(case, now) > _goodness(case, best):
        if os.environ.get("UPDATE_FLOOR"):
            floor[case.id] = now
            _write(floor)
        return ""
    if _goodness(case, now) < _goodness(case, best):
        return f"it was {best.verdict} with {best.rules} rules, now {now.verdict} with {now.rules}"
    return ""


def _goodness(case: Case, answer: Answer) -> tuple[int, int]:
    """Of what is hostile, more is better; of what is benign, less."""
    sign = -1 if case.quiet else 1
    return sign * _ORDER.index(answer.verdict), sign * answer.rules


def _write(floor: dict[str, Answer]) -> None:
    entries = {name: floor[name]._asdict() for name in sorted(floor)}
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in entries.items())
    PATH.write_text("{\n" + lines + "\n}\n", encoding="utf-8")
