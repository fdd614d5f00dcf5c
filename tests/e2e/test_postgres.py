"""Two services on one PostgreSQL database, as two machines behind a balancer would be."""

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from fixtures_servers import Postgres
from keelmark.cli.main import run

from .conftest import Service

HARBOURS = [{"role": "user", "content": "Name three harbours. My mail is ada@example.org."}]
PASSWORD = "hunter2-of-the-database"


@pytest.fixture(scope="module")
def server(postgres: Postgres) -> Iterator[Postgres]:
    with postgres.another() as mine:
        yield mine


@pytest.fixture(scope="module")
def two(
    tmp_path_factory: pytest.TempPathFactory, server: Postgres, fake_engine: tuple[object, str]
) -> Iterator[tuple[Service, Service]]:
    address = server.new_database("two").replace("keelmark@", f"keelmark:{PASSWORD}@")
    folder = tmp_path_factory.mktemp("machines")
    words = ("--upstream", f"{fake_engine[1]}/v1", "--database", address)
    first = Service(folder / "one", *words)
    try:
        first.wait()
        shutil.copytree(folder / "one" / "keys", folder / "two" / "keys")
        second = Service(folder / "two", *words)
        try:
            yield first, second.wait()
        finally:
            second.stop()
    finally:
        first.stop()


def _ask(service: Service, retries: int = 0, **options: object) -> str:
    with service.client() as client:
        made = client.with_options(max_retries=retries).chat.completions.with_raw_response.create(
            model="fake", messages=HARBOURS, **options
        )
    return made.headers["x-keelmark-trace-id"]


class Commands:
    """Runs commands as on one of the machines."""

    def __init__(self, server: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
        self._address = server.url("two").replace("keelmark@", f"keelmark:{PASSWORD}@")
        self._capsys = capsys

    def __call__(self, on: Service, *words: str) -> Any:
        code = run([*words, "--data", str(on.data), "--database", self._address])
        told = self._capsys.readouterr()
        assert code == 0, told
        assert PASSWORD not in told.out + told.err
        return json.loads(told.out) if told.out else None


@pytest.fixture
def command(server: Postgres, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(server, capsys)


def test_two_machines_keep_one_ledger(two: tuple[Service, Service], command: Commands) -> None:
    asked = {_ask(service, user="user-4711") for service in two * 3}
    assert len(asked) == 6
    one, other = two
    report = command(other, "ledger", "verify", "--json")
    assert (report["ok"], report["traces"], report["key_given"]) == (True, 6, True)
    assert {trace["trace_id"] for trace in command(one, "traces", "--json")} == asked
    shown = command(one, "traces", min(asked), "--content", "--json")
    assert "harbours" in shown["content"]["prompt"]
    assert "ada@example.org" not in shown["content"]["prompt"]
    command(other, "erase", "user-4711", "--yes")
    shown = command(one, "traces", min(asked), "--content", "--json")
    assert shown["content"] == {"content": "not kept, expired or erased"}
    assert len(command(one, "keys", "list", "--json")) == 1
    assert command(one, "report", "owasp-llm", "--format", "json")["ledger"]["verdict"]
    command(other, "ledger", "export", str(other.data / "audit.zip"))
    assert (other.data / "audit.zip").exists()
    assert command(one, "ledger", "verify", "--json")["ok"]
    assert not (one.data / "keelmark.db").exists()


def _models(service: Service) -> int:
    """Status of a question for which the key has to be looked up."""
    with service.client() as client:
        try:
            return client.models.with_raw_response.list().status_code
        except openai.APIStatusError as error:
            return error.status_code


def test_while_the_database_is_away_nothing_is_answered_and_then_all_goes_on(
    two: tuple[Service, Service], server: Postgres, command: Commands
) -> None:
    one, other = two
    asked = [_ask(service) for service in two]
    server.kill()
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(_ask, one, retries=20)  # its key may be known, or not any more
        deadline = time.monotonic() + 60
        while _models(other) != 503:
            assert time.monotonic() < deadline, "keys are found without a database"
        server.start()
        asked.append(waiting.result())
    asked += [_ask(service) for service in two]
    report = command(one, "ledger", "verify", "--json")
    assert report["ok"], report
    listed = command(other, "traces", "--json")
    assert {trace["trace_id"] for trace in listed} >= set(asked)
    for service in two:
        assert "records are kept in postgresql://keelmark@" in service.said()
        assert PASSWORD not in service.said()
