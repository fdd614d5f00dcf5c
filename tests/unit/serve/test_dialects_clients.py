"""Unmodified clients of two other protocols, against the gateway and a fake engine."""

import json

import anthropic
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from dialect_clients import PERSON, anthropic_client, asked, called, message, openai_client
from gateway_parts import run, stack
from keelmark.guard import Guard
from keelmark.serve.fake import Script

TEXT = "mail ann@example.org today"
THOUGHT = ({"reasoning_content": "Let me "}, {"reasoning_content": "think."})
CALLS = (
    {"content": "I will ask."},
    called(0, "weather", "", "c1"),
    called(0, arguments='{"city": '),
    called(0, arguments='"Bern"}'),
    called(1, "time", "{}", "c2"),
)
FUNCTIONS = [
    {"type": "function", "name": name, "description": "d", "parameters": PERSON, "strict": True}
    for name in ("weather", "time")
]
TOOLS = [{"name": name, "description": "d", "input_schema": PERSON} for name in ("weather", "time")]
MASKED = "mail <EMAIL_1> today"


class Person(BaseModel):
    name: str


def test_a_response():
    async def scene():
        async with stack(Script(echo=True)) as s, openai_client(s) as ai:
            made = await ai.responses.create(**asked(TEXT), instructions="Be kind.", user="ann")
            assert (made.output_text, made.status, made.model) == (TEXT, "completed", "fake")
            assert made.usage.input_tokens == 7
            assert made.instructions == "Be kind."
            (trace,) = s.traces
            assert made.id == f"resp_{trace.trace_id}"
            assert (trace.operation, trace.subject) == ("chat", "ann")
            assert trace.attributes["keelmark.dialect"] == "responses"
            assert s.fake.received[0]["messages"] == [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": MASKED},
            ]

    run(scene)


def test_a_message():
    async def scene():
        async with stack(Script(echo=True)) as s, anthropic_client(s) as ai:
            made = await ai.messages.create(
                **message(TEXT),
                system="Be kind.",
                metadata={"user_id": "ann"},
                extra_body={"top_k": 3},
            )
            assert made.content[0].text == TEXT
            assert (made.stop_reason, made.model, made.role) == ("end_turn", "fake", "assistant")
            assert made.usage.input_tokens == 7
            (trace,) = s.traces
            assert made.id == f"msg_{trace.trace_id}"
            assert (trace.operation, trace.subject) == ("chat", "ann")
            assert trace.attributes["keelmark.dialect"] == "messages"
            sent = s.fake.received[0]
            assert sent["messages"][1] == {"role": "user", "content": MASKED}
            assert (sent["max_tokens"], sent["top_k"]) == (50, 3)

    run(scene)


def test_a_streamed_response():
    async def scene():
        async with stack(Script(echo=True)) as s, openai_client(s) as ai:
            async with ai.responses.stream(**asked(TEXT)) as stream:
                events = [event async for event in stream]
                final = await stream.get_final_response()
            assert [e.sequence_number for e in events] == list(range(len(events)))
            kinds = [e.type for e in events if not e.type.endswith(".delta")]
            assert kinds == [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ]
            text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
            assert text == final.output_text == TEXT
            assert final.usage.output_tokens > 0

    run(scene)


def test_a_streamed_message():
    async def scene():
        async with stack(Script(echo=True)) as s, anthropic_client(s) as ai:
            raw = await ai.messages.create(**message(TEXT), stream=True)
            kinds = [event.type async for event in raw]
            assert kinds[:2] == ["message_start", "content_block_start"]
            assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
            assert set(kinds[2:-3]) == {"content_block_delta"}
            async with ai.messages.stream(**message(TEXT)) as stream:
                text = "".join([piece async for piece in stream.text_stream])
                final = await stream.get_final_message()
            assert text == final.content[0].text == TEXT
            assert final.usage.output_tokens > 0
            assert final.usage.input_tokens == 7

    run(scene)


def test_tools_of_responses():
    async def scene():
        script = Script(deltas=(*THOUGHT, *CALLS), finish="tool_calls")
        async with (
            stack(script) as s,
            openai_client(s) as ai,
            ai.responses.stream(
                **asked(), tools=FUNCTIONS, tool_choice={"type": "function", "name": "weather"}
            ) as stream,
        ):
            final = await stream.get_final_response()
            thought, said, weather, time = final.output
            assert thought.content[0].text == "Let me think."
            assert said.content[0].text == "I will ask."
            assert (weather.name, weather.call_id) == ("weather", "c1")
            assert json.loads(weather.arguments) == {"city": "Bern"}
            assert (time.name, time.arguments) == ("time", "{}")
            sent = s.fake.received[0]
            assert sent["tools"][0]["function"]["parameters"] == PERSON
            assert sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
            results = [
                {"type": "function_call_output", "call_id": "c1", "output": "rain"},
                {
                    "type": "function_call_output",
                    "call_id": "c2",
                    "output": [{"type": "input_text", "text": "noon"}],
                },
            ]
            s.fake.script = Script()
            given = [{"role": "user", "content": "go"}, *final.to_dict()["output"], *results]
            await ai.responses.create(**asked(given), tools=FUNCTIONS)
            user, answered, *told = s.fake.received[1]["messages"]
            assert user == {"role": "user", "content": "go"}
            assert answered["content"] == "I will ask."
            assert answered["reasoning_content"] == "Let me think."
            assert [call["id"] for call in answered["tool_calls"]] == ["c1", "c2"]
            assert [one["content"] for one in told] == ["rain", "noon"]

    run(scene)


def test_tools_of_messages():
    async def scene():
        script = Script(deltas=(*THOUGHT, *CALLS), finish="tool_calls")
        thinking = {"type": "enabled", "budget_tokens": 1024}
        async with (
            stack(script) as s,
            anthropic_client(s) as ai,
            ai.messages.stream(
                **message(max_tokens=2048),
                tools=TOOLS,
                tool_choice={"type": "any", "disable_parallel_tool_use": True},
                thinking=thinking,
            ) as stream,
        ):
            final = await stream.get_final_message()
            thought, said, weather, time = final.content
            assert thought.thinking == "Let me think."
            assert said.text == "I will ask."
            assert (weather.name, weather.id, weather.input) == ("weather", "c1", {"city": "Bern"})
            assert (time.name, time.input) == ("time", {})
            assert final.stop_reason == "tool_use"
            sent = s.fake.received[0]
            assert sent["tools"][0]["function"]["parameters"] == PERSON
            assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("required", False)
            assert "thinking_budget_tokens" not in sent  # this engine does not know it
            results = [
                {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                {"type": "text", "text": "and now?"},
                {
                    "type": "tool_result",
                    "tool_use_id": "c2",
                    "content": [{"type": "text", "text": "noon"}],
                },
            ]
            s.fake.script = Script()
            turns = [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": final.to_dict()["content"]},
                {"role": "user", "content": results},
            ]
            await ai.messages.create(**message(messages=turns), tools=TOOLS)
            user, answered, *told = s.fake.received[1]["messages"]
            assert user == {"role": "user", "content": "go"}
            assert answered["content"] == "I will ask."
            assert answered["reasoning_content"] == "Let me think."
            assert [call["id"] for call in answered["tool_calls"]] == ["c1", "c2"]
            assert [one["content"] for one in told] == ["rain", "noon", "and now?"]
            assert [one["role"] for one in told] == ["tool", "tool", "user"]

    run(scene)


def test_thinking_is_told_when_it_was_asked_for():
    async def scene():
        script = Script(deltas=(*THOUGHT, {"content": "Yes."}))
        async with stack(script) as s, anthropic_client(s) as ai:
            for more in ({}, {"thinking": {"type": "adaptive", "display": "omitted"}}):
                async with ai.messages.stream(**message(), **more) as stream:
                    (said,) = (await stream.get_final_message()).content
                    assert said.text == "Yes."
            async with ai.messages.stream(**message(), thinking={"type": "adaptive"}) as stream:
                thought, said = (await stream.get_final_message()).content
                assert (thought.thinking, said.text) == ("Let me think.", "Yes.")

    run(scene)


def test_structured_answers():
    async def scene():
        pieces = ('{"na', 'me": "Ann"}')
        async with (
            stack(Script(pieces=pieces)) as s,
            openai_client(s) as ai,
            anthropic_client(s) as other,
        ):
            parsed = await ai.responses.parse(**asked(), text_format=Person)
            assert parsed.output_parsed == Person(name="Ann")
            parsed = await other.messages.parse(**message(), output_format=Person)
            assert parsed.parsed_output == Person(name="Ann")
            for sent in s.fake.received:
                assert sent["response_format"]["type"] == "json_schema"
                schema = sent["response_format"]["json_schema"]["schema"]
                assert schema["required"] == ["name"]

    run(scene)


@pytest.mark.parametrize(
    ("finish", "status", "reason", "stop"),
    [
        ("stop", "completed", None, "end_turn"),
        ("length", "incomplete", "max_output_tokens", "max_tokens"),
        ("content_filter", "incomplete", "content_filter", "refusal"),
    ],
)
def test_why_answers_end(finish, status, reason, stop):
    async def scene():
        async with (
            stack(Script(finish=finish)) as s,
            openai_client(s) as ai,
            anthropic_client(s) as other,
        ):
            made = await ai.responses.create(**asked())
            assert (made.status, made.output[0].status) == (status, status)
            assert (made.incomplete_details and made.incomplete_details.reason) == reason
            *_, last = [e async for e in await ai.responses.create(**asked(), stream=True)]
            assert last.type == f"response.{status}"
            assert last.response.output_text == made.output_text
            said = await other.messages.create(**message())
            async with other.messages.stream(**message()) as stream:
                streamed = await stream.get_final_message()
            assert said.stop_reason == streamed.stop_reason == stop
            assert said.content[0].text == streamed.content[0].text

    run(scene)


def test_what_the_guard_stops():
    pieces = ("All well. ", "FORBIDDEN ", "secret")

    async def scene():
        async with (
            stack(Script(pieces=pieces)) as s,
            openai_client(s) as ai,
            anthropic_client(s) as other,
        ):
            made = await ai.responses.create(**asked())
            assert made.incomplete_details.reason == "content_filter"
            assert made.output_text == "All well. "
            events = [e async for e in await ai.responses.create(**asked(), stream=True)]
            assert events[-1].type == "response.incomplete"
            assert events[-1].response.output_text == "All well. "
            said = await other.messages.create(**message())
            assert (said.stop_reason, said.stop_details.type) == ("refusal", "refusal")
            async with other.messages.stream(**message()) as stream:
                streamed = await stream.get_final_message()
            assert streamed.content[0].text == said.content[0].text == "All well. "
            assert streamed.stop_reason == "refusal"
            assert all(trace.output.stops for trace in s.traces)
            for create, body in ((ai.responses.create, asked), (other.messages.create, message)):
                with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)) as stopped:
                    await create(**body("INJECT"))
                error = stopped.value.body
                error = error.get("error", error)
                assert error["code"] == "content_filter"

    run(scene)


def test_errors_become_the_exceptions_that_clients_know():
    async def scene():
        async with (
            stack() as s,
            openai_client(s) as ai,
            anthropic_client(s) as other,
            openai_client(s, "sk-km-wrong") as stranger,
            anthropic_client(s, "sk-km-wrong") as unknown,
        ):
            with pytest.raises(openai.AuthenticationError):
                await stranger.responses.create(**asked())
            with pytest.raises(anthropic.AuthenticationError) as refused:
                await unknown.messages.create(**message())
            assert refused.value.type == "authentication_error"
            with pytest.raises(openai.NotFoundError):
                await ai.responses.create(**asked(model="other"))
            with pytest.raises(anthropic.NotFoundError):
                await other.messages.create(**message(model="other"))
            s.fake.script = Script(fault="cut", after=3)
            events = [e async for e in await ai.responses.create(**asked(), stream=True)]
            assert [e.type for e in events[-2:]] == ["error", "response.failed"]
            assert events[-2].code == "engine_gone"
            assert "send the request again" in events[-1].response.error.message
            with pytest.raises(anthropic.APIStatusError) as cut:
                async with other.messages.stream(**message()) as stream:
                    await stream.get_final_message()
            assert cut.value.type == "api_error"
            s.engine.ready = False
            with pytest.raises(openai.InternalServerError):
                await ai.responses.create(**asked())
            with pytest.raises(anthropic.InternalServerError) as down:
                await other.messages.create(**message())
            assert down.value.type == "overloaded_error"

    run(scene)


def test_a_key_in_either_header():
    async def scene():
        async with stack() as s:
            bearer = anthropic.AsyncAnthropic(base_url=s.url, auth_token=s.secret, max_retries=0)
            async with bearer:
                assert (await bearer.messages.create(**message())).content
            async with anthropic_client(s) as other:
                assert [model.id async for model in other.models.list()] == ["fake"]
                assert (await other.models.retrieve("fake")).id == "fake"
            body = {"model": "fake", "input": "hi"}
            headers = {"authorization": "", "x-api-key": s.secret}
            assert (await s.post("/v1/responses", body, **headers))[0] == 401

    run(scene)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_guard_that_ships_with_keelmark(size):
    """A card and an address go masked to the engine and come back; a leaked key never leaves."""
    guard = Guard()
    said = "my card 4111 1111 1111 1111, mail ann@example.org"
    leaked = "sure: AKIAIOSFODNN7REALKEY is the key of " + said.partition(", ")[2]
    pieces = tuple(leaked[at : at + size] for at in range(0, len(leaked), size))

    async def scene():
        async with (
            stack(Script(echo=True), guard=guard, policy=guard.policy) as s,
            openai_client(s) as ai,
            anthropic_client(s) as other,
        ):
            assert (await ai.responses.create(**asked(said))).output_text == said
            assert (await other.messages.create(**message(said))).content[0].text == said
            for sent in s.fake.received:
                assert "4111" not in sent["messages"][0]["content"]
            s.fake.script = Script(pieces=pieces)
            chat = (await s.chat(said))[1]["choices"][0]["message"]["content"]
            assert "AKIAIOSFODNN7REALKEY" not in chat
            async with ai.responses.stream(**asked(said)) as stream:
                assert (await stream.get_final_response()).output_text == chat
            async with other.messages.stream(**message(said)) as stream:
                assert (await stream.get_final_message()).content[0].text == chat
            assert b"4111" not in b"".join(c.prompt + c.answer for _, c in s.recorder.records)

    run(scene)


def test_prompts_are_counted_where_the_engine_tells():
    async def scene():
        async with (
            stack(counts_tokens=True) as s,
            openai_client(s) as ai,
            anthropic_client(s) as other,
        ):
            counted = await ai.responses.input_tokens.count(**asked(TEXT))
            assert (counted.input_tokens, counted.object) == (7, "response.input_tokens")
            turns = [{"role": "user", "content": TEXT}]
            number = await other.messages.count_tokens(model="fake", messages=turns)
            assert number.input_tokens == 7
            assert all(sent["messages"][0]["content"] == MASKED for sent in s.fake.received)
            assert {trace.operation for trace in s.traces} == {"count_tokens"}
            s.fake.script = Script(raw=b"{}")
            with pytest.raises(anthropic.InternalServerError):
                await other.messages.count_tokens(model="fake", messages=turns)
        async with stack() as s, anthropic_client(s) as other:
            with pytest.raises(anthropic.InternalServerError, match="does not count"):
                await other.messages.count_tokens(model="fake", messages=turns)
            with pytest.raises(anthropic.BadRequestError, match="messages"):
                await other.messages.count_tokens(model="fake", messages=[])
            status, answer, _ = await s.post("/v1/messages/batches", {})
            assert (status, answer["type"]) == (404, "error")

    run(scene)


def test_langchain_through_responses():
    async def scene():
        script = Script(deltas=CALLS, finish="tool_calls")
        async with stack(Script(echo=True)) as s:
            chat = ChatOpenAI(
                base_url=s.url + "/v1",
                api_key=s.secret,
                model="fake",
                use_responses_api=True,
                max_retries=0,
            )
            said = await chat.ainvoke([("system", "Be kind."), ("user", TEXT)])
            assert said.text == TEXT
            assert said.usage_metadata["input_tokens"] == 7
            assert "".join([piece.text async for piece in chat.astream(TEXT)]) == TEXT
            s.fake.script = script
            tools = [{"type": "function", "function": {"name": "weather", "parameters": PERSON}}]
            pieces = [piece async for piece in chat.bind_tools(tools).astream("go")]
            whole = sum(pieces[1:], pieces[0])
            assert [call["name"] for call in whole.tool_calls] == ["weather", "time"]
            assert whole.tool_calls[0]["args"] == {"city": "Bern"}
            s.fake.script = Script()
            result = {"role": "tool", "tool_call_id": "c1", "content": "rain"}
            other = {"role": "tool", "tool_call_id": "c2", "content": "noon"}
            again = await chat.ainvoke([("user", "go"), whole, result, other])
            assert again.text == "Hello from the fake engine."
            roles = [one["role"] for one in s.fake.received[-1]["messages"]]
            assert roles == ["user", "assistant", "tool", "tool"]

    run(scene)
