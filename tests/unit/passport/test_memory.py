"""Free memory: the tightest of the machine and every control group above the process."""

from pathlib import Path

from keelmark.passport.memory import free_memory


def _machine(root: Path) -> tuple[Path, Path]:
    proc, cgroups = root / "proc", root / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 900 kB\nMemAvailable:   800 kB\nHugePages_Free: 0\n")
    (proc / "self/cgroup").write_text("1:name=systemd:/x\n0::/a/b\n")
    (cgroups / "a/b").mkdir(parents=True)
    return proc, cgroups


def _limit(group: Path, limit: str, current: int, inactive: int) -> None:
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{current}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")


def test_machine_alone(tmp_path: Path) -> None:
    assert free_memory(*_machine(tmp_path)) == 800 * 1024


def test_tightest_group_counts(tmp_path: Path) -> None:
    proc, cgroups = _machine(tmp_path)
    _limit(cgroups / "a/b", "max", 10, 0)
    _limit(cgroups / "a", "1000", 700, 200)
    assert free_memory(proc, cgroups) == 500
    _limit(cgroups, "400", 900, 100)
    assert free_memory(proc, cgroups) == 0


def test_nobody_says(tmp_path: Path) -> None:
    assert free_memory(tmp_path / "no", tmp_path / "no") is None


def test_this_machine() -> None:
    free = free_memory()
    assert free is None or free >= 0
