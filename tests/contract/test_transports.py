"""Every transport behaves alike."""

import asyncio
import builtins
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from keelmark.core.errors import UnavailableError, UsageError
from keelmark.serve.fake import FakeEngine, Script
from keelmark.serve.transport import new_transport

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "serve"))
from gateway_parts import listening

TRANSPORTS = ["direct", "pyreqwest", "aiohttp"]
BODY = msgspec.json.encode({"model": "fake", "messages": [{"role": "user", "content": "x"}]})
STREAM = msgspec.json.encode({"model": "fake", "messages": [], "stream": True})


@asynccontextmanager
async def reach(name, script=None):
    fake = FakeEngine(script)
    async with listening(fake) as url:
        transport = new_transport(name)

        async def send(body=BODY, timeout=5.0, at=url, method="POST"):
            return await transport.send(
                method,
                at + ("/v1/chat/completions" if method == "POST" else "/v1/models"),
                headers={"content-type": "application/json"},
                body=body,
                timeout=timeout,
            )

        try:
            yield fake, send
        finally:
            await transport.close()


async def until(condition):
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen in time")


@pytest.mark.parametrize("name", TRANSPORTS)
def test_whole_answers(name):
    async def scene():
        async with reach(name) as (fake, send):
            for _ in range(3):
                response = await send()
                assert response.status == 200
                assert response.headers["content-type"] == "application/json"
                assert msgspec.json.decode(await response.read())["object"] == "chat.completion"
                await response.close()
                await response.close()
            assert len(fake.received) == 3
            response = await send(b"", method="GET")
            assert b'"fake"' in await response.read()
            await response.close()

    asyncio.run(scene())


@pytest.mark.parametrize("name", TRANSPORTS)
def test_streams_arrive_as_they_are_sent(name):
    async def scene():
        async with reach(name, Script(delay=0.05)) as (_, send):
            response = await send(STREAM)
            loop = asyncio.get_running_loop()
            times, parts = [], []
            async for chunk in response.chunks():
                assert type(chunk) is bytes
                times.append(loop.time())
                parts.append(chunk)
            await response.close()
            assert b"".join(parts).endswith(b"data: [DONE]\n\n")
            assert times[-1] - times[0] > 0.2, "the chunks were not held together"

    asyncio.run(scene())


@pytest.mark.parametrize("name", TRANSPORTS)
def test_slow_first_byte(name):
    async def scene():
        async with reach(name, Script(fault="slow", delay=1.0)) as (_, send):
            with pytest.raises(UnavailableError, match=r"0\.1 seconds"):
                await send(timeout=0.1)

    asyncio.run(scene())


@pytest.mark.parametrize("name", TRANSPORTS)
def test_nobody_there(name):
    async def scene():
        async with reach(name) as (_, send):
            with pytest.raises(UnavailableError, match="reached"):
                await send(at="http://127.0.0.1:9")

    asyncio.run(scene())


@pytest.mark.parametrize("name", TRANSPORTS)
def test_closing_stops_the_engine(name):
    async def scene():
        async with reach(name, Script(fault="hang", after=1)) as (fake, send):
            response = await send(STREAM)
            async for _ in response.chunks():
                break
            assert fake.running == 1
            await response.close()
            await until(lambda: fake.cancelled == 1 and fake.running == 0)

    asyncio.run(scene())


@pytest.mark.parametrize("name", ["direct", "aiohttp"])
def test_cancelling_before_the_first_byte_stops_the_engine(name):
    """Not pyreqwest: its request goes on at the engine, which is why it is not the default."""

    async def scene():
        async with reach(name, Script(fault="slow", delay=5.0)) as (fake, send):
            task = asyncio.create_task(send())
            await until(lambda: fake.running == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: fake.cancelled == 1)

    asyncio.run(scene())


@pytest.mark.parametrize("name", TRANSPORTS)
def test_engine_that_dies_in_the_middle(name):
    async def scene():
        async def die(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.close()

        server = await asyncio.start_server(die, "127.0.0.1", 0)
        at = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with reach(name) as (_, send):
            response = await send(at=at)
            with pytest.raises(UnavailableError, match="stopped"):
                await response.read()
            await response.close()
            response = await send(at=at)
            with pytest.raises(UnavailableError, match="stopped"):
                [chunk async for chunk in response.chunks()]
            await response.close()
        server.close()
        await server.wait_closed()

    asyncio.run(scene())


@pytest.mark.parametrize("name", TRANSPORTS)
def test_a_hundred_at_once(name):
    async def scene():
        async with reach(name) as (fake, send):

            async def one():
                response = await send()
                body = await response.read()
                await response.close()
                return body

            bodies = await asyncio.gather(*(one() for _ in range(100)))
            assert len(set(bodies)) == 1
            assert len(fake.received) == 100

    asyncio.run(scene())


@pytest.mark.parametrize("name", TRANSPORTS)
def test_a_kept_connection_that_the_engine_closes_is_no_error(name):
    """llama.cpp does so after a stream, now and then, while the next request is on its way."""

    async def scene():
        served = 0

        async def once(reader, writer):
            nonlocal served
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            served += 1
            writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
            await asyncio.sleep(0)
            writer.close()

        server = await asyncio.start_server(once, "127.0.0.1", 0)
        at = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with reach(name) as (_, send):
            for _ in range(20):
                response = await send(at=at)
                assert (response.status, await response.read()) == (200, b"ok")
                await response.close()
        assert served == 20
        server.close()
        await server.wait_closed()

    asyncio.run(scene())


@pytest.mark.parametrize("ends", [True, False])
def test_direct_keeps_a_connection_whose_stream_is_over(ends, monkeypatch):
    """The last word of an engine comes before the end of the body: both cost one connection."""
    monkeypatch.setattr("keelmark.serve.transport.direct_client.LINGER_SECONDS", 0.05)

    async def scene():
        opened = closed = 0

        async def engine(reader, writer):
            nonlocal opened, closed
            opened += 1
            try:
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    writer.write(b"4\r\ndone\r\n")
                    await asyncio.sleep(0.01)
                    if ends:
                        writer.write(b"1\r\n!\r\n0\r\n\r\n")
            except asyncio.IncompleteReadError:
                closed += 1
                writer.close()

        server = await asyncio.start_server(engine, "127.0.0.1", 0)
        at = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with reach("direct") as (_, send):
            for _ in range(3):
                response = await send(at=at, method="GET")
                async for chunk in response.chunks():
                    assert chunk == b"done"
                    break
                await response.close(over=True)
                await asyncio.sleep(0.1)
            assert (opened, closed) == ((1, 0) if ends else (3, 3))
        server.close()
        await server.wait_closed()

    asyncio.run(scene())


def test_direct_reads_a_body_that_ends_with_the_connection():
    async def scene():
        async def old(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nto the end")
            writer.close()

        server = await asyncio.start_server(old, "127.0.0.1", 0)
        at = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with reach("direct") as (_, send):
            response = await send(at=at)
            assert await response.read() == b"to the end"
            await response.close()
            with pytest.raises(UsageError, match="address"):
                await send(at="ftp://x")
        server.close()
        await server.wait_closed()

    asyncio.run(scene())


def test_unknown_and_missing_transports_say_what_to_do(monkeypatch):
    with pytest.raises(UsageError, match="direct, pyreqwest, aiohttp"):
        new_transport("curl")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "aiohttp":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "keelmark.serve.transport.aiohttp_client", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r'pip install "keelmark\[aiohttp\]"'):
        new_transport("aiohttp")
