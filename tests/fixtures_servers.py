"""PostgreSQL and Redis for tests: started by the first test that asks, shared by all workers.

Whoever uses a server holds a lock on a file; a keeper (this file, run as a program) waits until
nobody does, so the server ends with the run, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import pytest

OPTIONS = {
    "fsync": "off",  # a power cut is not tested, and processes that are killed lose nothing by it
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "listen_addresses": "",
    "autovacuum": "off",
}


class MissingServerError(Exception):
    """What has to be installed."""


def postgres_program(name: str) -> str:
    """Where a program of PostgreSQL is; Debian keeps them out of the PATH."""
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    places = os.pathsep.join(map(str, [*reversed(newest), os.environ.get("PATH", "")]))
    found = shutil.which(name, path=places)
    if found is None:
        raise MissingServerError("PostgreSQL is not installed (apt-get install postgresql).")
    return found


class ServerError(Exception):
    """A program of a server failed."""


class Postgres:
    """A PostgreSQL server in a folder of its own, reached by a Unix socket there.

    Args:
        folder: Has `data` in it; belongs to the user whom the server runs as.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"

    @contextlib.contextmanager
    def another(self) -> Iterator[Postgres]:
        """Lend a new empty server of its own."""
        folder = _server_folder("postgres")
        server = Postgres(folder)
        try:
            _as_postgres(["cp", "-a", str(self.folder / "fresh"), "data"], folder)
            yield server.start()
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def start(self) -> Postgres:
        """Start it, and wait until it takes connections."""
        words = [f"-c {name}='{value}'" for name, value in OPTIONS.items()]
        options = " ".join([*words, f"-k {self.folder}"])
        self._control("start", "-o", options, "-l", str(self.folder / "log"))
        return self

    def stop(self, mode: str = "immediate") -> None:
        """Stop it, if it runs."""
        if (self.data / "postmaster.pid").exists():
            with contextlib.suppress(ServerError):
                self._control("stop", "-m", mode)

    def _signal(self, *numbers: signal.Signals) -> list[int]:
        """Send signals to all of its processes; return their ids."""
        first = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(first, signal.SIGSTOP)  # so that it starts nothing new meanwhile
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        processes = [*map(int, children), first]
        for process in processes:
            for number in numbers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
        return processes

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Stop all of it within the block, as when its disk hangs: it listens, and says nothing."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill -9 all of it at once, as when the machine goes down."""
        processes = self._signal(signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(map(_runs, processes)):
            assert time.monotonic() < deadline, "PostgreSQL does not die"
            time.sleep(0.01)
        # In a container nobody may bury the dead, and PostgreSQL takes those for alive.
        for file in (self.data / "postmaster.pid", *self.folder.glob(".s.PGSQL.*")):
            file.unlink()

    def url(self, database: str) -> str:
        """Address of a database of it."""
        return f"postgresql://keelmark@/{database}?host={quote(str(self.folder), safe='')}"

    def new_database(self, name: str, options: str = "") -> str:
        """Make a database; return its address."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
        return self.url(name)

    def execute(self, statement: str) -> None:
        """Run a statement as administrator."""
        import psycopg  # noqa: PLC0415 (heavy, and only for who needs it)

        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute(statement)

    def _control(self, *words: str) -> None:
        command = [postgres_program("pg_ctl"), "-D", str(self.data), "-w", "-s", *words]
        _as_postgres(command, self.folder)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _owner() -> str | None:
    """The user whom PostgreSQL runs as: it refuses root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise MissingServerError("PostgreSQL refuses root and there is no user postgres.") from None


def _as_postgres(command: list[str], folder: Path) -> None:
    user: dict[str, Any] = {} if (name := _owner()) is None else {"user": name, "group": name}
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        **user,
    )
    if done.returncode:
        log = folder / "log"
        said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise ServerError(f"{command} ended with {done.returncode}: {said}")


def _server_folder(kind: str) -> Path:
    """A folder that the server's user can reach: the tests' own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix=f"keelmark-{kind}-", dir="/tmp"))
    if kind == "postgres" and (owner := _owner()) is not None:
        shutil.chown(folder, owner, owner)
    return folder


def _start_postgres(folder: Path) -> tuple[dict[str, Any], list[str]]:
    initdb = [postgres_program("initdb"), "-D", str(folder / "fresh"), "-U", "keelmark", "-N"]
    _as_postgres([*initdb, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], folder)
    _as_postgres(["cp", "-a", "fresh", "data"], folder)
    Postgres(folder).start()
    return {}, [sys.executable, __file__, "stop-postgres", str(folder)]


def _start_redis(folder: Path) -> tuple[dict[str, Any], list[str]]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise MissingServerError("Redis is not installed (apt-get install redis-server).")
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--databases", "256"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            if b"Ready to accept connections" in (folder / "log").read_bytes():
                process.returncode = 0  # the keeper ends it, not this object
                return {"port": port}, ["kill", str(process.pid)]
            time.sleep(0.01)
        process.kill()
        process.wait()
    raise AssertionError((folder / "log").read_text(errors="replace")[-2000:])


STARTERS: dict[str, Callable[[Path], tuple[dict[str, Any], list[str]]]] = {
    "postgres": _start_postgres,
    "redis": _start_redis,
}


@contextlib.contextmanager
def _shared(kind: str, root: Path) -> Iterator[dict[str, Any]]:
    """Lend what is known of the run's one server of a kind, started if nobody uses one."""
    ready = root / f"{kind}.json"
    with (root / f"{kind}.start").open("w") as start, (root / f"{kind}.users").open("w") as users:
        fcntl.flock(start, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        if not ready.exists():
            folder = _server_folder(kind)
            try:
                told, stop = STARTERS[kind](folder)
            except BaseException:
                shutil.rmtree(folder)
                raise
            _keep(users, ready, folder, stop)
            ready.write_text(json.dumps({**told, "folder": str(folder)}))
        fcntl.flock(start, fcntl.LOCK_UN)
        yield json.loads(ready.read_text())


def _keep(users: IO[str], ready: Path, folder: Path, stop: list[str]) -> None:
    words = [sys.executable, __file__, "keep", users.name, str(ready), str(folder), *stop]
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    process = subprocess.Popen(words, start_new_session=True, **quiet)
    process.returncode = 0  # it outlives us on purpose


def _lend(kind: str, factory: pytest.TempPathFactory, worker: str) -> Iterator[dict[str, Any]]:
    base = factory.getbasetemp()
    with contextlib.ExitStack() as stack:
        try:
            told = stack.enter_context(_shared(kind, base if worker == "master" else base.parent))
        except MissingServerError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{error} Under CI nothing is left out.")
            pytest.skip(str(error))
        yield told


@pytest.fixture(scope="session")
def _postgres_told(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[dict[str, Any]]:
    pytest.importorskip("psycopg")
    yield from _lend("postgres", tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def postgres(_postgres_told: dict[str, Any]) -> Postgres:
    """The run's PostgreSQL, shared with other tests: don't stop it."""
    return Postgres(Path(_postgres_told["folder"]))


_databases = iter(range(1 << 30))


@pytest.fixture
def postgres_url(postgres: Postgres, worker_id: str) -> Iterator[str]:
    """Address of an empty database of its own."""
    name = f"test_{worker_id}_{next(_databases)}"
    yield postgres.new_database(name)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def own_postgres(postgres: Postgres) -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, to be stopped and killed; about a second."""
    with postgres.another() as server:
        yield server


@pytest.fixture(scope="session")
def _redis_told(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[dict[str, Any]]:
    pytest.importorskip("redis")
    yield from _lend("redis", tmp_path_factory, worker_id)


@pytest.fixture
def redis_url(_redis_told: dict[str, Any], worker_id: str) -> str:
    """Address of an empty database; each worker has its own (pub/sub is common to all)."""
    import redis  # noqa: PLC0415 (only for who needs it)

    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    url = f"redis://127.0.0.1:{_redis_told['port']}/{number}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


def _keeper(users: str, ready: str, folder: str, *stop: str) -> None:
    with Path(users).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # when the last user has gone
        Path(ready).unlink(missing_ok=True)
        subprocess.run(stop, check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        _keeper(*sys.argv[2:])
    else:
        Postgres(Path(sys.argv[2])).stop()
