"""How many requests an engine gets at once, learnt from how it answers. Pure: no clock, no I/O.

Additive increase, multiplicative decrease. A refusal (429, 503, no answer in time) cuts the limit,
once per round of requests. So does lateness: more than half of a round answering in more than
twice the usual time. What is usual is learnt per kind of call. A limit grows only while it binds:
by doubling until the first cut, by a twentieth per round afterwards. Where cuts did not help, the
engine is not slow because of us: what is measured is taken for usual, and the limit is given back.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

End = Literal["answered", "refused", "unknown"]

_TOLERANCE = 2.0
_ROUND = 8  # fewest answers that say something
_REFUSED, _LATE = 0.7, 0.8
_GROWTH = 0.05
_DOWN, _UP = 0.1, 0.01  # how fast what is usual follows what is faster, and what is slower
_HELPED = 0.75


class Took(NamedTuple):
    """How long a request took.

    Attributes:
        kind: Calls of one kind are compared.
        seconds: In a measure that does not grow with the answer; 0 is none.
        trifle: Half of what is never late, seconds.
    """

    kind: str = ""
    seconds: float = 0.0
    trifle: float = 0.0


NOT_MEASURED = Took()


class Pace:
    """The limit of one engine.

    Args:
        start: Limit in the beginning.
        least: Lowest.
        most: Highest.
        fixed: Whether it never moves.

    Attributes:
        limit: Requests that may be at the engine at once.
        round: Counts the changes; what began in an earlier round says nothing of this one.
    """

    def __init__(
        self, start: int, least: int = 1, most: int = 1024, *, fixed: bool = False
    ) -> None:
        self.limit = start
        self.round = 0
        self._exact = float(start)
        self._least, self._most, self._fixed = min(least, start), max(most, start), fixed
        self._doubling = True
        self._usual: dict[str, float] = {}
        self._ratios: list[float] = []
        self._bound = False
        self._first_cut: tuple[float, float] | None = None

    def within(self, start: int, least: int, most: int, *, fixed: bool) -> None:
        """Take up other bounds; what was learnt stays where it is within them."""
        self._least, self._most, self._fixed = min(least, start), max(most, start), fixed
        self._set(float(start) if fixed else self._exact)

    def learn(self, end: End, began: int, active: int, took: Took = NOT_MEASURED) -> None:
        """Take note of the end of a request.

        Args:
            end: How it ended; `unknown` says nothing (the client left, the engine is down).
            began: `round` when it began.
            active: How many were at the engine, this one included.
            took: How long it took.
        """
        if self._fixed or began != self.round or end == "unknown":
            return
        if end == "refused":
            self._cut(_REFUSED, max(active, self._exact / 2))
            return
        self._bound = self._bound or active >= self.limit
        self._ratios.append(self._ratio(took, calm=2 * active <= self.limit))
        if len(self._ratios) >= max(_ROUND, self.limit):
            self._judge()

    def _ratio(self, took: Took, *, calm: bool) -> float:
        kind, seconds = took.kind, took.seconds
        if seconds <= 0:
            return 1.0
        usual = self._usual.setdefault(kind, seconds)
        ratio = seconds / max(usual, took.trifle)
        if seconds < usual:
            self._usual[kind] += _DOWN * (seconds - usual)
        elif calm:  # what is slow while the engine is busy is not what is usual
            self._usual[kind] += _UP * (seconds - usual)
        return ratio

    def _judge(self) -> None:
        ratios, bound = sorted(self._ratios), self._bound
        self._ratios, self._bound = [], False
        middle = ratios[len(ratios) // 2]
        if middle <= _TOLERANCE:
            self._first_cut = None
            if bound:
                growth = self._exact if self._doubling else max(1.0, self._exact * _GROWTH)
                self._change(self._exact + growth)
        elif self._first_cut and self._in_vain(middle, *self._first_cut):
            self._usual = {kind: usual * middle for kind, usual in self._usual.items()}
            self._change(self._first_cut[0])
            self._first_cut = None
        elif bound:
            limit, before = self._first_cut or (self._exact, middle)
            self._first_cut = limit, max(before, middle)
            self._cut(_LATE, self._exact)

    def _in_vain(self, middle: float, limit: float, before: float) -> bool:
        halved = self._exact <= max(limit / 2, self._least)
        return halved and middle > _HELPED * before

    def _cut(self, factor: float, used: float) -> None:
        self._doubling = False
        self._change(min(self._exact, used) * factor)

    def _change(self, limit: float) -> None:
        self._ratios, self._bound = [], False
        self.round += 1
        self._set(limit)

    def _set(self, limit: float) -> None:
        self._exact = min(max(limit, self._least), self._most)
        self.limit = int(self._exact)
