"""What all workers know of each other at any moment: a few words of memory that they share.

Each writes only its own words and reads all of them. An aligned word is written and read at once.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

_WORD = 8  # bytes
_AWAY = -1  # connections of a worker that takes none


class Words:
    """The shared memory: for each worker its calls at work, and its connections.

    Args:
        fd: Descriptor of the memory.
        size: Number of workers.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._memory = mmap.mmap(fd, 2 * size * _WORD)
        self._words = memoryview(self._memory).cast("q")
        self.calls, self.connections = self._words[:size], self._words[size:]

    def clear(self, worker: int) -> None:
        """A worker has died, or does not serve yet."""
        self.calls[worker], self.connections[worker] = 0, _AWAY

    def close(self) -> None:
        """Let go of the memory."""
        for view in (self.calls, self.connections, self._words):
            view.release()
        self._memory.close()


def make_words(size: int) -> tuple[Words, int]:
    """Make the memory of so many workers; return it, and its descriptor for them."""
    with tempfile.TemporaryFile() as file:
        file.truncate(2 * size * _WORD)
        fd = os.dup(file.fileno())
    words = Words(fd, size)
    for worker in range(size):
        words.clear(worker)
    return words, fd


class SharedTally:
    """Counts calls at work in all workers. Implements `keelmark.serve.tally.Tally`.

    A call is counted first, and the sum looked at after that, so two workers that count at the
    same moment both see it: the limit is never passed; at the limit one of two may be refused that
    could have been let in.

    Args:
        words: The shared memory.
        worker: Whose own words these are.
    """

    def __init__(self, words: Words, worker: int) -> None:
        self._cells, self._own = words.calls, worker

    def enter(self, limit: int) -> bool:
        """See `Tally`."""
        cells = self._cells
        cells[self._own] += 1
        if sum(cells) <= limit:
            return True
        cells[self._own] -= 1
        return False

    def leave(self) -> None:
        """See `Tally`."""
        self._cells[self._own] -= 1


class Connections(set[Any]):
    """The open connections of a worker, of which the others know the number.

    Args:
        words: The shared memory.
        worker: Whose own words these are.
    """

    def __init__(self, words: Words, worker: int) -> None:
        super().__init__()
        self._cells, self._own = words.connections, worker
        self._cells[worker] = 0

    def add(self, one: Any, /) -> None:
        """One more."""
        super().add(one)
        self._cells[self._own] = len(self)

    def discard(self, one: Any, /) -> None:
        """One less."""
        super().discard(one)
        self._cells[self._own] = len(self)

    def most(self) -> bool:
        """Whether another worker has fewer, so that the next one is rather for that."""
        own = len(self)
        return any(_AWAY < others < own for others in self._cells)
