"""Who answers at the address of a service: this process itself; `workers.crew` has several."""

from __future__ import annotations

import socket
from collections.abc import Callable

from keelmark.app.composing import Gauge, gauges
from keelmark.app.engines import Settings
from keelmark.app.listening import Server
from keelmark.core.policy import Policy
from keelmark.core.ports import GuardPort
from keelmark.serve.gateway import Gateway
from keelmark.serve.server import server_config


class Front:
    """One process that serves by itself.

    Args:
        gateway: What it serves.
        settings: Where.
    """

    def __init__(self, gateway: Gateway, settings: Settings) -> None:
        self._gateway, self._settings = gateway, settings

    @property
    def note(self) -> str:
        """What is wrong although it serves, for `/readyz`; "" when nothing is."""
        return self._gateway.note

    @note.setter
    def note(self, text: str) -> None:
        self._gateway.note = text

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._gateway.config.policy

    def use(self, guard: GuardPort, policy: Policy) -> None:
        """See `Gateway.use`."""
        self._gateway.use(guard, policy)

    def gauges(self) -> list[Gauge]:
        """Return what is measured now of slots and queues."""
        return gauges(self._gateway)

    async def serve(self, listener: socket.socket, started: Callable[[], None]) -> None:
        """Serve until the process is told to stop.

        Args:
            listener: The socket.
            started: Called when that begins.
        """
        settings, limits = self._settings, self.policy.limits
        config = server_config(self._gateway, host=settings.host, port=settings.port, limits=limits)
        await Server(config, started).serve(sockets=[listener])
