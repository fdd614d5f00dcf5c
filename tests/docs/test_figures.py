"""The README's figures are those that the benchmarks wrote, and they reach the goals."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench"
FIGURES = json.loads((BENCH / "figures.json").read_text(encoding="utf-8"))


def test_the_readme_says_what_was_measured():
    command = [sys.executable, BENCH / "figures.py", "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nothing_was_lost_in_the_measurement():
    for row in FIGURES["gateway"]["rows"].values():
        assert row["json"]["errors"] == row["stream"]["errors"] == 0
        assert row["stream"]["chunks"] == FIGURES["gateway"]["direct"]["stream"]["chunks"]
    assert FIGURES["digest"]["ratio"] >= 0.9
