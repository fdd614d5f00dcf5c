"""More is asked than an engine can do: what is still answered in time, and who pays for it.

    make bench ARGS="overload [--seconds 10] [--json]"

A gateway on loopback, before an engine that answers 8 requests at once in 0.2 s each and lets all
others wait, as engines do. Load comes with constant arrivals (open loop) at 1, 2 and 5 times of
what the engine can do; a client has given up after 2 s, but the engine does not know it (worst
case). `before` sends everything on at once; `after` is the policy's `overload` as it is by
default, with clients that say how long they wait (`x-keelmark-deadline-ms`). Good is what is
answered within 2 s. In the second table one key floods, at 5 times of what the engine can do, and
another asks now and then.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import msgspec
import uvicorn
import uvloop

from keelmark.core.overload import Overload
from keelmark.core.policy import GuardRules, Limits, Policy
from keelmark.guard import Guard
from keelmark.serve.config import GatewayConfig
from keelmark.serve.gateway import build_app
from keelmark.serve.keys import new_key
from keelmark.serve.server import server_config
from keelmark.serve.transport import new_transport
from keelmark.serve.upstream import UpstreamEngine, upstream_spec

SLOTS, TAKES, PATIENCE = 8, 0.2, 2.0
CAPACITY = SLOTS / TAKES
BODY = {"model": "m", "messages": [{"role": "user", "content": "Name three harbours."}]}
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hull."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29},
}
ALL_AT_ONCE = Overload(concurrent=100_000, most=100_000, adapt=False, queue=0)


class Engine:
    """Answers `SLOTS` requests at once; the others wait, whether or not their client is there."""

    def __init__(self):
        self.slots = asyncio.Semaphore(SLOTS)

    async def __call__(self, scope, receive, send):  # noqa: ARG002 (ASGI)
        body = msgspec.json.encode({"data": [{"id": "m"}]})
        if scope["method"] == "POST":
            async with self.slots:
                await asyncio.sleep(TAKES)
            body = msgspec.json.encode(ANSWER)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Nowhere:
    """Records nothing: the disk is not what is measured."""

    async def record(self, trace, content, usage=()):
        pass


class Keys(dict):
    """Keys in memory."""

    async def find(self, key_hash):
        return self.get(key_hash)


@asynccontextmanager
async def listening(app):
    """Serve an application on a free port; yields its address."""
    server = uvicorn.Server(server_config(app, port=0))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has a flag and no event)
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    await running


@asynccontextmanager
async def gateway(overload):
    """A gateway before a new engine; yields its address and two keys."""
    policy = Policy(
        guard=GuardRules(rules=()), overload=overload, limits=Limits(concurrent=100_000)
    )
    keys = Keys()
    secrets = []
    for name in ("flood", "quiet"):
        secret, key = new_key(name)
        keys[key.hash] = key
        secrets.append(secret)
    async with AsyncExitStack() as rooms:
        behind = await rooms.enter_async_context(listening(Engine()))
        transport = new_transport("direct")
        rooms.push_async_callback(transport.close)
        engine = UpstreamEngine(upstream_spec(behind), transport)
        await engine.start()
        app = build_app(
            GatewayConfig(
                engines=[engine],
                guard=Guard(policy),
                recorder=Nowhere(),
                keys=keys,
                transport=transport,
                policy=policy,
            )
        )
        yield await rooms.enter_async_context(listening(app)), secrets


async def ask(http, url, secret, *, deadline):
    """Ask once; return the status (0: gave up), the time it took, and when it was over."""
    headers = {"authorization": f"Bearer {secret}"}
    if deadline:
        headers["x-keelmark-deadline-ms"] = str(int(1000 * (PATIENCE - 2 * TAKES)))
    began = time.perf_counter()
    try:
        async with http.post(f"{url}/v1/chat/completions", json=BODY, headers=headers) as response:
            await response.read()
            status = response.status
    except TimeoutError:
        status = 0
    over = time.perf_counter()
    return status, over - began, over


async def flow(http, url, secret, rate, seconds, *, deadline):
    """Ask so many times a second, whatever becomes of it."""
    loop, asked = asyncio.get_running_loop(), []
    began, first = loop.time(), time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(began + number / rate - loop.time())
        asked.append(asyncio.create_task(ask(http, url, secret, deadline=deadline)))
    return [(status, took, over - first) for status, took, over in await asyncio.gather(*asked)]


def told(results, seconds):
    """What became of requests: good ones a second, times of those that were answered, refusals.

    Good ones are counted when the load has been there for as long as clients wait.
    """
    times = sorted(taken for status, taken, _ in results if status == 200)
    refused = sorted(taken for status, taken, _ in results if status in (429, 503))
    good = sum(status == 200 and PATIENCE <= over < seconds for status, _, over in results)
    return {
        "asked": len(results),
        "good_per_s": round(good / (seconds - PATIENCE), 1),
        "p50_s": _at(times, 0.5),
        "p99_s": _at(times, 0.99),
        "refused": len(refused),
        "refusal_p50_s": _at(refused, 0.5),
        "gave_up": sum(status == 0 for status, *_ in results),
        "statuses": dict(Counter(status for status, *_ in results)),
    }


def _at(values, part):
    return round(values[min(len(values) - 1, int(part * len(values)))], 3) if values else None


async def measure(seconds):
    """All rows."""
    rows = {}
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    for label, overload in (("before", ALL_AT_ONCE), ("after", Overload(concurrent=16))):
        after = label == "after"
        for times in (1, 2, 5):
            async with gateway(overload) as (url, keys), _client(timeout) as http:
                rate = 0.95 * CAPACITY if times == 1 else times * CAPACITY
                results = await flow(http, url, keys[0], rate, seconds, deadline=after)
                rows[f"{times}x {label}"] = told(results, seconds)
        async with gateway(overload) as (url, keys), _client(timeout) as http:
            both = await asyncio.gather(
                flow(http, url, keys[0], 5 * CAPACITY, seconds, deadline=after),
                flow(http, url, keys[1], 2, seconds, deadline=after),
            )
            for name, results in zip(("flood", "quiet"), both, strict=True):
                rows[f"{name} {label}"] = told(results, seconds)
    return rows


def _client(timeout):
    return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="length of each run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    rows = uvloop.run(measure(args.seconds))
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"an engine that can do {CAPACITY:g} requests a second; good: within {PATIENCE:g} s\n")
    print("| load | asked | good/s | p50 s | p99 s | refused | told after s (p50) | gave up |")
    print("|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        names = ("asked", "good_per_s", "p50_s", "p99_s", "refused", "refusal_p50_s", "gave_up")
        shown = ("-" if row[n] is None else row[n] for n in names)
        print(f"| {name} | {' | '.join(map(str, shown))} |")


if __name__ == "__main__":
    main()
