"""What happens when more is asked than an engine can do: a section of the policy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from keelmark.core.scope import EVERYWHERE, Origin, Scope
from keelmark.core.yamlfile import Strict

Priority = Literal["high", "normal", "low"]

FACTORS: dict[Priority, float] = {"high": 8.0, "normal": 1.0, "low": 0.125}
"""Priority to the factor of the weight: no priority is absolute, so that nobody starves."""


class Share(Strict, frozen=True):
    """What some keys get of an engine that is busy.

    Attributes:
        scope: The requests it is for; all when left out.
        weight: Part of the engine in proportion to that of others.
        priority: Priority of requests that name none.
        highest: Highest that they may name with `x-keelmark-priority`; lower ones they always may.
        queue: Most requests of one key that may wait for one engine; 0 is `queue_per_key`.
    """

    scope: Scope = EVERYWHERE
    weight: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    priority: Priority = "normal"
    highest: Priority = "normal"
    queue: Annotated[int, msgspec.Meta(ge=0)] = 0


EQUAL = Share()


class Overload(Strict, frozen=True):
    """What happens when more is asked than an engine can do.

    Attributes:
        concurrent: Requests that an engine gets at once in the beginning. One whose slots are
            known gets as many, and never more.
        least: Fewest that it gets, however slow it is.
        most: Most that it gets, however fast it is.
        adapt: Whether the number follows what is measured; otherwise it stays `concurrent`.
        queue: Most requests that wait for one engine.
        queue_per_key: Most of them that are of one key.
        wait_seconds: Longest wait; who would have to wait longer is refused at once.
        shares: What some keys get; the first that covers a request holds.
    """

    concurrent: Annotated[int, msgspec.Meta(ge=1)] = 64
    least: Annotated[int, msgspec.Meta(ge=1)] = 1
    most: Annotated[int, msgspec.Meta(ge=1)] = 1024
    adapt: bool = True
    queue: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 256
    queue_per_key: Annotated[int, msgspec.Meta(ge=1)] = 128
    wait_seconds: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    shares: tuple[Share, ...] = ()

    def share(self, origin: Origin) -> Share:
        """Return what a request gets."""
        return next((one for one in self.shares if one.scope.covers(origin, unknown=False)), EQUAL)
