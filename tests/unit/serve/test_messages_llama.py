"""llama.cpp's own server speaks Messages too: somebody else's reading of the same protocol."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from keelmark.passport.manifest import build_manifest
from keelmark.passport.sealed import seal
from keelmark.serve.engines.llama import LlamaEngine, LlamaOptions
from keelmark.serve.models import LocalModel
from keelmark.serve.transport import new_transport
from keelmark.serve.transport.messages import MessagesTransport

pytestmark = pytest.mark.engine

ASK = {"messages": [{"role": "user", "content": "Name three harbours."}], "max_tokens": 12}


class Line:
    """The same engine, spoken to in chat or in Messages."""

    def __init__(self, engine: LlamaEngine, transport: MessagesTransport) -> None:
        self.engine, self.transport = engine, transport

    async def post(self, scheme: str, body: dict, path: str = "") -> bytes:
        base, headers = self.engine.endpoint()
        response = await self.transport.send(
            "POST",
            f"{scheme}{base}/chat/completions{path}",
            headers={"content-type": "application/json", **headers},
            body=msgspec.json.encode({"model": self.engine.models[0], "temperature": 0, **body}),
            timeout=120,
        )
        try:
            assert response.status == 200
            return b"".join([chunk async for chunk in response.chunks()])
        finally:
            await response.close()


def chunks_of(raw: bytes) -> list[dict]:
    parts = [part.removeprefix(b"data: ") for part in raw.split(b"\n\n") if part]
    assert parts.pop() == b"[DONE]"
    return [json.loads(part) for part in parts]


def test_what_llama_says_in_messages_is_what_it_says_in_chat(
    bundled_model: LocalModel, tmp_path: Path
) -> None:
    async def scene() -> None:
        with seal(bundled_model.path, build_manifest(bundled_model.path), mode="sealed") as model:
            template = bundled_model.chat_template
            options = LlamaOptions(chat_template=template, context=1024, threads=1)
            name = bundled_model.name
            engine = LlamaEngine(model, name=name, data=tmp_path, options=options)
            transport = MessagesTransport(new_transport("direct"))
            await engine.start()
            try:
                await compare(Line(engine, transport))
            finally:
                await transport.close()
                await engine.stop()

    asyncio.run(scene())


async def compare(line: Line) -> None:
    chat = json.loads(await line.post("", ASK))
    same = json.loads(await line.post("anthropic+", ASK))
    said, told = (answer["choices"][0] for answer in (chat, same))
    assert told["message"]["content"] == said["message"]["content"]
    assert told["finish_reason"] == said["finish_reason"] == "length"
    for count in ("prompt_tokens", "completion_tokens"):
        assert same["usage"][count] == chat["usage"][count]
    chunks = chunks_of(await line.post("anthropic+", {**ASK, "stream": True}))
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    assert text == said["message"]["content"]
    assert choices[-1]["finish_reason"] == "length"
    assert chunks[-1]["usage"]["prompt_tokens"] == chat["usage"]["prompt_tokens"]
    counted = json.loads(await line.post("anthropic+", ASK, "/input_tokens"))
    assert counted["input_tokens"] == chat["usage"]["prompt_tokens"]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "system", "content": "Be kind."},
        *ASK["messages"],
        {"role": "assistant", "content": "I ask.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "Hull, Genoa, Pusan"},
        {"role": "user", "content": "So?"},
    ]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    longer = {**ASK, "messages": turns, "tools": [tool]}
    answer = json.loads(await line.post("anthropic+", longer))
    assert answer["usage"]["prompt_tokens"] > chat["usage"]["prompt_tokens"]
    assert answer["choices"][0]["finish_reason"] in ("length", "stop", "tool_calls")
