"""Overload through the gateway: who waits, who is refused, in which words, and what is recorded."""

import asyncio

import msgspec

from gateway_parts import GUARDED, events, run, stack, text_of
from keelmark.core.overload import Overload, Share
from keelmark.core.scope import Scope
from keelmark.serve.fake import Script
from routing_parts import routed

STUCK = Script(fault="hang", after=1)


def policy(**overload):
    section = Overload(adapt=False, **{"concurrent": 1, **overload})
    return msgspec.structs.replace(GUARDED, overload=section)


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (of the gateway, which has no event for it)
            await asyncio.sleep(0.002)


def lane(gateway):
    return gateway.app.lanes.all["fake"]


async def held(gateway, text="hold"):
    """A stream that holds the one slot until its client leaves."""
    body = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": text}]}
    headers = {"content-type": "application/json", **gateway.auth}
    response = await gateway.http.post(
        gateway.url + "/v1/chat/completions", json=body, headers=headers
    )
    await response.content.readany()
    return response


def answers(body):
    """Hang when asked to hold, else answer."""
    return STUCK if body["messages"][-1]["content"] == "hold" else Script()


async def chat(gateway, **headers):
    body = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}]}
    return await gateway.post("/v1/chat/completions", body, **headers)


def test_a_stream_holds_its_slot_until_its_end_and_the_next_one_waits():
    async def scene():
        async with stack(answers, policy=policy()) as gateway:
            stream = await held(gateway)
            waiting = asyncio.create_task(chat(gateway))
            await until(lambda: lane(gateway).waiting == 1)
            assert len(gateway.fake.received) == 1
            stream.close()
            status, _, _ = await waiting
            assert status == 200
            trace = gateway.traces[-1]
            assert trace.timings["queue"] > 0
            assert trace.attributes["keelmark.queue.ahead"] == 0
            assert lane(gateway).active == 0

    run(scene)


def test_a_free_engine_leaves_no_mark():
    async def scene():
        async with stack(policy=policy()) as gateway:
            status, raw, _ = await gateway.chat(stream=True)
            assert status == 200
            assert text_of(events(raw))
            assert "queue" not in gateway.traces[-1].timings
            assert not any("queue" in name for name in gateway.traces[-1].attributes)
            assert (lane(gateway).active, lane(gateway).waiting) == (0, 0)

    run(scene)


def test_who_leaves_while_it_waits_is_sent_nowhere():
    async def scene():
        async with stack(answers, policy=policy()) as gateway:
            stream = await held(gateway)
            waiting = asyncio.create_task(chat(gateway))
            await until(lambda: lane(gateway).waiting == 1)
            waiting.cancel()
            await until(lambda: lane(gateway).waiting == 0)
            await until(lambda: len(gateway.traces) == 1)
            assert gateway.traces[0].error == "client_gone"
            stream.close()
            await until(lambda: lane(gateway).active == 0)
            assert len(gateway.fake.received) == 1

    run(scene)


def test_refusals_are_early_and_say_when_to_come_back():
    async def scene():
        shares = (Share(scope=Scope(keys=("test",)), queue=1),)
        async with stack(answers, policy=policy(queue=1, shares=shares)) as gateway:
            stream = await held(gateway)
            waiting = asyncio.create_task(chat(gateway))
            await until(lambda: lane(gateway).waiting == 1)
            status, answer, headers = await chat(gateway)
            assert (status, answer["error"]["code"]) == (429, "too_many_waiting")
            assert int(headers["retry-after"]) >= 1
            assert gateway.traces[-1].attributes["keelmark.queue.refused"] == "key"
            secret, _ = gateway.keys.add("other", ("models",))
            status, answer, headers = await chat(gateway, authorization=f"Bearer {secret}")
            assert (status, answer["error"]["code"]) == (503, "overloaded")
            status, answer, _ = await chat(gateway, **{"x-keelmark-deadline-ms": "0"})
            assert status in (429, 503)
            stream.close()
            assert (await waiting)[0] == 200
            assert lane(gateway).active == 0

    run(scene)


def test_deadlines_are_kept():
    async def scene():
        async with stack(answers, policy=policy()) as gateway:
            status, answer, _ = await chat(gateway, **{"x-keelmark-deadline-ms": "0"})
            assert (status, answer["error"]["code"]) == (503, "cannot_start_in_time")
            stream = await held(gateway)
            status, answer, _ = await chat(gateway, **{"x-keelmark-deadline-ms": "30"})
            assert (status, answer["error"]["code"]) == (503, "cannot_start_in_time")
            assert len(gateway.fake.received) == 1
            stream.close()
            status, _, _ = await chat(gateway, **{"x-keelmark-deadline-ms": "20000"})
            assert status == 200
            for wrong in ("soon", "-1", "1e3", "9999999999"):
                status, answer, _ = await chat(gateway, **{"x-keelmark-deadline-ms": wrong})
                assert (status, answer["error"]["code"]) == (400, "invalid_deadline")

    run(scene)


def test_priorities_are_a_matter_of_the_policy():
    async def scene():
        shares = (Share(scope=Scope(keys=("test",)), highest="high"),)
        async with stack(answers, policy=policy(shares=shares)) as gateway:
            secret, _ = gateway.keys.add("other", ("models",))
            other = {"authorization": f"Bearer {secret}"}
            status, answer, _ = await chat(gateway, **{"x-keelmark-priority": "urgent"})
            assert (status, answer["error"]["code"]) == (400, "invalid_priority")
            status, answer, _ = await chat(gateway, **other, **{"x-keelmark-priority": "high"})
            assert (status, answer["error"]["code"]) == (403, "priority_not_allowed")
            stream = await held(gateway)
            usual = asyncio.create_task(chat(gateway, **other))
            await until(lambda: lane(gateway).waiting == 1)
            low = asyncio.create_task(chat(gateway, **other, **{"x-keelmark-priority": "low"}))
            await until(lambda: lane(gateway).waiting == 2)
            high = asyncio.create_task(chat(gateway, **{"x-keelmark-priority": "High"}))
            await until(lambda: lane(gateway).waiting == 3)
            stream.close()
            assert [(await one)[0] for one in (usual, low, high)] == [200] * 3
            waited = [trace.attributes.get("keelmark.queue.priority") for trace in gateway.traces]
            assert waited[-3:] == ["high", "normal", "low"]

    run(scene)


def test_an_engine_that_refuses_gets_less():
    async def scene():
        busy = Script(fault="error", status=429)
        section = msgspec.structs.replace(GUARDED, overload=Overload(concurrent=8))
        async with stack(busy, policy=section) as gateway:
            await gateway.chat()
            assert lane(gateway).pace.limit < 8
            assert lane(gateway).active == 0

    run(scene)


def test_a_changed_policy_reaches_the_queues():
    async def scene():
        async with stack(answers, policy=policy()) as gateway:
            stream = await held(gateway)
            waiting = asyncio.create_task(chat(gateway))
            await until(lambda: lane(gateway).waiting == 1)
            gateway.app.use(gateway.guard, policy(concurrent=2))
            assert (await waiting)[0] == 200
            stream.close()
            await until(lambda: lane(gateway).active == 0)

    run(scene)


BUSY = """
routes:
  models: {assistant: {fallback: [{engine: hosted, first_byte_ms: 40}, local]}}
overload: {concurrent: 1, adapt: false}
"""


def test_a_route_goes_on_to_the_next_engine_and_thinks_no_less_of_a_busy_one():
    async def scene():
        async with routed(BUSY, {"hosted": answers, "local": Script()}) as gateway:
            body = {"messages": [{"role": "user", "content": "hold"}], "stream": True}
            headers = {"content-type": "application/json", **gateway.auth}
            stuck = await gateway.http.post(
                gateway.url + "/v1/chat/completions",
                json={"model": "hosted-model", **body},
                headers=headers,
            )
            await stuck.content.readany()
            for _ in range(6):
                status, _, _ = await gateway.chat(model="assistant")
                assert status == 200
                trace = gateway.traces[-1]
                assert trace.engine == "local"
                assert trace.attributes["keelmark.route.tried"][0].startswith("hosted: busy")
            assert gateway.app.health.of("hosted").state == "closed"
            assert len(gateway.fakes["hosted"].received) == 1
            stuck.close()
            await until(lambda: gateway.app.lanes.all["hosted"].active == 0)

    run(scene)
