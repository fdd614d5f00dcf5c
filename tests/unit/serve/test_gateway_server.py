"""The server around the gateway, as `keelmark up` runs it."""

import asyncio
import socket

import uvicorn

from keelmark.serve.fake import FakeEngine, Script
from keelmark.serve.server import server_config
from keelmark.serve.transport import new_transport

BODY = b'{"model": "fake", "stream": true}'


def test_it_starts_on_loopback_and_stops_gracefully():
    async def scene():
        config = server_config(FakeEngine(Script(delay=0.02)))
        assert config.host == "127.0.0.1"
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110, uvicorn has a flag and no event
            await asyncio.sleep(0.005)
        transport = new_transport()
        response = await transport.send(
            "POST",
            f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions",
            headers={},
            body=BODY,
            timeout=5,
        )
        assert "server" not in response.headers
        server.should_exit = True
        assert (await response.read()).endswith(b"data: [DONE]\n\n"), "what runs is finished"
        await response.close()
        await running
        await transport.close()
        listener.close()

    asyncio.run(scene())


def test_what_is_not_http_gets_an_answer_in_the_same_shape():
    async def scene():
        config = server_config(FakeEngine())
        config.load()
        state = uvicorn.server.ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),
            "127.0.0.1",
            0,
        )
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"\x16\x03\x01 not http at all\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 400")
        assert b'"code":"invalid_http"' in answer
        writer.close()
        server.close()
        await server.wait_closed()

    asyncio.run(scene())
