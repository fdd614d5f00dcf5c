"""The loader's law: never over budget, no request lost, no model loaded twice, none cut off."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.serve.berths import Standing, Turns, WaitedError
from keelmark.serve.loader import Loader

BUDGET = 10


class Clock:
    """Time that passes only when everything stands still: nothing here depends on speed."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Model:
    """Says what was done to it, and whether anything was wrong with that."""

    def __init__(self, world, name, need, breaks):
        self.world, self.name, self.need, self.breaks = world, name, need, breaks
        self.there = self.busy = False

    async def load(self):
        self.world.fault(self.there, "it was loaded twice")
        self.world.fault(self.busy, "two loads or unloads at once")
        self.busy = True
        self.world.loads.append(self.name)
        used = sum(m.need for m in self.world.models if m.there or m.busy)
        self.world.fault(used > self.world.budget, f"over budget: {used}")
        await asyncio.sleep(0)
        self.busy = False
        if self.breaks and self.breaks.pop():
            raise UnavailableError("scripted failure")
        self.there = True

    async def unload(self, reason):
        # `busy`: the service stopped while it was being loaded.
        self.world.fault(not self.there and not self.busy, "it was not there")
        self.world.fault(self.world.at_work[self.name], "a request at work lost its model")
        self.world.fault(not reason, "no reason")
        self.busy = True
        await asyncio.sleep(0)
        self.there = self.busy = False


class World:
    def __init__(self, needs, breaks, turns, budget=BUDGET):
        self.budget, self.clock, self.loads = budget, Clock(), []
        self.loader = Loader(budget, turns, clock=self.clock)
        self.models = [
            Model(self, f"m{i}", need, list(b))
            for i, (need, b) in enumerate(zip(needs, breaks, strict=True))
        ]
        self.at_work = {m.name: 0 for m in self.models}
        self.faults = []
        self.ended = {"served": 0, "failed": 0, "late": 0, "left": 0}
        for model in self.models:
            self.loader.add(model)

    def fault(self, wrong, what):
        if wrong:
            self.faults.append(what)

    async def request(self, name, steps):
        try:
            await self.loader.lease(name)
        except WaitedError:
            self.ended["late"] += 1
            return
        except KeelmarkError:
            self.ended["failed"] += 1
            return
        except asyncio.CancelledError:
            self.ended["left"] += 1
            return
        self.at_work[name] += 1
        model = next(m for m in self.models if m.name == name)
        try:
            for _ in range(steps):
                self.fault(not model.there, "a request works without its model")
                await asyncio.sleep(0)
            self.ended["served"] += 1
        except asyncio.CancelledError:
            self.ended["left"] += 1
        finally:
            self.at_work[name] -= 1
            self.loader.release(name)

    async def go_on(self, seconds, turns):
        self.clock.now += seconds
        self.loader._wake.set()
        for _ in range(turns):
            await asyncio.sleep(0)

    async def settle(self, tasks):
        """Let time pass until all requests have ended."""
        for _ in range(10_000):
            if all(t.done() for t in tasks):
                return
            await asyncio.sleep(0)
            self.clock.now += 0.5
            self.loader._wake.set()
        raise AssertionError(f"requests hang: {self.ended}")


needs = st.lists(st.integers(1, BUDGET), min_size=1, max_size=4)
moves = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "pass", "leave", "unload", "load"]),
        st.integers(0, 3),
        st.one_of(st.integers(0, 6), st.integers(0, 40)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(
    needs=needs,
    moves=moves,
    data=st.data(),
    line=st.integers(1, 64),
    stay=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_no_request_is_lost_and_memory_suffices(needs, moves, data, line, stay):
    breaks = [data.draw(st.lists(st.booleans(), max_size=2)) for _ in needs]

    async def scene():
        world = World(needs, breaks, Turns(stay=stay, wait=3600, line=line, rest=2.0))
        requests, others = [], []
        for move, which, steps in moves:
            name = world.models[which % len(world.models)].name
            if move == "ask":
                requests.append(asyncio.create_task(world.request(name, steps)))
            elif move == "pass":
                await world.go_on(steps / 4, which)
            elif move == "leave" and requests:
                requests[which % len(requests)].cancel()
            elif move == "unload":
                others.append(asyncio.create_task(world.loader.unload(name, "asked for")))
            elif move == "load":
                others.append(asyncio.create_task(world.loader.load(name)))
        await world.settle([*requests, *others])
        for done in await asyncio.gather(*others, return_exceptions=True):
            assert done is None or isinstance(done, KeelmarkError), done
        never_ran = sum(t.cancelled() for t in requests)
        assert sum(world.ended.values()) + never_ran == len(requests), "a request was lost"
        assert all(b.users == 0 and not b.waiters for b in world.loader.berths.values())
        assert world.loader.taken <= BUDGET
        for berth, model in zip(world.loader.berths.values(), world.models, strict=True):
            assert model.there == (berth.standing is Standing.LOADED)
        await world.loader.close()
        assert not any(m.there for m in world.models)
        assert world.faults == []

    asyncio.run(scene())


@settings(max_examples=50, deadline=None)
@given(order=st.lists(st.integers(0, 1), min_size=2, max_size=60), stay=st.integers(2, 9))
def test_two_that_do_not_fit_together_take_turns_and_do_not_chase_each_other_out(order, stay):
    async def scene():
        world = World([7, 7], [[], []], Turns(stay=float(stay), wait=3600, line=64))
        requests = [asyncio.create_task(world.request(f"m{i}", 1)) for i in order]
        await world.settle(requests)
        assert world.ended["served"] == len(order)
        assert world.faults == []
        assert len(world.loads) <= 1 + world.clock.now / stay, "it stayed less than it should"
        await world.loader.close()

    asyncio.run(scene())


def test_a_model_that_is_never_idle_gives_way_without_losing_a_request():
    async def scene():
        world = World([7, 7], [[], []], Turns(stay=2.0, wait=3600, line=1000))
        requests = [asyncio.create_task(world.request("m0", 5))]
        await world.settle(requests)
        other = asyncio.create_task(world.request("m1", 1))
        for _ in range(200):  # one begins before the last one has ended
            requests.append(asyncio.create_task(world.request("m0", 5)))
            await asyncio.sleep(0)
            world.clock.now += 0.5
            world.loader._wake.set()
        assert other.done(), "it waits for ever"
        await world.settle(requests)
        assert world.ended["served"] == len(requests) + 1
        assert world.faults == []
        await world.loader.close()

    asyncio.run(scene())


def test_who_leaves_just_when_the_model_has_come_keeps_nothing():
    async def scene():
        for yields in range(12):
            world = World([7], [[]], Turns(stay=0.0))
            request = asyncio.create_task(world.request("m0", 3))
            for _ in range(yields):
                await asyncio.sleep(0)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            assert world.loader.berths["m0"].users == 0, yields
            await world.loader.unload("m0", "asked for")
            assert world.loader.taken == 0
            await world.loader.close()

    asyncio.run(scene())
