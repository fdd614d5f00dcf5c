"""Keeping one child process alive that serves HTTP on loopback.

The child gets its configuration as one JSON line on standard input and answers with one JSON line,
`{"address": ...}`, on standard output; the end of its standard input tells it to go. Every start
has a fresh key, so an address that another process took over answers nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import secrets
import signal
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

from keelmark.core import events
from keelmark.core.errors import UnavailableError
from keelmark.serve.engine import Endpoint

_LOG_BYTES = 1024 * 1024
_LOG_STAMP = re.compile(r"^[\d.]+ (?=[A-Z] )")
_HARMLESS = ("W ", "I ", "D ")
_PIPE_BYTES = 65536
_LINE_BYTES = 2000
_POLL_SECONDS = 0.05

ASKED = "It was asked to stop."
"""Why an engine stopped that did not fail."""

EventCallback = Callable[[str, str], None]
"""Called with a kind from `keelmark.core.events` and a reason."""


class State(StrEnum):
    """Where a supervised child stands."""

    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing_off"
    FAILED = "failed"
    STOPPED = "stopped"


class Command(NamedTuple):
    """What to run.

    Attributes:
        name: What it is called in messages.
        argv: Program and arguments; nothing secret, for every user can read them.
        settings: Makes the configuration line from the key of this start.
        log: File that gets the child's standard error; one older file is kept beside it.
        env: The child's whole environment.
        pass_fds: Descriptors it inherits.
    """

    name: str
    argv: tuple[str, ...]
    settings: Callable[[str], Mapping[str, Any]]
    log: Path
    env: Mapping[str, str]
    pass_fds: tuple[int, ...] = ()


class Patience(NamedTuple):
    """How long to wait for what, seconds.

    Attributes:
        start: Until the child is ready.
        first: Before the first restart; doubles with every failure in a row.
        longest: Before any restart.
        stable: How long it must have run for the count of failures to begin anew.
        stop: For the child to end by itself before it is killed.
    """

    start: float = 300.0
    first: float = 0.25
    longest: float = 30.0
    stable: float = 60.0
    stop: float = 5.0


class Supervisor:
    """Starts the child, and starts it again when it dies.

    A first start that fails is final: `start` raises and says why. Later the child is restarted
    for as long as the supervisor lives, with exponential back-off and jitter.

    Attributes:
        state: Where it stands.
        reason: Why it stands there, one sentence, or "".
        starts: How often the child became ready.
    """

    def __init__(
        self,
        command: Command,
        *,
        on_event: EventCallback = lambda _kind, _reason: None,
        patience: Patience | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.state, self.reason, self.starts = State.STOPPED, "", 0
        self._command, self._on_event, self._jitter = command, on_event, jitter
        self._patience = patience or Patience()
        self._child: _Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._last_rites: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child while it is ready."""
        return self._child.process.pid if self._child else None

    def endpoint(self) -> Endpoint:
        """Return where the child answers. Raises UnavailableError while it is not ready."""
        if self._child is None:
            raise UnavailableError(self._not_ready(), retryable=self.state is not State.FAILED)
        headers = {"authorization": f"Bearer {self._child.key}"}
        return Endpoint(f"{self._child.address}/v1", headers)

    async def start(self) -> None:
        """Start the child and wait until it is ready.

        Raises:
            UnavailableError: It did not start; the message quotes its last words.
        """
        if self._task is not None and not self._task.done():
            return
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(first))
        try:
            await first
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the child and wait until it is gone. Harmless when there is none."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._last_rites is not None:
            await self._last_rites
        if self.state is not State.FAILED:
            self._enter(State.STOPPED)

    async def _run(self, first: asyncio.Future[None]) -> None:
        failure: Exception = UnavailableError(f"{self._command.name} was stopped while starting.")
        try:
            await self._keep_alive(first)
        except UnavailableError as error:  # only a first start ends the work
            failure = error
            self._enter(State.FAILED, error.message)
        except Exception as error:  # boundary: the ledger; an engine it cannot record does not run
            failure = error
            self._enter(State.FAILED, f"its life cannot be recorded: {error}")
        finally:
            # A task of its own, so that nothing interrupts it and leaves a process behind.
            self._last_rites = asyncio.create_task(self._retire())
            await asyncio.shield(self._last_rites)
            if not first.done():
                first.set_exception(failure)

    async def _retire(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.close(self._patience.stop)
            if self.state is State.READY:
                self._on_event(events.ENGINE_STOPPED, ASKED)

    async def _keep_alive(self, first: asyncio.Future[None]) -> None:
        failures = 0
        while True:
            self._enter(State.STARTING, self.reason)
            try:
                ran, reason = await self._one_life(first)
            except UnavailableError as error:
                if not first.done():
                    raise
                child, self._child = self._child, None
                if child is not None:  # it runs, and could not be recorded
                    await child.close(0)
                ran, reason = 0.0, error.message
            failures = 1 if ran >= self._patience.stable else failures + 1
            self._enter(State.BACKING_OFF, reason)
            await asyncio.sleep(self._pause(failures))

    async def _one_life(self, first: asyncio.Future[None]) -> tuple[float, str]:
        """Run the child until it dies; return how long it was ready, seconds, and of what."""
        self._child = await _Child.launch(self._command, self._patience.start)
        self._on_event(events.ENGINE_STARTED, self.reason)
        self._enter(State.READY)
        self.starts += 1
        if not first.done():
            first.set_result(None)
        clock = asyncio.get_running_loop().time
        began = clock()
        reason = await self._child.wait()
        child, self._child = self._child, None
        self._enter(State.BACKING_OFF, reason)
        await child.close(0)
        self._on_event(events.ENGINE_STOPPED, reason)
        return clock() - began, reason

    def _pause(self, failures: int) -> float:
        """Seconds before the restart: between half and all of an exponentially growing span."""
        span = min(self._patience.longest, self._patience.first * 2.0 ** min(failures - 1, 30))
        return span * (0.5 + 0.5 * self._jitter())

    def _enter(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason

    def _not_ready(self) -> str:
        name = self._command.name
        return {
            State.STARTING: f"{name} is starting; try again in a few seconds.",
            State.BACKING_OFF: f"{name} is being restarted; try again in a few seconds.",
            State.FAILED: f"{name} is not running: {self.reason}",
        }.get(self.state, f"{name} is not running; start it first.")


class _Child:
    """One process, from its start to its end."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: _Log) -> None:
        self.name, self.process, self._log = name, process, log
        self.key, self.address = secrets.token_hex(32), ""
        self._pump = asyncio.create_task(self._copy_log())

    @classmethod
    async def launch(cls, command: Command, seconds: float) -> Self:
        """Start it and wait until it answers. Raises UnavailableError when it does not."""
        log = None
        try:
            log = _Log(command.log)
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(command.env),
                pass_fds=command.pass_fds,
                start_new_session=True,  # an interrupt typed at the terminal is for the parent
            )
        except OSError as error:
            if log is not None:
                log.close()
            raise UnavailableError(f"{command.name} cannot be started: {error}.") from None
        child = cls(command.name, process, log)
        try:
            async with asyncio.timeout(seconds):
                await child._introduce(command)
        except TimeoutError:
            await child.close(0)
            message = f"{command.name} was not ready within {seconds:g} seconds{child._words()}"
            raise UnavailableError(message) from None
        except BaseException:  # boundary: a cancelled start must not leave a process
            await child.close(0)
            raise
        return child

    async def wait(self) -> str:
        """Return, once it is dead, of what."""
        status = await self.process.wait()
        await self._pump
        return f"{self.name} {_cause(status)}{self._words()}"

    async def close(self, grace: float) -> None:
        """Let it end, kill it after `grace` seconds, and take up everything it leaves."""
        pipe = self.process.stdin
        if pipe is not None:
            pipe.close()
        try:
            async with asyncio.timeout(grace):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        if self.process.stdout is not None:  # the transport closes at the end of every pipe
            await self.process.stdout.read()
        await self._pump
        if pipe is not None:
            with contextlib.suppress(OSError):
                await pipe.wait_closed()

    async def _introduce(self, command: Command) -> None:
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the pipes of the child were not asked for")
        stdin.write(json.dumps(command.settings(self.key)).encode() + b"\n")
        with contextlib.suppress(OSError):  # it died: the next line says so
            await stdin.drain()
        line = await stdout.readline()
        if line:
            self.address = str(json.loads(line)["address"])
        while not (self.address and await _answers(self.address)):
            if self.process.returncode is not None or not line:
                raise UnavailableError(await self.wait())
            await asyncio.sleep(_POLL_SECONDS)

    async def _copy_log(self) -> None:
        stream = self.process.stderr
        while stream is not None and (chunk := await stream.read(_PIPE_BYTES)):
            self._log.write(chunk)
        self._log.close()

    def _words(self) -> str:
        words = self._log.last_words()
        return f"; its last words: {words}" if words else "."


class _Log:
    """A log file of bounded size, and the last lines in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tail: deque[str] = deque(maxlen=20)
        self._rest = b""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        path.chmod(0o600)

    def write(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")  # a line may come in pieces
        self._rest = self._rest[-_LINE_BYTES:]
        self._tail.extend(line[:_LINE_BYTES].decode(errors="replace") for line in lines)
        with contextlib.suppress(OSError):  # a full disk must not stop the engine
            if self._file.tell() > _LOG_BYTES:
                self._file.close()
                self._path.replace(self._path.with_suffix(".1.log"))
                self._file = self._path.open("ab", buffering=0)
            self._file.write(chunk)

    def close(self) -> None:
        self._file.close()

    def last_words(self) -> str:
        """The first two errors among the last lines (the first is the cause), or the last line.

        Lines may begin with a time stamp and a level (E, W, I, D), as llama.cpp writes them.
        """
        whole = [*self._tail, self._rest.decode(errors="replace")]
        lines = [_LOG_STAMP.sub("", line).strip() for line in whole]
        errors = [line.removeprefix("E ") for line in lines if line.startswith("E ")]
        chosen = errors[:2] or [line for line in lines if line and line[:2] not in _HARMLESS][-1:]
        return "; ".join("".join(c for c in line if c.isprintable())[:200] for line in chosen)


async def _answers(address: str) -> bool:
    """Whether `GET /health` answers 200 now."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    try:
        writer.write(f"GET /health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _cause(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}"
    return f"was killed by signal {-status}"
