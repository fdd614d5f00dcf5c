"""Exact statistics of pairs: no normal approximation, so small numbers are not flattered.

A pair counts for one side (`b`: only A was refused, or A was longer), for the other (`c`), or for
neither. McNemar's exact test and the sign test are the same: under no difference, b of b + c is a
fair coin. The interval of (b - c) / n joins two Clopper-Pearson intervals at half the error each,
so it holds at least 95 % of the time, mostly more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

_ERROR = 0.05
_STEPS = 60


def sign_test(b: int, c: int) -> float:
    """Return the two-sided exact probability of a split as uneven as b to c, or more so."""
    n = b + c
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1))
    return min(1.0, float(2 * tail / 2**n))


def share_interval(k: int, n: int, error: float = _ERROR) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of k of n."""
    if n == 0:
        return 0.0, 1.0
    low = 0.0 if k == 0 else _root(lambda p: 1 - _cdf(k - 1, n, p) - error / 2)
    high = 1.0 if k == n else _root(lambda p: error / 2 - _cdf(k, n, p))
    return low, high


def difference_interval(b: int, c: int, n: int, error: float = _ERROR) -> tuple[float, float]:
    """Return an interval of (b - c) / n that holds at least 1 - error of the time."""
    low_b, high_b = share_interval(b, n, error / 2)
    low_c, high_c = share_interval(c, n, error / 2)
    return max(-1.0, low_b - high_c), min(1.0, high_b - low_c)


def holm(values: Sequence[float]) -> list[float]:
    """Return probabilities corrected for their number, after Holm."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, so_far = [1.0] * len(values), 0.0
    for place, index in enumerate(order):
        so_far = max(so_far, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = so_far
    return corrected


def fewest_for(margin: float, error: float = _ERROR) -> int:
    """Return how many pairs without any difference it takes to rule out one of `margin`."""
    return math.ceil(math.log(error / 4) / math.log(1 - margin))


def _cdf(k: int, n: int, p: float) -> float:
    """Probability of at most k of n."""
    if p <= 0 or p >= 1:
        return float(p <= 0 or k >= n)
    log_p, log_q, top = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    return math.fsum(
        math.exp(top - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q)
        for i in range(k + 1)
    )


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function of [0, 1] passes zero."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2
