"""What detectors that weigh all their labels say of a text, for `/v1/moderations`."""

from __future__ import annotations

from collections.abc import Iterable

from keelmark.core.errors import KeelmarkError
from keelmark.core.ports import Rated
from keelmark.guard.normalise import fold
from keelmark.guard.run import Probe


def rated(plan: Iterable[Probe], text: str) -> dict[str, Rated]:
    """Return the score of each label, and whether it counts for a rule.

    A label that no rule in force asks for, or that could not be looked for, is left out.
    """
    found: dict[str, Rated] = {}
    for probe in plan:
        try:
            rates = probe.detector.rates(text if probe.detector.raw else fold(text))
        except KeelmarkError:  # its rules have failed, and say so
            continue
        for label, score in rates.items():
            asking = [rule for rule in probe.rules if not rule.labels or label in rule.labels]
            if asking:
                counts = any(score >= float(rule.threshold) for rule in asking)
                found[label] = max(Rated(score, counts), found.get(label, Rated(0.0, counts=False)))
    return found
