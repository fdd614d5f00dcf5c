"""Slots and fair queues: who gets a slot, who is refused, and that nobody is forgotten."""

import asyncio

import pytest

from gateway_parts import run
from keelmark.core.overload import Overload, Share
from keelmark.serve.pacing import Took
from keelmark.serve.queueing import Full, Lane, Lanes, Slot, Ticket, slot_in_turn


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def lane(clock=None, **overload):
    overload.setdefault("concurrent", 1)
    return Lane(Overload(adapt=False, **overload), clock=clock or Clock())


def ask(queue, key, told, *, share=None, tokens=0, seconds=1e9, priority="normal"):
    """Ask for a slot; what comes of it is appended to `told` with the key."""
    ticket = Ticket(key, share or Share(), priority, tokens, seconds)
    if slot := queue.take():
        told.append((key, slot))
        return None
    return queue.wait(ticket, lambda answer: told.append((key, answer)))


def served(queue, told, most=1000):
    """Free every slot that was given, in order; the keys in that order."""
    order = []
    while told and len(order) < most:
        key, answer = told.pop(0)
        if isinstance(answer, Slot):
            order.append(key)
            answer.free("answered")
    return order


def test_a_free_slot_is_taken_at_once():
    queue = lane(concurrent=2)
    first, second = queue.take(), queue.take()
    assert first
    assert second
    assert queue.take() is None
    assert queue.active == 2
    first.free()
    first.free()
    assert queue.active == 1
    assert queue.take()


def test_who_floods_waits_for_itself():
    queue, told = lane(), []
    for _ in range(20):
        ask(queue, "flood", told)
    ask(queue, "other", told)
    assert served(queue, told).index("other") <= 2


def test_weights_are_honoured():
    queue, told = lane(), []
    ask(queue, "first", told)
    for _ in range(60):
        ask(queue, "heavy", told, share=Share(weight=3))
        ask(queue, "light", told)
    order = served(queue, told, 61)[1:]
    assert 43 <= order.count("heavy") <= 47


def test_what_was_used_counts_and_not_what_was_asked():
    queue, told = lane(), []
    ask(queue, "first", told)
    for _ in range(40):
        ask(queue, "modest", told, tokens=400)
        ask(queue, "greedy", told, tokens=400)
    order = []
    while told and len(order) < 41:
        key, slot = told.pop(0)
        order.append(key)
        slot.free("answered", tokens=100 if key == "modest" else 900)
    assert order.count("modest") > 2.5 * order.count("greedy")


def test_a_priority_goes_first_and_a_low_one_is_not_forgotten():
    queue, told = lane(), []
    ask(queue, "first", told)
    ask(queue, "patient", told, priority="low")
    for _ in range(100):
        ask(queue, "urgent", told, priority="high")
        ask(queue, "usual", told)
    order = served(queue, told)
    assert order[1] == "urgent"
    assert order.index("patient") < 100
    assert order[:40].count("urgent") > 5 * order[:40].count("usual")


def test_a_full_line_and_a_full_queue_are_different_refusals():
    queue, told = lane(queue=4, queue_per_key=2), []
    ask(queue, "one", told)
    for key in ("one", "one", "two", "two"):
        ask(queue, key, told)
    with pytest.raises(Full) as full:
        ask(queue, "one", told)
    assert full.value.why == "key"
    ask(queue, "three", told)  # takes the place of the last of those who have more
    assert [answer.why for key, answer in told if isinstance(answer, Full)] == ["key"]
    assert queue.waiting == 4
    ask(queue, "four", told)
    with pytest.raises(Full) as full:
        ask(queue, "five", told)
    assert full.value.why == "full"
    assert queue.refused == {"key": 3, "full": 1, "time": 0, "gone": 0}


def test_what_cannot_start_in_time_is_refused_at_once():
    clock, told = Clock(), []
    queue = lane(clock)
    for _ in range(2):
        ask(queue, "a", told)
    clock.now = 10
    told.pop(0)[1].free("answered")  # a slot is held for 10 seconds
    ask(queue, "a", told)
    with pytest.raises(Full) as full:
        ask(queue, "b", told, seconds=9)
    assert (full.value.why, full.value.seconds) == ("time", 20)
    ask(queue, "b", told, seconds=21)
    with pytest.raises(Full):
        ask(queue, "b", told, seconds=0)
    assert queue.waiting == 2


def test_a_raised_limit_serves_who_waits():
    queue, told = lane(), []
    for _ in range(4):
        ask(queue, "a", told)
    queue.use(Overload(adapt=False, concurrent=3))
    assert len(told) == 3
    assert queue.waiting == 1
    queue.use(Overload(adapt=False, concurrent=1))
    told.pop(0)[1].free()
    assert queue.active == 2
    assert queue.waiting == 1


def test_known_slots_are_the_limit():
    queue = Lane(Overload(concurrent=64), slots=4)
    assert queue.pace.limit == 4
    for _ in range(100):
        queue.take().free("answered", Took("x", 0.01))
    assert queue.pace.limit == 4


def test_an_engine_with_other_slots_behind_the_same_name():
    class Engine:
        id, slots = "e", 2

    lanes, engine = Lanes(), Engine()
    assert lanes.of(engine).pace.limit == 2
    engine.slots = 6
    assert lanes.of(engine).pace.limit == 6
    engine.slots = 0
    assert lanes.of(engine).take()
    lanes.use(Overload(adapt=False, concurrent=3))
    assert lanes.of(engine).pace.limit == 3


def test_waiting_on_the_loop():
    async def scene():
        queue = lane()
        first = queue.take()
        waiting = [asyncio.create_task(slot_in_turn(queue, Ticket("k", Share()))) for _ in range(3)]
        await asyncio.sleep(0)
        assert queue.waiting == 3
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
        assert queue.waiting == 2
        assert queue.refused["gone"] == 1
        waiting[1].cancel()
        first.free()  # given to one that is cancelled, and about to notice
        assert waiting[1].cancelling()
        slot, ahead = await waiting[2]
        assert ahead == 2
        assert queue.active == 1
        slot.free()
        assert (queue.active, queue.waiting) == (0, 0)

    run(scene)


def test_cancelled_after_the_slot_was_given():
    async def scene():
        queue = lane()
        first = queue.take()
        task = asyncio.create_task(slot_in_turn(queue, Ticket("k", Share())))
        await asyncio.sleep(0)
        first.free()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert (queue.active, queue.waiting) == (0, 0)

    run(scene)


def test_who_waits_for_too_long_is_refused():
    async def scene():
        queue = lane()
        assert queue.take()
        with pytest.raises(Full) as full:
            await slot_in_turn(queue, Ticket("k", Share(), seconds=0.01))
        assert full.value.why == "time"
        assert (queue.active, queue.waiting) == (1, 0)

    run(scene)
