"""Work that takes long, done in a thread, so that the event loop goes on answering others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_POOL = ThreadPoolExecutor(16, thread_name_prefix="keelmark-aside")

HERE: ContextVar[bool] = ContextVar("HERE", default=False)
"""Whether the caller drives a coroutine without a loop, so that it may wait for nothing."""


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work in a thread, in the context of the caller, and return what it returns.

    Who is cancelled meanwhile waits until it has ended: nobody may look at what a thread writes.
    """
    if HERE.get():
        return work(*args, **kwargs)
    context, loop = copy_context(), asyncio.get_running_loop()
    done = loop.run_in_executor(_POOL, lambda: context.run(work, *args, **kwargs))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise
