"""The way back to the client: headers once, then events or one body."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

from keelmark.core.semconv import CACHE, CACHE_AGE
from keelmark.core.trace import Trace
from keelmark.serve import grounds
from keelmark.serve.errors import ApiError
from keelmark.serve.http import EVENTS, JSON, Headers, Request, send_whole
from keelmark.serve.sse import event
from keelmark.serve.traces import verdict_of

UNATTESTED = b"unattested"


def keelmark_headers(trace: Trace) -> Headers:
    """Return the headers that every answer carries.

    `x-keelmark-verdict` is the gravest outcome so far: for a stream that is the prompt's, because
    the answer has not been judged when the headers leave; the trace has both.
    """
    headers = [
        (b"x-keelmark-trace-id", trace.trace_id.encode()),
        (b"x-keelmark-model-digest", trace.model_digest.encode() or UNATTESTED),
        (b"x-keelmark-policy-digest", trace.policy_digest.encode()),
        (b"x-keelmark-verdict", verdict_of(trace).value.encode()),
    ]
    if state := trace.attributes.get(CACHE):
        headers.append((b"x-keelmark-cache", state.encode()))
        if state == "hit":
            headers.append((b"age", b"%d" % trace.attributes[CACHE_AGE]))
    return headers + grounds.header(trace)


class Wire:
    """Sends one answer.

    Attributes:
        started: Whether the status has left; from then on errors are events.
        more: More headers of an answer that is no error.
    """

    def __init__(self, request: Request, trace: Trace) -> None:
        self.started = False
        self.more: Headers = []
        self._request = request
        self._trace = trace

    async def events(self, data: bytes) -> None:
        """Send events of a stream; the first call also sends the headers."""
        if not self.started:
            self.started = True
            headers = [EVENTS, (b"cache-control", b"no-store"), *keelmark_headers(self._trace)]
            headers += self.more
            start = {"type": "http.response.start", "status": 200, "headers": headers}
            await self._request.send(start)
        message = {"type": "http.response.body", "body": data, "more_body": True}
        await self._request.send(message)

    def last(self, data: bytes) -> bytes:
        """Return the last bytes of an answer as they leave."""
        return data

    def refusal(self, error: ApiError) -> bytes:
        """Return an error as a whole answer."""
        return error.body()

    def failure(self, error: ApiError) -> bytes:
        """Return an error as the end of a stream."""
        return event(error.body())

    async def end(self, last: bytes) -> None:
        """Send the last bytes: the end of the stream, or the whole answer."""
        if self.started:
            last = grounds.before_end(self._request, self._trace) + last
            await self._request.send({"type": "http.response.body", "body": last})
        else:
            last = grounds.beside(last, self._request, self._trace)
            headers = [JSON, *keelmark_headers(self._trace), *self.more]
            await send_whole(self._request, self._trace.status, headers, last)

    async def fail(self, error: ApiError) -> None:
        """Send an error: as an answer, or as the last event of a stream."""
        if self.started:
            await self.end(self.failure(error))
            return
        headers = [JSON, *keelmark_headers(self._trace), *error.headers]
        if error.retry_after is not None:
            headers.append((b"retry-after", str(error.retry_after).encode()))
        if error.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="keelmark"'))
        if error.status == 408:
            headers.append((b"connection", b"close"))
        await send_whole(self._request, error.status, headers, self.refusal(error))


class Presence:
    """Cancels the task that serves a request when its client leaves.

    Attributes:
        gone: Whether the client has left.
    """

    def __init__(self, request: Request) -> None:
        self.gone = False
        self._request = request
        self._task: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[object] | None = None

    async def __aenter__(self) -> Self:
        self._serving = asyncio.current_task()
        if self._request.connection is not None:
            self._request.connection.on_leave(self._left)
        else:  # a server that shows none says it to who waits for it
            self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._request.connection is not None:
            self._request.connection.on_leave(None)
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._left()

    def _left(self) -> None:
        self.gone = True
        if self._serving is not None:
            self._serving.cancel()

    async def settle(self) -> None:
        """Take back the cancellation, so that the serving task can still record what happened."""
        if self.gone and self._serving is not None and self._serving.cancelling():
            self._serving.uncancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
