"""Multiple choice weighed by log-likelihood, beside a plain loop over the raw engine, in one run.

    python bench/evaluate.py [--questions 60] [--rounds 3] [--json]

The plain loop is what a script would do: llama.cpp with all cores in this process, one text after
the other from its beginning, the logits after every token. Ours is the whole way of `keelmark eval
run`: client, gateway with the default guard and the ledger, scorer. Both weigh the same questions
of ARC-Easy in turns, and the weights have to be equal bit for bit. Without the data the questions
are made up.
"""

import argparse
import asyncio
import json
import math
import os
import random
import sys
import time
from pathlib import Path

os.environ["GOMP_SPINCOUNT"] = "1000"  # as the service runs it, before llama.cpp is loaded
sys.path.insert(0, str(Path(__file__).resolve().parent))
from keelmark.core.errors import UsageError
from keelmark.evaluate.client import Client, Target
from keelmark.evaluate.contract import Score
from keelmark.evaluate.data import find, places, rows
from keelmark.evaluate.samples import sample_of
from keelmark.evaluate.suite import load_suite
from keelmark.observe.energy import cpu_seconds
from keelmark.serve.engines.llama import physical_cores
from keelmark.serve.llama_api import Llama
from keelmark.serve.models import default_model
from keelmark.serve.scorer import log_total
from keelmark.serve.transport import new_transport
from scores import CACHE, KEY, WORDS, library, service

PARALLEL = 4


def questions(count):
    """The first questions of ARC-Easy; as many made-up ones where it is not at hand."""
    loaded = load_suite("arc_easy")
    try:
        path, _ = find(loaded.suite, loaded.suite.data, places(loaded.folder, Path("data")))
    except UsageError:
        rng = random.Random(11)
        text = lambda size: " ".join(rng.choices(WORDS, k=size))  # noqa: E731
        return "made up", [
            Score(
                context=f"Question: {text(20).capitalize()}?\nAnswer:",
                continuations=tuple(f" {text(6)}" for _ in range(4)),
            )
            for _ in range(count)
        ]
    found = []
    for row in rows(path, loaded.suite.data):
        if len(found) < count:
            found += sample_of(loaded, row, []).asks
    return "ARC-Easy", found


def plain(llama, ask):
    """Weigh the continuations of one question, each text from its beginning."""
    start, found = len(llama.tokens(ask.context, special=True)), []
    for continuation in ask.continuations:
        tokens = llama.tokens(ask.context + continuation, special=True)
        llama.rewind(0)
        at, values = 0, []
        for block in llama.read(tokens[:-1], 0):
            for row in block:
                at += 1
                if at >= start:
                    values.append(float(row[tokens[at]]) - log_total(row))
        found.append(math.fsum(values))
    return found


async def ours(client, asks):
    """Weigh the continuations of questions as a run does."""
    slots = asyncio.Semaphore(PARALLEL)

    async def one(ask):
        async with slots:
            reply = await client.ask(ask)
        assert reply.state == "answered", reply.error
        return [weight.logprob for weight in reply.weights]

    return await asyncio.gather(*map(one, asks))


async def measured(port, name, llama, asks, rounds):
    """Seconds of both in turns, processor time of both, and whether their weights are equal."""
    transport = new_transport()
    target = Target(url=f"http://127.0.0.1:{port}/v1", model=name, key=KEY, parallel=PARALLEL)
    client = Client(target, transport)
    spent, cpu, equal = [0.0, 0.0], [0.0, 0.0], True
    try:
        await ours(client, asks[:1])
        size = -(-len(asks) // rounds)
        for begin in range(0, len(asks), size):
            block = asks[begin : begin + size]
            marks = [(time.perf_counter(), cpu_seconds())]
            wanted = [plain(llama, ask) for ask in block]
            marks.append((time.perf_counter(), cpu_seconds()))
            told = await ours(client, block)
            marks.append((time.perf_counter(), cpu_seconds()))
            for at in (0, 1):
                spent[at] += marks[at + 1][0] - marks[at][0]
                cpu[at] += marks[at + 1][1] - marks[at][1]
            equal = equal and told == wanted
    finally:
        await transport.close()
    return spent, cpu, equal


def measure(count, rounds):
    local = default_model(Path(CACHE), lambda line: print(line, file=sys.stderr))
    llama = Llama(library(), str(local.path), context=2048, threads=physical_cores())
    load = os.getloadavg()[0]
    source, asks = questions(count)
    plain(llama, asks[0])
    with service(local) as port:
        spent, cpu, equal = asyncio.run(measured(port, local.name, llama, asks, rounds))
    return {
        "model": local.name,
        "source": source,
        "questions": len(asks),
        "plain_per_s": round(len(asks) / spent[0], 2),
        "ours_per_s": round(len(asks) / spent[1], 2),
        "ratio": round(spent[0] / spent[1], 2),
        "plain_cpu_s": round(cpu[0] / len(asks), 3),
        "ours_cpu_s": round(cpu[1] / len(asks), 3),
        "cpu_ratio": round(cpu[0] / cpu[1], 2),
        "load_before": round(load, 1),
        "equal": equal,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    args = parser.parse_args()
    found = measure(args.questions, args.rounds)
    if args.json:
        print(json.dumps(found))
        return
    print(f"{found['questions']} questions ({found['source']}), {found['model']}:")
    for name, what in (("plain", "plain loop over llama.cpp"), ("ours", "keelmark, guard, ledger")):
        rate, cpu = found[f"{name}_per_s"], found[f"{name}_cpu_s"]
        print(f"  {what:26} {rate:6.2f} a second, {cpu:.3f} s of processor time each")
    print(
        f"{found['ratio']:.2f} times as many a second, {found['cpu_ratio']:.2f} times as many for"
    )
    print(f"the same processor time; equal weights: {found['equal']}.")


if __name__ == "__main__":
    main()
