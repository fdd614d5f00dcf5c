"""Is one arm worse than the other: a test that may be looked at as often as one likes.

Observations of two arms come one by one. They are taken in blocks: a block closes as soon as it
holds both arms. For each block the likelihood of what was seen, if the new arm were worse by a
certain amount, is divided by its likelihood if both arms were the same:

    p_a(y_a) p_b(y_b) / p_0(y_a) p_0(y_b),   p_0 = (n_a p_a + n_b p_b) / n

Whatever rate both arms share, the expectation of this is at most 1 (the inequality between the
arithmetic and the geometric mean), and it is smaller where the new arm is the better one. So the
product over all blocks is a test martingale: by Ville's inequality it ever exceeds 1/alpha with a
probability of at most alpha, however often and whenever it is looked at. `p_a` is learnt from
earlier blocks; the amounts are mixed.

Source: Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow
for optional stopping", Journal of Statistical Planning and Inference 230 (2024), theorem 1.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from typing import NamedTuple

_AMOUNTS = (0.03, 0.1, 0.25, 0.5, 0.9)
"""By how much worse the new arm might be, of what can still become worse; mixed in equal parts."""
_QUANTILE = 0.75
_MEMORY = 512
_FEWEST = 20


class Tally(NamedTuple):
    """Observations of one arm: how many, and how many of them were bad."""

    seen: int = 0
    bad: int = 0

    def plus(self, *, bad: bool) -> Tally:
        """Return it with one more."""
        return Tally(self.seen + 1, self.bad + bad)


class Worse:
    """Evidence that the rate of something bad is higher in the new arm.

    Args:
        margin: How much worse it may be, as a probability: of what goes well in the old arm, so
            much may go wrong besides. A coin with this probability spoils observations of the old
            arm, which makes the test of "not worse by more than this" one of "not worse", exactly.

    Attributes:
        old: What was seen of the old arm, without the coin.
        new: What was seen of the new arm.
        peak: The strongest evidence so far, as the logarithm of an e-value.
    """

    def __init__(self, margin: float = 0.0) -> None:
        self.old = self.new = Tally()
        self.peak = 0.0
        self._margin = margin
        self._past = Tally()  # of the old arm, in closed blocks, with the coin
        self._blocks = (Tally(), Tally())
        self._logs = [0.0] * len(_AMOUNTS)

    @property
    def evidence(self) -> float:
        """The evidence now: the logarithm of an e-value."""
        top = max(self._logs)
        mean = sum(math.exp(one - top) for one in self._logs) / len(self._logs)
        return top + math.log(mean)

    @property
    def opens(self) -> bool:
        """Whether the next observation begins a block."""
        return not any(arm.seen for arm in self._blocks)

    def see(self, *, new: bool, bad: bool, coin: float) -> None:
        """Take an observation.

        Args:
            new: Whether it is of the new arm.
            bad: Whether what is counted happened.
            coin: A number from 0 to 1 that has nothing to do with the observation.
        """
        old_block, new_block = self._blocks
        if new:
            self.new = self.new.plus(bad=bad)
            new_block = new_block.plus(bad=bad)
        else:
            self.old = self.old.plus(bad=bad)
            old_block = old_block.plus(bad=bad or coin < self._margin)
        self._blocks = (old_block, new_block)
        if old_block.seen and new_block.seen:
            self._close(old_block, new_block)

    def _close(self, old: Tally, new: Tally) -> None:
        usual = (self._past.bad + 0.5) / (self._past.seen + 1)
        for number, amount in enumerate(_AMOUNTS):
            worse = usual + amount * (1 - usual)
            same = (old.seen * usual + new.seen * worse) / (old.seen + new.seen)
            self._logs[number] += _log_ratio(old, usual, same) + _log_ratio(new, worse, same)
        self._past = Tally(self._past.seen + old.seen, self._past.bad + old.bad)
        self._blocks = (Tally(), Tally())
        self.peak = max(self.peak, self.evidence)


class Slower:
    """Evidence that something takes longer in the new arm.

    A time is bad when it is above the upper quarter of the times that the old arm took before; one
    of the new arm when that holds of it divided by `1 + tolerance`. If the new arm is slower by no
    more than the tolerance, its times are bad no more often than those of the old arm.

    Args:
        tolerance: By which part of its time the new arm may be slower.

    Attributes:
        worse: The evidence.
    """

    def __init__(self, tolerance: float) -> None:
        self.worse = Worse()
        self._factor = 1 + tolerance
        self._times: deque[float] = deque(maxlen=_MEMORY)
        self._limit: float | None = None
        self._waiting: list[float] = []

    def see(self, *, new: bool, seconds: float, coin: float) -> None:
        """Take an observation, as `Worse.see`."""
        if self.worse.opens:  # a limit holds for a whole block, and was known before it
            self._times.extend(self._waiting)
            self._waiting.clear()
            self._limit = _quantile(self._times)
        if not new:
            self._waiting.append(seconds)
        if self._limit is not None:
            seconds = seconds / self._factor if new else seconds
            self.worse.see(new=new, bad=seconds > self._limit, coin=coin)


def coin_of(text: str) -> float:
    """Return a number from 0 to 1 that is the same for the same text, and else anything."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _log_ratio(seen: Tally, rate: float, same: float) -> float:
    good = seen.seen - seen.bad
    return seen.bad * math.log(rate / same) + good * math.log((1 - rate) / (1 - same))


def _quantile(times: deque[float]) -> float | None:
    if len(times) < _FEWEST:
        return None
    return sorted(times)[int(_QUANTILE * len(times))]
