"""How fast the bundled model writes on cores that other work wants too.

    .venv/bin/python bench/busy.py

Each round starts the service anew with none, one or two busy processes beside it, and asks for the
same answers one after the other: as it is served, with threads that spin for as long as OpenMP does
by itself while they wait for each other (300,000 turns), and with threads that sleep at once.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from switch import KEY, PORT, service

ASKED = "Write {} lines about the sea. " + "The harbour is deep and wide. " * 10
SPINS = {"as served": {}, "OpenMP's own": {"GOMP_SPINCOUNT": "300000"},
         "sleeping at once": {"GOMP_SPINCOUNT": "0"}}  # fmt: skip
REQUESTS, TOKENS = 4, 48


def written(number: int) -> int:
    """Ask for an answer; return how many tokens it has."""
    said = [{"role": "user", "content": ASKED.format(number)}]
    body = {"temperature": 0, "max_tokens": TOKENS, "messages": said}
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v1/chat/completions",
        json.dumps({"model": "smollm2-135m-instruct", **body}).encode(),
        {"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)["usage"]["completion_tokens"]


def speed(folder: Path, busy: int, environment: dict[str, str]) -> float:
    """Tokens per second, the reading of the prompt included."""
    work = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        with service(folder, **environment):
            written(0)
            began = time.perf_counter()
            return sum(map(written, range(1, REQUESTS + 1))) / (time.perf_counter() - began)
    finally:
        for one in work:
            one.kill()
            one.wait()


def main() -> None:
    """Print tokens per second, and the ratio of what is served to what OpenMP does by itself."""
    print("| busy processes beside it | " + " | ".join(SPINS) + " | ratio |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for busy in (0, 1, 2):
            found = [speed(Path(folder), busy, environment) for environment in SPINS.values()]
            cells = " | ".join(f"{one:.1f}" for one in found)
            print(f"| {busy} | {cells} | {found[0] / found[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
