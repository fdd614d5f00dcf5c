"""Speed of vetting: two large files beside raw SHA-256, many small ones beside other scanners.

    python bench/vet.py [--size GB] [--rounds N] [--models N] [--dir FOLDER] [--json]

Large: a safetensors and a GGUF file of real-looking half-precision weights; raw is
`hashlib.file_digest`. Both in turn, the order changing every round; the first round does not
count. The figure is the ratio of the medians of wall time (1 would be: vetting is free).

Small: a folder of models, one in five hostile, from our own corpus: pickles, PyTorch archives and
NumPy arrays, which all of them read. Each scanner is installed into .bench/vet-NAME, runs offline
without telemetry, and reads the whole folder in one run of its command. Wall and CPU seconds; how
many hostile ones it flagged, and how many benign ones. The corpus is ours, so the counts say that
a scanner was at work, not which one is better.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import re
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from corpus.families.archives import torch_zip  # noqa: E402
from corpus.make import CASES, write  # noqa: E402
from keelmark.core.vetting import VetVerdict  # noqa: E402
from keelmark.vet import all_checks, all_rules, all_surveys, vet  # noqa: E402
from keelmark.vet.licence.records import record_ids  # noqa: E402

GOAL = 0.8
HOME = ROOT / ".bench"
BLOCK = 1 << 25
VERSIONS = {"modelscan": "0.8.8", "picklescan": "1.0.5", "modelaudit": "0.2.54"}
COMMANDS = {
    "modelscan": ["modelscan", "scan", "-r", "json", "-p"],
    "picklescan": ["picklescan", "-p"],
    "modelaudit": ["modelaudit", "scan", "--no-whitelist", "--no-cache", "-f", "json"],
}
NAMED = re.compile(r"\b(\d{4}-(?:hostile|benign))\b")
QUIET = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "HF_HUB_OFFLINE": "1"}


def tensors(size: int) -> list[int]:
    """Sizes of tensors in bytes that make up a file, rows of 4096 half-precision numbers."""
    whole, rest = divmod(size, BLOCK)
    return [BLOCK] * whole + ([rest // 8192 * 8192] if rest >= 8192 else [])


def write_weights(file, sizes: list[int]) -> None:
    rng = np.random.default_rng(20261122)
    block = rng.standard_normal(BLOCK // 2, dtype=np.float32) * 0.02
    halves = block.astype(np.float16)
    for number, size in enumerate(sizes):
        file.write(np.roll(halves, number * 4099)[: size // 2].tobytes())


def safetensors(path: Path, size: int) -> None:
    header, at = {}, 0
    sizes = tensors(size)
    for number, part in enumerate(sizes):
        name = f"model.layers.{number}.mlp.down_proj.weight"
        shape = [part // 8192, 4096]
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + part]}
        at += part
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        write_weights(file, sizes)


def gguf(path: Path, size: int) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    sizes = tensors(size)
    keys = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    infos, at = b"", 0
    for number, part in enumerate(sizes):
        infos += text(f"blk.{number}.ffn_down.weight") + struct.pack(
            "<IQQIQ", 2, 4096, part // 8192, 1, at
        )
        at += part
    head = b"GGUF" + struct.pack("<IQQ", 3, len(sizes), 1) + keys + infos
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % 32))
        write_weights(file, sizes)


def raw(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def vetted(path: Path) -> None:
    report = vet(path)
    assert report.verdict is VetVerdict.PASS, report.reason


def large(make: Callable[[Path, int], None], size: int, rounds: int, folder: Path) -> dict:
    path = folder / f"model.{make.__name__}"
    make(path, size)
    seconds: dict[Callable[[Path], None], list[float]] = {raw: [], vetted: []}
    for number in range(rounds + 1):
        for work in (raw, vetted) if number % 2 else (vetted, raw):
            begin = time.perf_counter()
            work(path)
            if number:
                seconds[work].append(time.perf_counter() - begin)
    path.unlink()
    plain, ours = statistics.median(seconds[raw]), statistics.median(seconds[vetted])
    return {"ratio": round(plain / ours, 3), "raw_s": round(plain, 3), "vet_s": round(ours, 3)}


def registry(folder: Path, number: int) -> tuple[set[str], set[str]]:
    """Write the folder; return the names of the hostile and of the benign models."""
    evil = [
        case
        for case in CASES.values()
        if not case.quiet
        and case.verdict == "fail"
        and len(case.files) == 1
        and Path(next(iter(case.files))).suffix in {".pkl", ".pt", ".bin", ".npy"}
        and case.id.startswith(("pickle", "torch", "zip", "npy", "numpy"))
    ]
    hostile, benign = set(), set()
    for index in range(number):
        if index % 5 == 0:
            name = f"{index:04}-hostile"
            hostile.add(name)
            write(evil[index // 5 % len(evil)], folder / name)
            continue
        name = f"{index:04}-benign"
        benign.add(name)
        (folder / name).mkdir(parents=True)
        state = {"step": index, "weights": [index / (k + 1) for k in range(200)], "name": name}
        data = pickle.dumps(state, protocol=2 + index % 4)
        if index % 2:
            (folder / name / "state.pkl").write_bytes(data)
        else:
            (folder / name / "model.pt").write_bytes(torch_zip(data))
    return hostile, benign


def run(command: list, env: dict[str, str], cwd: Path) -> tuple[float, float, str]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **env}, cwd=cwd
    )
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout


def flagged(name: str, said: str, folder: Path) -> set[str]:
    """Models of which a scanner says something grave."""
    if name == "keelmark":
        lines = map(json.loads, (folder.parent / "keelmark.jsonl").read_text().splitlines())
        return {line["path"] for line in lines if line["verdict"] != "pass"}
    if name == "picklescan":
        return {m[1] for line in said.splitlines() if "FOUND" in line and (m := NAMED.search(line))}
    issues = json.loads(said[said.index("{") :].replace("\n", "")).get("issues", [])
    grave = [
        i for i in issues if i["severity"].lower() in {"critical", "high", "warning", "medium"}
    ]
    places = [str(i.get("source") or i.get("location") or "") for i in grave]
    return {m[1] for place in places if (m := NAMED.search(place))}


def install(name: str) -> Path | None:
    home = HOME / f"vet-{name}"
    if not (home / ".done").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [home / "bin" / "pip", "install", "-q", "--disable-pip-version-check"]
        if subprocess.run(
            [*pip, f"{name}=={VERSIONS[name]}"], check=False, capture_output=True
        ).returncode:
            return None
        (home / ".done").touch()
    return home / "bin"


def small(folder: Path, number: int, names: list[str]) -> dict:
    models = folder / "models"
    hostile, benign = registry(models, number)
    out = folder / "keelmark.jsonl"
    commands = {
        "keelmark": [Path(sys.executable).parent / "keelmark", "vet", models, "--each", out]
    }
    for name in names:
        if (place := install(name)) is None:
            print(f"{name} cannot be installed; it is left out", file=sys.stderr)
            continue
        first, *rest = COMMANDS[name]
        commands[name] = [place / first, *rest, models]
    rows = {}
    for name, command in commands.items():
        wall, cpu, said = run(command, QUIET, folder)
        found = flagged(name, said, models)
        rows[name] = {
            "wall_s": round(wall, 1),
            "cpu_s": round(cpu, 1),
            "hostile": f"{len(found & hostile)} of {len(hostile)}",
            "benign": f"{len(found & benign)} of {len(benign)}",
        }
    return rows


def counts() -> dict[str, int]:
    return {
        "checks": len(all_checks()),
        "surveys": len(all_surveys()),
        "rules": len(all_rules()),
        "licences": len(record_ids()),
        "cases": len(CASES),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=2.0, help="size of a large file, GB")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count")
    parser.add_argument("--models", type=int, default=1000, help="small models")
    parser.add_argument("--dir", type=Path, help="where files are made (default: temporary)")
    parser.add_argument("--without", action="append", default=[], choices=list(VERSIONS))
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.dir) as place:
        folder = Path(place)
        size = int(wanted.size * 1e9)
        found = {
            "size_gb": wanted.size,
            "large": {
                f.__name__: large(f, size, wanted.rounds, folder) for f in (safetensors, gguf)
            },
            "models": wanted.models,
            "counts": counts(),
            "small": small(folder, wanted.models, [n for n in VERSIONS if n not in wanted.without]),
        }
    if wanted.json:
        print(json.dumps(found))
        return 0
    for kind, row in found["large"].items():
        print(f"{kind:<12} {wanted.size:g} GB: SHA-256 {row['raw_s']} s, vet {row['vet_s']} s: "
              f"ratio {row['ratio']} (goal {GOAL})")  # fmt: skip
    print(f"\n{wanted.models} small models   wall s   CPU s   hostile flagged   benign flagged")
    for name, row in found["small"].items():
        print(f"{name:<18} {row['wall_s']:>9} {row['cpu_s']:>7} {row['hostile']:>17} "
              f"{row['benign']:>16}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
