"""Load: open loop (constant arrivals, whatever the server does) or N always in flight.

    python bench/load.py URL --rate 40 --seconds 10 [--stream] [--key KEY] [--model MODEL]
    python bench/load.py URL --inflight 64 --count 2000 [--stream] ...

Prints one JSON line: latency and time to first byte percentiles in milliseconds, errors, chunks.
"""

import argparse
import asyncio
import json
import time

import uvloop
from pyreqwest.client import ClientBuilder

PROMPT = (
    "Summarise the following note for a colleague in three sentences. "
    "The harbour office opened a new ferry line in spring; the first boats were late because "
    "of fog, yet most passengers were pleased with the prices and the view of the old town. "
    "A second line is planned for next year, should the council agree to pay for the pier. "
) * 2


async def one(client, args, results):
    started = time.perf_counter()
    body = {
        "model": args.model,
        "stream": args.stream,
        "messages": [{"role": "user", "content": PROMPT}],
    }
    request = (
        client.post(args.url)
        .header("content-type", "application/json")
        .header("authorization", f"Bearer {args.key}")
        .body_bytes(json.dumps(body).encode())
        .streamed_read_buffer_limit(0)
    )
    first, size, chunks = None, 0, 0
    try:
        async with request.build_streamed() as response:
            while (chunk := await response.body_reader.read_chunk()) is not None:
                first = first or time.perf_counter()
                size += len(chunk)
                chunks += bytes(chunk).count(b"data: {")
            ok = response.status == 200
    except Exception as error:
        results.append((None, None, repr(error)[:200], 0))
        return
    done = time.perf_counter()
    results.append(
        (
            (done - started) * 1e3,
            ((first or done) - started) * 1e3,
            None if ok else "status",
            chunks,
        )
    )


def percentile(values, share):
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


async def open_loop(client, args, results):
    tasks, start = set(), time.perf_counter()
    for number in range(int(args.rate * args.seconds)):
        wait = start + number / args.rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(client, args, results))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def closed_loop(client, args, results):
    left = iter(range(args.count))

    async def worker():
        for _ in left:
            await one(client, args, results)

    await asyncio.gather(*(worker() for _ in range(args.inflight)))


async def main(args):
    results = []
    async with ClientBuilder().build() as client:
        await (closed_loop if args.inflight else open_loop)(client, args, results)
    good = [r for r in results if r[2] is None]
    print(
        json.dumps(
            {
                "n": len(results),
                "errors": len(results) - len(good),
                "error": next((r[2] for r in results if r[2]), None),
                "p50": percentile([r[0] for r in good], 0.5),
                "p99": percentile([r[0] for r in good], 0.99),
                "ttfb50": percentile([r[1] for r in good], 0.5),
                "ttfb99": percentile([r[1] for r in good], 0.99),
                "chunks": sorted({r[3] for r in good}),
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--inflight", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--key", default="none")
    parser.add_argument("--model", default="mock")
    uvloop.run(main(parser.parse_args()))
