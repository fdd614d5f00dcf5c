"""A stream that is read while what came before is judged, which may take as long as it takes.

So the slot at its engine is free when the engine has ended, and whoever judges may ask there again
without waiting for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter

from keelmark.core.errors import KeelmarkError
from keelmark.serve.admitting import Admitted
from keelmark.serve.caching import Again, Copied

MOST = 2**20
"""Bytes that are kept ahead; then the engine has to wait."""


class Ahead:
    """Reads a stream ahead.

    Args:
        response: The answer.
    """

    def __init__(self, response: Again | Admitted | Copied) -> None:
        self._response = response
        self._held = bytearray()
        self._error: KeelmarkError | None = None
        self._over = False
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what has come, as soon as there is any.

        Raises:
            KeelmarkError: As the answer's own `chunks`, where that breaks off.
        """
        while True:
            if self._held:
                held = bytes(self._held)
                self._held.clear()
                self._changed.set()
                yield held
            elif self._over:
                if self._error is not None:
                    raise self._error
                return
            else:
                await self._wait()

    async def close(self) -> None:
        """Read no further."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _read(self) -> None:
        first = 0.0
        try:
            async for chunk in self._response.chunks():
                first = first or perf_counter() - self._response.since
                self._held += chunk
                self._changed.set()
                while len(self._held) > MOST:
                    await self._wait()
            self._response.over(first)
        except KeelmarkError as error:
            self._error = error
        finally:
            self._over = True
            self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
