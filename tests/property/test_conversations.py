"""A thousand conversations at once: each gets its own values back, and nobody else's."""

import asyncio
import random

import pytest

from guard_samples import policy
from keelmark.core.policy import Replacement, Rule
from keelmark.core.ports import Segment
from keelmark.guard import Guard, GuardedRequest

MANY = 1000


def _own(number: int) -> str:
    return f"person{number}@home{number % 7}.example.org"


async def _open(guard: Guard, number: int) -> tuple[GuardedRequest, str]:
    request = guard.open()
    said = f"Write to {_own(number)} about invoice {number}."
    result = await request.check_input([Segment(role="user", path="messages[0]", text=said)])
    assert not result.verdict.stops
    return request, result.texts[0]


@pytest.mark.parametrize("replacement", ["placeholder", "surrogate"])
def test_a_thousand_interleaved_conversations_leak_nothing(replacement: Replacement) -> None:
    pattern = {"detector": "personal_data", "labels": ("EMAIL",), "timeout_ms": 600_000}
    mask = Rule(id="in", action="mask", stage="input", replacement=replacement, **pattern)
    redact = Rule(id="out", action="redact", stage="output", **pattern)
    guard = Guard(policy(mask, redact))
    chance = random.Random(7)

    async def everybody() -> list[tuple[GuardedRequest, str]]:
        return await asyncio.gather(*(_open(guard, number) for number in range(MANY)))

    conversations = asyncio.run(everybody())
    assert all(_own(number) not in sent for number, (_, sent) in enumerate(conversations))
    todo = {
        number: [f"Sure. {sent}"[at : at + 9] for at in range(0, len(sent) + 6, 9)]
        for number, (_, sent) in enumerate(conversations)
    }
    got = dict.fromkeys(todo, "")
    waiting = list(todo)
    while waiting:
        at = chance.randrange(len(waiting))
        number = waiting[at]
        channel = conversations[number][0].channel("choices[0].content")
        got[number] += channel.feed(todo[number].pop(0))
        if not todo[number]:
            got[number] += channel.finish()
            waiting[at] = waiting[-1]
            waiting.pop()
    for number, answer in got.items():
        assert answer == f"Sure. Write to {_own(number)} about invoice {number}."
