"""The parent's side of the worker: starts it, hands it files, survives its death."""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import msgspec

from keelmark.core.errors import CouldNotCheckError, UnavailableError
from keelmark.core.findings import ArtefactFinding

_MIB = 1024 * 1024
_START_SECONDS = 60.0
_ANSWER = 64 * _MIB
_SAID = {
    signal.SIGXCPU: "used more CPU time than it may have",
    signal.SIGSEGV: "crashed (signal 11)",
}


class VetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one vetting may use.

    Attributes:
        memory_mib: Address space of the worker, MiB.
        cpu_seconds: CPU time per file, seconds.
        wall_seconds: Time per file, seconds.
        read_mib: Bytes read or unpacked per file, MiB.
        depth: How many archives may be around a member.
    """

    memory_mib: int = 2048
    cpu_seconds: int = 120
    wall_seconds: float = 180.0
    read_mib: int = 1024
    depth: int = 4


class FileResult(NamedTuple):
    """What all checks together say of one file.

    Attributes:
        findings: What they saw.
        unexamined: Why the file is not fully covered; empty when it is.
        ran: Id and version of every check that ran.
        facts: What was learnt of the file, by the names of the members that lead there ("" for the
            file itself) and the name of the fact.
        left_out: Facts that were too large to be handed up, as `member fact`.
    """

    findings: tuple[ArtefactFinding, ...]
    unexamined: tuple[str, ...]
    ran: dict[str, str]
    facts: dict[str, dict[str, Any]]
    left_out: tuple[str, ...] = ()


class _DiedError(Exception):
    """The worker is gone; the message says how."""


class Examiner:
    """One worker process, replaced when it dies. Use as a context manager."""

    def __init__(self, limits: VetLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._rest = b""
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def interrupt(self) -> None:
        """End it from another thread: what is examined now, and what comes later, is not."""
        self._over = True
        process = self._process
        if process is not None:
            process.kill()

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if one runs."""
        return self._process.pid if self._process else None

    def examine(self, path: str, fd: int) -> FileResult:
        """Have every check that knows the file's format examine it.

        Args:
            path: Path within the artefact, for findings and by its extension.
            fd: The open file; the worker reads exactly this one.

        Raises:
            UnavailableError: No worker can be started on this machine.
            CouldNotCheckError: It was interrupted.
        """
        findings: list[ArtefactFinding] = []
        reasons: list[str] = []
        ran: dict[str, str] = {}
        facts: dict[str, dict[str, Any]] = {}
        left_out: list[str] = []
        skip: list[str] = []
        while True:
            if self._over:
                raise CouldNotCheckError(f"{path} was not checked: the run was stopped.")
            fresh = self._process is None
            running = ""
            try:
                for answer in self._ask(path, fd, skip):
                    if "start" in answer:
                        running = answer["start"]
                        continue
                    if answer["result"]:
                        ran[answer["result"]] = answer["version"]
                    findings += msgspec.convert(answer["findings"], list[ArtefactFinding])
                    reasons += [answer["unexamined"]] if answer["unexamined"] else []
                    if "facts" in answer:
                        facts.setdefault(answer["inner"], {}).update(answer["facts"])
                        left_out += [f"{answer['inner']} {name}" for name in answer["left_out"]]
                break
            except _DiedError as death:
                self._stop()
                if not running:
                    if fresh:
                        raise UnavailableError(
                            f"The vetting process does not start ({death}): run `keelmark doctor`."
                        ) from None
                    continue
                reasons.append(f"the {running} check {death}")
                skip.append(running)
        unique = {json.dumps(msgspec.to_builtins(f), sort_keys=True): f for f in findings}
        return FileResult(
            tuple(unique.values()), tuple(dict.fromkeys(reasons)), ran, facts, tuple(left_out)
        )

    def _ask(self, path: str, fd: int, skip: list[str]) -> Iterator[dict[str, Any]]:
        starting = self._process is None
        if starting:
            self._start()
        limits = self._limits
        order = {
            "path": path,
            "memory": limits.memory_mib * _MIB,
            "cpu": limits.cpu_seconds,
            "budget": limits.read_mib * _MIB,
            "depth": limits.depth,
            "skip": skip,
        }
        channel = self._channel
        assert channel is not None  # noqa: S101  (_start has just made it)
        seconds = max(limits.wall_seconds, _START_SECONDS) if starting else limits.wall_seconds
        deadline = time.monotonic() + seconds
        try:
            socket.send_fds(channel, [json.dumps(order).encode()], [fd])
        except OSError:
            raise _DiedError(self._obituary()) from None
        received = 0
        while True:
            line = self._line(channel, deadline)
            if starting:  # the time of the file begins when the worker has come up
                starting, deadline = False, time.monotonic() + limits.wall_seconds
            received += len(line)
            if received > _ANSWER:
                raise _DiedError("reported more than can be kept")
            answer = json.loads(line)
            if "end" in answer:
                return
            yield answer

    def _line(self, channel: socket.socket, deadline: float) -> bytes:
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([channel], [], [], max(left, 0))
            if not ready:
                raise _DiedError("took longer than it may take")
            try:
                data = channel.recv(_MIB)
            except OSError:
                data = b""
            if not data:
                raise _DiedError(self._obituary())
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-B", "-m", "keelmark.vet.worker"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={"LC_ALL": "C.UTF-8"},
                    close_fds=True,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise UnavailableError(
                    f"The vetting process cannot be started ({error.strerror}): "
                    "free memory and processes, then retry."
                ) from None
        self._channel, self._rest = ours, b""

    def _obituary(self) -> str:
        """Say how the worker died; it has closed its end, so it is about to be gone."""
        assert self._process is not None  # noqa: S101
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "stopped answering"
        if code < 0:
            return _SAID.get(signal.Signals(-code), f"crashed (signal {-code})")
        return f"ended early (exit {code})"

    def _stop(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()  # it has nothing to finish, and to end by itself takes it longer
            self._process.wait()
        self._process = self._channel = None
        self._rest = b""
