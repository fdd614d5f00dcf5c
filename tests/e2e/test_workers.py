"""Several processes behind one address: one service, whatever dies."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keelmark.serve.fake import FakeEngine, Script
from own_valkey import OwnValkey

from .conftest import KEY, Service

POLICY = """
extends: default
limits: {concurrent: 12}
quota:
  limits: [{id: few, scope: {teams: [few]}, requests: 5/day}]
  budgets: [{id: small, scope: {teams: [small]}, window: total, tokens: 2000}]
"""
BLOCKING = POLICY + "guard: {rules: [{id: personal-data-in, action: block}]}\n"
HANGING = Script(fault="hang", after=0)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnValkey]:
    pytest.importorskip("redis")
    own = OwnValkey(tmp_path_factory.mktemp("valkey"))
    yield own
    own.kill()


@pytest.fixture(scope="module")
def crew(
    tmp_path_factory: pytest.TempPathFactory,
    fake_engine: tuple[FakeEngine, str],
    valkey: OwnValkey,
) -> Iterator[Service]:
    data = tmp_path_factory.mktemp("crew")
    (data / "own.yaml").write_text(POLICY)
    running = start(data, fake_engine[1], "--valkey", valkey.url)
    try:
        yield running.wait()
    finally:
        running.stop()


def start(data: Path, upstream: str, *words: object) -> Service:
    policy = data / "own.yaml"
    return Service(data, "--workers", 2, "--upstream", upstream, "--policy", policy, *words)


def key_of(crew: Service, team: str) -> str:
    return json.loads(crew.run("keys", "create", team, "--team", team, "--json").stdout)["key"]


def children(pid: int) -> list[int]:
    tree = Path(f"/proc/{pid}/task")
    found = [int(p) for task in tree.iterdir() for p in (task / "children").read_text().split()]
    return [p for p in found if b"workers.worker" in Path(f"/proc/{p}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def ask(crew: Service, text: str = "hello", key: str = KEY, **more: object) -> tuple[int, str]:
    """Ask on a connection of its own; return status and trace id, or 0 when it was cut off."""
    body = {"model": "fake", "messages": [{"role": "user", "content": text}], **more}
    request = urllib.request.Request(
        f"{crew.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            return answer.status, answer.headers["x-keelmark-trace-id"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["x-keelmark-trace-id"]
    except OSError:
        return 0, ""


def many(crew: Service, count: int, width: int = 8, **more: str) -> list[tuple[int, str]]:
    with ThreadPoolExecutor(width) as pool:
        return list(pool.map(lambda _: ask(crew, **more), range(count)))


def get(crew: Service, path: str) -> str:
    with urllib.request.urlopen(crew.url + path, timeout=60) as answer:
        return answer.read().decode()


def counted(crew: Service) -> int:
    """How many requests the metrics of the whole service have counted."""
    lines = get(crew, "/metrics").splitlines()
    found = (line for line in lines if line.startswith("keelmark_requests_total{"))
    found = (line for line in found if 'status="503"' not in line)  # some are not written down
    return sum(int(line.rpartition(" ")[2]) for line in found)


def of_kind(crew: Service, kind: str) -> list[dict]:
    shown = crew.run("ledger", "show", "--kind", kind, "--json", "--limit", "100000")
    return [record["body"] for record in json.loads(shown.stdout)]


def recorded(crew: Service) -> list[dict]:
    return of_kind(crew, "request")


def check_sums(crew: Service) -> None:
    """What was measured is what was written, and the ledger holds."""
    verified = crew.run("ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert counted(crew) == sum(body["status"] != 503 for body in recorded(crew))


def test_one_service(crew: Service) -> None:
    assert len(children(crew.process.pid)) == 2
    before = counted(crew)
    answers = many(crew, 60)
    assert Counter(status for status, _ in answers) == {200: 60}
    assert counted(crew) == before + 60
    assert {trace for _, trace in answers} <= {body["trace_id"] for body in recorded(crew)}
    check_sums(crew)
    assert crew.said().count("Keelmark is ready at") == 1
    assert json.loads(get(crew, "/readyz"))["status"] == "ready"
    steered = urllib.request.Request(
        f"{crew.url}/api/v1/models", headers={"authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(steered, timeout=60) as answer:  # asked of the first process
        assert [one["name"] for one in json.load(answer)["models"]] == ["fake"]


def test_limits_are_of_the_whole_service(crew: Service, valkey: OwnValkey) -> None:
    few = key_of(crew, "few")
    answers = Counter(status for status, _ in many(crew, 30, key=few))
    assert answers == {200: 5, 429: 25}
    valkey.kill()
    assert ask(crew, key=few)[0] == 503  # nobody knows, so nobody passes
    assert ask(crew)[0] == 200  # whom no limit is for
    opened = POLICY.replace("quota:", "quota:\n  on_failure: open")
    (crew.data / "own.yaml").write_text(opened)
    until(lambda: {status for status, _ in many(crew, 24, key=few)} == {200})
    (trace,) = json.loads(crew.run("traces", "--team", "few", "--limit", "1", "--json").stdout)
    assert trace["attributes"]["keelmark.quota.unlimited"] is True
    valkey.start()
    until(lambda: ask(crew, key=few)[0] == 429)  # it counts from 0 again


def test_what_dead_workers_had_is_free_or_charged(
    crew: Service, fake_engine: tuple[FakeEngine, str]
) -> None:
    fake, _ = fake_engine
    small = key_of(crew, "small")
    kept, fake.script = fake.script, HANGING
    before = fake.running
    try:
        with ThreadPoolExecutor(30) as pool:
            asked = [pool.submit(ask, crew, key=small, max_tokens=5, stream=True)]
            until(lambda: fake.running > before)
            asked += [pool.submit(ask, crew, stream=True) for _ in range(29)]
            until(lambda: fake.running - before + sum(one.done() for one in asked) == 30)
            hanging = fake.running - before
            assert 0 < hanging <= 12  # calls at work are limited over all workers
            for pid in children(crew.process.pid):
                os.kill(pid, signal.SIGKILL)
        assert Counter(one.result()[0] for one in asked) == {0: hanging, 503: 30 - hanging}
    finally:
        fake.script = kept
    until(lambda: of_kind(crew, "usage.lost"))  # what it held is charged: nobody knows better
    until(lambda: "note" not in json.loads(get(crew, "/readyz")))
    (lost,) = of_kind(crew, "usage.lost")
    charged = lost["usage"]["input"] + lost["usage"]["output"]
    answers = Counter(status for status, _ in many(crew, 120, key=small, max_tokens=5))
    assert set(answers) == {200, 429}
    shown = crew.run("budgets", "--policy", crew.data / "own.yaml", "--json")
    (balance,) = json.loads(shown.stdout)
    tokens = balance["amounts"]["tokens"]
    assert tokens["used"] == charged + 12 * answers[200] <= tokens["limit"]
    assert tokens["held"] == 0


def test_a_policy_reaches_every_worker_and_one_is_killed_under_load(crew: Service) -> None:
    mail = {"text": "write to ada@example.org"}
    assert ask(crew, **mail)[0] == 200
    (crew.data / "own.yaml").write_text(BLOCKING)
    until(lambda: {status for status, _ in many(crew, 24, **mail)} == {400})
    (first, _) = before = children(crew.process.pid)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, crew) for _ in range(150)]
        until(lambda: sum(one.done() for one in asked) >= 20)
        os.kill(first, signal.SIGKILL)
        answers = [one.result() for one in asked]
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= {200, 0}  # its clients lost their connection; nobody else did
    assert statuses[0] <= 8
    known = {body["trace_id"] for body in recorded(crew)}
    assert {trace for status, trace in answers if status == 200} <= known
    until(lambda: len(set(children(crew.process.pid)) - {first}) == 2)
    until(lambda: "note" not in json.loads(get(crew, "/readyz")))
    assert len(set(children(crew.process.pid)) - set(before)) == 1
    check_sums(crew)
    assert "was killed by SIGKILL. Another one starts" in crew.said()
    assert of_kind(crew, "worker.stopped")[-1]["reason"] == "was killed by SIGKILL."
    assert {status for status, _ in many(crew, 24, **mail)} == {400}  # the new one knows it too


def test_the_first_process_is_killed(crew: Service, fake_engine: tuple[FakeEngine, str]) -> None:
    pids = children(crew.process.pid)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, crew) for _ in range(100)]
        until(lambda: sum(one.done() for one in asked) >= 20)
        crew.process.kill()
        answers = [one.result() for one in asked]
    crew.process.wait()
    until(lambda: not any(map(alive, pids)))
    assert {status for status, _ in answers} <= {200, 500, 0}
    known = {body["trace_id"] for body in recorded(crew)}
    assert {trace for status, trace in answers if status == 200} <= known
    again = start(crew.data, fake_engine[1]).wait()
    try:
        assert ask(again)[0] == 200
        assert again.run("ledger", "verify").returncode == 0
        pids = children(again.process.pid)
    finally:
        again.stop()
    assert again.process.returncode == 0
    assert not any(map(alive, pids))
