"""The generic cell rate algorithm, and counters of what is at work, in the memory of one process.

A limit of `most` in `seconds` lets one through every `seconds / most`; what came early is
remembered as the time at which it would have been due. So one number per limit is enough, and
nothing has to be reset.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from keelmark.core.metering import Level, Rate

_SWEEP = 4096


def level(due: float, now: float, rate: Rate) -> tuple[float, Level]:
    """Return when a limit would be due after a call, and how full it would be.

    What asks for more than the burst passes when nothing is used, and is paid off afterwards.

    Args:
        due: When it is due now.
        now: The time, seconds, of the same clock.
        rate: The limit and the cost.
    """
    each = rate.seconds / rate.most
    full = rate.burst * each
    ahead = max(due - now, 0.0)
    cost = rate.cost * each
    wait = ahead + min(cost, full) - full
    if wait > 1e-9:
        return due, Level(wait, int(max(full - ahead, 0.0) / each + 1e-6), ahead)
    after = ahead + cost
    return now + after, Level(0.0, int(max(full - after, 0.0) / each + 1e-6), after)


class MemoryRates:
    """Limits of one process.

    Args:
        clock: Seconds; one that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        self._busy: dict[str, int] = {}
        self._sweep_at = _SWEEP

    async def enter(self, call: str, rates: Sequence[Rate]) -> list[Level]:  # noqa: ARG002
        """See `keelmark.core.ports.Rates`."""
        now = self._clock()
        due = self._due
        levels: list[Level] = []
        after: list[tuple[str, float]] = []
        for rate in rates:
            if rate.seconds:
                then, one = level(due.get(rate.key, 0.0), now, rate)
                after.append((rate.key, then))
            else:
                busy = self._busy.get(rate.key, 0) + 1
                one = Level(float(busy > rate.most), max(rate.most - busy, 0), 0.0)
            levels.append(one)
        if any(one.wait for one in levels):
            return levels
        due.update(after)
        for rate in rates:
            if not rate.seconds:
                self._busy[rate.key] = self._busy.get(rate.key, 0) + 1
        if len(due) > self._sweep_at:
            self._sweep(now)
        return levels

    def leave(self, call: str, rates: Sequence[Rate], tokens: int | None) -> None:  # noqa: ARG002
        """See `keelmark.core.ports.Rates`."""
        for rate in rates:
            if not rate.seconds:
                self._busy[rate.key] -= 1
                if not self._busy[rate.key]:
                    del self._busy[rate.key]
            elif rate.unit == "tokens" and tokens is not None:
                each = rate.seconds / rate.most
                due = max(self._due.get(rate.key, 0.0), self._clock())
                self._due[rate.key] = due + (tokens - rate.cost) * each

    def _sweep(self, now: float) -> None:
        """Forget limits of which nothing is used: they are as if never seen."""
        self._due = {key: due for key, due in self._due.items() if due > now}
        self._sweep_at = max(_SWEEP, 2 * len(self._due))
