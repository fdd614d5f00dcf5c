"""The unmodified `openai` client, and the guard and store that ship with Keelmark."""

import openai
import pytest

from gateway_parts import run, stack
from keelmark.guard import Guard
from keelmark.serve.fake import Script


def client(s, key=None):
    return openai.AsyncOpenAI(base_url=s.url + "/v1", api_key=key or s.secret, max_retries=0)


def test_every_call_of_the_openai_client():
    async def scene():
        async with stack(Script(echo=True)) as s, client(s) as ai:
            messages = [{"role": "user", "content": "mail ann@example.org today"}]
            answer = await ai.chat.completions.create(model="fake", messages=messages)
            assert answer.choices[0].message.content == "mail ann@example.org today"
            assert answer.usage.total_tokens > 0
            stream = await ai.chat.completions.create(
                model="fake", messages=messages, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            text = "".join(c.delta.content or "" for k in chunks for c in k.choices)
            assert text == "mail ann@example.org today"
            assert chunks[-1].usage.prompt_tokens == 7
            done = await ai.completions.create(model="fake", prompt="once upon")
            assert done.choices[0].text == "once upon"
            vectors = await ai.embeddings.create(model="fake", input=["a", "b"])
            assert len(vectors.data) == 2
            assert [m.id async for m in ai.models.list()] == ["fake"]
            assert (await ai.models.retrieve("fake")).id == "fake"
            judged = await ai.moderations.create(input="INJECT")
            assert judged.results[0].flagged

    run(scene)


def test_tool_calls_through_the_stream_helper():
    def call(**function):
        return {"tool_calls": [{"index": 0, "function": function}]}

    first = {
        "tool_calls": [
            {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
        ]
    }
    deltas = (first, call(arguments='{"to": "ann@'), call(arguments='example.org"}'))
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

    async def scene():
        script = Script(deltas=deltas, finish="tool_calls")
        async with (
            stack(script) as s,
            client(s) as ai,
            ai.chat.completions.stream(
                model="fake", messages=[{"role": "user", "content": "go"}], tools=[tool]
            ) as stream,
        ):
            final = await stream.get_final_completion()
            function = final.choices[0].message.tool_calls[0].function
            assert (function.name, function.arguments) == ("f", '{"to": "[EMAIL]"}')

    run(scene)


def test_errors_become_the_exceptions_that_clients_know():
    async def scene():
        async with stack() as s, client(s) as ai, client(s, "sk-km-wrong") as stranger:

            def chat(who, **more):
                body = {"model": "fake", "messages": [{"role": "user", "content": "hi"}], **more}
                return who.chat.completions.create(**body)

            with pytest.raises(openai.AuthenticationError):
                await chat(stranger)
            with pytest.raises(openai.NotFoundError, match="GET /v1/models"):
                await chat(ai, model="other")
            with pytest.raises(openai.BadRequestError) as blocked:
                await chat(ai, messages=[{"role": "user", "content": "INJECT"}])
            assert blocked.value.code == "content_filter"
            s.fake.script = Script(fault="cut", after=2)
            with pytest.raises(openai.APIError, match="send the request again"):
                async for _ in await chat(ai, stream=True):
                    pass
            s.engine.ready = False
            with pytest.raises(openai.InternalServerError):
                await chat(ai)

    run(scene)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_guard_that_ships_with_keelmark(size):
    """A card and an address go masked to the engine and come back; a leaked key never leaves."""
    guard = Guard()
    said = "my card 4111 1111 1111 1111, mail ann@example.org"
    leaked = "sure: AKIAIOSFODNN7REALKEY is the key of " + said.partition(", ")[2]
    pieces = tuple(leaked[at : at + size] for at in range(0, len(leaked), size))

    async def scene():
        async with stack(Script(echo=True), guard=guard, policy=guard.policy) as s, client(s) as ai:
            messages = [{"role": "user", "content": said}]
            answer = await ai.chat.completions.create(model="fake", messages=messages)
            assert answer.choices[0].message.content == said
            sent = s.fake.received[0]["messages"][0]["content"]
            assert "4111" not in sent
            assert "ann@" not in sent
            s.fake.script = Script(pieces=pieces)
            stream = await ai.chat.completions.create(model="fake", messages=messages, stream=True)
            text = "".join([c.delta.content or "" async for k in stream for c in k.choices])
            whole = await ai.chat.completions.create(model="fake", messages=messages)
            assert "AKIAIOSFODNN7REALKEY" not in text
            assert text == whole.choices[0].message.content
            assert b"4111" not in b"".join(c.prompt + c.answer for _, c in s.recorder.records)

    run(scene)
