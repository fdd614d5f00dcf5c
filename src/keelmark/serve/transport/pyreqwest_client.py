"""A transport on pyreqwest (Rust's reqwest).

Known gap of 0.15: a request that is cancelled before the first byte of its answer goes on running
at the engine. Once the answer streams, closing it does close the connection.

Redirects, proxies of the environment, cookies and compression are off: a prompt goes to the
address that was configured and nowhere else, and bytes pass as they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import ConnectError, PyreqwestError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from keelmark.core.errors import UnavailableError

_CONNECT_SECONDS = 10


class PyreqwestResponse:
    """An answer on its way."""

    def __init__(self, request: StreamRequest, response: Response) -> None:
        self._request: StreamRequest | None = request
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            UnavailableError: The engine stopped while it answered.
        """
        reader = self._response.body_reader
        while True:
            try:
                chunk = await reader.read_chunk()
            except PyreqwestError as error:
                raise _stopped() from error
            if chunk is None:
                return
            yield bytes(chunk)

    async def read(self) -> bytes:
        """Return the whole (rest of the) body.

        Raises:
            UnavailableError: The engine stopped while it answered.
        """
        try:
            return bytes(await self._response.body_reader.bytes())
        except PyreqwestError as error:
            raise _stopped() from error

    async def close(self, *, over: bool = False) -> None:  # noqa: ARG002 (it reads no further)
        """Let go of the connection; cancels the upstream work if it still runs."""
        if self._request is not None:
            request, self._request = self._request, None
            await request.__aexit__(None, None, None)


class PyreqwestTransport:
    """Sends requests through one pool of connections."""

    def __init__(self) -> None:
        self._client = (
            ClientBuilder()
            .no_proxy()
            .follow_redirects(enable=False)
            .referer(enable=False)
            .gzip(enable=False)
            .brotli(enable=False)
            .zstd(enable=False)
            .deflate(enable=False)
            .user_agent("keelmark")
            # An engine may close a kept connection while the next request is on its way, and the
            # client does not tell such a failure from any other: each request has its own.
            .pool_max_idle_per_host(0)
            .connect_timeout(timedelta(seconds=_CONNECT_SECONDS))
            .build()
        )

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> PyreqwestResponse:
        """Send one request.

        Raises:
            UnavailableError: No connection, or no answer in time.
        """
        builder = self._client.request(method, url).headers(headers)
        if body:
            builder = builder.body_bytes(body)
        # Without this limit the client waits for 64 KiB before it shows a stream at all.
        request = builder.streamed_read_buffer_limit(0).build_streamed()
        try:
            async with asyncio.timeout(timeout):
                response = await request.__aenter__()
        except ConnectError as error:
            raise UnavailableError(
                "The engine cannot be reached: check that it runs, then try again."
            ) from error
        except TimeoutError as error:
            raise UnavailableError(
                f"The engine did not begin to answer within {timeout:g} seconds: try again later."
            ) from error
        except PyreqwestError as error:
            raise UnavailableError("The engine closed the connection: try again.") from error
        return PyreqwestResponse(request, response)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def _stopped() -> UnavailableError:
    return UnavailableError("The engine stopped while it answered: send the request again.")
