"""What reading an answer needs beside the answer."""

from __future__ import annotations

from collections.abc import Iterable

from keelmark.core.ports import Needs
from keelmark.guard.engine import Engine
from keelmark.guard.run import Probe, heavy


def needed(plan: tuple[Probe, ...], engines: Iterable[Engine]) -> Needs:
    """Return what the probes of an answer need.

    Args:
        plan: What reads what is said to the user.
        engines: The rules that read the answer, those in shadow included.
    """
    sampling = [probe for probe in plan if probe.detector.samples()]
    return Needs(
        heavy=any(heavy(one.plan("output", role)) for one in engines for role in ("", "tool_call")),
        asks=any(rule.repair for probe in plan for rule in probe.rules),
        weighs=any(probe.detector.weighs() for probe in plan),
        samples=max((probe.detector.samples() for probe in sampling), default=0),
        seconds=max((rule.timeout_ms for one in sampling for rule in one.rules), default=0) / 1000,
    )
