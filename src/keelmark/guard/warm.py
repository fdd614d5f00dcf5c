"""Warming up: what detectors load or compile on first use is there before the first request."""

from __future__ import annotations

from collections.abc import Iterable

from keelmark.guard.engine import Engine
from keelmark.guard.run import Probe, Run
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


def _read_examples(probe: Probe) -> None:
    alone = (probe._replace(number=0),)
    for example in probe.detector.examples:
        for _ in judged(Run(alone), example.text, mask=None):
            pass
        stream = Filter(Run(alone))
        stream.feed(example.text)
        stream.finish()
