"""The guard's encoder beside the bare ONNX session that it stands on, in one run.

    python bench/encoder.py [--seconds 4] [--json]

The same windows go to the session, already in numbers, and to the guard's encoder, which takes its
turn and remembers. Texts are made anew each time, so nothing is remembered from before. Then eight
clients ask at once, each for texts of 500 characters, while a clock on the event loop tells how
long others would have waited; and traffic, of which a part has come before, goes through the whole
input side of a guard.
"""

import argparse
import asyncio
import json
import random
import statistics
import threading
import time

import numpy as np

from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.guard import Guard
from keelmark.guard._encoder import Encoder, Window, encoder
from keelmark.guard._weights import Weights, found
from keelmark.guard.ready import shipped_policy

LENGTHS = (32, 64, 128, 256)
CLIENTS = 8
WORDS = ("harbour", "tide", "rope", "captain", "ledger", "bread", "winter", "bridge", "river",
         "letter", "market", "copper", "lantern", "garden", "engine", "window", "morning", "paper",
         "island", "journey", "question", "answer", "mountain", "weather", "silver")  # fmt: skip
RULES = (
    Rule(id="injection", detector="injection_classifier", stage="input", action="flag"),
    Rule(id="harm", detector="harm_classifier", stage="input", action="flag"),
)


def text_of(rng, characters):
    said = []
    while sum(map(len, said)) + len(said) < characters:
        said.append(rng.choice(WORDS) + ("." if rng.random() < 0.1 else ""))
    return " ".join(said)[:characters]


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def by_length(model, seconds):
    """Milliseconds for a window, bare and asked, by length."""
    rng, table = random.Random(1), []
    session = model._session  # noqa: SLF001 (what it stands on)
    for length in LENGTHS:
        bare, ours = [], []
        end = time.perf_counter() + seconds / 2
        while time.perf_counter() < end or len(ours) < 5:
            numbers = [rng.randrange(2000, 25_000) for _ in range(length - 2)]
            ids = np.asarray([[101, *numbers, 102]], np.int64)
            given = {"input_ids": ids, "attention_mask": ids**0, "token_type_ids": ids * 0}
            began = time.perf_counter()
            session.run(None, given)
            middle = time.perf_counter()
            model.ask([Window((numbers[-1], *numbers[:-1]))])
            ours.append(time.perf_counter() - middle)
            bare.append(middle - began)
        row = {
            "tokens": length,
            "bare_ms": 1000 * statistics.median(bare),
            "ours_ms": 1000 * statistics.median(ours),
        }
        row["ratio"] = row["ours_ms"] / row["bare_ms"]
        table.append(row)
    return table


def by_threads(seconds):
    """Windows of 128 tokens a second, asked by one and two threads."""
    weights, told = Weights(found()), {}
    for count in (1, 2):
        model, made = Encoder(weights, most=count), []
        stop = time.perf_counter() + seconds

        def work(seed, model=model, made=made, stop=stop):
            rng = random.Random(seed)
            while time.perf_counter() < stop:
                model.ask([Window(tuple(rng.randrange(2000, 25_000) for _ in range(126)))])
                made.append(1)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told[count] = len(made) / seconds
    return told


async def queue(seconds):
    """Milliseconds of eight clients that ask at once, and what the loop's other guests wait."""
    guard = Guard(Policy(guard=GuardRules(rules=RULES)))
    took, late = [], []
    stop = time.perf_counter() + seconds

    async def client(seed):
        rng = random.Random(seed)
        while time.perf_counter() < stop:
            began = time.perf_counter()
            await asked(guard, text_of(rng, 500))
            took.append(time.perf_counter() - began)

    async def clock():
        while time.perf_counter() < stop:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            late.append(time.perf_counter() - began - 0.005)

    await asyncio.gather(clock(), *(client(seed) for seed in range(CLIENTS)))
    return summary(took) | {"loop_late_p99_ms": 1000 * quantile(late, 0.99)}


async def asked(guard, text):
    segment = Segment(role="user", path="messages[0].content", text=text)
    return await guard.open().check_input([segment])


def summary(took):
    return {
        "n": len(took),
        "p50_ms": 1000 * statistics.median(took),
        "p95_ms": 1000 * quantile(took, 0.95),
    }


async def pipeline(seconds, *, again):
    """The whole input side, default policy and the encoder, one client, 500 characters.

    Args:
        seconds: How long.
        again: Share of texts that came before, as system prompts and retries do.
    """
    rules = (*shipped_policy().guard.rules, *RULES)
    guard, rng, took, before = (
        Guard(Policy(guard=GuardRules(rules=rules))),
        random.Random(3),
        [],
        [],
    )
    guard.warm()
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        old = before and rng.random() < again
        text = rng.choice(before) if old else text_of(rng, 500)
        before.append(text)
        began = time.perf_counter()
        await asked(guard, text)
        took.append(time.perf_counter() - began)
    return summary(took)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", action="store_true")
    asked_for = parser.parse_args()
    seconds = asked_for.seconds
    told = {
        "windows": by_length(encoder(), seconds),
        "windows_per_second": by_threads(seconds),
        "queue": asyncio.run(queue(seconds)),
        "pipeline_new": asyncio.run(pipeline(seconds, again=0.0)),
        "pipeline_half_seen": asyncio.run(pipeline(seconds, again=0.5)),
    }
    if asked_for.json:
        print(json.dumps(told))
        return
    print("| tokens | bare session | asked | ratio |\n|---|---|---|---|")
    for row in told["windows"]:
        print("| {tokens} | {bare_ms:.1f} ms | {ours_ms:.1f} ms | {ratio:.2f} |".format(**row))
    for count, rate in told["windows_per_second"].items():
        print(f"{count} thread(s): {rate:.1f} windows of 128 tokens a second")
    for name in ("queue", "pipeline_new", "pipeline_half_seen"):
        print(name, {key: round(value, 1) for key, value in told[name].items()})


if __name__ == "__main__":
    main()
