"""How many calls are at work."""

from __future__ import annotations

from typing import Protocol


class Tally(Protocol):
    """Counts calls at work, of this process or of several that are one service."""

    def enter(self, limit: int) -> bool:
        """Count one more unless that makes more than the limit; say whether it is counted."""

    def leave(self) -> None:
        """One that was counted has ended."""


class LocalTally:
    """Counts those of one process.

    Attributes:
        active: How many there are.
    """

    def __init__(self) -> None:
        self.active = 0

    def enter(self, limit: int) -> bool:
        """See `Tally`."""
        if self.active >= limit:
            return False
        self.active += 1
        return True

    def leave(self) -> None:
        """See `Tally`."""
        self.active -= 1
