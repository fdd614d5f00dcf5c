"""A real service, started as a user would: `keelmark up` in a process of its own."""

import asyncio
import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from openai import OpenAI

from fixtures_model import one_core
from keelmark.cli.main import run
from keelmark.serve.fake import FakeEngine
from keelmark.serve.models import LocalModel

KEELMARK = Path(sys.executable).parent / "keelmark"
KEY = "sk-km-end-to-end-0123456789abcdef"
MODEL = "smollm2-135m-instruct"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def keelmark(*words: object, data: Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    environment = {**os.environ, "KEELMARK_DATA": str(data), "NO_COLOR": "1"}
    return subprocess.run(
        [KEELMARK, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
        **options,
    )


def called(*words: object, data: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end within this process, where a process of its own shows no more."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setenv("KEELMARK_DATA", str(data))
        patch.setenv("NO_COLOR", "1")
        patch.chdir(cwd or Path.cwd())
        code = run([*map(str, words)])
    told, complained = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess(words, code, told, complained)


class Service:
    """A running `keelmark up`."""

    def __init__(self, data: Path, *words: object, key: str | None = KEY) -> None:
        self.data, self.port, self.key = data, free_port(), key
        self.output = data / "up.log"
        data.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "KEELMARK_DATA": str(data), "NO_COLOR": "1"}
        environment.pop("KEELMARK_ADMIN_KEY", None)
        if key:
            environment["KEELMARK_ADMIN_KEY"] = key
        cores = contextlib.nullcontext() if "--upstream" in words else one_core()
        with self.output.open("w") as log, cores:
            self.process = subprocess.Popen(
                [KEELMARK, "up", "--port", str(self.port), *map(str, words)],
                stdout=log,
                stderr=log,
                env=environment,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, seconds: float = 90) -> "Service":
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.said()
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/readyz", timeout=2).close()
                return self
            time.sleep(0.1)
        raise AssertionError(f"not ready after {seconds} s: {self.said()}")

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def client(self, **options: object) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, **options)

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        return keelmark(*words, data=self.data)

    def engine_pid(self) -> int:
        tree = Path(f"/proc/{self.process.pid}/task")
        children = {
            int(pid) for task in tree.iterdir() for pid in (task / "children").read_text().split()
        }
        (pid,) = (p for p in children if b"llama_child" in Path(f"/proc/{p}/cmdline").read_bytes())
        return pid

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def with_model(data: Path, model: LocalModel) -> Path:
    """Put the bundled model into a data folder, as if it had been fetched; return its path."""
    target = data / "models" / model.path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model.path, target)
    return target


@pytest.fixture(scope="session")
def service(
    tmp_path_factory: pytest.TempPathFactory, bundled_model: LocalModel
) -> Iterator[Service]:
    """The default service with the bundled model; its engine logs every prompt it gets."""
    data = tmp_path_factory.mktemp("service")
    with_model(data, bundled_model)
    running = Service(data, "--engine-log", data / "prompts")
    try:
        yield running.wait()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def fake_engine() -> Iterator[tuple[FakeEngine, str]]:
    """The fake engine on a port of its own, and its address."""
    app = FakeEngine()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    running = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
    )
    running.start()
    yield app, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    running.join(10)
    listener.close()


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with service.client() as made:
        yield made


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
