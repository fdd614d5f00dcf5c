"""What is asked in a dialect: put into chat's words, or refused in one sentence that names it."""

import pytest

from dialect_clients import PERSON, asked, message
from gateway_parts import run, stack
from keelmark.core.policy import GuardRules, Policy, Repair, Rule
from keelmark.core.trace import Trace
from keelmark.guard import Guard
from keelmark.serve.dialect import dialects
from keelmark.serve.fake import Script
from keelmark.serve.marks import unmark

SPEAK = {dialect.id: dialect.voice for dialect in dialects()}
IMAGE = {"type": "base64", "media_type": "image/png", "data": "iVBOR"}
FUNCTION = {"type": "function", "name": "f", "parameters": PERSON}
TOOL = {"name": "f", "input_schema": PERSON}


def chat_of(dialect, body):
    return SPEAK[dialect](Trace(trace_id="t", started=0, attributes={})).asks(body)


def user(*blocks):
    return [{"role": "user", "content": list(blocks)}]


RESPONSES = [
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "c"}, "conversation"),
    ({"store": True}, "store"),
    ({"background": True}, "background"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"truncation": "auto"}, "truncation"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [FUNCTION, {"type": "mcp"}]}, "tools[1].type"),
    ({"tools": [{**FUNCTION, "defer_loading": True}]}, "tools[0].defer_loading"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{**FUNCTION, "parameters": "x"}]}, "tools[0].parameters"),
    ({"tools": [3]}, "tools[0]"),
    ({"tool_choice": {"type": "function", "name": "g"}, "tools": [FUNCTION]}, "tool_choice.name"),
    ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"include": ["file_search_call.results"]}, "include[0]"),
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    ({"reasoning": "much"}, "reasoning"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ({"text": {"form": 1}}, "text.form"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"metadata": 3}, "metadata"),
    ({"instructions": ["x"]}, "instructions"),
    ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
    ({"nonsense": 1}, "nonsense"),
    ({"chat_template_kwargs": {"template": "x"}}, "chat_template_kwargs.template"),
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
    ({"input": [{"type": "web_search_call"}]}, "input[0].type"),
    ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
    ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
    (
        {"input": [{"type": "reasoning", "summary": [{"type": "summary_text"}]}]},
        "input[0].summary[0].text",
    ),
    ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
    ({"input": user({"type": "input_text"})}, "input[0].content[0].text"),
    ({"input": user({"type": "input_file", "file_id": "f"})}, "input[0].content[0]"),
    (
        {"input": user({"type": "input_text", "text": "a"}, {"type": "video"})},
        "input[0].content[1].type",
    ),
    (
        {
            "instructions": "Look.",
            "input": user(
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBOR"},
            ),
        },
        "input[0].content[1]",
    ),
]
MESSAGES = [
    ({"max_tokens": None}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"container": "c"}, "container"),
    ({"mcp_servers": [{}]}, "mcp_servers"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    ({"thinking": {"type": "deep"}}, "thinking.type"),
    ({"output_config": {"effort": "huge"}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
    ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
    ({"tools": [{**TOOL, "wat": 1}]}, "tools[0].wat"),
    ({"tool_choice": {"type": "tool", "name": "g"}, "tools": [TOOL]}, "tool_choice.name"),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
    ({"stop_sequences": "x"}, "stop_sequences"),
    ({"metadata": {"user_id": 3}}, "metadata.user_id"),
    ({"system": [{"type": "image"}]}, "system[0].type"),
    ({"service_tier": "gold"}, "service_tier"),
    ({"nonsense": 1}, "nonsense"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": user()}, "messages[0].content"),
    ({"messages": user({"type": "document", "source": {}})}, "messages[0].content[0]"),
    (
        {"messages": user({"type": "tool_result", "content": "x"})},
        "messages[0].content[0].tool_use_id",
    ),
    (
        {
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f"}]}
            ]
        },
        "messages[0].content[0].input",
    ),
    (
        {"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]},
        "messages[0].content[0].type",
    ),
    (
        {"messages": user({"type": "text", "text": "a", "citations": [{}]})},
        "messages[0].content[0].citations",
    ),
    (
        {
            "system": "Look.",
            "messages": user({"type": "text", "text": "a"}, {"type": "image", "source": IMAGE}),
        },
        "messages[0].content[1]",
    ),
]


def test_what_cannot_be_had_is_refused_by_its_name():
    async def scene():
        async with stack() as s:
            for changed, param in RESPONSES:
                status, answer, _ = await s.post("/v1/responses", asked(**changed))
                error = answer["error"]
                assert (status, error["param"]) == (400, param), (changed, error)
                assert f"`{param}`" in error["message"], error
                assert error["type"] == "invalid_request_error"
            for changed, param in MESSAGES:
                status, answer, headers = await s.post("/v1/messages", message(**changed))
                error = answer["error"]
                assert (status, error["param"]) == (400, param), (changed, error)
                assert f"`{param}`" in error["message"], error
                assert (answer["type"], error["type"]) == ("error", "invalid_request_error")
                assert answer["request_id"] == headers["x-keelmark-trace-id"]
            assert not s.fake.received

    run(scene)


def test_errors_before_a_call_are_in_the_dialect_too():
    async def scene():
        async with stack() as s:
            for path, kind in (("/v1/messages", "error"), ("/v1/responses", None)):
                for body in (b"", b"{", b"[]", b'{"a":' * 9000):
                    status, answer, _ = await s.post(path, body)
                    assert (status, answer.get("type")) == (400, kind)
                    assert answer["error"]["message"].endswith(".")
                async with s.http.get(s.url + path) as response:
                    assert response.status == 405
                    assert (await response.json()).get("type") == kind
            s.app.config.tally.active = s.app.config.policy.limits.concurrent
            status, answer, headers = await s.post("/v1/messages", message())
            assert (status, answer["error"]["type"]) == (503, "overloaded_error")
            assert headers["retry-after"] == "1"

    run(scene)


def test_a_response_in_the_words_of_chat():
    chat = chat_of(
        "responses",
        {
            "model": "m",
            "instructions": "Be kind.",
            "input": [
                {"role": "developer", "content": "Be short."},
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {
                    "type": "message",
                    "role": "assistant",
                    "id": "msg_1",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": "Yes?", "annotations": []}],
                },
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
                {"role": "user", "content": "Go"},
            ],
            "max_output_tokens": 5,
            "temperature": 0.5,
            "store": False,
            "metadata": {"a": "b"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_object"}, "verbosity": "low"},
            "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
            "top_logprobs": 2,
            "tools": [FUNCTION, {**FUNCTION, "name": "g", "strict": None}],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "g"}],
            },
            "prompt_cache_key": "k",
            "truncation": "disabled",
            "seed": 3,
        },
    )
    assert chat == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be kind.\n\nBe short."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "Go"},
        ],
        "max_tokens": 5,
        "temperature": 0.5,
        "reasoning_effort": "low",
        "verbosity": "low",
        "response_format": {"type": "json_object"},
        "logprobs": True,
        "top_logprobs": 2,
        "tools": [{"type": "function", "function": {"name": "g", "parameters": PERSON}}],
        "tool_choice": "required",
        "seed": 3,
        "prompt_cache_key": "k",
    }


def test_a_message_in_the_words_of_chat():
    mark = {"cache_control": {"type": "ephemeral"}}
    chat = chat_of(
        "messages",
        {
            "model": "m",
            "max_tokens": 5,
            "system": [
                {"type": "text", "text": "Be kind.", **mark},
                {"type": "text", "text": "Be short."},
            ],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "a", **mark},
                        {"type": "text", "text": "b"},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                        {"type": "redacted_thinking", "data": "y"},
                        {"type": "tool_use", "id": "t", "name": "f", "input": {"name": "Ann"}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
            ],
            "stop_sequences": ["END"],
            "tools": [{**TOOL, "type": "custom", "description": "d", **mark}],
            "tool_choice": {"type": "none"},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"effort": "low"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
            "top_k": 4,
            "stream": True,
        },
    )
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"name":"Ann"}'}}
    marks = [part.get("cache_control") for part in chat["messages"][0]["content"]]
    assert marks == [{"type": "ephemeral"}, None]
    assert chat["tools"][0]["cache_control"] == chat["messages"][1]["content"][0]["cache_control"]
    unmark(chat)  # what an engine gets that does not know them
    assert chat == {
        "model": "m",
        "max_tokens": 5,
        "messages": [
            {"role": "system", "content": "Be kind.\n\nBe short."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hm.",
                "tool_calls": [call],
            },
            {"role": "tool", "tool_call_id": "t", "content": ""},
        ],
        "stop": ["END"],
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": PERSON},
            }
        ],
        "tool_choice": "none",
        "thinking_budget_tokens": 1024,
        "reasoning_effort": "low",
        "top_k": 4,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_a_form_is_mended_in_a_dialect_too(path):
    """The engine is asked again until its answer fits; the client sees one answer."""
    repair = Repair(tidy=True, attempts=1)
    rule = Rule(id="form", detector="structured_output", action="block", repair=repair)
    guard = Guard(Policy(guard=GuardRules(rules=(rule,))))
    body = (
        asked(text={"format": {"type": "json_schema", "name": "p", "schema": PERSON}})
        if path == "/v1/responses"
        else message(output_config={"format": {"type": "json_schema", "schema": PERSON}})
    )

    async def scene():
        for stream in (False, True):
            left = [Script(pieces=("Ann!",)), Script(pieces=('```\n{"name": "Ann"}\n```',))]
            async with stack(lambda _, left=left: left.pop(0), guard=guard) as s:
                status, answer, _ = await s.post(path, {**body, "stream": stream})
                assert status == 200, answer
                assert len(s.fake.received) == 2
                said = answer if stream else str(answer).encode()
                assert b"Ann!" not in said
                assert b"```" not in said
                assert b"Ann" in said
        async with stack(Script(pieces=("Ann!",)), guard=guard) as s:
            status, answer, _ = await s.post(path, body)
            assert (status, answer["error"]["code"]) == (422, "invalid_answer")

    run(scene)


def test_an_engine_gets_its_own_names():
    async def scene():
        thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
        async with stack(completion_tokens=True, thinking_budget=True) as s:
            assert (await s.post("/v1/messages", message(**thinking)))[0] == 200
            sent = s.fake.received[0]
            assert (sent["max_completion_tokens"], sent["thinking_budget_tokens"]) == (50, 1024)
            assert "max_tokens" not in sent

    run(scene)


def test_one_tool_input_that_is_no_object_is_told_as_it_was_written():
    async def scene():
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
        script = Script(deltas=({"content": None, "tool_calls": [call]},), finish="length")
        async with stack(script) as s:
            _, answer, _ = await s.post("/v1/messages", message(tools=[TOOL]))
            (block,) = answer["content"]
            assert block["input"] == {"raw_arguments": '{"a": '}
            assert answer["stop_reason"] == "max_tokens"

    run(scene)


def test_nesting_is_bounded():
    deep = {}
    for _ in range(500):
        deep = {"a": deep}
    block = {"type": "tool_use", "id": "t", "name": "f", "input": deep}
    body = message(messages=[{"role": "assistant", "content": [block]}])

    async def scene():
        async with stack() as s:
            assert (await s.post("/v1/messages", body))[0] in (200, 400)
            body["tools"] = [{**TOOL, "input_schema": deep}]
            status, answer, _ = await s.post("/v1/messages", body)
            assert (status, answer["type"]) == (400, "error")

    run(scene)


def written(value, text):
    """A copy of a body with the text at the end of every text that is the client's own."""
    own = {"text", "content", "instructions", "description", "thinking", "output", "system", "a"}
    if isinstance(value, dict):
        return {
            name: f"{one} {text}" if name in own and isinstance(one, str) else written(one, text)
            for name, one in value.items()
        }
    return [written(one, text) for one in value] if isinstance(value, list) else value


def test_every_text_of_a_request_is_masked():
    mail = "ann@example.org"
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": "d"}}}
    responses = {
        "model": "fake",
        "instructions": "Be kind.",
        "input": [
            {"role": "developer", "content": "Hi"},
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {
                "type": "function_call",
                "call_id": "t",
                "name": "f",
                "arguments": f'{{"x": "{mail}"}}',
            },
            {"type": "function_call_output", "call_id": "t", "output": "x"},
        ],
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": schema}],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}},
    }
    messages = {
        "model": "fake",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be kind."}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "x"}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": ""},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "x"}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}],
            },
        ],
        "stop_sequences": [mail],
        "tools": [{"name": "f", "description": "d", "input_schema": schema}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }

    async def scene():
        async with stack() as s:
            for path, body in (("/v1/responses", responses), ("/v1/messages", messages)):
                told = written(body, mail)
                assert str(told).count(mail) > 6
                status, answer, _ = await s.post(path, told)
                assert status == 200, answer
            assert len(s.fake.received) == 2
            for sent in s.fake.received:
                assert mail not in str(sent)
                assert str(sent).count("<EMAIL_1>") > 6

    run(scene)


def test_a_key_without_the_scope_is_refused():
    async def scene():
        async with stack() as s:
            secret, _ = s.keys.add("other", ("admin",))
            for path, body in (("/v1/responses", asked()), ("/v1/messages", message())):
                headers = {"authorization": f"Bearer {secret}"}
                assert (await s.post(path, body, **headers))[0] == 403
                for count in ("/count_tokens", "/input_tokens"):
                    async with s.http.post(s.url + path + count, json=body) as response:
                        assert response.status in (401, 404)
            assert not s.fake.received

    run(scene)
