"""Answers that have to have a form: judged, tidied, asked for again, refused."""

import asyncio
import json

import pytest

from gateway_parts import events, run, stack, text_of
from keelmark.core.policy import GuardRules, Limits, Policy, Repair, Rule
from keelmark.core.scope import Scope
from keelmark.guard import Guard
from keelmark.serve.fake import Script

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
WANTED = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
GOOD = '{"city": "Bern", "people": 3}'
BAD = '{"city": 5}'
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}


def guard(action="flag", repair=None, config=None, **more):
    rule = Rule(
        id="form",
        detector="structured_output",
        action=action,
        repair=repair,
        config=config or {},
        **more,
    )
    mask = Rule(id="pii", detector="personal_data", action="mask", stage="input")
    return Guard(Policy(guard=GuardRules(rules=(rule, mask))))


def answers(*texts, **more):
    """A script that gives one answer after the other, the last one for good; in pieces."""
    left = list(texts)

    def script(_body):
        text = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(text, Script):
            return text
        return Script(pieces=tuple(text[at : at + 3] for at in range(0, len(text), 3)), **more)

    return script


def calling(arguments, name="look_up"):
    function = {"name": name, "arguments": arguments}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    return Script(deltas=({"tool_calls": [call]},), finish="tool_calls")


async def ask(s, *, stream=False, **more):
    """Ask for a city; return status, text, usage and the last finish reason."""
    more = {"response_format": WANTED, **more}
    if stream:
        more["stream_options"] = {"include_usage": True}
    status, answer, _ = await s.chat("Which city?", stream=stream, **more)
    if status != 200:
        return status, answer["error"], None, None
    if not stream:
        choice = answer["choices"][0]
        return status, choice["message"]["content"], answer["usage"], choice["finish_reason"]
    chunks = events(answer)
    usage = next((c["usage"] for c in chunks if c.get("usage")), None)
    reasons = [c["finish_reason"] for chunk in chunks for c in chunk["choices"]]
    return status, text_of(chunks), usage, reasons[-1]


async def until(condition):
    while not condition():  # noqa: ASYNC110 (no event tells; the suite has a time limit)
        await asyncio.sleep(0.01)


def outcome(s, number=0):
    trace = s.recorder.records[number][0]
    (form,) = [rule for rule in trace.output.rules if rule.rule == "form"]
    return form.outcome, form.reason, trace


both = pytest.mark.parametrize("stream", [False, True])


@both
def test_a_valid_answer_passes_and_is_said_to_be_valid(stream):
    async def scene():
        async with stack(answers(GOOD), guard=guard("block", Repair())) as s:
            status, text, usage, reason = await ask(s, stream=stream)
            assert (status, text, reason) == (200, GOOD, "stop")
            assert usage["prompt_tokens"] == 7
            said, why, trace = outcome(s)
            assert (said, why) == ("allow", "")
            assert trace.output.coverage == 1
            assert "keelmark.repair.attempts" not in trace.attributes
            assert len(s.fake.received) == 1

    run(scene)


@both
@pytest.mark.parametrize(
    ("text", "label"),
    [
        (BAD, "SCHEMA_MISMATCH"),
        ('{"city": "Be', "TRUNCATED_JSON"),
        ("Bern.", "INVALID_JSON"),
        ("", "TRUNCATED_JSON"),
        ("[1]", "SCHEMA_MISMATCH"),
    ],
)
def test_flag_lets_the_answer_pass_and_says_what_is_wrong(stream, text, label):
    async def scene():
        async with stack(answers(text), guard=guard("flag")) as s:
            status, got, _, _ = await ask(s, stream=stream)
            assert (status, got) == (200, text)
            said, why, trace = outcome(s)
            assert (said, why) == ("flag", f"found 1 {label}")
            assert not trace.output.stops
            assert trace.output.findings[0].path == "choices[0].content"
            assert len(s.fake.received) == 1

    run(scene)


def test_flag_without_repair_holds_nothing_of_a_stream():
    async def scene():
        script = Script(pieces=(GOOD[:20], GOOD[20:]), fault="hang", after=2)
        async with stack(script, guard=guard("flag")) as s:
            body = {"model": "fake", "stream": True, "response_format": WANTED}
            body["messages"] = [{"role": "user", "content": "Which city?"}]
            url = s.url + "/v1/chat/completions"
            async with s.http.post(url, json=body, headers=s.auth) as response:
                got = b""
                async for data in response.content.iter_any():
                    got += data
                    if b"Bern" in got:
                        break
                assert b"Bern" in got

    run(scene)


@both
def test_block_answers_with_an_error_that_names_the_fault(stream):
    async def scene():
        async with stack(answers(BAD), guard=guard("block")) as s:
            status, error, _, _ = await ask(s, stream=stream)
            assert status == 422
            assert (error["code"], error["type"]) == ("invalid_answer", "answer_error")
            assert "'form'" in error["message"]
            assert "/city: it is not of type" in error["message"]
            said, _, trace = outcome(s)
            assert said == "block"
            assert trace.output.stops
            assert (trace.status, trace.error) == (422, "invalid_answer")
            assert trace.attributes["gen_ai.usage.output_tokens"] > 0

    run(scene)


@both
def test_repair_asks_again_with_the_answer_and_its_fault(stream):
    async def scene():
        async with stack(answers(BAD, GOOD), guard=guard("block", Repair(attempts=2))) as s:
            status, text, usage, reason = await ask(s, stream=stream)
            assert (status, text, reason) == (200, GOOD, "stop")
            first, second = s.fake.received
            added = second["messages"][len(first["messages"]) :]
            assert [m["role"] for m in added] == ["assistant", "user"]
            assert added[0]["content"] == BAD
            assert '/city: it is not of type "string"' in added[1]["content"]
            assert second["response_format"] == first["response_format"]
            pieces = -(-len(BAD) // 3) + -(-len(GOOD) // 3)
            assert (usage["prompt_tokens"], usage["completion_tokens"]) == (14, pieces)
            said, why, trace = outcome(s)
            assert said == "allow"
            assert why == "asked again (1): SCHEMA_MISMATCH, then valid"
            attributes = trace.attributes
            assert attributes["keelmark.repair.attempts"] == 1
            assert attributes["keelmark.repair.answers"] == ["SCHEMA_MISMATCH", "valid"]
            assert attributes["gen_ai.usage.output_tokens"] == pieces
            assert attributes["gen_ai.usage.input_tokens"] == 14

    run(scene)


@both
@pytest.mark.parametrize("action", ["flag", "block"])
def test_when_no_answer_is_valid_the_action_decides_about_the_last(stream, action):
    async def scene():
        script = answers(BAD, "no", '{"town": 1}')
        async with stack(script, guard=guard(action, Repair(attempts=2))) as s:
            status, got, _, _ = await ask(s, stream=stream)
            assert len(s.fake.received) == 3
            said, why, _ = outcome(s)
            assert said == action
            assert "asked again (2): SCHEMA_MISMATCH, then INVALID_JSON, then SCHEMA" in why
            if action == "flag":
                assert (status, got) == (200, '{"town": 1}')
            else:
                assert status == 422

    run(scene)


@both
def test_tidying_takes_off_a_fence_and_says_so(stream):
    async def scene():
        fenced = f"```json\n{GOOD}\n```"
        async with stack(answers(fenced), guard=guard("block", Repair(tidy=True))) as s:
            status, text, _, _ = await ask(s, stream=stream)
            assert (status, text) == (200, GOOD)
            said, why, trace = outcome(s)
            assert (said, why) == ("allow", "taken off: a Markdown fence")
            assert trace.attributes["keelmark.repair.tidied"] == ["a Markdown fence"]
            assert len(s.fake.received) == 1

    run(scene)


def test_what_is_wrong_within_a_fence_is_told_too():
    async def scene():
        script = answers(f"```json\n{BAD}\n```", GOOD)
        async with stack(script, guard=guard("block", Repair(tidy=True))) as s:
            status, text, _, _ = await ask(s)
            assert (status, text) == (200, GOOD)
            told = s.fake.received[1]["messages"][-1]["content"]
            assert "not valid JSON" in told
            assert "/city: it is not of type" in told

    run(scene)


@both
def test_nothing_is_tidied_unless_the_policy_says_so(stream):
    async def scene():
        async with stack(answers(f"```json\n{GOOD}\n```"), guard=guard("flag")) as s:
            _, text, _, _ = await ask(s, stream=stream)
            assert text.startswith("```")

    run(scene)


@both
def test_arguments_of_tools_have_a_form_too(stream):
    async def scene():
        script = answers(calling(BAD), calling(GOOD))
        async with stack(script, guard=guard("block", Repair())) as s:
            more = {"tools": [TOOL], "response_format": {"type": "text"}, "stream": stream}
            status, answer, _ = await s.chat("Look Bern up", **more)
            assert status == 200
            if stream:
                calls = [
                    c["delta"]["tool_calls"][0]
                    for chunk in events(answer)
                    for c in chunk["choices"]
                    if c["delta"].get("tool_calls")
                ]
                assert "".join(c["function"]["arguments"] for c in calls) == GOOD
            else:
                (call,) = answer["choices"][0]["message"]["tool_calls"]
                assert call["function"] == {"name": "look_up", "arguments": GOOD}
            added = s.fake.received[1]["messages"][1:]
            assert [m["role"] for m in added] == ["assistant", "tool"]
            assert added[0]["tool_calls"][0]["function"]["arguments"] == BAD
            assert added[1]["tool_call_id"] == added[0]["tool_calls"][0]["id"]
            assert "/city" in added[1]["content"]

    run(scene)


def test_a_tool_that_was_not_offered_is_a_fault():
    async def scene():
        async with stack(answers(calling(GOOD, "rm")), guard=guard("block")) as s:
            status, answer, _ = await s.chat("Look Bern up", tools=[TOOL])
            assert status == 422
            assert "no such tool" in answer["error"]["message"]

    run(scene)


def test_what_the_guard_masks_is_masked_in_the_second_question_and_judged_as_it_leaves():
    async def scene():
        schema = {
            "type": "object",
            "properties": {"mail": {"type": "string", "format": "email"}},
            "required": ["mail", "name"],
        }
        wanted = {"type": "json_schema", "json_schema": {"name": "m", "schema": schema}}
        script = answers('{"mail": "<EMAIL_1>"}', '{"mail": "<EMAIL_1>", "name": "Ann"}')
        async with stack(script, guard=guard("block", Repair())) as s:
            ask = "My mail is ann@company.com"
            status, answer, _ = await s.chat(ask, response_format=wanted)
            assert status == 200
            content = json.loads(answer["choices"][0]["message"]["content"])
            assert content == {"mail": "ann@company.com", "name": "Ann"}
            for received in s.fake.received:
                assert "ann@company.com" not in json.dumps(received)
            assert s.fake.received[1]["messages"][1]["content"] == '{"mail": "<EMAIL_1>"}'

    run(scene)


def test_when_the_second_question_fails_the_first_answer_is_what_there_is():
    async def scene():
        broken = Script(fault="error", status=500)
        for action, wanted in (("flag", 200), ("block", 422)):
            script = answers(BAD, broken)
            async with stack(script, guard=guard(action, Repair(attempts=3))) as s:
                status, _, _, _ = await ask(s)
                assert status == wanted
                _, why, trace = outcome(s)
                assert "SCHEMA_MISMATCH, then engine_error" in why
                assert trace.input.outcome == "allow"

    run(scene)


@both
def test_a_schema_that_cannot_be_checked_is_refused_before_anything_is_asked(stream):
    async def scene():
        far = {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"$ref": "http://a/b"}},
        }
        async with stack(answers(GOOD), guard=guard("flag")) as s:
            status, error, _, _ = await ask(s, stream=stream, response_format=far)
            assert status == 400
            assert (error["code"], error["param"]) == ("invalid_schema", "response_format")
            bad = {
                "type": "function",
                "function": {"name": "f", "parameters": {"pattern": "(?=a)"}},
            }
            status, answer, _ = await s.chat("x", tools=[bad])
            assert (status, answer["error"]["param"]) == (400, "tools")
            assert s.fake.received == []

    run(scene)


def test_open_lets_it_pass_and_says_that_it_was_not_checked():
    async def scene():
        far = {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"$ref": "http://a/b"}},
        }
        async with stack(answers(GOOD), guard=guard("block", on_failure="open")) as s:
            status, text, _, _ = await ask(s, response_format=far)
            assert (status, text) == (200, GOOD)
            said, _, _ = outcome(s)
            assert said == "failed"

    run(scene)


@both
def test_requests_that_ask_for_no_form_are_as_before(stream):
    async def scene():
        async with stack(guard=guard("block", Repair())) as s:
            status, text, _, _ = await ask(s, stream=stream, response_format={"type": "text"})
            assert (status, text) == (200, "Hello from the fake engine.")
            assert [r.rule for r in s.recorder.records[0][0].output.rules] == []

    run(scene)


@both
def test_the_policy_may_demand_a_schema_of_its_own(stream):
    async def scene():
        script = answers("Bern.", GOOD)
        async with stack(script, guard=guard("block", Repair(), {"schema": SCHEMA})) as s:
            status, text, _, _ = await ask(s, stream=stream, response_format={"type": "text"})
            assert (status, text) == (200, GOOD)

    run(scene)


def test_json_object_means_an_object():
    async def scene():
        async with stack(answers("[1]"), guard=guard("flag")) as s:
            await ask(s, response_format={"type": "json_object"})
            assert outcome(s)[0] == "flag"

    run(scene)


def test_plain_completions_are_judged():
    async def scene():
        async with stack(answers(BAD), guard=guard("block", Repair())) as s:
            body = {"model": "fake", "prompt": "A city:", "json_schema": SCHEMA}
            for stream in (False, True):
                status, _, _ = await s.post("/v1/completions", body | {"stream": stream})
                assert status == 422
            assert len(s.fake.received) == 2

    run(scene)


def test_several_choices_are_judged_and_not_asked_for_again():
    async def scene():
        async with stack(answers(BAD), guard=guard("flag", Repair())) as s:
            status, _, _, _ = await ask(s, n=2)
            assert status == 200
            _, why, _ = outcome(s)
            assert why == "found 2 SCHEMA_MISMATCH"
            assert len(s.fake.received) == 1

    run(scene)


def test_shadow_says_what_would_have_been_and_holds_nothing():
    async def scene():
        shadowed = guard("block", Repair(), mode="shadow")
        async with stack(answers(BAD), guard=shadowed) as s:
            for stream in (False, True):
                status, text, _, _ = await ask(s, stream=stream)
                assert (status, text) == (200, BAD)
            for trace, _ in s.recorder.records:
                assert trace.output.outcome == "allow"
                (shadow,) = trace.output.shadow
                assert shadow.outcome == "block"
            assert len(s.fake.received) == 2

    run(scene)


def test_an_answer_that_another_rule_stopped_is_not_asked_for_again():
    async def scene():
        rules = (
            Rule(id="form", detector="structured_output", action="block", repair=Repair()),
            Rule(id="mail", detector="personal_data", action="block", stage="output"),
        )
        text = '{"city": "ann@company.com", "x"'
        async with stack(answers(text), guard=Guard(Policy(guard=GuardRules(rules=rules)))) as s:
            for stream in (False, True):
                status, _, _, reason = await ask(s, stream=stream)
                assert (status, reason) == (200, "content_filter")
            assert len(s.fake.received) == 2

    run(scene)


def test_all_attempts_share_the_time_of_a_request():
    async def scene():
        slow = Script(fault="hang", after=1)
        policy = Policy(limits=Limits(request_seconds=1.0))
        script = answers(BAD, slow)
        async with stack(script, guard=guard("flag", Repair()), policy=policy) as s:
            status, error, _, _ = await ask(s, stream=True)
            assert (status, error["code"]) == (504, "timeout")
            assert s.recorder.records[0][0].error == "timeout"

    run(scene)


def test_a_client_that_leaves_ends_the_attempt():
    async def scene():
        async with stack(answers(BAD, Script(fault="hang")), guard=guard("flag", Repair())) as s:
            body = {"model": "fake", "stream": True, "response_format": WANTED}
            body["messages"] = [{"role": "user", "content": "Which city?"}]
            url = s.url + "/v1/chat/completions"
            request = asyncio.create_task(s.http.post(url, json=body, headers=s.auth))
            await until(lambda: len(s.fake.received) == 2)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            await until(lambda: s.recorder.records)
            trace, _ = s.recorder.records[0]
            assert (trace.status, trace.error) == (499, "client_gone")
            await until(lambda: not s.fake.running)

    run(scene)


@both
def test_what_is_stored_is_what_was_asked_last_and_answered_last(stream):
    async def scene():
        async with stack(answers(BAD, GOOD), guard=guard("block", Repair())) as s:
            await ask(s, stream=stream)
            _, content = s.recorder.records[0]
            assert BAD in json.loads(content.prompt)["messages"][1]["content"]
            assert json.loads(content.answer)[0]["content"] == GOOD

    run(scene)


def test_a_second_question_that_the_guard_stops_is_not_sent():
    async def scene():
        rules = (
            Rule(id="form", detector="structured_output", action="flag", repair=Repair()),
            Rule(id="mail", detector="personal_data", action="block", stage="input"),
        )
        script = answers("ann@company.com")
        async with stack(script, guard=Guard(Policy(guard=GuardRules(rules=rules)))) as s:
            status, text, _, _ = await ask(s)
            assert (status, text) == (200, "ann@company.com")
            said, why, trace = outcome(s)
            assert said == "flag"
            assert why.endswith("asked again (1): INVALID_JSON, then content_filter")
            assert trace.input.outcome == "allow"
            assert len(s.fake.received) == 1

    run(scene)


def test_a_policy_that_is_loaded_while_it_serves_holds_from_then_on():
    async def scene():
        plain = Guard(Policy(guard=GuardRules(rules=())))
        async with stack(answers(BAD), guard=plain) as s:
            assert (await ask(s))[0] == 200
            s.app.use(guard("block"), Policy())
            assert (await ask(s))[0] == 422
            s.app.use(plain, Policy())
            assert (await ask(s))[0] == 200

    run(scene)


def test_the_rule_holds_in_its_scope_only():
    async def scene():
        scoped = guard("block", scope=Scope(models=("other-*",)))
        async with stack(answers(BAD), guard=scoped, models=("fake", "other-1")) as s:
            assert (await ask(s))[0] == 200
            assert (await ask(s, model="other-1"))[0] == 422

    run(scene)


def test_labels_narrow_what_counts():
    async def scene():
        only_cut = guard("block", labels=("TRUNCATED_JSON",))
        for text, status in ((BAD, 200), ('{"city": "B', 422)):
            async with stack(answers(text), guard=only_cut) as s:
                assert (await ask(s))[0] == status

    run(scene)


def talking(text, arguments):
    """An answer that says something before it calls a tool."""
    function = {"name": "look_up", "arguments": arguments}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    return Script(deltas=({"content": text}, {"tool_calls": [call]}), finish="tool_calls")


def test_with_tools_only_calls_are_held():
    async def scene():
        text = 'See "tool_calls": here. '
        script = answers(talking(text, BAD), talking("Again. ", GOOD))
        async with stack(script, guard=guard("block", Repair())) as s:
            _, raw, _ = await s.chat("Look Bern up", stream=True, tools=[TOOL])
            chunks = events(raw)
            assert text_of(chunks) == text
            deltas = [c["delta"] for chunk in chunks for c in chunk["choices"]]
            calls = [d["tool_calls"][0]["function"] for d in deltas if d.get("tool_calls")]
            assert "".join(call["arguments"] for call in calls) == GOOD
            assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
            assert len(s.fake.received) == 2

    run(scene)


def test_with_tools_what_is_said_leaves_as_it_comes():
    async def scene():
        script = Script(pieces=("Well, ", "let me see. ", "And so on."), fault="hang", after=3)
        async with stack(script, guard=guard("block", Repair())) as s:
            body = {"model": "fake", "stream": True, "tools": [TOOL]}
            body["messages"] = [{"role": "user", "content": "Look Bern up"}]
            url = s.url + "/v1/chat/completions"
            async with s.http.post(url, json=body, headers=s.auth) as response:
                got = b""
                async for data in response.content.iter_any():
                    got += data
                    if b"let me" in got:
                        break
                assert b"let me" in got

    run(scene)


def test_a_call_that_is_refused_after_something_was_said_ends_the_stream_with_an_error():
    async def scene():
        async with stack(answers(talking("Well. ", BAD)), guard=guard("block")) as s:
            status, raw, _ = await s.chat("Look Bern up", stream=True, tools=[TOOL])
            assert status == 200
            assert b"Well." in raw
            assert b"arguments" not in raw
            last = json.loads(raw.strip().split(b"\n\n")[-1].removeprefix(b"data: "))
            assert last["error"]["code"] == "invalid_answer"
            assert s.recorder.records[0][0].error == "invalid_answer"

    run(scene)
