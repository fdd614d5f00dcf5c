"""Engines that speak Anthropic's Messages: our own gateway stands in for one, and raw scripts."""

import asyncio
import json
from contextlib import asynccontextmanager

import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialect_clients import PERSON, anthropic_client, asked, called, message, openai_client
from gateway_parts import PlainEngine, run, stack
from keelmark.core.errors import UsageError
from keelmark.serve.engine import Endpoint
from keelmark.serve.errors import ApiError
from keelmark.serve.fake import Script
from keelmark.serve.sse import event
from keelmark.serve.transport import new_transport
from keelmark.serve.transport._messages_asked import messages_of
from keelmark.serve.transport.messages import MessagesTransport, _Told
from keelmark.serve.upstream import UpstreamEngine, upstream_spec, way_to

FUNCTION = {"name": "f", "description": "d", "parameters": PERSON, "strict": True}
TOOL = {"type": "function", "function": FUNCTION}
THOUGHT = {"reasoning_content": "Hm."}
CALL = (called(0, "f", "", "c1"), called(0, arguments='{"name": '), called(0, arguments='"Ann"}'))


class MessagesEngine(PlainEngine):
    """A gateway that is spoken to in Messages."""

    def __init__(self, behind):
        super().__init__(behind.url, thinking_budget=True, counts_tokens=True)
        self.key = behind.secret

    def endpoint(self):
        return Endpoint(f"anthropic+{self.url}/v1", {"authorization": f"Bearer {self.key}"})


@asynccontextmanager
async def chain(script=None):
    """A gateway before a gateway, between them Messages."""
    async with stack(script) as behind, stack() as before:
        config = before.app.config
        before.app.config = msgspec.structs.replace(
            config,
            engines=[MessagesEngine(behind)],
            transport=MessagesTransport(config.transport),
        )
        before.app.use(config.guard, config.policy)
        before.behind = behind
        yield before


def test_chat_reaches_an_engine_that_speaks_messages():
    async def scene():
        async with chain(Script(echo=True)) as s:
            said = "mail ann@example.org today"
            for more in ({}, {"max_tokens": 5, "user": "ann", "stop": "END", "top_k": 3}):
                status, answer, _ = await s.chat(said, **more)
                assert status == 200
                assert answer["choices"][0]["message"]["content"] == said
                assert answer["choices"][0]["finish_reason"] == "stop"
                assert answer["usage"]["prompt_tokens"] == 7
            async with openai_client(s) as ai:
                turns = [{"role": "user", "content": said}]
                usage = {"include_usage": True}
                chunks = await ai.chat.completions.create(
                    model="fake", messages=turns, stream=True, stream_options=usage
                )
                chunks = [chunk async for chunk in chunks]
                text = "".join(c.delta.content or "" for k in chunks for c in k.choices)
                assert text == said
                assert chunks[-1].usage.prompt_tokens == 7
            sent = s.behind.fake.received
            assert all("ann@" not in one["messages"][-1]["content"] for one in sent)
            assert sent[0]["max_tokens"] == 4096
            assert (sent[1]["max_tokens"], sent[1]["stop"], sent[1]["top_k"]) == (5, ["END"], 3)
            assert s.behind.traces[1].subject == "ann"

    run(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_thoughts_there_and_back(stream):
    whole = {
        **THOUGHT,
        "content": "I ask.",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "f", "arguments": '{"name": "Ann"}'},
            }
        ],
    }
    deltas = (THOUGHT, {"content": "I ask."}, *CALL) if stream else (whole,)

    async def scene():
        async with chain(Script(deltas=deltas, finish="tool_calls")) as s, openai_client(s) as ai:
            turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "go"}]
            body = {"model": "fake", "messages": turns, "tools": [TOOL]}
            extra = {"thinking_budget_tokens": 1024}
            if stream:
                async with ai.chat.completions.stream(**body, extra_body=extra) as events:
                    final = await events.get_final_completion()
            else:
                final = await ai.chat.completions.create(
                    **body, tool_choice="required", parallel_tool_calls=False, extra_body=extra
                )
            said = final.choices[0].message
            assert (said.content, said.reasoning_content) == ("I ask.", "Hm.")
            (call,) = said.tool_calls
            assert (call.id, call.function.name) == ("c1", "f")
            assert json.loads(call.function.arguments) == {"name": "Ann"}
            assert final.choices[0].finish_reason == "tool_calls"
            sent = s.behind.fake.received[0]
            assert sent["messages"] == turns
            assert sent["tools"][0]["function"] == FUNCTION
            s.behind.fake.script = Script()
            answered = {
                "role": "assistant",
                "content": said.content,
                "tool_calls": [call.to_dict()],
            }
            result = {"role": "tool", "tool_call_id": "c1", "content": "fine"}
            await ai.chat.completions.create(
                **{
                    **body,
                    "messages": [*turns, answered, result, {"role": "user", "content": "so?"}],
                }
            )
            roles = [one["role"] for one in s.behind.fake.received[1]["messages"]]
            assert roles == ["system", "user", "assistant", "tool", "user"]

    run(scene)


def test_any_client_reaches_any_engine():
    async def scene():
        async with chain(Script(echo=True)) as s, openai_client(s) as ai, anthropic_client(s) as an:
            assert (await ai.responses.create(**asked("hello"))).output_text == "hello"
            async with an.messages.stream(**message("hello")) as stream:
                assert (await stream.get_final_message()).content[0].text == "hello"
            s.behind.engine.quirks = s.app.config.engines[0].quirks
            turns = [{"role": "user", "content": "hello"}]
            assert (await an.messages.count_tokens(model="fake", messages=turns)).input_tokens == 7

    run(scene)


def test_faults_of_such_an_engine():
    async def scene():
        async with chain() as s, openai_client(s) as ai:
            status, answer, _ = await s.chat("INJECT")
            assert (status, answer["error"]["code"]) == (400, "content_filter")
            turns = [{"role": "user", "content": "go"}]
            for field, value in (("seed", 3), ("n", 2), ("logprobs", True), ("nonsense", "x")):
                status, answer, _ = await s.chat("go", **{field: value})
                assert (status, answer["error"]["param"]) == (400, field)
            assert (await s.chat("go", n=1, presence_penalty=0, metadata=None))[0] == 200
            assert (await s.post("/v1/embeddings", {"model": "fake", "input": "x"}))[0] == 501
            s.behind.fake.script = Script(fault="cut", after=3)
            with pytest.raises(openai.APIError, match="failed while it answered"):
                async for _ in await ai.chat.completions.create(
                    model="fake", messages=turns, stream=True
                ):
                    pass
            s.behind.fake.script = Script(fault="error", status=500)
            assert (await s.chat())[0] == 502
            s.behind.engine.ready = False
            assert (await s.chat())[0] == 502
            s.behind.fake.script = Script(finish="length")
            s.behind.engine.ready = True
            assert (await s.chat())[1]["choices"][0]["finish_reason"] == "length"

    run(scene)


def test_discovery_shows_the_key_as_messages_wants_it():
    async def scene():
        async with stack() as s:
            transport = MessagesTransport(new_transport("direct"))
            try:
                spec = upstream_spec("anthropic=" + s.url)
                assert spec.base_url == f"anthropic+{s.url}/v1"
                other = upstream_spec(f"anthropic+{s.url}/v1")
                assert (other.id, other.base_url) == ("anthropic-compatible", spec.base_url)
                assert way_to(["ollama"], transport) is transport
                assert way_to(["ollama", "anthropic"], transport) is not transport
                engine = UpstreamEngine(spec, transport, environ={})
                with pytest.raises(UsageError, match="ANTHROPIC_API_KEY"):
                    await engine.start()
                for key, works in ((s.secret, True), ("sk-km-wrong-0123456789", False)):
                    engine = UpstreamEngine(spec, transport, environ={"ANTHROPIC_API_KEY": key})
                    if works:
                        await engine.start()
                        assert engine.models == ("fake",)
                    else:
                        with pytest.raises(UsageError, match="refused the key"):
                            await engine.start()
            finally:
                await transport.close()

    run(scene)


PIECES = st.lists(st.sampled_from(["fine ", "words", "é", '{"a": ', "1}"]), max_size=4)
BLOCKS = st.lists(
    st.tuples(st.sampled_from(["text", "thinking", "tool_use", "server_tool_use"]), PIECES),
    max_size=4,
)


def streamed(blocks):
    """The events of a stream in Messages."""
    yield {
        "type": "message_start",
        "message": {"id": "m", "model": "x", "usage": {"input_tokens": 3}},
    }
    yield {"type": "ping"}
    for index, (kind, pieces) in enumerate(blocks):
        block = {
            "type": kind,
            "id": f"t{index}",
            "name": "f",
            "input": {},
            "text": "",
            "thinking": "",
        }
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for piece in pieces:
            delta = {
                "text": {"type": "text_delta", "text": piece},
                "thinking": {"type": "thinking_delta", "thinking": piece},
            }.get(kind, {"type": "input_json_delta", "partial_json": piece})
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    usage = {"output_tokens": 5}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    yield {"type": "message_stop"}


@settings(max_examples=60, deadline=None)
@given(BLOCKS)
def test_a_stream_in_messages_says_the_same_in_chat(blocks):
    told = _Told()
    raw = b"".join(told.event(json.dumps(one).encode()) for one in streamed(blocks))
    chunks = [part.removeprefix(b"data: ") for part in raw.split(b"\n\n") if part]
    assert chunks.pop() == b"[DONE]"
    deltas = [c["delta"] for k in map(json.loads, chunks) for c in k["choices"]]
    wanted = {"text": "content", "thinking": "reasoning_content"}
    for kind, field in wanted.items():
        said = "".join(d.get(field) or "" for d in deltas)
        assert said == "".join("".join(p) for k, p in blocks if k == kind)
    calls = [call for d in deltas for call in d.get("tool_calls", ())]
    tools = [(n, pieces) for n, (kind, pieces) in enumerate(blocks) if kind == "tool_use"]
    assert [c["id"] for c in calls if "id" in c] == [f"t{n}" for n, _ in tools]
    for number, (_, pieces) in enumerate(tools):
        arguments = "".join(c["function"]["arguments"] for c in calls if c["index"] == number)
        assert arguments == "".join(pieces)
    assert json.loads(chunks[-1])["usage"]["total_tokens"] == 8


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"3", b'{"type": "content_block_delta"}'])
def test_what_is_no_event_is_refused(data):
    assert _Told().event(data) == event(b"{")


ODD = st.recursive(
    st.sampled_from([None, True, 3, "x", "user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "function", "name", "arguments"]), inner)
    ),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(ODD, ODD)
def test_odd_calls_and_contents_make_a_body_all_the_same(content, function):
    calls = [{"id": "c", "function": function}] if isinstance(function, dict) else []
    turns = [{"role": "user", "content": content}, {"role": "assistant", "tool_calls": calls}]
    try:
        made = messages_of({"model": "m", "messages": turns})
        msgspec.json.encode(made)
    except ApiError:
        return
    assert all(turn["content"] for turn in made["messages"])


def test_what_is_sent_where():
    """Only an address that begins with `anthropic+` is spoken to in Messages."""
    sent = []

    class Recording:
        async def send(self, method, url, *, headers, **more):
            sent.append((method, url, dict(headers)))

        async def close(self):
            sent.append("closed")

    async def scene():
        transport = MessagesTransport(Recording())
        more = {"body": b"", "timeout": 1}
        key = {"authorization": "Bearer k"}
        await transport.send("POST", "http://x/v1/chat/completions", headers=key, **more)
        await transport.send("GET", "anthropic+http://x/v1/models", headers={}, **more)
        await transport.send("GET", "anthropic+http://x/v1/models", headers=key, **more)
        await transport.close()

    asyncio.run(scene())
    version = {"anthropic-version": "2023-06-01"}
    assert sent == [
        ("POST", "http://x/v1/chat/completions", {"authorization": "Bearer k"}),
        ("GET", "http://x/v1/models", version),
        ("GET", "http://x/v1/models", {**version, "x-api-key": "k"}),
        "closed",
    ]
