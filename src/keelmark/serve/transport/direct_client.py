"""The default transport: HTTP/1.1 on httptools and the event loop, nothing in between.

It exists because a client that leaves must stop the engine at once, also before the first byte of
the answer (an engine that reads a long prompt, or answers in one piece, sends none for long).
pyreqwest keeps such a request running. No redirects, proxies, cookies or compression: a prompt
goes to the address that was configured and nowhere else.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

from keelmark.core.errors import UnavailableError, UsageError

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 30.0
LINGER_SECONDS = 1.0
"""How long a body may take to end after an engine said that it is done."""
MOST_IDLE = 256
MOST_HEAD = 64 * 1024
_HIGH_WATER = 256 * 1024


class _Address(NamedTuple):
    host: str
    port: int
    tls: bool
    host_header: str
    target: str

    @property
    def peer(self) -> tuple[str, int, bool]:
        return self[:3]


@lru_cache(maxsize=256)
def _address(url: str) -> _Address:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"`{url}` is not the address of an engine: it must begin with http://.")
    tls = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    netloc = parts.netloc.rpartition("@")[2]
    return _Address(parts.hostname, parts.port or (443 if tls else 80), tls, netloc, target)


class _Connection(asyncio.Protocol):
    """One connection; carries one request at a time."""

    def __init__(self) -> None:
        self.used = 0
        self.idle_since = 0.0
        self.closed = False
        self.complete = True
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._on_end: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes) -> asyncio.Future[None]:
        """Send a request; the future is done when the headers of the answer are here."""
        self.used += 1
        self.status = 0
        self.headers: dict[str, str] = {}
        self.received = 0
        self.complete = False
        self.buffer: deque[bytes] = deque()
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None
        self._until_close = True
        self._in_head = True
        self._head = self._loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        if self._transport is not None:
            self._transport.write(request)
        return self._head

    def linger(self, then: Callable[[], None]) -> None:
        """Wait a moment for the end of the body, which nobody reads; close if it does not come."""
        late = self._loop.call_later(LINGER_SECONDS, self.abort)

        def ended() -> None:
            late.cancel()
            self._on_end = None
            then()

        self._on_end = ended

    def abort(self) -> None:
        """Close at once; the engine sees it."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.complete:
            self.abort()  # nobody asked for these bytes
            return
        self.received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()
        if self._in_head and self.received > MOST_HEAD:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.complete:
            self.complete = exc is None and not self._in_head and self._until_close
            if not self._head.done():
                self._head.set_exception(ConnectionResetError("closed before an answer"))
                self._head.exception()
            self._wake()
        if self._on_end is not None:
            self._on_end()

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        self.headers[key] = value.decode("latin-1")
        if key in ("content-length", "transfer-encoding"):
            self._until_close = False

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        self._in_head = False
        if not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        if self._on_end is not None:
            return
        self.buffer.append(body)
        self._buffered += len(body)
        if self._buffered > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self.status < 200:
            self.headers.clear()
            self._until_close = True
            return
        self.complete = True
        if not self._parser.should_keep_alive():
            self.closed = True
        self._wake()
        if self._on_end is not None:
            self._on_end()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> bytes:
        """Return what has arrived since the last time, or nothing at the end."""
        while not self.buffer:
            if self.complete:
                return b""
            if self.closed:
                raise _stopped()
            self._waiter = self._loop.create_future()
            await self._waiter
        data = self.buffer.popleft() if len(self.buffer) == 1 else b"".join(self.buffer)
        self.buffer.clear()
        self._buffered = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data


class DirectResponse:
    """An answer on its way."""

    def __init__(
        self, owner: DirectTransport, peer: tuple[str, int, bool], at: _Connection
    ) -> None:
        self.status = at.status
        self.headers: Mapping[str, str] = at.headers
        self._owner = owner
        self._peer = peer
        self._connection: _Connection | None = at

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            UnavailableError: The engine stopped while it answered.
        """
        while self._connection is not None and (data := await self._connection.next()):
            yield data

    async def read(self) -> bytes:
        """Return the whole (rest of the) body.

        Raises:
            UnavailableError: The engine stopped while it answered.
        """
        return b"".join([chunk async for chunk in self.chunks()])

    async def close(self, *, over: bool = False) -> None:
        """Let go of the connection; cancels the upstream work if it still runs.

        Args:
            over: Whether the engine has said that it is done, so that the body ends in a moment
                and the connection may be kept.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if over and not connection.complete and not connection.closed:
            self._owner.let_end(self._peer, connection)
        else:
            self._owner.take_back(self._peer, connection)


class DirectTransport:
    """Sends requests through one pool of connections."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int, bool], list[_Connection]] = {}
        self._ending: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> DirectResponse:
        """Send one request.

        Raises:
            UnavailableError: No connection, or no answer in time.
            UsageError: The address is not one.
        """
        address = _address(url)
        request = _request(method, address, headers, body)
        try:
            async with asyncio.timeout(timeout):
                connection = await self._ask(address, request)
        except TimeoutError:
            raise UnavailableError(
                f"The engine did not begin to answer within {timeout:g} seconds: try again later."
            ) from None
        return DirectResponse(self, address.peer, connection)

    async def _ask(self, address: _Address, request: bytes) -> _Connection:
        while True:
            connection = self._reuse(address.peer) or await self._connect(address)
            try:
                await connection.ask(request)
                return connection
            except ConnectionResetError:
                # An idle connection that the engine closed just now: it has seen nothing of the
                # request, so another connection may carry it.
                if connection.used == 1 or connection.received:
                    raise UnavailableError("The engine closed the connection: try again.") from None
            except BaseException:  # boundary: also a cancelled request must stop the engine
                connection.abort()
                raise

    def _reuse(self, peer: tuple[str, int, bool]) -> _Connection | None:
        idle = self._idle.get(peer, [])
        now = asyncio.get_running_loop().time()
        while idle:
            connection = idle.pop()
            if not connection.closed and now - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _connect(self, address: _Address) -> _Connection:
        if address.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection, address.host, address.port, ssl=self._tls if address.tls else None
                )
        except OSError as error:  # also a TimeoutError of its own, and TLS that does not verify
            raise UnavailableError(
                "The engine cannot be reached: check that it runs, then try again."
            ) from error
        return connection

    def take_back(self, peer: tuple[str, int, bool], connection: _Connection) -> None:
        """Keep a connection for the next request, or close it when its answer is not complete."""
        idle = self._idle.setdefault(peer, [])
        if connection.complete and not connection.closed and len(idle) < MOST_IDLE:
            connection.idle_since = asyncio.get_running_loop().time()
            idle.append(connection)
        else:
            connection.abort()

    def let_end(self, peer: tuple[str, int, bool], connection: _Connection) -> None:
        """Keep a connection once the body that it carries has ended."""

        def ended() -> None:
            self._ending.discard(connection)
            self.take_back(peer, connection)

        self._ending.add(connection)
        connection.linger(ended)

    async def close(self) -> None:
        """Close all connections that no answer uses."""
        for connection in [*self._ending, *(one for idle in self._idle.values() for one in idle)]:
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)


def _request(method: str, address: _Address, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"{method} {address.target} HTTP/1.1", f"host: {address.host_header}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method != "GET":
        lines.append(f"content-length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise UsageError("A header for the engine holds a line break: check its configuration.")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _stopped() -> UnavailableError:
    return UnavailableError("The engine stopped while it answered: send the request again.")
