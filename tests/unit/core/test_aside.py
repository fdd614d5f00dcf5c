"""Work that is done in a thread, in the context of who asks for it."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from keelmark.core.aside import HERE, aside, aside_waiting

NAME: ContextVar[str] = ContextVar("NAME", default="")


def test_the_loop_goes_on_while_it_works() -> None:
    ready = threading.Event()

    async def main() -> str:
        work = asyncio.ensure_future(aside(ready.wait, 10))
        await asyncio.sleep(0)
        ready.set()  # nobody would, if the loop waited
        return "went on" if await work else "waited"

    assert asyncio.run(main()) == "went on"


def test_it_sees_the_context_of_who_asks() -> None:
    async def main() -> str:
        NAME.set("mine")
        return await aside(NAME.get)

    assert asyncio.run(main()) == "mine"


def test_what_it_raises_is_raised() -> None:
    async def main() -> None:
        await aside(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        asyncio.run(main())


def test_who_is_cancelled_waits_until_it_has_ended() -> None:
    begun, go, told = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go.wait(10)
        told.append("ended")

    async def main() -> None:
        task = asyncio.ensure_future(aside(work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told == ["ended"]

    asyncio.run(main())


def test_without_a_loop_it_is_done_at_once() -> None:
    token = HERE.set(True)
    work = aside(threading.get_ident)
    try:
        with pytest.raises(StopIteration) as end:
            work.send(None)
    finally:
        HERE.reset(token)
    assert end.value.value == threading.get_ident()


def test_what_may_wait_has_threads_of_its_own_and_is_told_to_stop() -> None:
    begun, stop, names = threading.Event(), threading.Event(), []

    def work() -> None:
        names.append(threading.current_thread().name)
        begun.set()
        stop.wait(10)

    async def main() -> None:
        task = asyncio.ensure_future(aside_waiting(stop.set, work))
        await asyncio.to_thread(begun.wait, 10)
        names.append(await aside(lambda: threading.current_thread().name))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [name.rpartition("_")[0] for name in names] == ["keelmark-waiting", "keelmark-aside"]
