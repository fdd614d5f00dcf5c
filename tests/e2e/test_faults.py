"""A service whose disk is full, and one that is killed: nothing that was answered is lost.

What is to be seen stands in `tests/faults.py`.
"""

import contextlib
import http.client
import json
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from faults import ACCIDENTS
from keelmark.serve.fake import FakeEngine, Script

from .conftest import KEY, Service

SEEN = {accident.id: accident for accident in ACCIDENTS}
ASK = {"model": "fake", "messages": [{"role": "user", "content": "Write to ada@example.org."}]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def service(data: Path, fake_engine: tuple[FakeEngine, str]) -> Iterator[Service]:
    running = Service(data, "--upstream", fake_engine[1])
    try:
        yield running.wait()
    finally:
        running.stop()


def traces(service: Service) -> list[dict]:
    return json.loads(service.run("traces", "--json").stdout)


def ask(service: Service, *, stream: bool) -> tuple[int, str]:
    """Status of an answer, and the code of the error that it is or ends with."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with contextlib.closing(connection):
        body = json.dumps({**ASK, "stream": stream})
        connection.request("POST", "/v1/chat/completions", body, headers)
        response = connection.getresponse()
        last = response.read().strip().split(b"\n")[-1].removeprefix(b"data: ")
    if last == b"[DONE]":
        return response.status, ""
    return response.status, json.loads(last).get("error", {}).get("code", "")


def test_files_that_may_not_grow(service: Service) -> None:
    """As a full disk, where nobody may mount one."""
    seen, pid = SEEN["file-limit"], service.process.pid
    assert ask(service, stream=False) == (200, "")
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    assert ask(service, stream=False) == (seen.whole.status, seen.whole.code)
    assert ask(service, stream=True) == (seen.stream.status, seen.stream.code)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert ask(service, stream=True) == (200, "")
    assert service.run("ledger", "verify").returncode == 0
    assert "ada@" not in service.said()


def test_kill(service: Service, data: Path, fake_engine: tuple[FakeEngine, str]) -> None:
    """What was answered is in the ledger, once; what was being answered is cut, and seen to be."""
    engine, url = fake_engine
    answered = []
    with service.client() as client:
        for _ in range(5):
            raw = client.chat.completions.with_raw_response.create(**ASK)
            answered.append(raw.headers["x-keelmark-trace-id"])
        engine.script = Script(fault="hang", after=3)
        stream = client.chat.completions.create(**ASK, stream=True)
        assert next(iter(stream)).choices
        service.process.send_signal(signal.SIGKILL)
        with pytest.raises(openai.APIConnectionError):
            list(stream)
    service.process.wait()
    engine.script = Script()
    again = Service(data, "--upstream", url)
    try:
        again.wait()
        assert again.run("ledger", "verify").returncode == 0
        recorded = [trace["trace_id"] for trace in traces(again)]
        assert [recorded.count(one) for one in answered] == [1] * 5
        assert ask(again, stream=True) == (200, "")
        assert len(traces(again)) == len(recorded) + 1
    finally:
        again.stop()
