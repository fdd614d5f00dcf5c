"""Fields of providers' prompt caches: passed on to who knows them, and to nobody else."""

import msgspec
import pytest

from dialect_clients import PERSON
from gateway_parts import PlainEngine, run, stack
from keelmark.core.semconv import USAGE_CACHE_READ, USAGE_CACHE_WRITE
from keelmark.serve.engine import Endpoint
from keelmark.serve.fake import Script
from keelmark.serve.transport._messages_asked import messages_of
from keelmark.serve.transport.messages import MessagesTransport

MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TOOL = {"name": "f", "description": "d", "input_schema": PERSON}


def marked():
    """A message with a mark in every place where one may be."""
    said = {"type": "text", "text": "I am anna@example.org.", **MARK}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "ok", **MARK}
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"name": "Ann"}, **MARK}
    return {
        "model": "fake",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be kind.", **MARK}, {"type": "text", "text": "Yes."}],
        "messages": [
            {"role": "user", "content": [said]},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result, {"type": "text", "text": "And now?", **MARK}]},
        ],
        "tools": [{**TOOL, **MARK}],
        **MARK,
    }


class MessagesEngine(PlainEngine):
    """A gateway that is spoken to in Messages."""

    def __init__(self, behind):
        super().__init__(behind.url, cache_marks=True)
        self.key = behind.secret

    def endpoint(self):
        return Endpoint(f"anthropic+{self.url}/v1", {"authorization": f"Bearer {self.key}"})


def count(body):
    return msgspec.json.encode(body).count(b'"cache_control"')


def test_marks_reach_an_engine_that_knows_them():
    async def scene():
        async with stack(cache_marks=True) as s:
            status, _, _ = await s.post("/v1/messages", marked())
            assert status == 200
            (got,) = s.fake.received
            assert count(got) == 7
            assert got["messages"][1]["content"][0]["text"] == "I am <EMAIL_1>"

    run(scene)


def test_an_engine_that_does_not_know_them_gets_what_it_always_got():
    async def scene():
        async with stack() as s:
            await s.post("/v1/messages", marked())
            (got,) = s.fake.received
            assert count(got) == 0
            assert got["messages"][0]["content"] == "Be kind.\n\nYes."
            assert got["messages"][1]["content"] == "I am <EMAIL_1>"

    run(scene)


def test_marks_go_through_to_messages_and_counts_come_back():
    details = {"cached_tokens": 4, "cache_write_tokens": 2}
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}}
    answer = {
        "id": "x",
        "object": "chat.completion",
        "model": "fake",
        "choices": [{**choice, "finish_reason": "stop"}],
        "usage": {**usage, "prompt_tokens_details": details},
    }
    raw = Script(raw=msgspec.json.encode(answer))

    async def scene():
        async with stack(raw, cache_marks=True) as behind, stack() as before:
            config, engine = before.app.config, MessagesEngine(behind)
            before.app.config = msgspec.structs.replace(
                config, engines=[engine], transport=MessagesTransport(config.transport)
            )
            before.app.use(config.guard, config.policy)
            _, got, _ = await before.post("/v1/messages", marked())
            assert count(behind.fake.received[0]) == 7
            assert got["usage"]["cache_read_input_tokens"] == 4
            assert got["usage"]["cache_creation_input_tokens"] == 2
            assert got["usage"]["input_tokens"] == 4
            trace = before.traces[-1]
            assert trace.attributes[USAGE_CACHE_READ] == 4
            assert trace.attributes[USAGE_CACHE_WRITE] == 2
            _, chat, _ = await before.chat()
            assert chat["usage"]["prompt_tokens_details"] == details

    run(scene)


@pytest.mark.parametrize("knows", [False, True])
def test_marks_of_documents(knows):
    source = {"type": "text", "media_type": "text/plain", "data": "Ask anna@example.org first."}
    found = [{"type": "text", "text": "It opens at nine."}]
    blocks = [
        {"type": "document", "source": source, **MARK},
        {"type": "search_result", "source": "x", "title": "Inn", "content": found},
        {"type": "text", "text": "When?"},
    ]

    async def scene():
        async with stack(cache_marks=knows) as s:
            asked = {"role": "user", "content": blocks}
            body = {"model": "fake", "max_tokens": 9, "messages": [asked]}
            status, answer, _ = await s.post("/v1/messages", body)
            assert status == 200, answer
            (got,) = s.fake.received[-1]["messages"]
            assert "ephemeral" not in [one.text for one in s.guard.seen[0]]
            if not knows:
                assert isinstance(got["content"], str)
                assert got["content"].endswith("</document>\n\nWhen?")
                return
            told, more, question = got["content"]
            assert told.items() >= MARK.items()
            assert told["text"] == "<document>\nAsk <EMAIL_1> first.\n</document>"
            assert count(got) == 1
            assert "nine" in more["text"]
            assert question["text"] == "When?"

            blocks[0]["cache_control"] = {"type": "forever"}
            status, answer, _ = await s.post("/v1/messages", body)
            assert (status, answer["error"]["param"]) == (
                400,
                "messages[0].content[0].cache_control",
            )

    run(scene)


@pytest.mark.parametrize("knows", [False, True])
def test_hints_of_the_other_kind(knows):
    hints = {"prompt_cache_key": "k", "prompt_cache_retention": "24h"}

    async def scene():
        async with stack(prompt_cache=knows) as s:
            await s.post("/v1/responses", {"model": "fake", "input": "Hi", **hints})
            assert (hints.items() <= s.fake.received[0].items()) == knows
            await s.chat(**hints)  # who speaks chat says what it wants to
            assert hints.items() <= s.fake.received[1].items()

    run(scene)
    assert "prompt_cache_key" not in messages_of(
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **hints}
    )


@pytest.mark.parametrize(
    "mark", ["ephemeral", {"type": "forever"}, {"type": "ephemeral", "ttl": "9d"}, {"ttl": "5m"}]
)
def test_marks_that_are_none(mark):
    async def scene():
        async with stack() as s:
            body = marked()
            body["messages"][0]["content"][0]["cache_control"] = mark
            status, answer, _ = await s.post("/v1/messages", body)
            assert status == 400
            assert "messages[0].content[0].cache_control" in answer["error"]["message"]

    run(scene)
