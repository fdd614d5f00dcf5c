"""How engines do, from the requests that they get: who is quick, who is busy, who is left alone.

Per engine: requests at work, how soon its answers begin (a peak-sensitive average: a slow answer
counts at once, quick ones win it back over seconds), and a breaker. An open breaker lets nothing
through until its rest is over; then one request tries the engine, and what becomes of that one
closes it or opens it for twice as long.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

from keelmark.core.routing import Breaker, Failure

State = Literal["closed", "open", "trying"]
_DECAY_SECONDS = 10.0
_KEPT = 256  # answers that percentiles are taken of
_ENOUGH = 20  # answers before a percentile says anything
_MOST_DOUBLINGS = 4
_COUNTS: frozenset[Failure] = frozenset({"connect", "slow", "server_error", "broken", "refused"})
"""Failures that say something about the engine: one that is full is not ill."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine does, for `/readyz` and metrics.

    Attributes:
        state: What its breaker lets through: `closed` everything, `open` nothing, `trying` one.
        in_flight: Requests at work there.
        failures: Failures in a row.
        error_ratio: Share of the requests of the window that failed.
        first_byte_ms: How soon its answers begin, milliseconds; 0 when that is not known.
        rest_seconds: Seconds until it is tried again.
    """

    state: State
    in_flight: int
    failures: int
    error_ratio: float
    first_byte_ms: float
    rest_seconds: float


class Entry:
    """One request that was let through to an engine.

    Args:
        pulse: How the engine does.
        tries: Whether it is the one that tries an engine which was left alone.
    """

    def __init__(self, pulse: Pulse, *, tries: bool) -> None:
        self._pulse, self._tries = pulse, tries

    def leave(self, failure: Failure | None, *, answered: bool) -> None:
        """End it.

        Args:
            failure: What went wrong with the engine, if anything.
            answered: Whether it answered; a request that neither failed nor was answered (the
                client left, the guard stopped it) says nothing about the engine.
        """
        failed = failure in _COUNTS
        self._pulse.note(failed if failed or answered else None, tries=self._tries)


class Pulse:
    """How one engine does.

    Args:
        rules: When it is left alone.
        clock: Seconds, never backwards.
    """

    def __init__(self, rules: Breaker, clock: Callable[[], float] = time.monotonic) -> None:
        self.rules = rules
        self.in_flight = 0
        self._clock = clock
        self._state: State = "closed"
        self._row = self._opened = 0  # failures in a row; times it opened in a row
        self._until = 0.0
        self._seen: deque[tuple[float, bool]] = deque()  # when, and whether it failed
        self._failed = 0
        self._times: dict[bool, deque[float]] = {}
        self._mean: dict[bool, tuple[float, float]] = {}  # seconds, and when they were taken

    @property
    def state(self) -> State:
        """See `Report`."""
        return self._state

    @property
    def rest(self) -> float:
        """Seconds until it may be tried again; 0 when it may be tried now."""
        return max(0.0, self._until - self._clock()) if self._state == "open" else 0.0

    @property
    def open(self) -> bool:
        """Whether a request would be let through now."""
        return self._state == "closed" or (self._state == "open" and not self.rest)

    def enter(self) -> Entry | None:
        """Let a request through, or not."""
        if not self.open:
            return None
        tries = self._state == "open"
        if tries:
            self._state = "trying"
        self.in_flight += 1
        return Entry(self, tries=tries)

    def first_byte(self, seconds: float, *, stream: bool) -> None:
        """Note how soon an answer began."""
        now = self._clock()
        self._times.setdefault(stream, deque(maxlen=_KEPT)).append(seconds)
        mean, at = self._mean.get(stream, (0.0, now))
        share = math.exp((at - now) / _DECAY_SECONDS)
        mean = seconds if seconds > mean else mean * share + seconds * (1 - share)
        self._mean[stream] = mean, now
        slow = self.rules.slow_ms
        late = self.percentile(self.rules.slow_percentile, stream=stream) if slow else None
        if slow and late is not None and 1000 * late > slow and self._state == "closed":
            self._open()

    def cost(self, *, stream: bool) -> float:
        """How long a new request would wait, roughly, seconds; 0 when nothing is known."""
        return self._mean.get(stream, (0.0, 0.0))[0] * (self.in_flight + 1)

    def percentile(self, percent: float, *, stream: bool) -> float | None:
        """How soon so many of its answers began, seconds; None when too few are known."""
        times = self._times.get(stream, ())
        if len(times) < _ENOUGH:
            return None
        return sorted(times)[min(len(times) - 1, int(len(times) * percent / 100))]

    def report(self) -> Report:
        """Return how it does now."""
        self._forget()
        seen = len(self._seen)
        return Report(
            state=self._state,
            in_flight=self.in_flight,
            failures=self._row,
            error_ratio=round(self._failed / seen, 3) if seen else 0.0,
            first_byte_ms=round(1000 * max((m for m, _ in self._mean.values()), default=0.0), 1),
            rest_seconds=round(self.rest, 1),
        )

    def note(self, failed: bool | None, *, tries: bool) -> None:  # noqa: FBT001 (see Entry)
        """A request has ended; None: it says nothing about the engine."""
        self.in_flight -= 1
        if tries:
            if failed is None:
                self._state = "open"  # its rest is over, so the next one tries
            elif failed:
                self._open()
            else:
                self._close()
            return
        if failed is None or self._state != "closed":  # it was at work when the breaker opened
            return
        self._seen.append((self._clock(), failed))
        self._failed += failed
        self._row = self._row + 1 if failed else 0
        self._forget()
        seen = len(self._seen)
        many = seen >= self.rules.least and self._failed / seen >= self.rules.error_ratio
        if failed and (many or self._row >= self.rules.failures):
            self._open()

    def _forget(self) -> None:
        since = self._clock() - self.rules.window_seconds
        while self._seen and self._seen[0][0] < since:
            self._failed -= self._seen.popleft()[1]

    def _open(self) -> None:
        longer = 2 ** min(self._opened, _MOST_DOUBLINGS)
        self._state, self._opened = "open", self._opened + 1
        self._until = self._clock() + self.rules.rest_seconds * longer

    def _close(self) -> None:
        self._state, self._opened, self._row, self._failed = "closed", 0, 0, 0
        self._seen.clear()
        self._times.clear()


class Budget:
    """How much may be sent again: a share of what is sent, and a few more for quiet times."""

    _MOST = 10.0

    def __init__(self) -> None:
        self._left = self._MOST

    def earn(self, share: float) -> None:
        """A request has come."""
        self._left = min(self._MOST, self._left + share)

    def spend(self) -> bool:
        """Say whether something may be sent again; count it if so."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Health:
    """How all engines do; outlives a change of the policy.

    Args:
        rules: When an engine is left alone.
        clock: Seconds, never backwards.
    """

    def __init__(self, rules: Breaker | None = None, clock: Callable[[], float] = time.monotonic):
        self.budget = Budget()
        self._rules = rules or Breaker()
        self._clock = clock
        self._pulses: dict[str, Pulse] = {}

    def use(self, rules: Breaker) -> None:
        """Go by other rules from now on."""
        self._rules = rules
        for pulse in self._pulses.values():
            pulse.rules = rules

    def of(self, engine: str) -> Pulse:
        """Return how an engine does, by its id."""
        pulse = self._pulses.get(engine)
        if pulse is None:
            pulse = self._pulses[engine] = Pulse(self._rules, self._clock)
        return pulse

    def reports(self) -> dict[str, Report]:
        """Return how the engines do that got requests, by their ids."""
        return {name: pulse.report() for name, pulse in sorted(self._pulses.items())}
