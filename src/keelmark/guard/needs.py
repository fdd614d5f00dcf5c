"""What reading an answer needs beside the answer."""

from __future__ import annotations

from collections.abc import Sequence

from keelmark.core.ports import Needs
from keelmark.guard.engine import Engine
from keelmark.guard.run import Probe, heavy
from keelmark.guard.shadow import Shadow


def needed(plan: tuple[Probe, ...], engine: Engine, shadows: Sequence[Shadow]) -> Needs:
    """Return what the probes of an answer need.

    Nothing is asked of an engine only for a shadow: that would change what a request costs.

    Args:
        plan: What reads what is said to the user.
        engine: The rules in force.
        shadows: Those that are not.
    """
    engines = (engine, *(shadow.engine for shadow in shadows))
    sampling = [probe for probe in plan if probe.detector.samples()]
    return Needs(
        heavy=any(heavy(one.plan("output", role)) for one in engines for role in ("", "tool_call")),
        asks=any(rule.repair for probe in plan for rule in probe.rules),
        weighs=any(
            one.detector.weighs() for one in (*plan, *(p for s in shadows for p in s.plan()))
        ),
        samples=max((probe.detector.samples() for probe in sampling), default=0),
        seconds=max((rule.timeout_ms for one in sampling for rule in one.rules), default=0) / 1000,
    )
