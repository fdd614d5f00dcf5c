"""What it costs that two models share memory for one: time of a switch, and memory of a model.

    .venv/bin/python bench/switch.py

Two names of the bundled model under a budget for one, asked in turn: every request has to wait for
a switch (the other model's child ends, the bytes are sealed and hashed, a new child loads them).
Beside it the same requests to one model that stays. Memory is what the kernel shares out to the
child (Pss), with the sealed copy, beside what was reckoned.
"""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

KEELMARK = Path(sys.executable).parent / "keelmark"
KEY, PORT = "sk-km-switch-0123456789abcdef", 8197
TURNS = 8


def ask(model: str) -> float:
    body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        answer.read()
    return time.perf_counter() - began


@contextlib.contextmanager
def service(folder: Path, *words: str, **environment: str):
    environment |= {**os.environ, "KEELMARK_DATA": str(folder), "KEELMARK_ADMIN_KEY": KEY}
    command = [str(KEELMARK), "up", "--port", str(PORT), *words]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=2).close()
                    break
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()


def resident(parent: int) -> float:
    """MiB of the model's child, its part of shared pages counted in parts."""
    for task in Path(f"/proc/{parent}/task").iterdir():
        for pid in (task / "children").read_text().split():
            if b"llama_child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                return int(re.search(r"^Pss: +(\d+)", text, re.MULTILINE)[1]) / 1024
    return 0.0


def reckoned() -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=5) as answer:
        found = re.findall(
            r"^keelmark_model_memory_bytes\{.*?\} (\d+)", answer.read().decode(), re.MULTILINE
        )
    return max(map(int, found)) / 2**20


def main() -> None:
    subprocess.run([KEELMARK, "models", "pull", "default"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = ("--model", "a=default", "--model", "b=default")
        for context in (8192, 2048):
            size = ("--context", str(context), "--stay", "0")
            with service(folder, *models, *size, "--memory", "800M") as parent:
                ask("a"), ask("b")
                switches = [ask(model) for model in ("a", "b") * (TURNS // 2)]
                stays = [ask("b") for _ in range(TURNS)]
                print(
                    f"context {context}: a request with a switch"
                    f" {statistics.median(switches):.2f} s (longest {max(switches):.2f}),"
                    f" without {statistics.median(stays):.3f} s;"
                    f" memory {resident(parent):.0f} MiB, reckoned {reckoned():.0f} MiB"
                )


if __name__ == "__main__":
    main()
