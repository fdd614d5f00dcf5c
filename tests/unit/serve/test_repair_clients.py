"""OpenAI's client, unmodified, asks for structured answers."""

import openai
import pytest
from pydantic import BaseModel

from gateway_parts import run, stack
from keelmark.core.policy import GuardRules, Policy, Repair, Rule
from keelmark.guard import Guard
from keelmark.serve.fake import Script

ASK = {"model": "fake", "messages": [{"role": "user", "content": "Which city?"}]}


class City(BaseModel):
    name: str
    people: int


def guard(action="block"):
    repair = Repair(tidy=True, attempts=1)
    rule = Rule(id="form", detector="structured_output", action=action, repair=repair)
    return Guard(Policy(guard=GuardRules(rules=(rule,))))


def answers(*texts):
    left = list(texts)
    return lambda _: Script(pieces=(left.pop(0) if len(left) > 1 else left[0],))


def with_client(script, scene):
    async def opened():
        async with (
            stack(script, guard=guard()) as s,
            openai.AsyncOpenAI(base_url=s.url + "/v1", api_key=s.secret) as client,
        ):
            await scene(s, client)

    run(opened)


def test_parse_gives_a_value_although_the_first_answer_is_none():
    async def scene(s, client):
        got = await client.chat.completions.parse(**ASK, response_format=City)
        assert got.choices[0].message.parsed == City(name="Bern", people=3)
        assert got.usage.total_tokens == 16
        assert len(s.fake.received) == 2

    with_client(answers("Bern!", 'Gladly: {"name": "Bern", "people": 3}'), scene)


def test_parse_from_a_stream():
    async def scene(s, client):
        async with client.chat.completions.stream(**ASK, response_format=City) as stream:
            kinds = [event.type async for event in stream]
            got = await stream.get_final_completion()
        assert "content.done" in kinds
        assert got.choices[0].message.parsed == City(name="Bern", people=3)

    with_client(answers('{"name": 3}', '```json\n{"name": "Bern", "people": 3}\n```'), scene)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_refused_is_an_error_that_is_not_tried_again(stream):
    async def scene(s, client):
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            await client.chat.completions.create(
                **ASK, stream=stream, response_format={"type": "json_object"}
            )
        assert refused.value.code == "invalid_answer"
        assert len(s.fake.received) == 2

    with_client(answers("no", "never"), scene)


def test_a_tool_of_the_client_is_called_with_arguments_that_fit():
    def script(body):
        days = 3 if len(body["messages"]) > 1 else 0
        function = {"name": "weather", "arguments": f'{{"city": "Rome", "days": {days}}}'}
        call = {"index": 0, "id": "c", "type": "function", "function": function}
        return Script(deltas=({"tool_calls": [call]},), finish="tool_calls")

    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city", "days"],
    }
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}

    async def scene(s, client):
        got = await client.chat.completions.create(**ASK, tools=[tool])
        assert got.choices[0].message.tool_calls[0].function.arguments.endswith('"days": 3}')
        async with client.chat.completions.stream(**ASK, tools=[tool]) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.tool_calls[0].function.arguments.endswith('"days": 3}')
        assert len(s.fake.received) == 4

    with_client(script, scene)
