"""The supervisor, with small real children."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from keelmark.core import events
from keelmark.core.errors import UnavailableError
from keelmark.serve.supervise import Command, Patience, State, Supervisor

QUICK = Patience(start=10, first=0.01, longest=0.05, stable=60, stop=2)

# Answers /health (after `refuse` times 503), ends with its standard input.
SERVER = """
import json, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
settings = json.loads(sys.stdin.buffer.readline())
refuse = settings["refuse"]
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        global refuse
        refuse -= 1
        self.send_response(503 if refuse >= 0 else 200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"address": f"http://127.0.0.1:{server.server_port}"}), flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.buffer.read()
"""
STUBBORN = SERVER + "\nimport time\ntime.sleep(60)\n"
SILENT = "import sys, time\nsys.stdin.readline()\ntime.sleep(60)\n"
BROKEN = (
    "import sys, time\nsys.stdin.readline()\n"
    "pieces = '0.01.2 I fine|\\n|0.02.3 |E |the cause\\x07|\\n0.03.4 E| the effect'.split('|')\n"
    "for piece in pieces:\n"
    "    sys.stderr.write(piece)\n    sys.stderr.flush()\n    time.sleep(0.01)\n"
    "sys.exit(7)\n"
)


def command(tmp_path: Path, script: str = SERVER, *, refuse: int = 0) -> Command:
    return Command(
        name="The child",
        argv=(sys.executable, "-I", "-c", script),
        settings=lambda key: {"key": key, "refuse": refuse},
        log=tmp_path / "logs" / "child.log",
        env={},
    )


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[Supervisor]:
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (it watches another process)
            await asyncio.sleep(0.005)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


LOOPS: list[Callable[[Awaitable[None]], None]] = [asyncio.run, uvloop.run]  # type: ignore[list-item]


@pytest.mark.parametrize("run", LOOPS, ids=["asyncio", "uvloop"])
def test_life_death_and_restart(tmp_path: Path, run: Callable[[Awaitable[None]], None]) -> None:
    seen: list[tuple[str, str]] = []

    async def scenario() -> None:
        supervisor = Supervisor(
            command(tmp_path, refuse=2),
            on_event=lambda kind, reason: seen.append((kind, reason)),
            patience=QUICK,
        )
        with pytest.raises(UnavailableError, match="start it first"):
            supervisor.endpoint()
        async with running(supervisor):
            before = open_descriptors()
            first, pid = supervisor.endpoint(), supervisor.pid
            assert supervisor.state is State.READY
            assert pid is not None
            for count in (2, 3):
                os.kill(supervisor.pid or 0, signal.SIGKILL)
                await until(lambda: supervisor.state is not State.READY)
                with pytest.raises(UnavailableError, match="try again"):
                    supervisor.endpoint()
                await until(lambda count=count: supervisor.starts == count)
            second = supervisor.endpoint()
            assert second.headers != first.headers, "every start has a fresh key"
            assert not alive(pid), "the dead child is reaped"
            assert open_descriptors() <= before
            last = supervisor.pid or 0
        assert supervisor.state is State.STOPPED
        assert not alive(last)

    run(scenario())
    assert [kind for kind, _ in seen] == [events.ENGINE_STARTED, events.ENGINE_STOPPED] * 3
    assert "killed by SIGKILL" in seen[1][1]
    assert seen[-1][1] == "It was asked to stop."


async def fails(supervisor: Supervisor, match: str) -> str:
    with pytest.raises(UnavailableError, match=match) as caught:
        await supervisor.start()
    assert supervisor.state is State.FAILED
    with pytest.raises(UnavailableError, match="is not running") as refused:
        supervisor.endpoint()
    assert not refused.value.retryable
    await supervisor.stop()
    assert supervisor.state is State.FAILED, "stopping does not hide the failure"
    return caught.value.message


def test_first_start_that_fails_says_why(tmp_path: Path) -> None:
    supervisor = Supervisor(command(tmp_path, BROKEN), patience=QUICK)
    message = asyncio.run(fails(supervisor, "ended with status 7"))
    assert message.endswith("its last words: the cause; the effect")
    log = tmp_path / "logs" / "child.log"
    assert "the cause" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_child_that_never_gets_ready_is_killed(tmp_path: Path) -> None:
    for script in (SILENT, SERVER):
        patience = QUICK._replace(start=0.5)
        supervisor = Supervisor(command(tmp_path, script, refuse=10**9), patience=patience)
        asyncio.run(fails(supervisor, "not ready within 0.5 seconds"))


def test_program_that_does_not_exist(tmp_path: Path) -> None:
    missing = command(tmp_path)._replace(argv=(str(tmp_path / "nothing"),))
    asyncio.run(fails(Supervisor(missing, patience=QUICK), "cannot be started"))


def test_log_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    asyncio.run(fails(Supervisor(command(tmp_path), patience=QUICK), "cannot be started"))


def test_stubborn_child_is_killed_after_its_grace(tmp_path: Path) -> None:
    async def scenario() -> None:
        patience = QUICK._replace(stop=0.2)
        supervisor = Supervisor(command(tmp_path, STUBBORN), patience=patience)
        await supervisor.start()
        pid = supervisor.pid or 0
        await supervisor.stop()
        assert not alive(pid)
        await supervisor.stop()

    asyncio.run(scenario())


def test_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = Supervisor(command(tmp_path, SILENT), patience=QUICK)
        start = asyncio.create_task(supervisor.start())
        await asyncio.sleep(0.2)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert supervisor.state is State.STOPPED

    before = children()
    asyncio.run(scenario())
    assert children() <= before


def test_stop_while_starting(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = Supervisor(command(tmp_path, SILENT), patience=QUICK)
        start = asyncio.create_task(supervisor.start())
        await asyncio.sleep(0.2)
        await supervisor.stop()
        with pytest.raises(UnavailableError, match="stopped while starting"):
            await start

    asyncio.run(scenario())


def test_engine_that_cannot_be_recorded_does_not_run(tmp_path: Path) -> None:
    def full(_kind: str, _reason: str) -> None:
        raise OSError("no space left")

    async def scenario() -> None:
        supervisor = Supervisor(command(tmp_path), on_event=full, patience=QUICK)
        with pytest.raises(OSError, match="no space left"):
            await supervisor.start()
        assert supervisor.state is State.FAILED
        assert supervisor.pid is None
        await supervisor.stop()

    asyncio.run(scenario())


def test_a_restart_that_cannot_be_recorded_leaves_no_second_child(tmp_path: Path) -> None:
    """The database may be away while the engine is started again."""
    refused = [0]

    def on_event(kind: str, _: str) -> None:
        if kind == events.ENGINE_STARTED and 0 < refused[0] < 3:
            refused[0] += 1
            raise UnavailableError("The database does not answer; try again.")

    async def scenario() -> None:
        before = children()
        async with running(
            Supervisor(command(tmp_path), on_event=on_event, patience=QUICK)
        ) as supervisor:
            refused[0] = 1
            os.kill(supervisor.pid or 0, signal.SIGKILL)
            await until(lambda: supervisor.starts == 2)
            assert refused == [3]
            assert children() - before == {str(supervisor.pid)}

    asyncio.run(scenario())


def test_pause_grows_with_jitter_and_is_bounded(tmp_path: Path) -> None:
    patience = Patience(first=0.25, longest=30)
    low = Supervisor(command(tmp_path), patience=patience, jitter=lambda: 0.0)
    high = Supervisor(command(tmp_path), patience=patience, jitter=lambda: 1.0)
    assert [high._pause(n) for n in (1, 2, 3, 4)] == [0.25, 0.5, 1.0, 2.0]
    assert [low._pause(n) for n in (1, 2, 3)] == [0.125, 0.25, 0.5]
    assert high._pause(10_000) == 30


def test_log_is_bounded(tmp_path: Path) -> None:
    script = "import sys\nsys.stderr.write(('x' * 99 + '\\n') * 30_000)\n" + SERVER

    async def scenario() -> None:
        async with running(Supervisor(command(tmp_path, script), patience=QUICK)):
            pass

    asyncio.run(scenario())
    sizes = [p.stat().st_size for p in (tmp_path / "logs").iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) < 2_500_000


def test_child_dies_with_its_parent(tmp_path: Path) -> None:
    parent = f"""
import asyncio, sys
from pathlib import Path
from keelmark.serve.supervise import Command, Supervisor
async def main():
    child = Command("c", (sys.executable, "-I", "-c", {SERVER!r}),
                    lambda key: {{"refuse": 0}}, Path({str(tmp_path / "c.log")!r}), {{}})
    supervisor = Supervisor(child)
    await supervisor.start()
    print(supervisor.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    asyncio.run(until(lambda: not alive(pid) or _is_zombie(pid)))


def _is_zombie(pid: int) -> bool:
    """The orphan is its new parent's to reap; in a container that may be nobody."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
