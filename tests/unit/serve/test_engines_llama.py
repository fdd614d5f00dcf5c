"""The embedded engine with the real model, sealed as in production."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from keelmark.core import events
from keelmark.core.errors import UnavailableError, UsageError
from keelmark.passport.manifest import build_manifest
from keelmark.passport.sealed import SealedModel, seal
from keelmark.serve.engines.llama import LlamaEngine, LlamaOptions, physical_cores
from keelmark.serve.models import LocalModel
from keelmark.serve.supervise import Patience, State

pytestmark = pytest.mark.engine

QUICK = Patience(first=0.05, stop=5)
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(scope="module")
def sealed(bundled_model: LocalModel) -> Iterator[SealedModel]:
    with seal(bundled_model.path, build_manifest(bundled_model.path), mode="sealed") as model:
        yield model


class Bench:
    """One engine, an unmodified client, and what was recorded."""

    def __init__(self, engine: LlamaEngine, recorded: list[tuple[str, str]]) -> None:
        self.engine, self.recorded = engine, recorded

    def client(self, key: str = "", retries: int = 2) -> openai.AsyncOpenAI:
        """llama.cpp closes a kept connection after a stream now and then: a client sends again."""
        url, headers = self.engine.endpoint()
        mine = headers["authorization"].removeprefix("Bearer ")
        return openai.AsyncOpenAI(base_url=url, api_key=key or mine, max_retries=retries)

    def memory(self) -> dict[str, int]:
        """Fields of /proc/PID/status in MB."""
        lines = Path(f"/proc/{self.engine.supervisor.pid}/status").read_text().splitlines()
        pairs = (line.split(":") for line in lines)
        return {name: int(rest.split()[0]) // 1024 for name, rest in pairs if rest.endswith("kB")}


@asynccontextmanager
async def serving(
    model: SealedModel, data: Path, local: LocalModel, **options: Any
) -> AsyncIterator[Bench]:
    recorded: list[tuple[str, str]] = []
    engine = LlamaEngine(
        model,
        name=local.name,
        data=data,
        options=LlamaOptions(chat_template=local.chat_template, **options),
        on_event=lambda kind, reason: recorded.append((kind, reason)),
        patience=QUICK,
    )
    await engine.start()
    try:
        yield Bench(engine, recorded)
    finally:
        await engine.stop()


def said(text: str, role: str = "user") -> Any:
    return {"role": role, "content": text}


def test_everything_a_client_does(
    sealed: SealedModel, bundled_model: LocalModel, tmp_path: Path
) -> None:
    """One start for all of it: chat, stream, several at once, tools, embeddings, the prompt log."""
    log = tmp_path / "prompts"

    async def scenario() -> None:
        options = {"prompt_log_dir": str(log), "context": 4096, "batch": 256, "threads": 1}
        async with serving(sealed, tmp_path, bundled_model, **options) as bench:
            engine = bench.engine
            assert engine.digest == sealed.digest
            assert engine.load_mode == "sealed"
            assert engine.models == (bundled_model.name,)
            assert bench.memory()["RssShmem"] > 80, "it maps the sealed memory itself"
            async with bench.client() as client:
                await chat_and_stream(client, bundled_model.name)
                await tools(client, bundled_model.name)
                await embeddings(client, bundled_model.name)
            await isolation(bench)
            memory = bench.memory()
            assert memory["VmRSS"] < 700, memory
        assert [kind for kind, _ in bench.recorded] == [
            events.ENGINE_STARTED,
            events.ENGINE_STOPPED,
        ]

    asyncio.run(scenario())
    prompts = [path.read_text() for path in log.iterdir()]
    assert any("The capital of France" in prompt for prompt in prompts)
    assert stat.S_IMODE(log.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in log.iterdir())
    assert "France" not in (tmp_path / "logs" / "llama.log").read_text(), "no prompt in the log"


async def chat_and_stream(client: openai.AsyncOpenAI, model: str) -> None:
    async def ask(*, stream: bool) -> Any:
        messages = [said("The capital of France is which city?")]
        return await client.chat.completions.create(
            model=model, messages=messages, max_tokens=12, temperature=0, stream=stream
        )

    whole = await ask(stream=False)
    assert whole.model == model
    assert whole.choices[0].message.content
    assert whole.usage.completion_tokens <= 12
    pieces = [chunk async for chunk in await ask(stream=True)]
    text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert text == whole.choices[0].message.content
    assert len(pieces) > 3
    four = await asyncio.gather(*(ask(stream=False) for _ in range(4)))
    assert all(answer.choices[0].message.content for answer in four)
    done = await client.completions.create(model=model, prompt="One, two,", max_tokens=4)
    assert done.choices[0].text


async def tools(client: openai.AsyncOpenAI, model: str) -> None:
    """Shown two calls, the small model makes the third; arguments follow the schema."""
    messages: list[Any] = []
    for city in ("Berlin", "Rome"):
        function = {"name": "get_weather", "arguments": json.dumps({"city": city})}
        call = {"id": city, "type": "function", "function": function}
        messages += [
            said(f"What is the weather in {city}?"),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": city, "content": "18 degrees"},
            said(f"It is 18 degrees in {city}.", "assistant"),
        ]
    messages.append(said("What is the weather in Paris?"))
    answer = await client.chat.completions.create(
        model=model, messages=messages, tools=[WEATHER], max_tokens=60, temperature=0
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    call = (choice.message.tool_calls or [])[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}


async def embeddings(client: openai.AsyncOpenAI, model: str) -> None:
    texts = ["A cat sat on the mat.", "A kitten is on the rug.", "Stock markets fell on Friday."]
    answer = await client.embeddings.create(model=model, input=texts)
    cat, kitten, stocks = (item.embedding for item in answer.data)
    assert len(cat) == 576
    near = sum(a * b for a, b in zip(cat, kitten, strict=True))
    far = sum(a * b for a, b in zip(cat, stocks, strict=True))
    assert 1.01 > near > far
    with pytest.raises(openai.APIStatusError, match="too large"):  # refused, never cut
        await client.embeddings.create(model=model, input="word " * 300)


async def isolation(bench: Bench) -> None:
    """Nobody on this machine goes around the gateway: no key, no answer."""
    address = bench.engine.endpoint().base_url
    assert address.startswith("http://127.0.0.1:")
    async with bench.client(key="guess") as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(model="m", messages=[said("hi")])
        for path in ("/models", "/../metrics", "/../props", "/../slots", "/../tokenize"):
            with pytest.raises(openai.APIStatusError) as refused:
                await stranger.get(path, cast_to=object)
            assert refused.value.status_code in (401, 404, 405, 501)
    confinement(bench.engine.supervisor.pid or 0, bench.engine.endpoint().headers["authorization"])


def confinement(pid: int, authorization: str) -> None:
    process = Path(f"/proc/{pid}")
    key = authorization.removeprefix("Bearer ")
    assert key.encode() not in (process / "cmdline").read_bytes()
    limits = (process / "limits").read_text().splitlines()
    core = next(line for line in limits if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    assert "NoNewPrivs:\t1" in (process / "status").read_text()
    environment = (process / "environ").read_bytes()
    assert b"KEELMARK" not in environment, "nothing of ours is in its environment"


def test_killed_under_load(sealed: SealedModel, bundled_model: LocalModel, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(sealed, tmp_path, bundled_model, context=2048) as bench:
            supervisor = bench.engine.supervisor

            async def story(client: openai.AsyncOpenAI) -> None:
                await client.chat.completions.create(
                    model=bundled_model.name, messages=[said("Tell a long story.")], max_tokens=400
                )

            async with bench.client(retries=0) as client:
                running = [asyncio.create_task(story(client)) for _ in range(4)]
                await asyncio.sleep(0.4)
                os.kill(supervisor.pid or 0, signal.SIGKILL)
                lost = await asyncio.gather(*running, return_exceptions=True)
            assert all(isinstance(error, openai.APIConnectionError) for error in lost), lost
            async with asyncio.timeout(30):
                while supervisor.starts < 2:  # noqa: ASYNC110 (it watches another process)
                    await asyncio.sleep(0.01)
            async with bench.client() as client:
                served = await client.chat.completions.create(
                    model=bundled_model.name, messages=[said("Hello")], max_tokens=4
                )
            assert served.choices[0].message.content
            kinds = [kind for kind, _ in bench.recorded]
            assert kinds == [events.ENGINE_STARTED, events.ENGINE_STOPPED, events.ENGINE_STARTED]
            assert "killed by SIGKILL" in bench.recorded[1][1]

    asyncio.run(scenario())


class Plain:
    """A model file opened without any check."""

    def __init__(self, path: Path) -> None:
        self.path, self.fd, self.digest, self.mode_used = str(path), -1, "sha256:0", "hash"


def test_files_that_do_not_load(bundled_model: LocalModel, tmp_path: Path) -> None:
    with bundled_model.path.open("rb") as file:
        (tmp_path / "truncated.gguf").write_bytes(file.read(20_000_000))
    (tmp_path / "header.gguf").write_bytes(b"GGUF" + bytes(64))
    (tmp_path / "other.gguf").write_bytes(b"PK\x03\x04" * 99)

    async def refused(name: str, kind: type[Exception], says: str) -> None:
        engine = LlamaEngine(Plain(tmp_path / name), name=name, data=tmp_path)
        with pytest.raises(kind, match=says) as caught:
            await engine.start()
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
        assert not engine.ready
        with pytest.raises(UnavailableError):
            engine.endpoint()
        await engine.stop()
        if kind is UnavailableError:
            assert engine.supervisor.state is State.FAILED

    async def scenario() -> None:
        await refused("truncated.gguf", UnavailableError, "corrupted or incomplete")
        await refused("header.gguf", UnavailableError, "last words: ")
        await refused("other.gguf", UsageError, "is not a GGUF file")
        await refused("absent.gguf", UsageError, "No such file")

    asyncio.run(scenario())


def test_physical_cores() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)
