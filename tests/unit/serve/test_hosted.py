"""Local models behind leases: in memory while requests are on their way, and only then kept."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from gateway_parts import PlainEngine, listening, run
from keelmark.core.errors import IntegrityError, LimitError, UnavailableError, UsageError
from keelmark.serve.berths import Standing, Turns
from keelmark.serve.engine import Endpoint
from keelmark.serve.engines.llama import LlamaOptions
from keelmark.serve.errors import ApiError
from keelmark.serve.fake import FakeEngine, Script
from keelmark.serve.hosted import HostedEngine, HostedTransport, LocalLeases, Nature
from keelmark.serve.loader import Loader
from keelmark.serve.transport import new_transport


class Child(PlainEngine):
    """What the opener makes: an engine at the fake's address that can be started and stopped."""

    reranks, context, chat_template = True, 64, ""

    async def scorer(self):
        return Endpoint(self.url + "/scored/v1", {"authorization": "Bearer scorer"})


class Bench:
    """A loader with models, and the transport to them."""

    def __init__(self, url, transport, budget, turns):
        self.url = url
        self.loader = Loader(budget, turns)
        self.way = HostedTransport(transport, LocalLeases(self.loader))
        self.opened, self.let_go, self.fails = [], [], None

    def add(self, name, need=6):
        async def open_():
            self.opened.append(name)
            if self.fails:
                raise self.fails
            return Child(self.url), lambda reason: self.let_go.append((name, reason))

        return HostedEngine(
            name,
            id=f"llama:{name}",
            nature=Nature("sha256:x", "sealed", need, scoring=3),
            options=LlamaOptions(context=256),
            open_=open_,
            loader=self.loader,
        )

    async def ask(self, engine, path="/chat/completions", *, scores=False):
        endpoint = await engine.scorer() if scores else engine.endpoint()
        return await self.way.send(
            "POST", endpoint.base_url + path, headers={}, body=b'{"messages": []}', timeout=10
        )


@asynccontextmanager
async def bench(script=None, budget=10, **turns):
    fake, transport = FakeEngine(script), new_transport("direct")
    async with listening(fake) as url:
        made = Bench(url, transport, budget, Turns(**{"stay": 0.0, **turns}))
        try:
            yield made
        finally:
            await made.loader.close()
            await transport.close()


def test_a_model_is_loaded_when_it_is_asked_for_and_stays_until_the_answer_is_closed():
    async def scene():
        async with bench() as b:
            one, two = b.add("one"), b.add("a b/c%")
            assert (one.ready, one.state, b.opened) == (True, "unloaded", [])
            first = await b.ask(one)
            assert (first.status, one.state, b.opened) == (200, "loaded", ["one"])
            other = asyncio.create_task(b.ask(two))
            while not b.loader.berths["a b/c%"].waiters:  # noqa: ASYNC110 (it is no event)
                await asyncio.sleep(0.001)
            assert await first.read()
            await asyncio.sleep(0.01)
            assert b.let_go == [], "an answer is still open"
            await first.close(over=True)
            await first.close(over=True)
            second = await other
            assert b.let_go == [("one", "To make room for a b/c%.")]
            assert b.loader.taken <= b.loader.budget
            await second.close()
            assert [berth.users for berth in b.loader.berths.values()] == [0, 0]

    run(scene)


def test_the_scorer_is_reached_by_the_same_lease():
    async def scene():
        async with bench() as b:
            one = b.add("one")
            response = await b.ask(one, "/input_tokens", scores=True)
            assert response.status == 200
            await response.close()
            assert b.loader.berths["one"].users == 0
            assert b.loader.taken == 9, "a scorer takes memory, too"
            await (await b.ask(one, "/input_tokens", scores=True)).close()
            assert b.loader.taken == 9
            await b.loader.unload("one", "asked for")
            assert (b.loader.taken, one.need) == (0, 6)

    run(scene)


def test_a_scorer_without_room_is_refused():
    async def scene():
        async with bench(budget=8) as b:
            one = b.add("one")
            with pytest.raises(UnavailableError, match="raise --memory"):
                await b.ask(one, scores=True)
            assert b.loader.taken == 6
            assert b.loader.berths["one"].users == 0
            await (await b.ask(one)).close()

    run(scene)


def test_what_fails_to_be_sent_holds_nothing():
    async def scene():
        async with bench() as b:
            one = b.add("one")
            b.url = "http://127.0.0.1:9"
            with pytest.raises(UnavailableError):
                await b.ask(one)
            assert b.loader.berths["one"].users == 0

    run(scene)


def test_a_request_waits_no_longer_than_it_may():
    async def scene():
        async with bench(budget=10, stay=3600.0, wait=0.05) as b:
            one, two = b.add("one"), b.add("two")
            await (await b.ask(one)).close()
            with pytest.raises(ApiError) as late:
                await b.ask(two)
            assert (late.value.status, late.value.code) == (503, "model_loading")
            assert late.value.retry_after
            assert b.opened == ["one"]
            await (await b.ask(one)).close()  # the other one still answers

    run(scene)


def test_the_line_is_bounded():
    async def scene():
        async with bench(stay=3600.0, wait=30.0, line=2) as b:
            one, two = b.add("one"), b.add("two")
            await (await b.ask(one)).close()
            waiting = [asyncio.create_task(b.ask(two)) for _ in range(2)]
            while len(b.loader.berths["two"].waiters) < 2:  # noqa: ASYNC110 (it is no event)
                await asyncio.sleep(0.001)
            with pytest.raises(ApiError) as full:
                await b.ask(two)
            assert "2 requests waiting" in full.value.message
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert not b.loader.berths["two"].waiters

    run(scene)


def test_a_model_that_does_not_load_is_left_alone_for_a_while():
    async def scene():
        async with bench(rest=3600.0) as b:
            one = b.add("one")
            b.fails = IntegrityError("/secret/path is not the model that was vetted.")
            for _ in range(3):
                with pytest.raises(ApiError) as refused:
                    await b.ask(one)
                assert refused.value.status == 503
                assert "/secret/path" not in refused.value.message
            assert b.opened == ["one"], "its bytes are not read again for each request"
            assert not one.ready
            assert b.loader.berths["one"].standing is Standing.FAILED
            assert "/secret/path" in b.loader.berths["one"].reason
            b.fails = None
            b.loader.turns = b.loader.turns._replace(rest=0.0)
            assert one.ready
            await (await b.ask(one)).close()

    run(scene)


def test_a_start_shows_why_it_fails():
    async def scene():
        async with bench() as b:
            one = b.add("one")
            b.fails = IntegrityError("It was changed.")
            with pytest.raises(IntegrityError, match="changed"):
                await one.start()

    run(scene)


def test_a_model_is_taken_out_without_dropping_a_request():
    async def scene():
        async with bench(Script(delay=0.001)) as b:
            one = b.add("one")
            open_answer = await b.ask(one)
            leaving = asyncio.create_task(one.stop())
            await asyncio.sleep(0)
            with pytest.raises(UnavailableError, match="taken out"):
                await b.ask(one)
            assert not leaving.done()
            assert await open_answer.read()
            await open_answer.close(over=True)
            await leaving
            assert b.let_go == [("one", "It was taken out of the service.")]
            assert b.loader.berths == {}
            b.add("one")  # the name is free again

    run(scene)


def test_what_cannot_be_added():
    async def scene():
        async with bench() as b:
            b.add("one")
            with pytest.raises(UsageError, match="NAME=REF"):
                b.add("one")
            with pytest.raises(LimitError, match="--memory"):
                b.add("large", need=11)

    run(scene)
