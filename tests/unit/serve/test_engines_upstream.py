"""Upstream engines: their files, their addresses, and discovery against real servers."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from keelmark.core.errors import KeelmarkError, UnavailableError, UsageError
from keelmark.serve.transport import new_transport
from keelmark.serve.upstream import (
    GENERIC,
    UpstreamEngine,
    UpstreamSpec,
    catalogue,
    normal_url,
    upstream_spec,
)

LIST = json.dumps({"object": "list", "data": [{"id": "a", "x": 1}, {"id": "b"}, {"id": "a"}]})


@contextmanager
def server(status: int = 200, body: bytes = LIST.encode(), key: str = "") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = not key or self.headers["authorization"] == f"Bearer {key}"
            self.send_response(status if allowed and self.path == "/v1/models" else 401)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def engine_of(url: str, **environ: str) -> UpstreamEngine:
    """Start an engine at a URL and return it; must not be inside an event loop."""

    async def start() -> UpstreamEngine:
        transport = new_transport()
        try:
            engine = UpstreamEngine(upstream_spec(url), transport, environ=environ)
            assert not engine.ready
            with pytest.raises(UnavailableError):
                engine.endpoint()
            await engine.start()
            return engine
        finally:
            await transport.close()

    return asyncio.run(start())


@pytest.mark.parametrize("spec", catalogue().values(), ids=lambda spec: spec.id)
def test_engine_file(spec: UpstreamSpec) -> None:
    assert spec.title
    assert spec.provider == spec.provider.lower()
    assert upstream_spec(f"{spec.id}=https://gpu.example:9/api/v3").base_url.endswith("/api/v3")
    if spec.base_url:
        assert upstream_spec(spec.id) == spec
        local = "//127.0.0.1" in spec.base_url
        assert local != spec.api_key_required, "hosted services want a key, local ones need none"


def test_discovery_through_the_real_transport() -> None:
    with server(key="secret") as url:
        engine = engine_of(url, KEELMARK_UPSTREAM_API_KEY="secret")
        assert engine.ready
        assert engine.models == ("a", "b")
        assert (engine.digest, engine.load_mode) == ("", ""), "unattested"
        assert engine.endpoint() == (f"{url}/v1", {"authorization": "Bearer secret"})
        asyncio.run(engine.stop())
        assert not engine.ready


def test_server_without_a_list_answers_to_any_name() -> None:
    with server(404) as url:
        engine = engine_of(url)
    assert engine.models == ()
    assert engine.endpoint().headers == {}


@pytest.mark.parametrize(
    ("status", "body", "key", "kind", "says"),
    [
        (200, b"<html>", "", UnavailableError, "is it an OpenAI-compatible server"),
        (200, b'{"data": [{"name": "a"}]}', "", UnavailableError, "no list of models"),
        (200, b"[" * (9 * 1024 * 1024), "", UnavailableError, "too long"),
        (500, b"", "", UnavailableError, "answered 500"),
        (200, b"", "other", UsageError, "wants a key: set KEELMARK_UPSTREAM_API_KEY"),
    ],
    ids=["html", "other json", "huge", "error", "no key"],
)
def test_answers_that_will_not_do(
    status: int, body: bytes, key: str, kind: type[KeelmarkError], says: str
) -> None:
    with server(status, body, key) as url, pytest.raises(kind, match=says):
        engine_of(url)


def test_wrong_key_is_named_and_not_quoted() -> None:
    with server(key="right") as url, pytest.raises(UsageError, match="refused the key") as caught:
        engine_of(url, KEELMARK_UPSTREAM_API_KEY="wrong-value")
    assert "wrong-value" not in caught.value.message


def test_nothing_answers() -> None:
    with server() as url:
        pass
    with pytest.raises(UnavailableError, match=f"Nothing answers at {url}/v1"):
        engine_of(url)


def test_hosted_service_without_a_key() -> None:
    with pytest.raises(UsageError, match="set OPENAI_API_KEY"):
        engine_of("openai")


def test_fixed_models_are_not_asked_for() -> None:
    spec = msgspec.structs.replace(upstream_spec("http://127.0.0.1:9"), models=("m",))

    async def start() -> UpstreamEngine:
        transport = new_transport()
        engine = UpstreamEngine(spec, transport, environ={}, id="mine")
        await engine.start()
        await transport.close()
        return engine

    engine = asyncio.run(start())
    assert (engine.id, engine.models) == ("mine", ("m",))


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1"),
        ("https://gpu.example/openai/v1/", "https://gpu.example/openai/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_url(url: str, normal: str) -> None:
    assert normal_url(url) == normal
    assert normal_url(normal) == normal
    assert upstream_spec(url).id == GENERIC


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://host/v1", "does not begin with http"),
        ("file:///etc/passwd", "does not begin with http"),
        ("http://", "names no host"),
        ("http:///v1", "names no host"),
        ("http://host:99999", "Port out of range"),
        ("http://host:port", "Port could not"),
        ("http://host/v1?key=1", "query"),
        ("http://host/v1#x", "fragment"),
        ("http://ho st/v1", "do not belong"),
        ("http://host\n/v1", "do not belong"),
        ("http://[::1/v1", "Invalid IPv6"),
        ("vllm=host:8000", "does not begin with http"),
        ("nonsense", "give a URL or one of"),
        (GENERIC, "give a URL or one of"),
        ("", "give a URL or one of"),
    ],
)
def test_wrong_url(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        upstream_spec(url)
    assert "\n" not in caught.value.message


def test_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="environment variable") as caught:
        upstream_spec("http://me:hunter2@host/v1")
    assert "hunter2" not in caught.value.message
