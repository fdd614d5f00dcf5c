"""Fuzz the checks with atheris, beginning from the corpus: what they read is hostile.

    python corpus/fuzz.py [CHECK ...] [--seconds N] [--keep FOLDER]

Atheris is installed into .bench/fuzz, with what Keelmark needs, not into the project. Each check
that is named (all by default) gets mutated files for so many seconds (60 by default), in a process
of its own with limits. A check may raise `ReadLimitError` or return a result; anything else, and a
file that takes longer than five seconds or 2 GiB, is a defect: the file is kept in FOLDER, and the
exit code is 1. Two more things must hold: no finding says what is not so about its file, and the
same bytes give the same result twice.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".bench" / "fuzz"
ATHERIS = "atheris==3.0.0"
LONGEST = 1 << 16


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checks", nargs="*", metavar="CHECK")
    parser.add_argument("--seconds", type=int, default=60, help="for each check")
    parser.add_argument("--keep", type=Path, default=ROOT / ".bench" / "fuzz-found")
    wanted = parser.parse_args()
    python = install()
    wanted.keep.mkdir(parents=True, exist_ok=True)
    names = subprocess.run(
        [python, __file__, "--inner", "list"], check=True, capture_output=True, text=True
    ).stdout.split()
    if strange := set(wanted.checks) - set(names):
        print(f"There is no check {min(strange)}; there are {', '.join(names)}.")
        return 2
    bad = 0
    for name in wanted.checks or names:
        said = fuzz(python, name, wanted.seconds, wanted.keep)
        print(f"{name:<18} {said}", flush=True)
        bad += "DEFECT" in said
    return int(bad > 0)


def install() -> Path:
    python = HOME / "bin" / "python"
    lock = ROOT / "requirements.lock"
    marker = HOME / hashlib.sha256(lock.read_bytes()).hexdigest()
    if not marker.exists():
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", lock], check=True)
        subprocess.run([*pip, "--no-deps", "-e", ROOT], check=True)
        subprocess.run([*pip, ATHERIS], check=True)
        marker.touch()
    return python


def fuzz(python: Path, name: str, seconds: int, keep: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder, "seeds")
        seeds.mkdir()
        command = [
            python, __file__, "--inner", name, seeds, f"-max_total_time={seconds}",
            f"-max_len={LONGEST}", "-timeout=5", "-rss_limit_mb=2048", "-close_fd_mask=1",
            f"-artifact_prefix={keep}/{name}-",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    runs = [line for line in done.stderr.splitlines() if line.startswith("Done ")]
    if done.returncode == 0 and runs:
        return runs[-1].removeprefix("Done ")
    told = done.stderr.partition("=== Uncaught Python exception: ===")[2].partition("==")[0]
    last = [line for line in done.stderr.splitlines() if "ERROR" in line or "SUMMARY" in line]
    why = (told.strip() or "\n".join(last) or "it ended").replace("\n", "\n    ")
    return f"DEFECT (kept in {keep})\n    {why}"


def inner(arguments: list[str]) -> None:
    """What runs in the environment with atheris."""
    sys.path.insert(0, str(ROOT))
    import atheris

    with atheris.instrument_imports(include=["keelmark.vet"]):
        from keelmark.vet.contract import Budget, File, ReadLimitError
        from keelmark.vet.registry import all_checks
    checks = all_checks()
    name, *rest = arguments
    if name == "list":
        print(*checks)
        return
    from corpus.make import CASES

    check, names = checks[name], []
    for case in CASES.values():
        for path, data in case.files.items():
            file = of(File, Budget, path, data)
            if len(data) <= LONGEST and check.claims(file):
                names.append(Path(path).name)
                Path(rest[0], f"{len(names):04}").write_bytes(data)
    called = sorted(set(names)) or ["model.bin"]

    def one(data: bytes) -> None:
        path = called[len(data) % len(called)]
        results = []
        for _ in range(2):
            file = of(File, Budget, path, data)
            try:
                result = check.run(file) if check.claims(file) else None
            except ReadLimitError:
                return
            if result is None:
                return
            members = [(m.inner, m.size) for m, _ in zip(result.members, range(100), strict=False)]
            results.append((result.findings, result.unexamined, members))
            for finding in result.findings:
                assert finding.path == path
                assert finding.rule.startswith(f"{name}."), finding.rule
                assert finding.message.isprintable()
                assert finding.location
        assert results[0] == results[1], "the same bytes, another result"

    atheris.Setup([sys.argv[0], *rest], one)
    atheris.Fuzz()


def of(file: type, budget: type, path: str, data: bytes):
    """A file in memory, with the limits that a real one has."""
    return file(path, len(data), lambda size, at: data[at : at + size], budget(1 << 28))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inner"]:
        inner(sys.argv[2:])
    else:
        sys.exit(main())
