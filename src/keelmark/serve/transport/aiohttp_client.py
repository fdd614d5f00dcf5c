"""The second transport: aiohttp, an extra (`pip install "keelmark[aiohttp]"`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace

import aiohttp

from keelmark.core.errors import UnavailableError

_CONNECT_SECONDS = 10


class AiohttpResponse:
    """An answer on its way."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            UnavailableError: The engine stopped while it answered.
        """
        while True:
            try:
                chunk = await self._response.content.readany()
            except aiohttp.ClientError as error:
                raise _stopped() from error
            if not chunk:
                return
            yield chunk

    async def read(self) -> bytes:
        """Return the whole (rest of the) body.

        Raises:
            UnavailableError: The engine stopped while it answered.
        """
        try:
            body: bytes = await self._response.read()
        except aiohttp.ClientError as error:
            raise _stopped() from error
        return body

    async def close(self, *, over: bool = False) -> None:  # noqa: ARG002 (it reads no further)
        """Let go of the connection; cancels the upstream work if it still runs."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class AiohttpTransport:
    """Sends requests through one pool of connections."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": "keelmark"},
            skip_auto_headers=("accept-encoding",),
            auto_decompress=False,
            trust_env=False,
            trace_configs=[_tell_of_reuse()],
        )

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> AiohttpResponse:
        """Send one request.

        Raises:
            UnavailableError: No connection, or no answer in time.
        """
        try:
            async with asyncio.timeout(timeout):
                response = await self._ask(method, url, headers, body)
        except aiohttp.ClientConnectorError as error:
            raise UnavailableError(
                "The engine cannot be reached: check that it runs, then try again."
            ) from error
        except TimeoutError as error:
            raise UnavailableError(
                f"The engine did not begin to answer within {timeout:g} seconds: try again later."
            ) from error
        except aiohttp.ClientError as error:
            raise UnavailableError("The engine closed the connection: try again.") from error
        return AiohttpResponse(response)

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> aiohttp.ClientResponse:
        while True:
            told: dict[str, bool] = {}
            try:
                return await self._session.request(
                    method,
                    url,
                    headers=headers,
                    data=body or None,
                    allow_redirects=False,
                    trace_request_ctx=told,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # A kept connection that the engine closed just now: it has seen nothing of the
                # request, so another connection may carry it. aiohttp does this for GET only.
                if "reused" not in told:
                    raise

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


def _tell_of_reuse() -> aiohttp.TraceConfig:
    async def reused(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx["reused"] = True

    config = aiohttp.TraceConfig()
    config.on_connection_reuseconn.append(reused)
    return config


def _stopped() -> UnavailableError:
    return UnavailableError("The engine stopped while it answered: send the request again.")
