"""Two real models where memory is for one: both answer, one at a time, and one can be stopped."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from keelmark.store import Store
from tiny_gguf import tiny_llama

from .conftest import Service

pytestmark = pytest.mark.engine
_BUDGET = 500 * 2**20


def started(data: Path, upstream: str) -> Service:
    models = [f"{name}={data / f'{name}.gguf'}" for name in ("one", "two")]
    words = [word for model in models for word in ("--model", model)]
    sizes = ("--memory", "500M", "--stay", "0.2", "--context", "512", "--slots", "1")
    return Service(data, *words, *sizes, "--upstream", upstream)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    for seed, name in enumerate(("one", "two")):
        tiny_llama(folder / f"{name}.gguf", seed)
    return folder


@pytest.fixture(scope="module")
def service(data: Path, fake_engine: tuple[object, str]) -> Iterator[Service]:
    running = started(data, fake_engine[1])
    try:
        yield running.wait()
    finally:
        running.stop()


def ask(service: Service, model: str) -> tuple[str, str]:
    """What a model says, and whose bytes say it."""
    with service.client(timeout=60) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=model,
            messages=[{"role": "user", "content": "abcd"}],
            temperature=0,
            max_tokens=12,
            extra_body={"cache_prompt": False},
        )
    text = raw.parse().choices[0].message.content or ""
    return text, raw.headers["x-keelmark-model-digest"]


def memory(service: Service) -> list[int]:
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return [int(x.split()[1]) for x in lines if x.startswith("keelmark_model_memory_bytes{")]


def listed(service: Service) -> dict[str, dict[str, object]]:
    rows = json.loads(service.run("models", "list", "--json").stdout)
    return {row["name"]: row for row in rows}


def tell(service: Service, what: str) -> None:
    request = urllib.request.Request(
        f"{service.url}/api/v1/models/{what}",
        data=b'{"reason": "over HTTP"}',
        headers={"authorization": f"Bearer {service.key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def code_of(service: Service, model: str) -> str:
    with pytest.raises(openai.APIStatusError) as refused:
        ask(service, model)
    return str(refused.value.code)


def test_both_answer_in_turns_and_one_is_loaded_at_a_time(service: Service) -> None:
    alone = {name: ask(service, name) for name in ("one", "two")}
    assert alone["one"][1] != alone["two"][1], "two digests"
    assert alone["one"][0] != alone["two"][0], "two models say two things"
    order = ["one", "two"] * 5
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda name: ask(service, name), order))
    assert answers == [alone[name] for name in order]
    taken = memory(service)
    assert sorted(size > 0 for size in taken) == [False, True]
    assert sum(taken) <= _BUDGET
    at_once = most = 0
    with Store.open(service.data, read_only=True) as store:
        for record in store.records(["engine.started", "engine.stopped"]):
            at_once += 1 if record.kind == "engine.started" else -1
            most = max(most, at_once)
    assert most == 1
    with service.client() as client:
        assert {model.id for model in client.models.list()} == {"one", "two", "fake"}


def test_a_stopped_model_stays_stopped_after_a_restart(
    service: Service, data: Path, fake_engine: tuple[object, str]
) -> None:
    done = service.run("models", "stop", "one", "--reason", "it lies")
    assert done.returncode == 0, done.stderr
    assert "Taken up by" in done.stderr
    assert code_of(service, "one") == "model_stopped"
    tell(service, "fake/stop")
    assert code_of(service, "fake") == "model_stopped"
    assert ask(service, "two")[0]
    service.stop()
    again = started(data, fake_engine[1])
    try:
        again.wait()
        assert code_of(again, "one") == "model_stopped"
        assert code_of(again, "fake") == "model_stopped"
        rows = listed(again)
        assert rows["one"]["stopped"]["reason"] == "it lies"  # type: ignore[index]
        assert rows["two"]["stopped"] is None
        assert rows["two"]["services"][0]["state"] == "loaded"  # type: ignore[index]
        assert rows["fake"]["services"][0]["state"] == "ready"  # type: ignore[index]
        for name in ("one", "fake"):
            tell(again, f"{name}/start")
            assert ask(again, name)[0]
        with Store.open(again.data, read_only=True) as store:
            whys = [record.body["reason"] for record in store.records(["model.stopped"])]
        assert whys == ["it lies", "over HTTP"]
    finally:
        again.stop()
