"""The sequential test: how often it is wrong, and how soon it is right, by simulation."""

import math
import random

import pytest

from keelmark.core.sequential import Slower, Worse, coin_of


def peak(rng, count, share, old, new, margin=0.0):
    test = Worse(margin)
    for _ in range(count):
        arm = rng.random() < share
        test.see(new=arm, bad=rng.random() < (new if arm else old), coin=rng.random())
    return test.peak


@pytest.mark.parametrize(("rate", "share"), [(0.02, 0.5), (0.1, 0.1), (0.5, 0.5)])
def test_false_alarms_are_rarer_than_promised_though_it_is_looked_at_all_the_time(rate, share):
    """`peak` is the largest value ever: this is the worst that peeking could do."""
    rng, runs, alpha = random.Random(7), 200, 0.1
    alarms = sum(peak(rng, 600, share, rate, rate) > math.log(1 / alpha) for _ in range(runs))
    # 200 runs at a true rate of 0.1 stay below 33 with a probability above 0.998.
    assert alarms < 33


def test_false_alarms_where_it_is_worse_by_just_what_is_allowed():
    rng, runs, alpha, margin = random.Random(8), 200, 0.1, 0.05
    limit = 0.1 + margin * 0.9
    alarms = sum(peak(rng, 600, 0.5, 0.1, limit, margin) > math.log(1 / alpha) for _ in range(runs))
    assert alarms < 33


def test_a_better_arm_is_never_called_worse():
    rng = random.Random(9)
    assert all(peak(rng, 600, 0.5, 0.3, 0.1) < math.log(10) for _ in range(50))


@pytest.mark.parametrize(("new", "most"), [(1.0, 15), (0.5, 60), (0.2, 300)])
def test_it_finds_what_is_worse(new, most):
    """Observations of the new arm until an e-value of 1,200: four measures, three steps, 1 %."""
    rng, needed = random.Random(10), []
    for _ in range(20):
        test = Worse(0.02)
        while test.peak < math.log(1200):
            arm = rng.random() < 0.1
            test.see(new=arm, bad=rng.random() < (new if arm else 0.01), coin=rng.random())
        needed.append(test.new.seen)
    assert sorted(needed)[10] <= most


def test_nothing_is_said_before_both_arms_were_seen():
    test = Worse()
    for _ in range(50):
        test.see(new=True, bad=True, coin=0.5)
    assert (test.evidence, test.peak, test.new.bad) == (0.0, 0.0, 50)


def times(rng, factor, count=500, share=0.5):
    test = Slower(0.25)
    for _ in range(count):
        arm = rng.random() < share
        seconds = rng.lognormvariate(0, 0.5) * (factor if arm else 1)
        test.see(new=arm, seconds=seconds, coin=rng.random())
    return test.worse.peak


def test_slower_by_the_tolerance_is_no_alarm_and_slower_by_far_is_one():
    rng, runs = random.Random(11), 100
    alarms = sum(times(rng, 1.25) > math.log(10) for _ in range(runs))
    assert alarms < 20  # at most 10 of 100 are promised; below 20 with a probability above 0.998
    assert sum(times(rng, 2.5) > math.log(1200) for _ in range(20)) >= 19


def test_coins_are_even_and_always_the_same():
    coins = [coin_of(f"x{number}") for number in range(2000)]
    assert coins == [coin_of(f"x{number}") for number in range(2000)]
    assert 0.45 < sum(coin < 0.5 for coin in coins) / 2000 < 0.55
