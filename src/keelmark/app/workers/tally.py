"""How many calls are at work in all workers together: a few bytes of memory that they share."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Self

_CELL = 8  # bytes; an aligned word is written and read at once


class SharedTally:
    """Counts calls at work. Implements `keelmark.serve.config.Tally`.

    Every worker writes only its own cell and reads all of them. It counts a call first and looks
    at the sum after that, so two workers that count at the same moment both see it: the limit is
    never passed; at the limit one of two may be refused that could have been let in.

    Args:
        fd: Descriptor of the shared memory.
        size: Number of workers.
        cell: The worker's own one.
    """

    def __init__(self, fd: int, size: int, cell: int) -> None:
        self._memory = mmap.mmap(fd, size * _CELL)
        self._cells = memoryview(self._memory).cast("q")
        self._cell = cell

    @classmethod
    def make(cls, size: int) -> tuple[Self, int]:
        """Make the memory; return a tally for whoever watches over the workers, and its fd."""
        with tempfile.TemporaryFile() as file:
            file.truncate(size * _CELL)
            fd = os.dup(file.fileno())
        return cls(fd, size, 0), fd

    def enter(self, limit: int) -> bool:
        """Count one more call at work unless that makes more than the limit; say which."""
        cells = self._cells
        cells[self._cell] += 1
        if sum(cells) <= limit:
            return True
        cells[self._cell] -= 1
        return False

    def leave(self) -> None:
        """A call has ended."""
        self._cells[self._cell] -= 1

    def total(self) -> int:
        """Return how many are at work."""
        return sum(self._cells)

    def clear(self, cell: int) -> None:
        """A worker has died with all its calls."""
        self._cells[cell] = 0

    def close(self) -> None:
        """Let go of the memory."""
        self._cells.release()
        self._memory.close()
