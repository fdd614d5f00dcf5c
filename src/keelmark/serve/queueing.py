"""Who is next at an engine: slots, and fair bounded queues before them.

A free slot and nobody waiting costs a comparison and a counter. Otherwise a request waits in the
row of its key and priority. The rows are served by self-clocked fair queueing: each request
costs its tokens divided by the weight of its row, and the row whose next request ends first in
that measure goes first. So whoever asks for much waits for itself, no row starves, and the order
within a row is that of arrival. `Lane` knows no event loop; `Lanes` waits for it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from keelmark.core.overload import FACTORS, Overload, Priority, Share
from keelmark.serve.engine import Engine
from keelmark.serve.pacing import NOT_MEASURED, End, Pace, Took

Why = Literal["key", "full", "time", "gone"]

_BASE = 100.0  # what every request costs beside its tokens: it takes a slot
_MOST = 20_000.0  # no request costs more, however much it asks for
_FOLLOWS = 0.1  # how fast the mean time in a slot follows
_IDLE_ROWS = 4096


class Ticket(NamedTuple):
    """Who asks for a slot.

    Attributes:
        key: Id of the key; each has a row of its own for each priority.
        share: What the policy gives it.
        priority: Its priority.
        tokens: How many tokens it asks for at the most.
        seconds: Longest wait, seconds.
    """

    key: str
    share: Share
    priority: Priority = "normal"
    tokens: float = 0.0
    seconds: float = math.inf

    @property
    def weight(self) -> float:
        """The weight of its row."""
        return self.share.weight * FACTORS[self.priority]

    @property
    def cost(self) -> float:
        """What it costs its row."""
        return min(_BASE + max(self.tokens, 0.0), _MOST) / self.weight


class Full(Exception):  # noqa: N818 (it is no error: it is an answer)
    """A request that gets no slot.

    Attributes:
        why: `key`: too many of its key wait; `full`: too many wait; `time`: it cannot start in
            time.
        seconds: After which it is worth another try.
    """

    def __init__(self, why: Why, seconds: float) -> None:
        super().__init__(why)
        self.why = why
        self.seconds = seconds


class Slot:
    """A place at an engine. Given back once; again only says how many tokens it came to."""

    __slots__ = ("_began", "_free", "_lane", "_row", "_since", "_ticket")

    def __init__(self, lane: Lane, row: Row | None = None, ticket: Ticket | None = None) -> None:
        self._free = False
        self._lane = lane
        self._row = row
        self._ticket = ticket
        self._began = lane.pace.round
        self._since = lane.clock()

    @property
    def seconds(self) -> float:
        """How long it has been held, seconds."""
        return self._lane.clock() - self._since

    def free(self, end: End = "unknown", took: Took = NOT_MEASURED, tokens: float = -1) -> None:
        """Give it back.

        Args:
            end: How the request ended.
            took: How long it took.
            tokens: Tokens used in all; -1 when nobody knows.
        """
        if self._row is not None and self._ticket is not None and tokens >= 0:
            used = self._ticket._replace(tokens=tokens)
            self._row.last += used.cost - self._ticket.cost
            self._row = None
        if self._free:
            return
        self._free, lane = True, self._lane
        lane.pace.learn(end, self._began, lane.active, took)
        lane.given_back(self.seconds if end == "answered" else 0.0)


class Row:
    """The requests of one key with one priority, in order.

    Attributes:
        waiting: Those that wait.
        last: Where the last one that got a slot ended, in the measure of all rows.
    """

    __slots__ = ("last", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Waiter] = deque()
        self.last = 0.0

    @property
    def end(self) -> float:
        """Where its next request ends."""
        head = self.waiting[0]
        return max(self.last, head.at) + head.ticket.cost


class Waiter:
    """A request that waits.

    Attributes:
        ticket: Who asks.
        row: Its row.
        at: The measure of all rows when it came.
        ahead: How many were to go before it when it came.
        tell: Gets the slot, or why there is none.
    """

    __slots__ = ("ahead", "at", "row", "tell", "ticket")

    def __init__(
        self, ticket: Ticket, row: Row, at: float, tell: Callable[[Slot | Full], None]
    ) -> None:
        self.ticket = ticket
        self.row = row
        self.at = at
        self.ahead = 0
        self.tell = tell


class Lane:
    """The slots of one engine, and who waits for them.

    Args:
        overload: The policy's section.
        slots: Slots that the engine is known to have; 0 when it is not known.
        clock: Monotonic, seconds.

    Attributes:
        slots: See above.
        active: Slots taken.
        waiting: Requests that wait.
        pace: The limit.
        refused: Why to how many were refused.
    """

    def __init__(
        self, overload: Overload, slots: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.active = 0
        self.waiting = 0
        self.clock = clock
        self.refused: dict[Why, int] = {"key": 0, "full": 0, "time": 0, "gone": 0}
        self._overload, self.slots = overload, slots
        self._rows: dict[tuple[str, Priority], Row] = {}
        self._measure = 0.0
        self._mean = 0.0
        start, least, most, fixed = self._bounds(overload)
        self.pace = Pace(start, least, most, fixed=fixed)

    def _bounds(self, overload: Overload) -> tuple[int, int, int, bool]:
        known = self.slots
        start = known or min(max(overload.concurrent, overload.least), overload.most)
        return start, overload.least, known or overload.most, bool(known) or not overload.adapt

    def use(self, overload: Overload) -> None:
        """Take up another policy; who waits keeps waiting."""
        self._overload = overload
        start, least, most, fixed = self._bounds(overload)
        self.pace.within(start, least, most, fixed=fixed)
        self._serve()

    def take(self) -> Slot | None:
        """Return a slot when one is free and nobody waits."""
        if self.waiting or self.active >= self.pace.limit:
            return None
        self.active += 1
        return Slot(self)

    def wait(self, ticket: Ticket, tell: Callable[[Slot | Full], None]) -> Waiter:
        """Join the queue, after `take` gave nothing.

        Args:
            ticket: Who asks.
            tell: Gets the slot, or why there is none in the end; called once, never from here.

        Raises:
            Full: There is no place, or it could not start in time.
        """
        row = self._row(ticket)
        waiter = Waiter(ticket, row, self._measure, tell)
        own = self._of_key(ticket.key)
        if own >= (ticket.share.queue or self._overload.queue_per_key):
            raise self._refuse("key", self.estimate(own))
        waiter.ahead = self._ahead(waiter)
        seconds = self.estimate(waiter.ahead)
        if ticket.seconds <= 0 or seconds > ticket.seconds:
            raise self._refuse("time", seconds)
        if self.waiting >= self._overload.queue and not self._make_room(ticket, own):
            raise self._refuse("full", seconds)
        row.waiting.append(waiter)
        self.waiting += 1
        return waiter

    def leave(self, waiter: Waiter, why: Why) -> bool:
        """Take out who is not to wait any longer; say whether it still did."""
        try:
            waiter.row.waiting.remove(waiter)
        except ValueError:
            return False
        self.waiting -= 1
        self.refused[why] += 1
        return True

    def expire(self, waiter: Waiter) -> None:
        """Refuse who has waited for too long."""
        if self.leave(waiter, "time"):
            waiter.tell(Full("time", self.estimate(self.waiting)))

    def estimate(self, ahead: int) -> float:
        """Return how long it takes until so many, and one more, have got a slot, seconds."""
        return self._mean * (ahead + 1) / max(1, self.pace.limit)

    def given_back(self, seconds: float) -> None:
        """Take a slot back; the next one gets it.

        Args:
            seconds: How long it was taken; 0 says nothing of others.
        """
        if seconds > 0:
            self._mean += (seconds - self._mean) * (_FOLLOWS if self._mean else 1)
        self.active -= 1
        if self.waiting:
            self._serve()

    def _serve(self) -> None:
        while self.waiting and self.active < self.pace.limit:
            rows = (one for one in self._rows.values() if one.waiting)
            row = min(rows, key=lambda one: one.end)
            self._measure = row.last = row.end
            waiter = row.waiting.popleft()
            self.waiting -= 1
            self.active += 1
            waiter.tell(Slot(self, row, waiter.ticket))

    def _row(self, ticket: Ticket) -> Row:
        name = (ticket.key, ticket.priority)
        if name not in self._rows:
            if len(self._rows) >= _IDLE_ROWS:
                self._rows = {
                    known: row
                    for known, row in self._rows.items()
                    if row.waiting or row.last > self._measure
                }
            self._rows[name] = Row()
        return self._rows[name]

    def _of_key(self, key: str) -> int:
        rows = self._rows
        return sum(len(rows[key, p].waiting) for p in FACTORS if (key, p) in rows)

    def _ahead(self, waiter: Waiter) -> int:
        """How many of those that wait go before it, as things stand."""
        own = [*waiter.row.waiting, waiter]
        end = _ends(waiter.row, own)[-1]
        others = [row for row in self._rows.values() if row is not waiter.row]
        before = [one for row in others for one in _ends(row, row.waiting) if one <= end]
        return len(own) - 1 + len(before)

    def _make_room(self, ticket: Ticket, own: int) -> bool:
        """Refuse the last of the key that has the most waiting, when it has more than this one."""
        if not self.waiting:
            return False
        lasts = [row.waiting[-1] for row in self._rows.values() if row.waiting]
        parts = [self._of_key(one.ticket.key) / one.ticket.weight for one in lasts]
        most = max(parts)
        if most <= (own + 1) / ticket.weight:
            return False
        last = lasts[parts.index(most)]
        self.leave(last, "key")
        last.tell(Full("key", self.estimate(self.waiting)))
        return True

    def _refuse(self, why: Why, seconds: float) -> Full:
        self.refused[why] += 1
        return Full(why, seconds)


def _ends(row: Row, waiting: Iterable[Waiter]) -> list[float]:
    """Where the requests of a row will end."""
    ends: list[float] = []
    last = row.last
    for one in waiting:
        last = max(last, one.at) + one.ticket.cost
        ends.append(last)
    return ends


class Lanes:
    """The lanes of all engines, waited for on the event loop.

    Args:
        overload: The policy's section.
    """

    def __init__(self, overload: Overload | None = None) -> None:
        self.overload = overload or Overload()
        self.all: dict[str, Lane] = {}

    def use(self, overload: Overload) -> None:
        """Take up another policy."""
        if overload != self.overload:
            self.overload = overload
            for lane in self.all.values():
                lane.use(overload)

    def of(self, engine: Engine) -> Lane:
        """Return the lane of an engine, made when it is first asked for."""
        lane, slots = self.all.get(engine.id), getattr(engine, "slots", 0)  # embedded ones know
        if lane is None:
            lane = self.all[engine.id] = Lane(self.overload, slots)
        elif lane.slots != slots:  # another model is behind this name now
            lane.slots = slots
            lane.use(self.overload)
        return lane


async def slot_in_turn(lane: Lane, ticket: Ticket) -> tuple[Slot, int]:
    """Wait for a slot; return it with how many were ahead.

    Whoever is cancelled while it waits leaves the queue, and what it was given is given back.

    Raises:
        Full: There is none, or not in time.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Slot | Full] = loop.create_future()

    def tell(answer: Slot | Full) -> None:
        if not future.done():
            future.set_result(answer)
        elif isinstance(answer, Slot):  # cancelled, and about to notice
            answer.free()

    waiter = lane.wait(ticket, tell)
    timer = None
    if ticket.seconds < math.inf:
        timer = loop.call_later(ticket.seconds, lane.expire, waiter)
    try:
        answer = await future
    except asyncio.CancelledError:
        if future.cancelled():
            lane.leave(waiter, "gone")
        elif isinstance(given := future.result(), Slot):
            given.free()
        raise
    finally:
        if timer is not None:
            timer.cancel()
    if isinstance(answer, Full):
        raise answer
    return answer, waiter.ahead
