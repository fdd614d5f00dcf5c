"""Latency against load: how long answers take, with more and more requests at a time.

In a closed loop so many clients ask one after the other; in an open loop requests come when they
come, whether those before them are answered or not, as people do. There a time counts from the
moment a request was due, so that a service that is late is not asked less.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Literal

import msgspec

from keelmark.core.errors import KeelmarkError
from keelmark.evaluate.client import Client, pieces

_BUSY = frozenset({429, 503})
_THINGS = (
    "a harbour at dawn", "how bread is baked", "a long winter", "the use of a ledger",
    "a bridge over a river", "why leaves fall", "a letter to a friend", "the sound of rain",
    "a walk through a market", "how a lock works", "a garden in spring", "an old lantern",
)  # fmt: skip


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """One request.

    Attributes:
        state: `answered`; `refused`: the service was too busy; `failed`.
        seconds: To the end of the answer.
        first: To its first words.
        tokens: Tokens of the answer.
        text: The answer.
    """

    state: Literal["answered", "refused", "failed"]
    seconds: float
    first: float = 0.0
    tokens: int = 0
    text: str = ""


class Times(msgspec.Struct, frozen=True):
    """Seconds of the requests that were answered: the half, 95 and 99 of a hundred took no more."""

    p50: float | None
    p95: float | None
    p99: float | None


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one load.

    Attributes:
        loop: `closed`: so many requests at a time; `open`: so many a second.
        load: Requests at a time, or a second.
        requests: How many were made.
        answered: How many were answered.
        refused: How many were refused because the service was busy.
        failed: How many failed.
        per_second: Answers a second.
        tokens_per_second: Tokens written a second, by all together.
        whole: Times to the end of an answer.
        first: Times to its first words.
        same: Share of answers that are those of the first level, word for word; None in the first.
        joules_per_token: Energy for a token written; None when it is not known.
        energy: Where that comes from: measured, estimated or default.
    """

    loop: Literal["closed", "open"]
    load: float
    requests: int
    answered: int
    refused: int
    failed: int
    per_second: float
    tokens_per_second: float
    whole: Times
    first: Times
    same: float | None = None
    joules_per_token: float | None = None
    energy: str = ""


def prompts(count: int, seed: int = 1) -> list[str]:
    """Return prompts that are short and all different, so that none is answered from a cache."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    return [f"{rng.randrange(10**6)}. Write about {rng.choice(_THINGS)}." for _ in range(count)]


async def shoot(client: Client, prompt: str, tokens: int, due: float | None = None) -> Shot:
    """Ask once and read the answer as it comes.

    Args:
        client: Whom.
        prompt: What.
        tokens: Longest answer.
        due: Moment (`time.perf_counter`) from which it counts; now when None.
    """
    began = time.perf_counter() if due is None else due
    body = {
        "model": client.target.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    told = _Told(began)
    state: Literal["answered", "refused", "failed"] = "failed"
    try:
        async with asyncio.timeout(client.target.timeout):
            response = await client.streamed("chat/completions", body)
            async with aclosing(pieces(response, client.target.url)) as chunks:
                async for chunk in chunks:
                    told.feed(chunk)
            if response.status == 200:
                state = "answered" if told.whole else "failed"
            elif response.status in _BUSY:
                state = "refused"
    except (KeelmarkError, TimeoutError):
        state = "failed"
    spent = time.perf_counter() - began
    return Shot(
        state=state, seconds=spent, first=told.first or spent, tokens=told.tokens, text=told.text
    )


class _Told:
    """What has come of a streamed answer."""

    def __init__(self, began: float) -> None:
        self.first, self.tokens, self.text, self.whole = 0.0, 0, "", False
        self._began, self._rest, self._pieces = began, b"", 0

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            data = line.strip().removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if data == b"[DONE]":
                self.whole = True
                self.tokens = self.tokens or self._pieces
            elif data:
                self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            event: Any = msgspec.json.decode(data)
            said = "".join(one.get("delta", {}).get("content") or "" for one in event["choices"])
            used = (event.get("usage") or {}).get("completion_tokens")
        except (msgspec.DecodeError, RecursionError, LookupError, TypeError, AttributeError):
            return
        self.tokens = used if type(used) is int else self.tokens
        if said:
            self.first = self.first or time.perf_counter() - self._began
            self._pieces += 1
            self.text += said


Ask = Callable[[int, "float | None"], Awaitable[Shot]]
"""Makes the request of a number, due at a moment."""


async def closed(ask: Ask, width: int, count: int) -> tuple[list[Shot], float]:
    """Make requests, so many at a time; return what came, and how long it took."""
    shots: dict[int, Shot] = {}
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            shots[number] = await ask(number, None)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(width)))
    return [shots[number] for number in range(count)], time.perf_counter() - began


async def open_(ask: Ask, rate: float, count: int, seed: int = 1) -> tuple[list[Shot], float]:
    """Make requests at random moments, so many a second (a Poisson process)."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    began, due = time.perf_counter(), 0.0
    tasks = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(ask(number, began + due)))
        due += rng.expovariate(rate)
    return list(await asyncio.gather(*tasks)), time.perf_counter() - began


def level(
    loop: Literal["closed", "open"],
    load: float,
    shots: Sequence[Shot],
    seconds: float,
    alone: Sequence[Shot] = (),
) -> Level:
    """Return what came of a load.

    Args:
        loop: See `Level`.
        load: See `Level`.
        shots: What came.
        seconds: How long it took.
        alone: What came of the first level, to compare answers with.
    """
    answered = [shot for shot in shots if shot.state == "answered"]
    pairs = [
        (one.text, other.text)
        for one, other in zip(shots, alone, strict=False)
        if one.state == other.state == "answered"
    ]
    return Level(
        loop=loop,
        load=load,
        requests=len(shots),
        answered=len(answered),
        refused=sum(shot.state == "refused" for shot in shots),
        failed=sum(shot.state == "failed" for shot in shots),
        per_second=round(len(answered) / seconds, 4) if seconds else 0.0,
        tokens_per_second=round(sum(shot.tokens for shot in answered) / seconds, 2)
        if seconds
        else 0.0,
        whole=times([shot.seconds for shot in answered]),
        first=times([shot.first for shot in answered]),
        same=sum(a == b for a, b in pairs) / len(pairs) if pairs else None,
    )


def times(values: Sequence[float]) -> Times:
    """Return how long the half, 95 and 99 of a hundred took at most (nearest rank)."""
    ordered = sorted(values)

    def rank(percent: int) -> float | None:
        return round(ordered[-(-len(ordered) * percent // 100) - 1], 4) if ordered else None

    return Times(rank(50), rank(95), rank(99))
