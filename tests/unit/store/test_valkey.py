"""Limits in Valkey, on a real server: exact under races, and honest while it is away."""

import asyncio
import contextlib
import itertools

import pytest

from keelmark.core.errors import UnavailableError, UsageError
from keelmark.core.gcra import MemoryRates
from keelmark.core.metering import Rate
from keelmark.store import valkey
from keelmark.store.valkey import ValkeyRates, shown
from own_valkey import OwnValkey

pytest.importorskip("redis")
HOURLY = Rate("requests", "requests", 1, 100, 3600.0, 100)
AT_ONCE = Rate("busy", "concurrent", 1, 7, 0.0, 7)
calls = (f"call-{number}" for number in itertools.count())


@contextlib.asynccontextmanager
async def opened(url, count=1, space="here"):
    """Several processes' ways to one server."""
    made = [ValkeyRates(url, space) for _ in range(count)]
    for one in made:
        await one.open()
    yield made
    for one in made:
        await one.close()


async def until(true):
    async with asyncio.timeout(30):
        while not await true():  # noqa: ASYNC110 (what is waited for is elsewhere)
            await asyncio.sleep(0.01)


async def passes(rates, *limits):
    call = next(calls)
    levels = await rates.enter(call, limits)
    return call, not any(level.wait for level in levels)


def test_a_thousand_at_once(redis_url, monkeypatch):
    monkeypatch.setattr(valkey, "_PATIENCE_SECONDS", 30.0)  # it is about counting, not about time

    async def race():
        async with opened(redis_url, 4) as ways:
            asked = [passes(ways[n % 4], HOURLY, AT_ONCE) for n in range(1000)]
            inside = [call for call, passed in await asyncio.gather(*asked) if passed]
            assert len(inside) == 7
            for call in inside:  # what was refused has counted nothing on the other limit
                ways[0].leave(call, (HOURLY, AT_ONCE), None)
            await until(lambda: free(ways[1], AT_ONCE, 7))
            asked = [passes(ways[n % 4], HOURLY) for n in range(1000)]
            assert sum(passed for _, passed in await asyncio.gather(*asked)) == 93

    asyncio.run(race())


async def free(rates, limit, most):
    """Whether so many are free; changes nothing."""
    call = next(calls)
    (level,) = await rates.enter(call, (limit,))
    if not level.wait:
        rates.leave(call, (limit,), None)
        await rates._pay()
    return level.left == most - 1 and not level.wait


def test_it_says_what_the_limits_in_memory_say(redis_url):
    slow = Rate("slow", "requests", 1, 3, 86400.0, 2)
    tokens = Rate("tokens", "tokens", 250, 1000, 86400.0, 600)
    huge = Rate("huge", "tokens", 5000, 1000, 86400.0, 600)
    steps = [(slow,), (slow, tokens), (slow,), (tokens, AT_ONCE), (tokens,), (huge,), (huge,)]

    async def compare():
        memory = MemoryRates()
        async with opened(redis_url) as (rates,):
            for number, step in enumerate(steps):
                call = f"call-{number}"
                theirs, ours = await memory.enter(call, step), await rates.enter(call, step)
                assert [one.left for one in ours] == [one.left for one in theirs]
                for one, other in zip(ours, theirs, strict=True):
                    assert one.wait == pytest.approx(other.wait, abs=60)
                    assert one.reset == pytest.approx(other.reset, abs=60)
                if not any(one.wait for one in ours):
                    rates.leave(call, step, 100)
                    memory.leave(call, step, 100)
                    await rates._pay()

    asyncio.run(compare())


def test_installations_do_not_meet(redis_url):
    one_only = HOURLY._replace(most=1, burst=1)

    async def both():
        async with opened(redis_url) as (here,), opened(redis_url, space="there") as (there,):
            assert (await passes(here, one_only))[1]
            assert not (await passes(here, one_only))[1]
            assert (await passes(there, one_only))[1]

    asyncio.run(both())


def test_leases_run_out_unless_they_are_renewed(redis_url):
    one_only = AT_ONCE._replace(most=1)
    renewed = one_only._replace(key="renewed")

    async def wait_for_it():
        async with opened(redis_url, 2) as (lives, asks):
            dies = ValkeyRates(redis_url, "here", lease=0.2)  # nothing tends it
            assert (await passes(dies, one_only))[1]
            call, passed = await passes(lives, renewed)
            assert passed
            key = lives._keys([renewed])[0]
            before = await lives._client.zscore(key, call)
            await until(lambda: free(asks, one_only, 1))
            await lives._renew_leases()
            assert await lives._client.zscore(key, call) > before
            assert not (await passes(asks, renewed))[1]
            await dies.close()

    asyncio.run(wait_for_it())


@pytest.fixture
def server(tmp_path):
    own = OwnValkey(tmp_path)
    yield own
    own.kill()


def test_the_server_dies_and_comes_back_empty(server):
    one_only = AT_ONCE._replace(most=1)

    async def answers(rates):
        with contextlib.suppress(UnavailableError, *rates._errors):
            await rates._client.ping()
            return (await passes(rates, HOURLY))[1]

    async def outage():
        rates = ValkeyRates(server.url, "here")
        await until(lambda: answers(rates))
        await rates.open()
        call, passed = await passes(rates, one_only)
        assert passed
        server.kill()
        for _ in range(200):  # at once: nobody waits for a time-out but the first
            with pytest.raises(UnavailableError, match=r"127.0.0.1:\d+ does not answer"):
                await passes(rates, HOURLY)
        server.start()
        await until(lambda: answers(rates))
        assert not (await passes(rates, one_only))[1]  # what was held is held again
        server.kill()
        rates.leave(call, (one_only,), None)
        server.start()
        await until(lambda: answers(rates))
        assert (await passes(rates, one_only))[1]
        await rates.close()

    asyncio.run(outage())


def test_addresses(redis_url):
    assert shown("redis://me:secret@cache.example:7000/3") == "cache.example:7000"
    for wrong in ("localhost", "http://localhost", "redis://h:port/0", "redis://h/0?db=x"):
        with pytest.raises(UsageError) as said:
            ValkeyRates(wrong, "")
        assert "secret" not in said.value.message

    async def refused():
        secret = redis_url.replace("//", "//someone:secret@")
        with pytest.raises(UsageError, match="its address and password") as said:
            await ValkeyRates(secret, "").open()
        assert "secret" not in said.value.message

    asyncio.run(refused())
