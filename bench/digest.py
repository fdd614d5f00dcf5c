"""Speed of the model digest beside raw SHA-256 over the same file, in the same run.

    python bench/digest.py [--size GB] [--rounds N] [--dir FOLDER] [--json]

Raw is `hashlib.file_digest`: read the file, hash it, nothing else. Both are timed in turn, the
order changing every round; the first round, which warms the page cache, does not count. The
figure is the ratio of the medians. Exit 1 when it is below 0.9.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from keelmark.passport.manifest import build_manifest, root_digest

GOAL = 0.9


def write_file(path: Path, size: int) -> None:
    """Pseudo-random bytes, really written: a sparse file would be read at another speed."""
    source = random.Random(20261122)
    with path.open("wb") as file:
        while size > 0:
            size -= file.write(source.randbytes(min(size, 1 << 24)))
        file.flush()
        os.fsync(file.fileno())


def raw(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(path: Path) -> str:
    found = build_manifest(path, progress=lambda _done, _total: None)
    assert found.digest == root_digest(found.entries)
    return found.entries[0].sha256


def timed(work: Callable[[Path], str], path: Path) -> tuple[float, str]:
    begin = time.perf_counter()
    result = work(path)
    return time.perf_counter() - begin, result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=2.0, help="size of the file, GB (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--dir", type=Path, help="where the file is made (default: temporary)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    size = int(options.size * 1e9)
    seconds: dict[Callable[[Path], str], list[float]] = {raw: [], manifest: []}
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        path = Path(folder) / "model.bin"
        write_file(path, size)
        for number in range(options.rounds + 1):
            results = set()
            for work in (raw, manifest) if number % 2 else (manifest, raw):
                took, result = timed(work, path)
                results.add(result)
                if number:
                    seconds[work].append(took)
            assert len(results) == 1, "the two disagree about the digest"
    medians = {work.__name__: statistics.median(times) for work, times in seconds.items()}
    ratio = medians["raw"] / medians["manifest"]
    speeds = {f"{name}_gb_per_s": round(size / 1e9 / took, 3) for name, took in medians.items()}
    if options.json:
        print(json.dumps({"size_gb": options.size, "ratio": round(ratio, 3), **speeds}))
    else:
        print(f"{options.size} GB, {options.rounds} rounds, medians")
        for name, speed in speeds.items():
            print(f"  {name:20} {speed}")
        print(f"  ratio                {ratio:.3f} (goal {GOAL})")
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
