"""False alarms of the secrets detector on source code, beside detect-secrets.

    python bench/false_alarms.py [--mb 20] [--json] [--show LABEL]

Reads the Python library and the packages installed here (.py, .js, .json, .toml, .md, .yaml),
at most 3 MB of each package. They hold next to no secrets but in their tests and
examples, so what is found counts as a false alarm, for both alike. detect-secrets is installed into
.bench/detect-secrets, not into the project, and runs with its default plugins and filters.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from pathlib import Path

from keelmark.guard.detectors.secrets import Detector
from keelmark.guard.normalise import fold

PEER = "detect-secrets==1.5.0"
HOME = Path(__file__).resolve().parents[1] / ".bench" / "detect-secrets"
ENDINGS = {".py", ".js", ".json", ".toml", ".md", ".yaml", ".yml"}
SHARE = 3e6  # bytes of one package at most, so that none decides alone
SCAN = """
import collections, json, sys, time
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings
found = collections.Counter()
began = time.process_time()
with default_settings():
    for name in sys.stdin.read().splitlines():
        found.update(secret.type for secret in scan_file(name))
print(json.dumps({"seconds": time.process_time() - began, "found": found}))
"""


def corpus(megabytes: float) -> list[Path]:
    paths = sysconfig.get_paths()
    library, packages = Path(paths["stdlib"]), Path(paths["purelib"])
    left, chosen = 1e6 * megabytes, []
    for root in (library, library / "site-packages", packages, Path("/usr/lib/node_modules")):
        files = (p for p in root.rglob("*") if p.suffix in ENDINGS and p.is_file())
        shares: Counter[str] = Counter()
        for path in sorted(files, key=lambda p: hashlib.sha256(p.name.encode()).digest()):
            package, size = path.relative_to(root).parts[0], path.stat().st_size
            if package != "site-packages" and size <= left and shares[package] + size <= SHARE:
                chosen.append(path)
                shares[package] += size
                left -= size
    return chosen


def installed() -> Path:
    """Return the Python that has detect-secrets."""
    python = HOME / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        subprocess.run([HOME / "bin" / "pip", "install", "-q", PEER], check=True)
    return python


def peer(files: list[Path]) -> dict:
    python = installed()
    names = "\n".join(map(str, files))
    done = subprocess.run(
        [python, "-c", SCAN], input=names, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def ours(files: list[Path], show: str | None) -> dict:
    detector, found, names = Detector(), Counter(), Counter()
    began = time.process_time()
    for path in files:
        text = fold(path.read_text(encoding="utf-8", errors="replace"))
        for hit in detector.find(text):
            found[hit.label] += 1
            names[hit.reason] += 1
            if show and (show in {"all", hit.label}):
                around = text[max(0, hit.start - 50) : hit.end + 10]
                print(f"{hit.label} {path.name}: {around!r}")
    return {"seconds": time.process_time() - began, "found": found, "names": names}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--show", help="print what is found with this label (or: all)")
    wanted = parser.parse_args()
    files = corpus(wanted.mb)
    size = sum(path.stat().st_size for path in files) / 1e6
    mine = ours(files, wanted.show)
    if wanted.show:
        return
    other = peer(files)
    counts = {"keelmark": sum(mine["found"].values()), PEER: sum(other["found"].values())}
    ratio = counts["keelmark"] / max(1, counts[PEER])
    if wanted.json:
        print(json.dumps({"megabytes": size, "files": len(files), "counts": counts,
                          "ratio": ratio, "keelmark": mine, PEER: other}))  # fmt: skip
        return
    print(f"{size:.1f} MB in {len(files)} files")
    for name, result in (("keelmark", mine), (PEER, other)):
        count = counts[name]
        print(f"{name:24} {count:6} found, {count / size:7.2f} per MB, {result['seconds']:.1f} s")
        for label, number in Counter(result["found"]).most_common(8):
            print(f"    {label:36} {number:6}")
    print(f"keelmark finds {ratio:.4f} of what {PEER} finds")


if __name__ == "__main__":
    main()
