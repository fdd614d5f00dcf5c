"""Routes through the whole gateway: which engine answers, why, and what becomes of the others."""

import asyncio

import msgspec
import pytest

from gateway_parts import events, run, text_of
from keelmark.core import semconv
from keelmark.serve.fake import Script
from routing_parts import routed, said

LOCAL = Script(pieces=("from ", "here"))
HOSTED = Script(pieces=("from ", "there"))
FALLBACK = "routes: {models: {assistant: {fallback: [hosted, local]}}, retry: {attempts: 0}}"
PRIVATE = """
routes:
  retry: {attempts: 0}
  models:
    assistant:
      when:
        - finds: [EMAIL, secrets]
          to: local
      otherwise: {fallback: [hosted, local]}
"""


async def ask(stack, text="Hi", headers=None, **more):
    body = {"model": "assistant", "messages": [{"role": "user", "content": text}], **more}
    return await stack.post("/v1/chat/completions", body, **(headers or {}))


def test_the_first_of_a_fallback_answers_and_the_trace_says_why():
    async def scene():
        async with routed(FALLBACK, {"hosted": HOSTED, "local": LOCAL}) as stack:
            status, body, headers = await ask(stack)
            assert (status, said(body), body["model"]) == (200, "from there", "assistant")
            assert headers["x-keelmark-model-digest"] == "unattested"
            assert stack.fakes["hosted"].received[0]["model"] == "hosted-model"
            assert not stack.fakes["local"].received
            trace = stack.recorder.records[0][0]
            assert trace.engine == "hosted"
            assert trace.attributes[semconv.ROUTE] == "assistant"
            assert trace.attributes[semconv.ROUTE_WHY] == "assistant > fallback[0]"
            assert semconv.ROUTE_TRIED not in trace.attributes

    run(scene)


_ALWAYS = [
    (None, "connect"),
    (Script(fault="error", status=500), "server_error"),
    (Script(fault="error", status=429), "rate_limited"),
    (Script(fault="error", status=401), "refused"),
    (Script(fault="error_as_200"), "server_error"),
]
_IN_STREAMS = [
    (Script(fault="cut", after=0), "broken"),
    (Script(fault="malformed", after=0), "broken"),
    (Script(fault="error_in_stream", after=0), "server_error"),
]


@pytest.mark.parametrize(
    ("fault", "kind", "stream"),
    [
        *((*one, False) for one in _ALWAYS),
        *((*one, True) for one in (*_ALWAYS, *_IN_STREAMS)),
    ],
)
def test_the_next_one_answers_when_the_first_fails_before_its_first_byte(fault, kind, stream):
    async def scene():
        async with routed(FALLBACK, {"hosted": fault, "local": LOCAL}) as stack:
            status, body, headers = await ask(stack, stream=stream)
            text = text_of(events(body)) if stream else said(body)
            assert (status, text) == (200, "from here")
            assert headers["x-keelmark-model-digest"] == "sha256:weights"
            trace = stack.recorder.records[0][0]
            assert trace.engine == "local"
            assert trace.model_digest == "sha256:weights"
            [tried] = trace.attributes[semconv.ROUTE_TRIED]
            assert tried.startswith(f"hosted: {kind} after")

    run(scene)


def test_what_the_client_does_wrong_is_not_tried_elsewhere():
    async def scene():
        wrong = Script(fault="error", status=400)
        async with routed(FALLBACK, {"hosted": wrong, "local": LOCAL}) as stack:
            status, body, _ = await ask(stack)
            assert (status, body["error"]["code"]) == (400, "engine_refused")
            assert not stack.fakes["local"].received

    run(scene)


def test_nothing_of_one_attempt_reaches_the_next():
    rules = """
guard:
  rules:
    - {id: mail, detector: personal_data, action: mask, stage: input, scope: {engines: [hosted]}}
"""

    async def scene():
        broken = Script(fault="error", status=503)
        async with routed(
            FALLBACK, {"hosted": broken, "local": Script(echo=True)}, rules=rules
        ) as s:
            status, body, _ = await ask(s, "Write to joe.bloggs@example.org", stream=False)
            assert status == 200
            assert "<EMAIL_1>" in s.fakes["hosted"].received[0]["messages"][0]["content"]
            there = s.fakes["local"].received[0]
            assert there["messages"][0]["content"] == "Write to joe.bloggs@example.org"
            assert there["model"] == "local-model"
            assert said(body) == "Write to joe.bloggs@example.org"

    run(scene)


def test_all_that_fail_leave_the_error_of_the_last():
    async def scene():
        async with routed(FALLBACK, {"hosted": None, "local": Script(fault="error")}) as stack:
            status, body, _ = await ask(stack)
            assert (status, body["error"]["code"]) == (502, "engine_error")
            trace = stack.recorder.records[0][0]
            assert len(trace.attributes[semconv.ROUTE_TRIED]) == 2

    run(scene)


def test_after_the_first_byte_nothing_is_tried_again():
    async def scene():
        cut = Script(pieces=("one ", "two ", "three"), fault="cut", after=3)
        async with routed(FALLBACK, {"hosted": cut, "local": LOCAL}) as stack:
            status, raw, _ = await ask(stack, stream=True)
            assert status == 200
            assert b"engine_gone" in raw
            assert b"here" not in raw
            assert not stack.fakes["local"].received

    run(scene)


def test_a_stream_begins_again_behind_a_marker_where_the_client_asks_for_it():
    routes = FALLBACK.replace("{models", "{after_first_byte: restart, models")
    wish = {"x-keelmark-after-first-byte": "restart"}

    async def scene():
        cut = Script(pieces=("one ", "two ", "three"), fault="cut", after=3)
        async with routed(routes, {"hosted": cut, "local": LOCAL}) as stack:
            _, raw, _ = await ask(stack, stream=True)
            assert b"engine_gone" in raw
            _, raw, _ = await ask(stack, stream=True, headers=wish)
            before, marker, after = raw.partition(b"event: keelmark.restart\n")
            assert marker
            assert b"one" in before
            parts = after.split(b"\n\n", 1)
            assert msgspec.json.decode(parts[0].removeprefix(b"data: "))["discard"] == "all"
            assert text_of(events(parts[1])) == "from here"
            assert stack.recorder.records[1][0].engine == "local"

    run(scene)


def test_what_is_found_decides():
    async def scene():
        async with routed(PRIVATE, {"hosted": HOSTED, "local": LOCAL}) as stack:
            assert said((await ask(stack, "Hello"))[1]) == "from there"
            assert said((await ask(stack, "I am joe.bloggs@example.org"))[1]) == "from here"
            first, second = (record[0].attributes for record in stack.recorder.records)
            assert first[semconv.ROUTE_FOUND] == []
            assert second[semconv.ROUTE_FOUND] == ["EMAIL"]
            assert second[semconv.ROUTE_WHY] == "assistant > when[0] (finds EMAIL/secrets)"

    run(scene)


def test_prompts_in_tokens_count_as_found():
    async def scene():
        async with routed(
            PRIVATE, {"hosted": HOSTED, "local": LOCAL}, rules="guard: {rules: []}"
        ) as s:
            status, _, _ = await s.post("/v1/completions", {"model": "assistant", "prompt": [1, 2]})
            assert status == 200
            assert not s.fakes["hosted"].received
            assert s.recorder.records[0][0].attributes[semconv.ROUTE_UNSURE] == ["EMAIL", "secrets"]

    run(scene)


def test_a_late_engine_is_overtaken_and_cancelled():
    routes = "routes: {models: {assistant: {fallback: [hosted, local]}}, hedge: {after_ms: 30}}"

    async def scene():
        slow = Script(fault="slow", delay=30)
        for stream in (False, True):
            async with routed(routes, {"hosted": slow, "local": LOCAL}) as stack:
                _, body, _ = await ask(stack, stream=stream)
                assert (text_of(events(body)) if stream else said(body)) == "from here"
                trace = stack.recorder.records[0][0]
                assert trace.engine == "local"
                assert trace.attributes[semconv.ROUTE_TRIED] == [
                    "hosted: late, so local was asked too"
                ]
                async with asyncio.timeout(5):
                    while not stack.fakes["hosted"].cancelled:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                assert stack.app.health.of("hosted").in_flight == 0

    run(scene)


def test_a_slow_first_byte_is_not_waited_for():
    routes = """
routes:
  retry: {attempts: 0}
  models: {assistant: {fallback: [{engine: hosted, first_byte_ms: 30}, local]}}
"""

    async def scene():
        for script in (Script(fault="slow", delay=30), Script(fault="hang", after=0)):
            async with routed(routes, {"hosted": script, "local": LOCAL}) as stack:
                status, raw, _ = await ask(stack, stream=True)
                assert (status, text_of(events(raw))) == (200, "from here")
                [tried] = stack.recorder.records[0][0].attributes[semconv.ROUTE_TRIED]
                assert tried.startswith("hosted: slow after")

    run(scene)


def test_an_engine_that_fails_is_left_alone_and_tried_again():
    routes = """
routes:
  retry: {attempts: 0}
  breaker: {failures: 2, rest_seconds: 1000}
  models: {assistant: {fallback: [hosted, local]}}
"""

    async def scene():
        async with routed(routes, {"hosted": Script(fault="error"), "local": LOCAL}) as stack:
            for _ in range(3):
                assert said((await ask(stack))[1]) == "from here"
            assert len(stack.fakes["hosted"].received) == 2
            assert stack.recorder.records[2][0].attributes[semconv.ROUTE_TRIED] == [
                "hosted: left alone"
            ]
            _, ready, _ = await stack.get("/readyz")
            assert ready["health"]["hosted"]["state"] == "open"
            assert ready["health"]["local"]["state"] == "closed"

    run(scene)


def test_a_dialect_falls_back_too():
    async def scene():
        async with routed(FALLBACK, {"hosted": Script(fault="error"), "local": LOCAL}) as stack:
            body = {
                "model": "assistant",
                "max_tokens": 50,
                "messages": [{"role": "user", "content": "Hi"}],
            }
            status, answer, _ = await stack.post("/v1/messages", body)
            assert status == 200, answer
            assert answer["content"][0]["text"] == "from here"
            status, raw, _ = await stack.post("/v1/messages", {**body, "stream": True})
            assert b"from " in raw
            assert raw.count(b"event: message_start") == 1

    run(scene)
