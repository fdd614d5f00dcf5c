"""What goes out: nowhere but to the engine; and what engines cannot do to clients by it."""

import asyncio
import gzip
from contextlib import asynccontextmanager

import msgspec
import pytest

from gateway_parts import run, stack
from keelmark.core.errors import UsageError
from keelmark.serve.upstream import upstream_spec

TRANSPORTS = ("direct", "pyreqwest", "aiohttp")
OURS = {
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "retry-after",
    "transfer-encoding",
    "x-keelmark-model-digest",
    "x-keelmark-policy-digest",
    "x-keelmark-trace-id",
    "x-keelmark-verdict",
}
CHUNK = b'{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}'
WHOLE = CHUNK.replace(b"delta", b"message")


@asynccontextmanager
async def trap(answer=b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"):
    """A server that answers everything alike; yields its address and what it was asked."""
    heard = []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        heard.append(head)
        length = next((x for x in head.lower().split(b"\r\n") if b"content-length" in x), b": 0")
        await reader.readexactly(int(length.split(b":")[1]))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


def bodies_with(url):
    """Requests that name an address in every place where somebody might fetch it."""

    def parts(*given):
        return {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, *given]}]}

    tool = {"type": "function", "function": {"name": "f", "parameters": {"$ref": url}}}
    schema = {"name": "s", "strict": True, "schema": {"$ref": url}}
    chat, messages, responses = "/v1/chat/completions", "/v1/messages", "/v1/responses"
    picture = {"type": "input_image", "image_url": url}
    image = {"type": "image", "source": {"type": "url", "url": url}}
    return [
        (chat, parts({"type": "image_url", "image_url": {"url": url}})),
        (chat, parts({"type": "input_audio", "input_audio": {"data": url, "format": "wav"}})),
        (chat, parts({"type": "file", "file": {"file_data": url}})),
        (chat, {**parts(), "tools": [tool], "tool_choice": "required"}),
        (
            chat,
            {**parts(), "response_format": {"type": "json_schema", "json_schema": schema}},
        ),
        (chat, {**parts(), "base_url": url, "api_base": url, "metadata": {"callback": url}}),
        (chat, {"messages": [{"role": "user", "content": f"see {url} ![x]({url})"}]}),
        (messages, {**parts(image), "max_tokens": 5}),
        (messages, {**parts(), "max_tokens": 5, "mcp_servers": [{"type": "url", "url": url}]}),
        (responses, {"input": [{"role": "user", "content": [picture]}]}),
        (responses, {"input": "x", "tools": [{"type": "mcp", "server_url": url}]}),
        ("/v1/embeddings", {"input": url}),
        ("/v1/rerank", {"query": "x", "documents": [url, {"url": url}]}),
        ("/v1/moderations", {"input": [{"type": "image_url", "image_url": {"url": url}}]}),
    ]


def test_nothing_that_a_request_names_is_fetched(monkeypatch):
    async def scene():
        async with trap() as (url, heard):
            for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, url)
            for transport in TRANSPORTS:
                async with stack(transport=transport) as s:
                    for path, body in bodies_with(url):
                        status, answer, _ = await s.post(path, {"model": "fake", **body})
                        assert status < 502, answer
                        media = {"image_url", "input_image", "image", "input_audio", "file"}
                        assert status == 400 or not media & set(str(body).split("'"))
            assert heard == []

    run(scene)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_engine_sends_the_prompt_nowhere_else(transport, status):
    async def scene():
        async with trap() as (elsewhere, heard):
            head = f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}/v1/chat/completions\r\n"
            async with trap(f"{head}content-length: 0\r\n\r\n".encode()) as (url, asked):
                async with stack(transport=transport) as s:
                    s.engine.url = url
                    assert (await s.chat())[0] == 502
                assert len(asked) == 1
            assert heard == []

    run(scene)


def answer_of(head, body):
    return b"%b\r\ncontent-length: %d\r\n\r\n%b" % (head, len(body), body)


EVIL = (
    b"set-cookie: session=stolen",
    b"x-keelmark-verdict: allow",
    b"x-keelmark-model-digest: sha256:forged",
    b"access-control-allow-origin: *",
    b"location: http://evil.example/",
    b"www-authenticate: Basic",
    b"content-security-policy: none",
    b"retry-after: 1\tx-evil",
)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_headers_of_an_engine_do_not_reach_the_client(transport):
    async def scene():
        async with stack(transport=transport) as s:
            for stream in (False, True):
                kind = b"text/event-stream" if stream else b"application/json"
                body = b"data: " + CHUNK + b"\n\ndata: [DONE]\n\n" if stream else WHOLE
                for status in (200, 429, 500):
                    lines = (b"HTTP/1.1 %d X" % status, b"content-type: " + kind, *EVIL)
                    async with trap(answer_of(b"\r\n".join(lines), body)) as (url, _):
                        s.engine.url = url
                        got, raw, headers = await s.chat(stream=stream)
                    assert got == {200: 200, 429: 429, 500: 502}[status], raw
                    assert {name.lower() for name in headers} <= OURS
                    assert "retry-after" not in headers, "its value was none"
                    assert headers["x-keelmark-model-digest"] == "sha256:weights"

    run(scene)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_packed_answer_is_not_unpacked(transport):
    """A bomb of 64 MiB in 64 KiB stays a bomb of 64 KiB."""
    bomb = gzip.compress(b'{"choices":[], "x": "' + b"x" * 2**26 + b'"}')

    async def scene():
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip"
        async with trap(answer_of(head, bomb)) as (url, asked), stack(transport=transport) as s:
            s.engine.url = url
            status, answer, _ = await s.chat()
            assert (status, answer["error"]["code"]) == (502, "engine_protocol")
            assert b"accept-encoding" not in asked[0].lower()

    run(scene)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
def test_a_packed_request_is_not_unpacked(coding):
    async def scene():
        async with stack() as s:
            body = gzip.compress(b" " * 2**24)
            status, answer, _ = await s.post(
                "/v1/chat/completions", body, **{"content-encoding": coding}
            )
            assert (status, answer["error"]["code"]) == (415, "unsupported_encoding")
            assert s.fake.received == []

    run(scene)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_clients_key_does_not_go_to_the_engine(transport):
    async def scene():
        body = answer_of(b"HTTP/1.1 200 OK\r\ncontent-type: application/json", WHOLE)
        async with trap(body) as (url, asked), stack(transport=transport) as s:
            s.engine.url = url
            more = {"cookie": "session=1", "x-forwarded-for": "192.0.2.7", "x-own": "1"}
            payload = {"model": "fake", "messages": [{"role": "user", "content": "hi"}]}
            status, _, _ = await s.post("/v1/chat/completions", payload, **more)
            assert status == 200
            assert s.secret.encode() not in asked[0]
            for secret in (b"session=1", b"192.0.2.7", b"x-own"):
                assert secret not in asked[0].lower()

    run(scene)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "unix:///run/docker.sock",
        "http://user:secret@host/v1",
        "http://host/v1?x=\r\ny",
        "http://ho st/",
        "//host/v1",
        "http://host\\@other/v1",
    ],
)
def test_an_upstream_is_an_address_of_http_and_nothing_else(url):
    with pytest.raises(UsageError) as caught:
        upstream_spec(url)
    assert "secret" not in caught.value.message


def test_a_body_in_json_says_nothing_to_the_connection():
    """Line breaks in JSON stay JSON on the way to the engine."""

    async def scene():
        async with stack() as s:
            text = "hi\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
            assert (await s.chat(text))[0] == 200
            (got,) = s.fake.received
            assert got["messages"][0]["content"] == text
            assert msgspec.json.encode(got).count(b"\r") == 0

    run(scene)
