"""Warming up: what detectors load or compile on first use is there before the first request."""

from __future__ import annotations

from collections.abc import Iterable

from keelmark.core.policy import Rule
from keelmark.guard._weights import MEND, installed
from keelmark.guard.engine import Engine, discovered
from keelmark.guard.run import HEAVY, Probe, Run
from keelmark.guard.stream import Filter
from keelmark.guard.whole import judged

_PLACES = (("input", ""), ("output", ""), ("output", "tool_call"))  # any role, or this one


def warm(engines: Iterable[Engine]) -> None:
    """Let every detector read its own examples, as whole texts and as streams.

    Nothing is kept of what they find, and one that fails here fails again where it counts.

    Args:
        engines: The rules and detectors.
    """
    done: set[int] = set()
    for engine in engines:
        for stage, role in _PLACES:
            for probe in engine.plan(stage, role):
                if id(probe.detector) not in done:
                    done.add(id(probe.detector))
                    _read_examples(probe)


def lacking(rules: Iterable[Rule]) -> str:
    """Say which rules cannot work because the encoder's weights are not installed; "" for none."""
    kinds = discovered()
    kept = [rule for rule in rules if rule.detector in kinds]
    names = [rule.id for rule in kept if kinds[rule.detector].tier >= HEAVY]
    if not names or installed():
        return ""
    return (
        f"{', '.join(names)}: the weights of the guard's encoder are not installed, so these rules "
        f"fail, and stop every text unless on_failure is open; {MEND}."
    )


def _read_examples(probe: Probe) -> None:
    alone = (probe._replace(number=0),)
    for example in probe.detector.examples:
        for _ in judged(Run(alone), example.text, mask=None):
            pass
        stream = Filter(Run(alone))
        stream.feed(example.text)
        stream.finish()
