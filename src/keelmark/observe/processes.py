"""What this process and its children use: time of processors, memory. From `/proc`."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_PROC = Path("/proc")
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def cpu_seconds(proc: Path = _PROC) -> float:
    """Return the processor time of this process and of its children, living and dead, seconds.

    Where the system does not list processes (`/proc`), living children are left out.
    """
    own = os.times()
    tick = os.sysconf("SC_CLK_TCK")
    spent = own.user + own.system + own.children_user + own.children_system
    return spent + sum(sum(map(int, fields[11:15])) / tick for fields in _children(proc).values())


def peak_memory(proc: Path = _PROC) -> int | None:
    """Return the most memory that this process and its living children have had, bytes.

    It is the largest resident set of each, added up: pages that they share count for each of them,
    and they need not have had their most at one time. None where the system does not tell.
    """
    peaks = []
    for number in (os.getpid(), *_children(proc)):
        with contextlib.suppress(OSError):  # it has just ended
            status = (proc / str(number) / "status").read_text(encoding="utf-8", errors="replace")
            peaks += _PEAK.findall(status)
    return sum(map(int, peaks)) * 1024 if peaks else None


def _children(proc: Path) -> dict[int, list[str]]:
    """Living processes that descend from this one, with what `stat` says behind their names."""
    every: dict[int, list[str]] = {}
    for stat in proc.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):  # it has just ended
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            if len(fields) > 15:
                every[int(stat.parent.name)] = fields
    parents = {number: int(fields[1]) for number, fields in every.items()}
    return {number: one for number, one in every.items() if _descends(number, os.getpid(), parents)}


def _descends(number: int, ancestor: int, parents: dict[int, int]) -> bool:
    seen = set()
    while number in parents and number not in seen:
        seen.add(number)
        number = parents[number]
        if number == ancestor:
            return True
    return False
