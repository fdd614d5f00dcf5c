"""The limit of an engine finds what the engine can do, and finds it again when that changes."""

import heapq
import random

import pytest

from keelmark.core.overload import Overload, Share
from keelmark.serve.pacing import Pace, Took
from keelmark.serve.queueing import Full, Lane, Slot, Ticket


class Engine:
    """An engine that does `capacity` at once, in `seconds` each, and lets the others wait.

    With `refuses` it answers 429 to what is too much.
    """

    def __init__(self, capacity, seconds=1.0, *, refuses=False):
        self.capacity, self.seconds, self.refuses = capacity, seconds, refuses
        self.queue, self.busy = [], 0


class World:
    """Simulated time: clients that ask at a rate, a lane, and an engine behind it."""

    def __init__(self, engine, overload=None, seed=7):
        self.now, self.events, self.number = 0.0, [], 0
        self.engine, self.chance = engine, random.Random(seed)
        self.lane = Lane(
            overload or Overload(concurrent=16, most=512, queue=32), clock=lambda: self.now
        )
        self.done, self.refused = [], 0

    def at(self, when, then):
        self.number += 1
        heapq.heappush(self.events, (when, self.number, then))

    def run(self, until, rate, key="k"):
        """Let clients ask so many times a second until then."""
        self._arrive(rate, until, key)
        self.go(until)

    def go(self, until):
        while self.events and self.events[0][0] <= until:
            self.now, _, then = heapq.heappop(self.events)
            then()
        self.now = until

    def _arrive(self, rate, until, key):
        def come():
            self.ask(key)
            after = self.now + self.chance.expovariate(rate)
            if after <= until:
                self.at(after, come)

        self.at(self.now, come)

    def ask(self, key):
        came = self.now
        if slot := self.lane.take():
            self.start(slot, key, came)
            return
        try:
            self.lane.wait(Ticket(key, Share()), lambda answer: self.told(answer, key, came))
        except Full:
            self.refused += 1

    def told(self, answer, key, came):
        if isinstance(answer, Slot):
            self.start(answer, key, came)
        else:
            self.refused += 1

    def start(self, slot, key, came):
        engine = self.engine
        if engine.refuses and engine.busy >= engine.capacity:
            self.at(self.now + 0.01, lambda: slot.free("refused"))
            return
        engine.queue.append((slot, key, came, self.now))
        self.work()

    def work(self):
        engine = self.engine
        while engine.queue and engine.busy < engine.capacity:
            one = engine.queue.pop(0)
            engine.busy += 1
            self.at(
                self.now + engine.seconds * self.chance.uniform(0.8, 1.2), lambda o=one: self.end(o)
            )

    def end(self, one):
        slot, key, came, sent = one
        self.engine.busy -= 1
        self.done.append((self.now, key, self.now - came))
        slot.free("answered", Took("chat", self.now - sent, 0.02))
        self.work()


def test_finds_what_an_engine_can_do_that_lets_them_wait():
    world = World(Engine(20))
    world.run(300, rate=40)  # twice of what it can do
    assert 18 <= world.lane.pace.limit <= 50
    late = [taken for when, _, taken in world.done if when > 150]
    assert len(late) / 150 > 0.95 * 20  # nothing of what it can do is lost


def test_finds_what_an_engine_can_do_that_refuses():
    world = World(Engine(20, refuses=True))
    world.run(300, rate=40)
    assert 12 <= world.lane.pace.limit <= 22
    assert len([1 for when, *_ in world.done if when > 150]) / 150 > 0.75 * 20


def test_follows_what_changes():
    engine = Engine(40)
    world = World(engine)
    world.run(200, rate=80)
    assert world.lane.pace.limit >= 36
    engine.capacity = 10
    world.run(500, rate=80)
    fallen = world.lane.pace.limit
    assert fallen <= 30
    engine.capacity = 40
    world.run(900, rate=80)
    assert world.lane.pace.limit >= 36 > fallen


def test_does_not_choke_an_engine_that_became_slow_for_another_reason():
    engine = Engine(1000)
    world = World(engine, Overload(concurrent=32, most=32, queue=16))
    world.run(60, rate=40)
    engine.seconds = 5.0  # a larger model: fewer at once do not make it faster
    world.run(400, rate=20)
    assert world.lane.pace.limit >= 16


def test_does_not_grow_while_it_is_not_needed():
    world = World(Engine(100))
    world.run(100, rate=4)
    assert world.lane.pace.limit == 16


def test_one_burst_of_refusals_cuts_once():
    pace = Pace(64)
    for _ in range(30):
        pace.learn("refused", 0, 64)
    assert pace.limit == 44
    assert pace.round == 1


@pytest.mark.parametrize("end", ["unknown", "answered"])
def test_what_says_nothing_changes_nothing(end):
    pace = Pace(4)
    for _ in range(100):
        pace.learn(end, 0, 1, Took("chat", 0.001, 0.02))
    assert pace.limit == 4


def test_a_trifle_is_never_late():
    pace = Pace(4)
    for seconds in [0.001] * 50 + [0.03] * 200:
        pace.learn("answered", pace.round, pace.limit, Took("chat", seconds, 0.02))
    assert pace.limit > 60


def test_two_tenants_of_which_one_floods():
    alone = World(Engine(8), Overload(concurrent=8, adapt=False))
    alone.run(200, rate=2, key="quiet")
    world = World(Engine(8), Overload(concurrent=8, adapt=False))
    world._arrive(80, 200, "flood")
    world.run(200, rate=2, key="quiet")
    quiet = sorted(taken for _, key, taken in world.done if key == "quiet")
    flood = sorted(taken for _, key, taken in world.done if key == "flood")
    assert quiet[int(len(quiet) * 0.99)] < 2.5
    assert flood[len(flood) // 2] > 10
    assert len(quiet) >= 0.98 * len(alone.done) * 0.9
