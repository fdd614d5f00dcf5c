"""Frames over a Unix socket: questions with a number, answers with the same one.

A frame is its length (4 bytes, big endian) and MessagePack: `[number, body]`. Bodies are structs
of `messages`, so nothing is run or built that is not in that list. Number 0 wants no answer.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast, overload

import msgspec

from keelmark.app.workers.messages import Answer, Ask, Body, Failed, Tell
from keelmark.core.errors import (
    CouldNotCheckError,
    IntegrityError,
    KeelmarkError,
    LimitError,
    UnavailableError,
    UsageError,
)
from keelmark.serve.errors import ApiError, told

log = logging.getLogger("keelmark.app")

T = TypeVar("T")
_HEAD = 4
_LONGEST = 512 * 1024 * 1024
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, Body]).decode
_ERRORS = {
    kind.__name__: kind
    for kind in (CouldNotCheckError, IntegrityError, LimitError, UnavailableError, UsageError)
}


class Channel(asyncio.Protocol):
    """One end of a connection between two of our own processes.

    Args:
        answer: Answers a question of the other end; what it raises is raised there again.
        hear: Takes what wants no answer.
        lost: Called once when the other end is gone.
    """

    def __init__(
        self,
        answer: Callable[[Ask], Awaitable[object]],
        hear: Callable[[Tell], None],
        lost: Callable[[], None],
    ) -> None:
        self._answer, self._hear, self._lost = answer, hear, lost
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._working: set[asyncio.Task[None]] = set()  # the loop keeps no task alive
        self._transport: asyncio.Transport | None = None
        self._rest = bytearray()

    async def join(self, end: socket.socket) -> None:
        """Begin to listen and speak at one end of a pair of sockets."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self, sock=end)

    # --- speaking ---

    def tell(self, body: Tell) -> None:
        """Say something that wants no answer; it is lost when the other end is gone."""
        self._send(0, body)

    @overload
    async def ask(self, body: Ask) -> None: ...

    @overload
    async def ask(self, body: Ask, kind: type[T]) -> T: ...

    async def ask(self, body: Ask, kind: Any = None) -> Any:
        """Ask, and return the answer as a value of a type.

        Raises:
            KeelmarkError: What the other end raised.
            UnavailableError: The other end is gone, or goes before it has answered.
        """
        if self._transport is None:
            raise _gone()
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._open[number] = future
        try:
            self._send(number, body)
            value = await future
        finally:
            self._open.pop(number, None)
        return value if kind is None else msgspec.convert(value, kind)

    def _send(self, number: int, body: Ask | Tell | Answer | Failed) -> None:
        if self._transport is None:
            return
        data = _encode((number, body))
        self._transport.write(len(data).to_bytes(_HEAD, "big") + data)

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        """Take up what has come, as far as it makes whole frames."""
        rest = self._rest
        rest += data
        at, size = 0, len(rest)
        while size - at >= _HEAD:
            end = at + _HEAD + int.from_bytes(rest[at : at + _HEAD], "big")
            if end - at > _LONGEST:
                self.close()
                return
            if end > size:
                break
            try:
                number, body = _decode(rest[at + _HEAD : end])
            except msgspec.MsgspecError:
                log.exception("Another process said what cannot be understood: a defect.")
                self.close()
                return
            at = end
            self._take(number, body)
        del rest[:at]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The other end is gone: whoever waits for it hears so."""
        self._transport = None
        for future in self._open.values():
            if not future.done():
                future.set_exception(_gone())
        self._lost()  # what it has asked for is still done: a request is written, its sums right

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    # --- hearing ---

    def _take(self, number: int, body: Body) -> None:
        if isinstance(body, Answer | Failed):
            future = self._open.get(number)
            if future is None or future.done():
                return  # nobody waits for it any more
            if isinstance(body, Answer):
                future.set_result(body.value)
            else:
                future.set_exception(_raised(body))
        elif isinstance(body, Ask):
            task = asyncio.create_task(self._reply(number, body))
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        else:
            self._hear(body)

    async def _reply(self, number: int, body: Ask) -> None:
        try:
            answer: Answer | Failed = Answer(await self._answer(body))
        except KeelmarkError as error:
            answer = _failed(error)
        except Exception as error:  # boundary: whoever asked must hear that it failed
            log.error("A question of another process could not be answered: %s", told(error))  # noqa: TRY400 (quotes)
            answer = Failed("", f"Keelmark failed inside ({type(error).__name__}): see its log.")
        self._send(number, answer)


def _failed(error: KeelmarkError) -> Failed:
    if isinstance(error, ApiError):
        name = ApiError.__name__
        return Failed(
            name,
            error.message,
            status=error.status,
            code=error.code,
            retry_after=error.retry_after,
        )
    retryable = isinstance(error, UnavailableError) and error.retryable
    return Failed(type(error).__name__, error.message, retryable)


def _raised(failed: Failed) -> KeelmarkError:
    if failed.kind == ApiError.__name__:
        return ApiError(failed.status, failed.code, failed.message, retry_after=failed.retry_after)
    if failed.kind == UnavailableError.__name__:
        return UnavailableError(failed.message, retryable=failed.retryable)
    return _ERRORS.get(failed.kind, KeelmarkError)(failed.message)


def _gone() -> UnavailableError:
    return UnavailableError("The process that writes is gone: the service ends.", retryable=False)
