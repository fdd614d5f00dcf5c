"""Several machines, here as two services, on one PostgreSQL database and one Valkey."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from keelmark.serve.fake import FakeEngine

from .conftest import Service
from .test_workers import POLICY, ask, key_of


@pytest.fixture
def replicas(
    tmp_path_factory: pytest.TempPathFactory,
    fake_engine: tuple[FakeEngine, str],
    postgres_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[list[Service]]:
    monkeypatch.setenv("KEELMARK_DATABASE", postgres_url)
    monkeypatch.setenv("KEELMARK_VALKEY", redis_url)
    running: list[Service] = []
    try:
        for words in ((), ("--workers", 2)):
            data = tmp_path_factory.mktemp("replica")
            (data / "own.yaml").write_text(POLICY.replace("2000", "900"))
            if running:
                shutil.copytree(running[0].data / "keys", data / "keys")
            policy = ("--policy", data / "own.yaml")
            running.append(Service(data, "--upstream", fake_engine[1], *policy, *words).wait())
        yield running
    finally:
        for one in running:
            one.stop()


def test_replicas_are_one_service(replicas: list[Service]) -> None:
    first, second = replicas
    few, small = key_of(first, "few"), key_of(second, "small")

    def over_both(count: int, **more: object) -> Counter[int]:
        with ThreadPoolExecutor(8) as pool:
            numbers = range(count)
            return Counter(pool.map(lambda number: ask(replicas[number % 2], **more)[0], numbers))

    assert over_both(30, key=few) == {200: 5, 429: 25}
    answers = over_both(90, key=small, max_tokens=5)
    assert set(answers) == {200, 429}
    shown = first.run("budgets", "--policy", first.data / "own.yaml", "--json")
    (balance,) = json.loads(shown.stdout)
    tokens = balance["amounts"]["tokens"]
    assert tokens["used"] == 12 * answers[200] <= tokens["limit"]
    assert second.run("ledger", "verify").returncode == 0
    second.process.kill()
    assert ask(first)[0] == 200
