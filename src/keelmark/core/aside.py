"""Work that takes long, done in a thread, so that the event loop goes on answering others.

What may wait there for something that the loop does has threads of its own, so that it keeps
nobody's work waiting that only takes long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST_WAITING = 24
"""Threads that may wait at once; who would be one more has to go on without."""

_POOL = ThreadPoolExecutor(16, thread_name_prefix="keelmark-aside")
_WAITING = ThreadPoolExecutor(MOST_WAITING + 8, thread_name_prefix="keelmark-waiting")

HERE: ContextVar[bool] = ContextVar("HERE", default=False)
"""Whether the caller drives a coroutine without a loop, so that it may wait for nothing."""


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work in a thread, in the context of the caller, and return what it returns.

    Who is cancelled meanwhile waits until it has ended: nobody may look at what a thread writes.
    """
    if HERE.get():
        return work(*args, **kwargs)
    return await _done(_POOL, lambda: work(*args, **kwargs), None)


async def aside_waiting(
    stop: Callable[[], None], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do the same with work that may wait for the loop.

    Args:
        stop: Ends its waiting; called when the caller is cancelled.
        work: The work.
        args: See `work`.
        kwargs: See `work`.
    """
    return await _done(_WAITING, lambda: work(*args, **kwargs), stop)


async def _done(
    pool: ThreadPoolExecutor, work: Callable[[], T], stop: Callable[[], None] | None
) -> T:
    context, loop = copy_context(), asyncio.get_running_loop()
    done = loop.run_in_executor(pool, lambda: context.run(work))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        if stop is not None:
            stop()
        await asyncio.wait([done])
        raise
