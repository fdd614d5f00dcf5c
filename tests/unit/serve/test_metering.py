"""What a call may use and what it is billed, through a real gateway, a real store and real holds.

Every scene ends with the same question: is the sum of the ledger the sum of the usage?
"""

import asyncio
import time
from decimal import Decimal

import aiohttp
import pytest

from gateway_parts import GUARDED, MemoryGuard, events
from keelmark.app.quota import balances
from keelmark.core.policy import GuardRules, Policy, Repair, Rule
from keelmark.core.quota import Budget, RateLimit
from keelmark.guard import Guard
from keelmark.serve.bounds import TEMPLATE
from keelmark.serve.fake import Script
from keelmark.store.usage import list_spent
from metering_parts import (
    SAID,
    metered,
    none_held,
    quota,
    scene,
    tokens,
    until,
    used,
)

HANGS = Script(fault="hang", after=0)


async def gone(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@scene
async def test_an_answer_is_billed_as_the_engine_says(tmp_path):
    async with metered(tmp_path, quota(tokens(10_000))) as room:
        status, answer, _ = await room.chat()
        assert status == 200
        said = answer["usage"]
        (row,) = used(room)
        money = 1500 * said["prompt_tokens"] + 6000 * said["completion_tokens"]
        assert (row.money, row.input, row.output) == (money, said["prompt_tokens"], 2)
        assert (row.estimated, row.unpriced, row.currency) == (0, 0, "USD")
        trace = room.store.traces()[0]
        assert trace.attributes["keelmark.usage.cost"] == money
        assert trace.attributes["keelmark.usage.how"] == ["engine"]
        assert room.fake.received[0]["max_tokens"] == 4096, "an answer is bounded"
        await none_held(room)


@scene
async def test_a_stream_is_billed_as_the_engine_says(tmp_path):
    async with metered(tmp_path, quota(tokens(10_000))) as room:
        status, raw, _ = await room.chat(stream=True)
        assert (status, len(events(raw)) > 1) == (200, True)
        (row,) = used(room)
        assert (row.output, row.estimated) == (2, 0)


@scene
async def test_a_budget_lets_exactly_what_fits_through(tmp_path):
    async with metered(tmp_path, quota(tokens(3000))) as room:
        body = {"max_tokens": 2}
        answers = await asyncio.gather(*(room.chat(**body) for _ in range(12)))
        statuses = [status for status, _, _ in answers]
        assert set(statuses) <= {200, 429}
        (row,) = used(room)
        assert row.calls == statuses.count(200)
        assert row.input + row.output <= 3000
        await none_held(room)


@scene
async def test_a_budget_that_is_used_up_says_so_and_when_it_begins_anew(tmp_path):
    daily = Budget(id="day", window="day", tokens=900)
    async with metered(tmp_path, quota(daily)) as room:
        while (answer := await room.chat(max_tokens=300))[0] == 200:
            pass
        status, body, headers = answer
        assert (status, body["error"]["code"]) == (429, "insufficient_quota")
        assert "begins anew at" in body["error"]["message"]
        assert 0 < int(headers["retry-after"]) <= 86400
        assert headers["x-should-retry"] == "false"
        assert room.store.traces()[0].attributes["keelmark.quota.refused_by"] == "day"
        for dialect, code in (("/v1/messages", "insufficient_quota"),):
            body = {
                "model": "fake",
                "max_tokens": 300,
                "messages": [{"role": "user", "content": "x"}],
            }
            status, said, _ = await room.post(dialect, body)
            assert (status, said["error"]["code"]) == (429, code)


@scene
async def test_what_is_only_held_is_no_reason_to_say_used_up(tmp_path):
    async with metered(tmp_path, quota(tokens(1400)), HANGS) as room:
        first = asyncio.create_task(room.chat(max_tokens=300))
        await until(lambda: room.fake.running)
        status, body, headers = await room.chat(max_tokens=300)
        assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
        assert "held" in body["error"]["message"]
        assert headers["retry-after"] == "1"
        await gone(first)


@scene
async def test_what_is_only_held_is_waited_for(tmp_path):
    async with metered(tmp_path, quota(tokens(1400), wait_seconds=60), HANGS) as room:
        first = asyncio.create_task(room.chat(max_tokens=300, stream=True))
        await until(lambda: room.fake.running)
        room.fake.script = SAID
        second = asyncio.create_task(room.chat(max_tokens=300))
        await until(lambda: room.app.config.tally.active == 2)
        await gone(first)
        assert (await second)[0] == 200


@scene
async def test_an_answer_gets_what_is_left_when_the_client_names_no_number(tmp_path):
    async with metered(tmp_path, quota(tokens(TEMPLATE + 300))) as room:
        assert (await room.chat())[0] == 200
        (sent,) = room.fake.received
        assert 16 <= sent["max_tokens"] < 300
        status, body, _ = await room.chat(max_tokens=300)
        assert (status, body["error"]["code"]) == (429, "insufficient_quota")
        assert "ask for fewer tokens" in body["error"]["message"]


@scene
async def test_an_engine_that_counts_is_asked_before_a_request_is_refused(tmp_path):
    section = quota(tokens(60))  # fewer than the bytes of any prompt
    async with metered(tmp_path, section) as room:
        assert (await room.chat(max_tokens=20))[0] == 429
        assert room.fake.received == [], "this one does not count"
    async with metered(tmp_path / "other", section, counts_tokens=True) as room:
        assert (await room.chat(max_tokens=20, stream=True))[0] == 200
        assert [one.get("stream") for one in room.fake.received] == [None, True]
        assert (await room.chat(max_tokens=70))[1]["error"]["code"] == "insufficient_quota"
        room.engine.url = "http://127.0.0.1:9"
        assert (await room.chat(max_tokens=20))[0] == 429, "nobody counts now"


@scene
async def test_a_cut_stream_is_counted_by_what_was_passed_on(tmp_path):
    script = Script(pieces=("Hello you there ",) * 4, fault="cut", after=2)
    async with metered(tmp_path, quota(tokens(10_000)), script) as room:
        _, raw, _ = await room.chat(stream=True)
        assert b"engine_gone" in raw
        (row,) = used(room)
        assert (row.estimated, row.calls) == (1, 1)
        passed = b"".join(p for p in raw.split(b'"content":"')[1:]).count(b"Hello you there ")
        assert row.output <= passed * 16
        assert row.input > 0
        await none_held(room)


@pytest.mark.parametrize("fault", ["error", "error_as_200", "malformed", "drop"])
def test_an_engine_that_fails_before_it_says_anything_is_not_billed(tmp_path, fault):
    async def run():
        async with metered(tmp_path, quota(tokens(10_000)), Script(fault=fault, after=0)) as room:
            assert (await room.chat())[0] >= 400
            assert used(room) == []
            await none_held(room)

    asyncio.run(run())


@scene
async def test_an_engine_that_cannot_be_reached_is_not_billed(tmp_path):
    async with metered(tmp_path, quota(tokens(10_000))) as room:
        room.engine.url = "http://127.0.0.1:9"
        assert (await room.chat())[0] == 503
        assert used(room) == []
        await none_held(room)


@scene
async def test_an_answer_without_counts_is_counted_by_us(tmp_path):
    async with metered(tmp_path, quota(tokens(10_000)), Script(fault="no_usage")) as room:
        assert (await room.chat())[0] == 200
        (row,) = used(room)
        assert (row.estimated, row.output) == (1, 9), "27 bytes, 3 for a token"


@scene
async def test_a_prompt_that_the_guard_stops_is_not_billed(tmp_path):
    async with metered(tmp_path, quota(tokens(10_000))) as room:
        assert (await room.chat("INJECT"))[0] == 400
        assert used(room) == []
        await none_held(room)


@scene
async def test_an_answer_that_the_guard_stops_is_billed(tmp_path):
    script = Script(pieces=("Well ", "FORBIDDEN ", "word "))
    async with metered(tmp_path, quota(tokens(10_000)), script) as room:
        for stream, estimated in ((False, 0), (True, 1)):
            await room.chat(stream=stream)
            rows = used(room)
            assert rows[0].estimated == estimated
        assert rows[0].calls == 2
        await none_held(room)


@scene
async def test_a_client_that_leaves_a_stream_pays_for_what_it_got(tmp_path):
    script = Script(pieces=("Hello ",) * 3, fault="hang", after=2)
    async with metered(tmp_path, quota(tokens(10_000)), script) as room:
        body = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        url = room.url + "/v1/chat/completions"
        async with room.http.post(url, json=body, headers=room.auth) as response:
            await response.content.readuntil(b"\n\n")
        await recorded(room, 1)
        (row,) = used(room)
        assert (row.estimated, row.output < 20) == (1, True)
        await none_held(room)


@scene
async def test_a_client_that_leaves_before_anything_is_known_pays_all_that_was_held(tmp_path):
    async with metered(tmp_path, quota(tokens(10_000)), Script(fault="slow", delay=30)) as room:
        leaving = aiohttp.ClientTimeout(total=0.3)
        body = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50}
        with pytest.raises(TimeoutError):
            await room.http.post(
                room.url + "/v1/chat/completions", json=body, headers=room.auth, timeout=leaving
            )
        await recorded(room, 1)
        (row,) = used(room)
        assert (row.output, row.estimated) == (50, 1)
        assert row.input > TEMPLATE
        assert room.store.traces()[0].attributes["keelmark.usage.how"] == ["lost"]
        await none_held(room)


async def recorded(room, count):
    """Wait for so many records, and for the end of the requests themselves."""
    await until(lambda: len(room.store.traces()) >= count and not room.app.config.tally.active)


@scene
async def test_what_cannot_be_recorded_stays_held_and_is_found(tmp_path):
    class Broken:
        def __init__(self, store):
            self.store = store

        async def record(self, *_):
            raise OSError("no space left on device")

    async with metered(tmp_path, quota(tokens(10_000))) as room:
        config = room.app.config
        desk = room.app._desk
        room.app._desk = type(desk)(
            type(config)(
                **{
                    **{f: getattr(config, f) for f in config.__struct_fields__},
                    "recorder": Broken(room.store),
                }
            ),
            *(getattr(desk, f) for f in desk.__struct_fields__[1:]),
        )
        assert (await room.chat(max_tokens=10))[0] == 500
        assert len(await room.kept.held()) == 1
        assert await room.kept.tidy() == 1
        (row,) = used(room)
        assert (row.output, row.calls) == (10, 1)
        await none_held(room)


@scene
async def test_money_for_a_model_without_a_price_is_refused_or_said(tmp_path):
    money = Budget(id="money", window="month", money=Decimal(1))
    async with metered(tmp_path, quota(money, prices=())) as room:
        status, body, _ = await room.chat()
        assert (status, body["error"]["code"]) == (403, "price_unknown")
        assert not room.fake.received
    allowing = quota(money, tokens(10_000), prices=(), unpriced="allow")
    async with metered(tmp_path / "other", allowing) as room:
        assert (await room.chat())[0] == 200
        (row,) = used(room)
        assert (row.unpriced, row.money) == (1, 0)
        assert "keelmark.usage.cost" not in room.store.traces()[0].attributes


@scene
async def test_accounts_are_those_of_the_key_the_user_and_the_model(tmp_path):
    budgets = [
        tokens(9000, f"b{n}", per=per) for n, per in enumerate((("key",), ("user", "model")))
    ]
    async with metered(tmp_path, quota(*budgets, tokens(9000, "teams", per=("team",)))) as room:
        await room.chat(user="ada")
        await room.chat(user="bob")
        spent, held = room.store.read(list_spent), await room.kept.held()
        stood = balances(room.app.config.policy.quota, spent, held, time.time())
        names = [(one.budget.id, sorted(one.account.names), one.calls) for one in stood]
        assert names == [
            ("b0", ["key"], 2),
            ("b1", ["model", "user"], 1),
            ("b1", ["model", "user"], 1),
        ]
        assert "ada" not in str(room.store.read(list_spent))


@scene
async def test_limits_refuse_with_the_usual_headers(tmp_path):
    limits = (RateLimit(id="slow", per=("key",), requests="2/hour", tokens="1000/minute"),)
    async with metered(tmp_path, quota(limits=limits)) as room:
        _, _, headers = await room.chat()
        assert headers["x-ratelimit-limit-requests"] == "2"
        assert headers["x-ratelimit-remaining-requests"] == "1"
        assert headers["x-ratelimit-reset-requests"] == "30m0s"
        assert headers["x-ratelimit-limit-tokens"] == "1000"
        status, _, headers = await room.chat(stream=True)
        assert (status, headers["x-ratelimit-remaining-requests"]) == (200, "0")
        status, body, headers = await room.chat()
        assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 1790 < int(headers["retry-after"]) <= 1800
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert len(room.fake.received) == 2
        status, _, _ = await room.get("/v1/models")
        assert status == 200, "lists are not limited"


@scene
async def test_tokens_of_a_limit_are_put_right_by_what_was_used(tmp_path):
    limits = (RateLimit(id="slow", tokens="6000/minute"),)
    async with metered(tmp_path, quota(limits=limits)) as room:
        _, _, headers = await room.chat(max_tokens=5000)
        assert int(headers["x-ratelimit-remaining-tokens"]) < 1000
        _, _, headers = await room.chat(max_tokens=1)
        assert int(headers["x-ratelimit-remaining-tokens"]) > 5900


@scene
async def test_only_so_many_at_once(tmp_path):
    limits = (RateLimit(id="two", per=("key",), concurrent=2),)
    async with metered(tmp_path, quota(limits=limits), HANGS) as room:
        held = [asyncio.create_task(room.chat()) for _ in range(2)]
        await until(lambda: room.fake.running == 2)
        status, body, headers = await room.chat()
        assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
        assert headers["retry-after"] == "1"
        room.fake.script = SAID
        await gone(*held)
        await recorded(room, 3)
        assert (await room.chat())[0] == 200


@scene
async def test_a_policy_that_changes_counts_on(tmp_path):
    async with metered(tmp_path, quota(tokens(10_000))) as room:
        assert (await room.chat())[0] == 200
        tight = Policy(guard=GUARDED.guard, quota=quota(tokens(5)))
        room.app.use(MemoryGuard(), tight)
        assert (await room.chat())[1]["error"]["code"] == "insufficient_quota"
        room.app.use(MemoryGuard(), Policy(guard=GUARDED.guard))
        assert (await room.chat())[0] == 200
        (row,) = used(room)
        assert row.calls == 1, "without a quota nothing is counted"


@scene
async def test_embeddings_are_billed_for_what_they_read(tmp_path):
    async with metered(tmp_path, quota(tokens(10_000))) as room:
        status, _, _ = await room.post("/v1/embeddings", {"model": "fake", "input": "Hi"})
        assert status == 200
        (row,) = used(room)
        assert (row.output, row.input > 0, row.estimated) == (0, True, 0)


@scene
async def test_each_answer_of_a_repair_is_billed_once(tmp_path):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    rule = Rule(id="form", detector="structured_output", action="flag", repair=Repair(attempts=1))
    left = ['{"n": "x"}', '{"n": 5}']
    guard = Guard(Policy(guard=GuardRules(rules=(rule,))))
    parts = {"script": lambda _: Script(pieces=(left.pop(0),)), "guard": guard}
    async with metered(tmp_path, quota(tokens(100_000)), **parts) as room:
        status, answer, _ = await room.chat(response_format=wanted)
        assert (status, answer["choices"][0]["message"]["content"]) == (200, '{"n": 5}')
        (row,) = used(room)
        assert row.calls == 2
        assert row.input == answer["usage"]["prompt_tokens"]
        assert row.output == answer["usage"]["completion_tokens"] == 2
        (told,) = [r.body["usage"] for r in room.store.records(["request"])]
        assert told["how"] == ["engine", "engine"]
        await none_held(room)
