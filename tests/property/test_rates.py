"""The cell rate algorithm against a bucket that is filled drop by drop; holds against a model."""

import asyncio
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.gcra import MemoryRates
from keelmark.core.metering import Rate

STEPS = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 8)), max_size=40)


class Bucket:
    """A bucket that fills evenly; who asks for more than it holds gets it from a full one."""

    def __init__(self, most, seconds, burst):
        self.burst, self.each = burst, Fraction(seconds, most)
        self.left, self.at = Fraction(burst), Fraction(0)

    def take(self, now, cost):
        self.left = min(self.burst, self.left + (now - self.at) / self.each)
        self.at = now
        if self.left < min(cost, self.burst):
            return False
        self.left -= cost
        return True


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from([(1, 1), (60, 60), (7, 60), (1000, 3600)]), st.integers(1, 6))
def test_what_passes_is_what_a_bucket_lets_pass(steps, rate, burst):
    most, seconds = rate
    now = [0.0]
    rates, bucket = MemoryRates(clock=lambda: now[0]), Bucket(most, seconds, burst)

    async def walk():
        at = Fraction(0)
        for wait, cost in steps:
            at += Fraction(wait, 1000)
            now[0] = float(at)
            asked = Rate("k", "requests", cost, most, float(seconds), burst)
            (level,) = await rates.enter("c", [asked])
            tight = abs(bucket.burst - bucket.left) < Fraction(1, 10**6)
            before = (bucket.left, bucket.at)
            passed = bucket.take(at, cost)
            if (level.wait == 0) != passed:
                # only where the drop is falling just now
                bucket.left, bucket.at = before
                short = min(cost, burst) - min(burst, before[0] + (at - before[1]) / bucket.each)
                assert abs(short) < Fraction(1, 10**6) or tight
                return
            if level.wait:
                now[0] += level.wait
                assert (await rates.enter("c", [asked]))[0].wait == 0, "it says how long to wait"
                return
            assert abs(level.left - max(bucket.left, 0)) <= 1

    asyncio.run(walk())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60), st.integers(1, 3))
def test_never_more_at_work_than_may_be(steps, most):
    rates, busy = MemoryRates(), []

    async def walk():
        for enters, number in steps:
            limit = Rate(f"k{number % 2}", "concurrent", 1, most, 0.0, most)
            if enters:
                (level,) = await rates.enter("c", [limit])
                assert (level.wait > 0) == (busy.count(limit.key) >= most)
                if not level.wait:
                    busy.append(limit.key)
            elif limit.key in busy:
                busy.remove(limit.key)
                rates.leave("c", [limit], None)

    asyncio.run(walk())


def test_limits_nobody_uses_are_forgotten():
    now = [0.0]
    rates = MemoryRates(clock=lambda: now[0])

    async def flood():
        for number in range(20_000):
            now[0] += 0.01
            await rates.enter("c", [Rate(f"k{number}", "requests", 1, 10, 1.0, 10)])

    asyncio.run(flood())
    assert len(rates._due) < 5000


def test_a_debt_of_tokens_is_paid_off_before_others_pass():
    now = [0.0]
    rates = MemoryRates(clock=lambda: now[0])
    limit = Rate("k", "tokens", 10, 100, 10.0, 100)

    async def walk():
        await rates.enter("a", [limit])
        rates.leave("a", [limit], 300)
        (level,) = await rates.enter("b", [limit])
        assert abs(level.wait - 21) < 1e-6, "300 used, 100 are free at once: 210 at 10 a second"
        now[0] = 21.001
        assert (await rates.enter("b", [limit]))[0].wait == 0

    asyncio.run(walk())
