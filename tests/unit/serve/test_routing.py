"""Routes through the whole gateway: which engine answers, why, and what becomes of the others."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from gateway_parts import events, run, text_of
from keelmark.core import semconv
from keelmark.core.errors import UnavailableError
from keelmark.core.policy import Limits, parse_policy
from keelmark.core.routing import When
from keelmark.core.trace import Trace
from keelmark.guard import Guard
from keelmark.serve.calls import CHAT as CHAT_KIND
from keelmark.serve.calls import Call
from keelmark.serve.facts import Facts, holds
from keelmark.serve.fake import Script
from keelmark.serve.http import Request
from routing_parts import Answering, Door, routed, said, stream_of

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


AGAIN = """
routes:
  models: {assistant: {fallback: [hosted, local]}}
  retry: {attempts: 1, backoff_ms: 0, most_wait_ms: 500}
  breaker: {failures: 1000, least: 1000}
"""
CHAT = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("faults", "asked"),
    [
        (["500"], ["hosted", "hosted"]),
        (["connect"], ["hosted", "hosted"]),
        (["429"], ["hosted", "hosted"]),
        (["429 after 0"], ["hosted", "hosted"]),
        (["429 after 5"], ["hosted", "local"]),  # longer than anybody waits here
        (["501"], ["hosted", "local"]),
        (["401"], ["hosted", "local"]),  # it will not know the key the next time either
        (["503", "503"], ["hosted", "hosted", "local"]),
        (["400"], ["hosted"]),
    ],
)
def test_what_is_asked_again(faults, asked):
    async def scene():
        transport = Answering({"hosted": faults})
        door = Door(AGAIN, ("hosted", "local"), transport)
        await door.post("/v1/chat/completions", CHAT)
        assert [name for name, _ in transport.sent] == asked

    run(scene)


def test_a_failing_engine_is_not_asked_much_more_than_before():
    async def scene():
        transport = Answering({"hosted": ["500"] * 1000})
        door = Door(AGAIN, ("hosted", "local"), transport)
        for _ in range(50):
            assert (await door.post("/v1/chat/completions", CHAT))[0] == 200
        asked = [name for name, _ in transport.sent].count("hosted")
        assert 50 < asked <= 50 + 10 + 0.2 * 50

    run(scene)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "Hi"}),
        ("/v1/completions", {"prompt": "Hi", "stream": True}),
        ("/v1/embeddings", {"input": "Hi"}),
        ("/v1/rerank", {"query": "Hi", "documents": ["a", "b"]}),
        ("/v1/responses", {"input": "Hi"}),
        ("/v1/messages", {"max_tokens": 5, "messages": CHAT["messages"], "stream": True}),
        ("/v1/messages/count_tokens", {"messages": CHAT["messages"]}),
    ],
)
def test_every_kind_of_call_takes_its_route(path, body):
    async def scene():
        transport = Answering({"hosted": ["503", "503"]})
        door = Door(AGAIN, ("hosted", "local"), transport)
        status, raw = await door.post(path, {"model": "assistant", **body})
        assert status == 200, raw
        assert [name for name, _ in transport.sent] == ["hosted", "hosted", "local"]
        trace = door.recorder.records[0][0]
        assert (trace.engine, trace.model) == ("local", "assistant")

    run(scene)


def test_an_answer_that_must_have_a_form_falls_back_and_is_mended():
    rules = """
guard:
  rules:
    - {id: form, detector: structured_output, action: block, repair: {attempts: 1}}
"""
    schema = {"type": "object", "required": ["port"], "properties": {"port": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    def script(body):
        again = len(body["messages"]) > 1
        return Script(pieces=('{"port": "Bergen"}',) if again else ("Bergen",))

    async def scene():
        for stream in (False, True):
            hosted = Script(fault="error", status=503)
            async with routed(FALLBACK, {"hosted": hosted, "local": script}, rules=rules) as stack:
                status, body, _ = await ask(stack, response_format=form, stream=stream)
                text = text_of(events(body)) if stream else said(body)
                assert (status, text) == (200, '{"port": "Bergen"}')
                assert len(stack.fakes["hosted"].received) == 1
                assert len(stack.fakes["local"].received) == 2
                trace = stack.recorder.records[0][0]
                assert trace.attributes[semconv.REPAIR_ATTEMPTS] == 1
                assert trace.engine == "local"
                assert any("asked again" in one.reason for one in trace.output.rules)

    run(scene)


def test_requests_at_work_keep_their_plan_when_the_routes_change():
    async def scene():
        go, came = asyncio.Event(), asyncio.Event()

        class Slow(Answering):
            async def send(self, method, url, **more):
                if "hosted" in url:
                    came.set()
                    await go.wait()
                return await super().send(method, url, **more)

        transport = Slow()
        door = Door(AGAIN, ("hosted", "local"), transport)
        first = asyncio.create_task(door.post("/v1/chat/completions", CHAT))
        await came.wait()
        changed = parse_policy("guard: {rules: []}\nroutes: {models: {assistant: local}}")
        door.app.use(Guard(changed), changed)
        assert (await door.post("/v1/chat/completions", CHAT))[0] == 200
        go.set()
        assert (await first)[0] == 200
        assert [record[0].engine for record in door.recorder.records] == ["local", "hosted"]

    run(scene)


def test_conditions():
    moment = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)  # a Monday, 08:30 in Berlin
    body = {"tools": [{}], "messages": [{"role": "user", "content": "Where is the harbour?"}]}
    trace = Trace(trace_id="t", started=0, operation="chat", key_id="k1", team="sea", stream=True)
    request = Request("POST", "/", {b"x-keelmark-tags": b"falcon, red"}, 0, "", None, None)
    call = Call(
        request=request, kind=CHAT_KIND, trace=trace, key_name="ada", scopes=("models",), body=body
    )
    facts = Facts(call, None, Limits(), lambda: moment)
    yes = [
        {"keys": ["a*"]}, {"keys": ["k1"]}, {"teams": ["sea"]}, {"scopes": ["models", "admin"]},
        {"operations": ["chat"]}, {"tags": ["fal*"]}, {"stream": True}, {"tools": True},
        {"schema": False}, {"images": False}, {"longer_than": 20}, {"shorter_than": 200},
        {"untrusted": False}, {"days": ["mon"]},
        {"hours": "08:00-09:00", "zone": "Europe/Berlin"}, {"hours": "22:00-08:00"},
    ]  # fmt: skip
    no = [
        {"keys": ["b*"]}, {"teams": ["land"]}, {"scopes": ["admin"]}, {"operations": ["embed*"]},
        {"tags": ["blue"]}, {"stream": False}, {"tools": False}, {"schema": True},
        {"images": True}, {"longer_than": 2000}, {"shorter_than": 2}, {"untrusted": True},
        {"days": ["sun"]}, {"hours": "08:00-09:00"}, {"languages": ["en"]},
        {"keys": ["ada"], "stream": False},
    ]  # fmt: skip

    async def scene():
        for conditions, wanted in ((yes, True), (no, False)):
            for one in conditions:
                assert await holds(msgspec.convert(one, When), facts) is wanted, one

    run(scene)


def test_an_engine_is_not_left_alone_for_what_it_does_not_do():
    async def scene():
        rules = "breaker: {failures: 1, rest_seconds: 1000}"
        routes = AGAIN.replace("breaker: {failures: 1000, least: 1000}", rules)
        transport = Answering({"hosted": ["501", "429", "429", "400", "500", "500"]})
        door = Door(routes, ("hosted", "local"), transport)
        states = []
        for _ in range(5):
            await door.post("/v1/chat/completions", CHAT)
            states.append(door.app.health.of("hosted").state)
        assert states == ["closed", "closed", "closed", "open", "open"]

    run(scene)


def test_one_that_fails_beside_an_answer_does_not_end_it():
    async def scene():
        failing, answering, both = asyncio.Event(), asyncio.Event(), asyncio.Event()

        class Parts:
            status, headers = 200, {"content-type": "text/event-stream"}

            async def chunks(self):
                for event in stream_of("/chat/completions").split(b"\n\n"):
                    yield event + b"\n\n"
                    for _ in range(5):
                        await asyncio.sleep(0)

            async def close(self, *, over=False): ...

        class Together(Answering):
            async def send(self, method, url, **more):
                if "local" in url:
                    both.set()
                    await failing.wait()
                    raise UnavailableError("It is gone.")
                await answering.wait()
                return Parts()

        routes = AGAIN.replace("retry:", "hedge: {after_ms: 0}\n  retry:")
        door = Door(routes, ("hosted", "local"), Together())
        call = asyncio.create_task(door.post("/v1/chat/completions", {**CHAT, "stream": True}))
        await both.wait()
        failing.set()  # one fails in the very moment in which the other one begins to answer
        answering.set()
        status, raw = await call
        assert (status, text_of(events(raw))) == (200, "ok")
        assert door.app.health.of("local").in_flight == 0

    run(scene)


@pytest.mark.parametrize(
    ("way", "first"), [("cheapest", "b"), ("fastest", "b"), ("least_busy", "b"), ("fallback", "c")]
)
def test_the_order_of_parts_that_are_compared(way, first):
    prices = """
quota:
  prices: [{engine: a, input: 2, output: 9}, {engine: b, input: 3, output: 1}]
routes:
  models: {assistant: {%s: [c, a, b]}}
"""

    async def scene():
        transport = Answering()
        door = Door(prices % way, ("a", "b", "c"), transport)
        for name, seconds in (("a", 0.5), ("b", 0.001), ("c", 0.2)):
            pulse = door.app.health.of(name)
            if way == "least_busy":
                pulse.in_flight = int(10 * seconds)
            elif way == "fastest":
                pulse.first_byte(seconds, stream=False)
        await door.post("/v1/chat/completions", CHAT)
        assert [name for name, _ in transport.sent] == [first]
        attributes = door.recorder.records[0][0].attributes
        assert attributes.get(semconv.ROUTE_UNPRICED, []) == ["c"] * (way == "cheapest")

    run(scene)
