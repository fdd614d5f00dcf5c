"""Load: open loop (constant arrivals, whatever the server does) or N always in flight.

    python bench/gateway/load.py PORT --rate 40 --seconds 10 [--stream] [--inflight 64]

Every answer is compared with what the mock engine said for this very request: its text, its
pieces in their order, its token counts. Latency counts from when a request was due. Prints one
JSON object; times in milliseconds.
"""

import argparse
import asyncio
import collections
import json
import time

import httptools
import msgspec
import script
import uvloop

DEADLINE = 60.0


class Connection(asyncio.Protocol):
    """One connection, for one request at a time."""

    def __init__(self):
        self.transport = None
        self.waiting = None

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _error):
        self.transport = None
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(ConnectionError("the connection ended in an answer"))

    def ask(self, data):
        self.parser = httptools.HttpResponseParser(self)
        self.body, self.first = [], None
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return self.waiting

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_body(self, body):
        if self.first is None:
            self.first = time.perf_counter()
        self.body.append(body)

    def on_message_complete(self):
        self.keep = self.parser.should_keep_alive()
        if not self.waiting.done():
            self.waiting.set_result(self.parser.get_status_code())


class Load:
    """What was asked for, and what came back.

    Attributes:
        counts: How many answers were what.
        samples: (latency, time to first byte) of the right answers.
    """

    def __init__(self, args):
        self.args = args
        self.counts = collections.Counter()
        self.samples = []
        self.error = ""
        self._idle = []
        headers = [f"authorization: Bearer {args.key}", *args.header]
        self._head = "".join(f"{line}\r\n" for line in ["host: mock", *headers])

    async def one(self, number, due):
        self.counts["asked"] += 1
        connection = None
        try:
            async with asyncio.timeout(DEADLINE):
                connection = await self._connection()
                status = await connection.ask(self._request(number))
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            self._failed(f"{type(error).__name__}: {error}")
            if connection is not None and connection.transport is not None:
                connection.transport.abort()
            return
        done = time.perf_counter()
        body = b"".join(connection.body)
        first = connection.first or done
        if connection.keep and connection.transport is not None:
            self._idle.append(connection)
        elif connection.transport is not None:
            connection.transport.close()
        if status != 200:
            self._failed(f"{status}: {body[:200].decode(errors='replace')}")
            return
        self._compare(body, script.word(number))
        self.samples.append(((done - due) * 1e3, (first - due) * 1e3))

    def _failed(self, why):
        self.counts["failed"] += 1
        self.error = self.error or why

    async def _connection(self):
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, "127.0.0.1", self.args.port))[1]

    def _request(self, number):
        body = script.request(number, model=self.args.model, stream=self.args.stream)
        head = (
            f"POST {self.args.path} HTTP/1.1\r\n{self._head}content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _compare(self, body, mark):
        try:
            pieces, usage, ended = (streamed if self.args.stream else entire)(body)
        except (msgspec.DecodeError, KeyError, IndexError, TypeError) as error:
            self.counts["unreadable"] += 1
            self.error = self.error or f"{type(error).__name__}: {error}"
            return
        self.counts["no end mark"] += not ended
        expected = script.pieces(mark)
        right = "".join(pieces) == "".join(expected)
        self.counts["right" if right else "wrong"] += 1
        if right and self.args.stream:
            self.counts["chunk for chunk" if pieces == expected else "other chunks"] += 1
        counted = usage and {name: usage.get(name) for name in script.usage(mark)}
        self.counts["usage right" if counted == script.usage(mark) else "usage wrong"] += 1
        if not right:
            self.error = self.error or f"not what was said: {''.join(pieces)[:300]}"

    def result(self):
        told = {name: self.counts[name] for name in sorted(self.counts)}
        latency, first = (sorted(sample[at] for sample in self.samples) for at in (0, 1))
        return {
            **told,
            "error": self.error,
            "p50": _percentile(latency, 0.5),
            "p99": _percentile(latency, 0.99),
            "first50": _percentile(first, 0.5),
            "first99": _percentile(first, 0.99),
        }


def entire(body):
    answer = msgspec.json.decode(body)
    return [answer["choices"][0]["message"]["content"]], answer.get("usage"), True


def streamed(body):
    """The pieces of text of a stream, its token counts, and whether it said that it is over."""
    pieces, usage, ended = [], None, False
    for event in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        for line in event.split(b"\n"):
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                ended = True
                continue
            chunk = msgspec.json.decode(data)
            usage = chunk.get("usage") or usage
            texts = (choice["delta"].get("content") for choice in chunk["choices"])
            pieces += filter(None, texts)
    return pieces, usage, ended


def _percentile(ordered, share):
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


async def open_loop(load, rate, seconds):
    tasks, start = set(), time.perf_counter()
    for number in range(int(rate * seconds)):
        due = start + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(load.one(number, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def closed_loop(load, inflight, seconds, count):
    """As fast as it goes, for some seconds or some requests."""
    end = time.perf_counter() + seconds
    numbers = iter(range(count)) if count else iter(range(10**9))

    async def worker():
        for number in numbers:
            await load.one(number, time.perf_counter())
            if not count and time.perf_counter() > end:
                return

    await asyncio.gather(*(worker() for _ in range(inflight)))


async def main(args):
    load = Load(args)
    began = time.perf_counter()
    if args.inflight:
        await closed_loop(load, args.inflight, args.seconds, args.count)
    else:
        await open_loop(load, args.rate, args.seconds)
    took = time.perf_counter() - began
    print(json.dumps(load.result() | {"rate": round(load.counts["asked"] / took, 1)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/v1/chat/completions")
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--inflight", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--key", default="none")
    parser.add_argument("--model", default="mock")
    parser.add_argument("--header", action="append", default=[])
    uvloop.run(main(parser.parse_args()))
