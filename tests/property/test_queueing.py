"""Whatever comes in whatever order: never above the limit, nobody forgotten, order kept."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from keelmark.core.overload import FACTORS, Overload, Share
from keelmark.serve.pacing import Took
from keelmark.serve.queueing import Full, Lane, Slot, Ticket

SHARES = {"a": Share(), "b": Share(weight=4), "c": Share(weight=0.25, queue=3)}
ENDS = st.sampled_from(["answered", "refused", "unknown"])


class Queueing(RuleBasedStateMachine):
    slots, waiters = Bundle("slots"), Bundle("waiters")

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.overload = Overload(concurrent=3, most=6, queue=8, queue_per_key=5)
        self.lane = Lane(self.overload, clock=lambda: self.now)
        self.held = []
        self.lines = {}  # key and priority to who waits, in the order of arrival
        self.told = {}

    @rule(
        key=st.sampled_from(sorted(SHARES)),
        priority=st.sampled_from(sorted(FACTORS)),
        tokens=st.integers(0, 5000),
        seconds=st.sampled_from([0.0, 5.0, 1e9]),
    )
    def ask(self, key, priority, tokens, seconds):
        if (slot := self.lane.take()) is not None:
            self.held.append(slot)
            return
        ticket = Ticket(key, SHARES[key], priority, tokens, seconds)
        number = len(self.told)
        self.told[number] = None
        line = self.lines.setdefault((key, priority), [])

        def tell(answer):
            assert self.told[number] is None, "told twice"
            self.told[number] = answer
            if isinstance(answer, Slot):
                assert line[0][0] == number, "out of order"
                self.held.append(answer)
            line.remove(next(one for one in line if one[0] == number))

        try:
            waiter = self.lane.wait(ticket, tell)
        except Full as full:
            self.told[number] = full
            return
        assert seconds > 0
        line.append((number, waiter))

    @rule(which=st.integers(0, 20), end=ENDS, took=st.floats(0, 10), tokens=st.integers(-1, 9000))
    def free(self, which, end, took, tokens):
        if self.held:
            self.now += took
            slot = self.held.pop(which % len(self.held))
            slot.free(end, Took("chat", took), tokens)
            slot.free(end)

    @rule(which=st.integers(0, 20), late=st.booleans())
    def leave(self, which, late):
        waiting = [(line, one) for line in self.lines.values() for one in line]
        if not waiting:
            return
        line, one = waiting[which % len(waiting)]
        if late:
            self.lane.expire(one[1])
            assert isinstance(self.told[one[0]], Full)
        else:
            assert self.lane.leave(one[1], "gone")
            line.remove(one)
        assert not self.lane.leave(one[1], "gone")

    @rule(concurrent=st.integers(1, 6), adapt=st.booleans())
    def change(self, concurrent, adapt):
        self.lane.use(
            Overload(concurrent=concurrent, most=6, queue=8, queue_per_key=5, adapt=adapt)
        )

    @invariant()
    def holds(self):
        lane, waiting = self.lane, sum(map(len, self.lines.values()))
        assert lane.active == len(self.held)
        assert lane.waiting == waiting <= 8
        assert 1 <= lane.pace.limit <= 6
        assert not waiting or lane.active >= lane.pace.limit, "a slot is free and somebody waits"

    def teardown(self):
        """Nobody is forgotten: as slots are given back, everybody who waits gets one."""
        while self.held:
            self.held.pop().free("answered", Took("chat", 0.01))
        assert self.lane.active == self.lane.waiting == 0
        assert not any(self.lines.values())


TestQueueing = Queueing.TestCase
TestQueueing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
