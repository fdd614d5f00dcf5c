"""What the deterministic guard costs: CPU per prompt and per streamed answer.

    python bench/guard.py [--json]

Uses the default policy with every detector. Prints the best and the middle of many repetitions:
the best is what the work costs, the middle what this machine gave.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable

from keelmark.core.ports import Segment
from keelmark.guard import Guard

PROSE = (
    "Please summarise the attached minutes of our planning meeting in five bullet points, and "
    "say who is responsible for what. We agreed to move the launch by two weeks, because the "
    "translation of the handbook is not finished, and the printing house needs ten working days. "
    "Anna will ask the legal team for comments on the new terms, Tom prepares the price list, and "
    "I write the announcement. If something is unclear, list it as an open question at the end. "
    "Keep the tone friendly and plain; the readers are colleagues from other departments who were "
    "not there, and most of them read it on a phone. "
)
PROMPT = (PROSE + PROSE)[:700]
PERSONAL = (
    PROSE[:560] + " Reach me at anna.berg@example.com or +49 30 901820, card 4111 1111 1111 1111."
)[:700]
NON_ASCII = (
    "Bitte fasse das Protokoll für die Kolleginnen zusammen – höflich, kurz, präzise. " * 9
)[:700]


def chunks(text: str, count: int, size: int) -> list[str]:
    long = text * (count * size // len(text) + 1)
    return [long[i : i + size] for i in range(0, count * size, size)]


def measure(work: Callable[[], object], repeat: int = 300) -> dict[str, float]:
    for _ in range(20):
        work()
    spent = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - began))
    return {"best_ms": round(min(spent), 4), "middle_ms": round(statistics.median(spent), 4)}


def prompt(guard: Guard, text: str) -> Callable[[], object]:
    segments = [Segment(role="user", path="messages[0].content", text=text)]

    def work() -> object:
        coroutine = guard.open().check_input(segments)
        try:
            while True:
                coroutine.send(None)
        except StopIteration as done:
            return done.value

    return work


def answer(guard: Guard, parts: list[str]) -> Callable[[], object]:
    def work() -> object:
        request = guard.open()
        channel = request.channel("choices[0].content")
        out = [channel.feed(part) for part in parts]
        out.append(channel.finish())
        return request.output_verdict()

    return work


HOSTILE = {
    "one letter": "a",
    "one digit": "7",
    "spaces": " ",
    "at signs": "a@",
    "groups of digits": "4111 ",
    "begun keys": "-----BEGIN RSA ",
    "brackets": "[(<{",
    "begun orders": "ignore all ",
}


def hostile(guard: Guard, size: int = 1_000_000) -> dict[str, float]:
    """Milliseconds per 100,000 characters of a prompt that is one thing again and again."""
    spent = {}
    for name, unit in HOSTILE.items():
        work = prompt(guard, (unit * size)[:size])
        began = time.process_time()
        work()
        spent[name] = round(1e8 * (time.process_time() - began) / size, 1)
    return spent


def main() -> None:
    guard = Guard()
    long = PROSE * 200
    began = time.perf_counter()
    asyncio.run(guard.open().check_input([Segment(role="user", path="m", text=long)]))
    first = time.perf_counter() - began
    results = {
        "prompt, 700 characters": measure(prompt(guard, PROMPT)),
        "prompt, 700 characters, personal data": measure(prompt(guard, PERSONAL)),
        "prompt, 700 characters, not ASCII": measure(prompt(guard, NON_ASCII)),
        f"prompt, {len(long)} characters": measure(prompt(guard, long), 10),
        "answer, 40 chunks of 20": measure(answer(guard, chunks(PROSE, 40, 20))),
        "answer, 40 chunks of 20, personal data": measure(answer(guard, chunks(PERSONAL, 40, 20))),
        "answer, 40 chunks of 20, not ASCII": measure(answer(guard, chunks(NON_ASCII, 40, 20))),
        "answer, 200 chunks of 4": measure(answer(guard, chunks(PROSE, 200, 4)), 100),
        "nothing: open, verdict": measure(answer(guard, [])),
    }
    worst = hostile(guard)
    if "--json" in sys.argv:
        print(json.dumps({"cost": results, "hostile_ms_per_100kB": worst}))
        return
    for name, times in results.items():
        print(f"{name:42} {times['best_ms']:9.3f} ms best {times['middle_ms']:9.3f} ms middle")
    print(f"{'first long prompt':42} {1000 * first:9.3f} ms")
    for name, milliseconds in worst.items():
        print(f"{f'1 MB of {name}':42} {milliseconds:9.1f} ms per 100 kB")


if __name__ == "__main__":
    main()
