"""uvicorn's HTTP protocol with the limits it lacks: header bytes, header time, draining.

uvicorn on httptools reads a header block of any length for any time. Here it has `header_bytes`
and `head_seconds`. A request that is answered before its body was read (413) may go on sending
for the keep-alive time, so that its client can read the answer; the bytes are thrown away.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from keelmark.core.policy import Limits
from keelmark.serve.errors import ApiError
from keelmark.serve.http import CONNECTION


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    header_bytes: ClassVar[int] = Limits().header_bytes
    head_seconds: ClassVar[float] = Limits().body_seconds

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = 0
        self._in_head = True
        self._deadline: asyncio.TimerHandle | None = None
        self._extensions = {CONNECTION: self}
        self._then: Callable[[], None] | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request's headers their time."""
        super().connection_made(_OneWrite(transport))  # type: ignore[arg-type]
        listener = transport.get_extra_info("socket")
        if listener is not None and listener.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio does so itself only for sockets it has made; without it the first chunk of a
            # stream waits 40 ms for an acknowledgement of the headers.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the timer; tell who serves."""
        self._disarm()
        super().connection_lost(exc)
        self._lost = True
        self._extensions.clear()  # the one circle there is
        if self._then is not None:
            self._then()

    def on_leave(self, then: Callable[[], None] | None) -> None:
        """See `http.Connection`. Unread input is let in: that a client left comes after it."""
        self._then = then
        if then is not None:
            self.flow.resume_reading()
            if self._lost:
                then()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to an unfinished header block."""
        began_before = self._in_head
        super().data_received(data)
        if self._in_head and began_before:
            self._head += len(data)
            if self._head > self.header_bytes and not self.transport.is_closing():
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """A request begins: its headers have their bytes and their time."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]
        self._head, self._in_head = 0, True
        if self._deadline is None:
            self._arm()

    def on_headers_complete(self) -> None:
        """The headers are complete."""
        self._in_head = False
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is complete, also when nobody reads it any more."""
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle.more_body = False

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, or too long, in OpenAI's shape; then close."""
        error = ApiError(
            400,
            "invalid_http",
            "This is not a valid HTTP/1.1 request: check the client, and that it does not speak "
            "TLS to this port.",
        )
        if not msg or len(getattr(self, "url", b"")) > self.header_bytes:
            error = ApiError(
                431, "headers_too_large", f"The headers are longer than {self.header_bytes} bytes."
            )
        body = error.body()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(STATUS_LINE[error.status] + head % len(body) + body)
        self.transport.close()

    def _unset_keepalive_if_required(self) -> None:
        draining = self.cycle is not None and self.cycle.response_complete and self.cycle.more_body
        if not draining:
            super()._unset_keepalive_if_required()

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()


class _OneWrite:
    """A transport that sends the head of an answer together with what follows it.

    uvicorn writes them one after the other; that is two packets, and two system calls.
    """

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, or wait for the rest until the loop comes round."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 2") and data.endswith(b"\r\n\r\n"):
            self._head = data
            asyncio.get_running_loop().call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close once everything is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)


def protocol_for(limits: Limits) -> type[LimitedProtocol]:
    """Return the protocol with a policy's limits."""
    settings = {"header_bytes": limits.header_bytes, "head_seconds": limits.body_seconds}
    return type("LimitedProtocol", (LimitedProtocol,), settings)
