"""A run over files that is killed goes on as if nothing had been, and leaves no process behind."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from .conftest import KEELMARK, keelmark

WORDS = ("harbour", "bridge", "water", "light", "question", "answer", "report", "table", "tide")


def corpus(folder: Path, rows: int) -> None:
    rng = random.Random(3)
    folder.mkdir()
    with (folder / "a.jsonl").open("w") as file:
        for number in range(rows):
            text = " ".join(rng.choices(WORDS, k=60)) + f" user{number % 50}@example.org"
            file.write(json.dumps({"id": number, "text": text if number % 9 else "again"}) + "\n")
    (folder / "b.csv").write_text("id,text\n" + "".join(f"{n},ada{n}@example.org\n" for n in "xyz"))
    (folder / "c.md").write_text("# Title\n\nWrite to bob@example.org.\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def gone(group: int) -> bool:
    for _ in range(200):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, 0)
            time.sleep(0.05)
            continue
        return True
    return False


def test_kill_and_resume(tmp_path):
    corpus(tmp_path / "in", 600)
    words = ["guard", "clean", "in", "--workers", "2", "--out"]
    whole = keelmark(*words, "whole", data=tmp_path / "data", cwd=tmp_path)
    assert whole.returncode == 1, whole.stderr
    draft = tmp_path / "out" / ".a.jsonl.part"
    process = subprocess.Popen(
        [KEELMARK, *words, "out"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "KEELMARK_DATA": str(tmp_path / "data")},
        start_new_session=True,
    )
    while process.poll() is None and not (draft.exists() and draft.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was faster: the corpus is too small"
    assert gone(process.pid), "its processes outlive it"
    assert not (tmp_path / "out" / "findings.jsonl").exists(), "nothing half-written has a name"
    again = keelmark(*words, "out", data=tmp_path / "data", cwd=tmp_path)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    last = keelmark(*words, "out", "--resume", data=tmp_path / "data", cwd=tmp_path)
    assert last.returncode == 1, last.stderr
    assert last.stdout.splitlines()[1:] == whole.stdout.splitlines()[1:]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_interrupt_is_one_sentence_and_can_be_resumed(tmp_path):
    corpus(tmp_path / "in", 800)
    words = [KEELMARK, "guard", "scan", "in", "--out", "out", "--workers", "2"]
    environment = {**os.environ, "KEELMARK_DATA": str(tmp_path / "data")}
    process = subprocess.Popen(
        words, cwd=tmp_path, stderr=subprocess.PIPE, env=environment, start_new_session=True
    )
    while not (tmp_path / "out" / ".findings.jsonl.part").exists():
        time.sleep(0.02)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.decode().strip() == "keelmark: stopped."
    assert gone(process.pid)
    done = keelmark(*words[1:], "--resume", data=tmp_path / "data", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
