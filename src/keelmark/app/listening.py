"""The address of a service: the socket that it listens on, and uvicorn behind it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Protocol

import uvicorn

from keelmark.core.errors import UsageError

_BACKLOG = 1024
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REST_SECONDS = 0.5
_LEAVES, _LEAVE_SECONDS = 5, 0.001


def listen(host: str, port: int) -> socket.socket:
    """Take the port first: a port in use must not cost a minute of vetting.

    Raises:
        UsageError: It cannot be used.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"No socket can be opened ({error.strerror}).") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 (the signature of socket)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{host}:{port} cannot be used ({error.strerror}): stop what listens there, or choose "
            "another with --port N."
        ) from None
    return listener


class Server(uvicorn.Server):
    """uvicorn, except that a signal to stop only stops it.

    uvicorn raises the signal again when it has stopped, which would end the process before the
    engines are stopped and the ledger knows of it.

    Args:
        config: Of uvicorn.
        when_started: Called when connections are taken.
    """

    def __init__(self, config: uvicorn.Config, when_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_started = when_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets=sockets)
        self._when_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM; at a second SIGINT without waiting for what runs."""
        loop = asyncio.get_running_loop()
        wanted = (signal.SIGINT, signal.SIGTERM)
        for number in wanted:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in wanted:
                loop.remove_signal_handler(number)


class Fairness(Protocol):
    """Open connections, of which other processes know how many there are: a set."""

    def most(self) -> bool:
        """Whether another process has fewer, so that the next one is rather for that."""


class SharingServer(Server):
    """A server that shares its listening socket with other processes.

    It takes one connection each time the loop comes round, unless another process has fewer: then
    it leaves that one a few milliseconds. Otherwise who wakes first takes all that come at once,
    and keeps them for as long as they stay open.

    Args:
        config: Of uvicorn.
        when_started: Called when connections are taken.
        connections: The open connections.
    """

    _listener: socket.socket

    def __init__(
        self, config: uvicorn.Config, when_started: Callable[[], None], connections: Fairness
    ) -> None:
        super().__init__(config, when_started)
        self.server_state.connections = connections  # type: ignore[assignment]
        self._connections = connections
        self._opening: set[asyncio.Task[None]] = set()
        self._left = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections from the one socket given."""
        (self._listener,) = sockets or []
        self._watch()
        await super().startup(sockets=[])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and finish what runs."""
        asyncio.get_running_loop().remove_reader(self._listener)
        await super().shutdown(sockets=sockets)

    def _watch(self) -> None:
        if not self.should_exit:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        loop.call_later(seconds, self._watch)

    def _accept(self) -> None:
        if self._left < _LEAVES and self._connections.most():
            self._left += 1
            self._rest(_LEAVE_SECONDS)
            return
        self._left = 0
        try:
            connection, _ = self._listener.accept()
        except OSError as error:  # most often: another process was faster
            if error.errno in _FULL:
                self._rest(_REST_SECONDS)
            return
        connection.setblocking(False)  # noqa: FBT003 (the signature of socket)
        task = asyncio.get_running_loop().create_task(self._open(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        except OSError:  # the client has left already
            connection.close()

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
