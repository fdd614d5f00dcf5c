"""uvicorn, set up for the gateway: loopback unless told otherwise, no chatter, our limits."""

from __future__ import annotations

import uvicorn

from keelmark.core.policy import Limits
from keelmark.serve.gateway import App
from keelmark.serve.protocol import protocol_for

KEEP_ALIVE_SECONDS = 20
GRACE_SECONDS = 10


def server_config(
    app: App,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    limits: Limits | None = None,
    uds: str | None = None,
) -> uvicorn.Config:
    """Return uvicorn's configuration.

    Args:
        app: The gateway, or any ASGI application.
        host: Address to listen on; loopback by default, so nothing is reachable from outside
            unless somebody decides so.
        port: Port, or 0 for any free one.
        limits: Limits on headers, and the time for them.
        uds: Path of a Unix socket to listen on instead.

    Peers are taken from the connection, never from headers a client can write.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        uds=uds,
        loop="uvloop",
        http=protocol_for(limits or Limits()),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # its warnings are about what clients send: anybody could fill the log
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
