"""How much memory is free for this process, under the machine's limit and the container's."""

from __future__ import annotations

from pathlib import Path


def free_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes that can be had without swapping, or None where nobody says.

    Sources: `MemAvailable` of proc(5), and `memory.max`, `memory.current` and `memory.stat` of
    the process's control group and all above it (Linux cgroup v2), page cache not counted.
    """
    rooms = [_available(proc / "meminfo"), *(_room(g) for g in _groups(proc, cgroups))]
    return min((room for room in rooms if room is not None), default=None)


def _available(meminfo: Path) -> int | None:
    kilobytes = _table(meminfo).get("MemAvailable:")
    return None if kilobytes is None else kilobytes * 1024


def _groups(proc: Path, cgroups: Path) -> list[Path]:
    """The folders of the process's control group and of all above it."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    group = cgroups / own.strip("/")
    return [group, *(parent for parent in group.parents if parent.is_relative_to(cgroups))]


def _room(group: Path) -> int | None:
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no limit here ("max"), or no such group
        return None
    return max(0, limit - used + _table(group / "memory.stat").get("inactive_file", 0))


def _table(path: Path) -> dict[str, int]:
    """Read lines of a name and a number; {} when the file is not there."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
