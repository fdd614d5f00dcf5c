"""Exact scores of prompts beside the speed at which llama.cpp itself reads them, in one run.

    python bench/scores.py [--texts 16] [--json]

The same texts go to llama.cpp, which reads them and gives the logits after every token; to our
scorer, in the same process; and to the service as an evaluation harness asks: `/v1/completions`
with `echo` and `logprobs`, one text at a time, through the default guard and into the ledger. No
text begins like another, so nothing is at hand from the one before. The values have to be equal.
"""

import argparse
import contextlib
import json
import math
import os
import random
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

os.environ["GOMP_SPINCOUNT"] = "1000"  # as the service runs it, before llama.cpp is loaded
sys.path.insert(0, str(Path(__file__).resolve().parent / "gateway"))
from process import Server, free_port

from keelmark.serve.engines.llama import physical_cores
from keelmark.serve.llama_api import Llama
from keelmark.serve.models import default_model
from keelmark.serve.scorer import Scorer

CACHE = os.environ.get("KEELMARK_TEST_CACHE") or Path.home() / ".cache" / "keelmark-tests"
KEY = "sk-km-bench-0123456789abcdef0123"
TOP = 5
WORDS = ("harbour", "tide", "rope", "captain", "ledger", "bread", "winter", "bridge", "river",
         "letter", "market", "copper", "lantern", "garden", "engine", "window", "morning", "paper",
         "island", "journey", "question", "answer", "mountain", "weather", "silver")  # fmt: skip


def made(count):
    """Texts of about 250 tokens, each beginning differently."""
    rng = random.Random(5)
    return [" ".join(rng.choices(WORDS, k=220)).capitalize() + "." for _ in range(count)]


def timed(work):
    began = time.perf_counter()
    found = work()
    return found, time.perf_counter() - began


def library():
    from importlib.util import find_spec  # noqa: PLC0415 (it is not imported: llama.cpp is)

    return find_spec("xllamacpp.xllamacpp").origin


def read(model, texts):
    """Read texts as fast as llama.cpp does; look at no value."""
    for tokens in texts:
        model.rewind(0)
        for _ in model.read(tokens, 0):
            pass


def asked(port, model, text):
    body = {"model": model, "prompt": text, "max_tokens": 0, "echo": True, "logprobs": TOP}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)["choices"][0]["logprobs"]["token_logprobs"][1:]


@contextlib.contextmanager
def service(model):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "models" / model.path.name
        place.parent.mkdir()
        shutil.copyfile(model.path, place)
        port = free_port()
        command = [Path(sys.executable).parent / "keelmark", "up", "--port", port, "--data", folder]
        running = Server(command, port, "/readyz", env={**os.environ, "KEELMARK_ADMIN_KEY": KEY})
        try:
            yield port
        finally:
            running.stop()


def measure(count):
    local = default_model(Path(CACHE), lambda line: print(line, file=sys.stderr))
    llama = Llama(library(), str(local.path), context=2048, threads=physical_cores())
    texts = made(count)
    ids = [llama.tokens(text, special=True) for text in texts]
    tokens = sum(map(len, ids))
    read(llama, ids[:2])
    _, raw = timed(lambda: read(llama, ids))
    scorer = Scorer(llama)
    marks, own = timed(lambda: [scorer.score([one], TOP, lambda: None)[0] for one in ids])
    with service(local) as port:
        asked(port, local.name, "The first text starts the scorer.")
        told, served = timed(lambda: [asked(port, local.name, text) for text in texts])
    pairs = [
        (mark.logprob, value)
        for row, values in zip(marks, told, strict=True)
        for mark, value in zip(row[1:], values, strict=True)
    ]
    return {
        "model": local.name,
        "texts": count,
        "tokens": tokens,
        "raw_per_s": round(tokens / raw, 1),
        "scorer_per_s": round(tokens / own, 1),
        "service_per_s": round(tokens / served, 1),
        "ratio": round(raw / served, 3),
        "equal": all(math.isclose(a, b, abs_tol=1e-9) for a, b in pairs),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    args = parser.parse_args()
    found = measure(args.texts)
    if args.json:
        print(json.dumps(found))
        return
    print(f"{found['texts']} texts, {found['tokens']} tokens, {found['model']}; tokens a second:")
    for name in ("raw", "scorer", "service"):
        print(f"  {name:8} {found[f'{name}_per_s']:8.1f}")
    print(f"The service reaches {found['ratio']:.2f} of llama.cpp; equal values: {found['equal']}.")


if __name__ == "__main__":
    main()
