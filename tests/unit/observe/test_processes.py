"""Time and memory of this process and of those that it started."""

import os
import subprocess
import sys

import pytest

from keelmark.observe.processes import cpu_seconds, peak_memory

HOLDS = "x = bytearray(b'x') * 150_000_000; print(len(x), flush=True); del x; input()"


def test_time_of_children_counts(tmp_path):
    tick, own = os.sysconf("SC_CLK_TCK"), os.getpid()
    rows = {7001: own, 7002: 7001, 7003: 1, 7004: 7004, own: 1}
    for number, parent in rows.items():
        (tmp_path / str(number)).mkdir()
        times = f"{2 * tick} {tick} {tick} 0" if number != own else "0 0 0 0"
        (tmp_path / str(number) / "stat").write_text(
            f"{number} (a) b) S {parent} {'0 ' * 9}{times} 0\n"
        )
    (tmp_path / "8000").mkdir()
    (tmp_path / "8000" / "stat").write_text("8000 (gone")
    nobody = tmp_path / "empty"
    nobody.mkdir()
    assert cpu_seconds(tmp_path) - cpu_seconds(nobody) == pytest.approx(8.0, abs=0.5)


def test_memory_of_children_counts_also_when_they_gave_it_back():
    before = peak_memory()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"150000000\n"
        during = peak_memory()
        child.communicate(b"\n")
    assert 150e6 < during - before < 250e6
    assert peak_memory() < during - 100e6


def test_without_a_list_of_processes_nothing_is_said(tmp_path):
    assert peak_memory(tmp_path) is None
