"""The README's figures: measured by the benchmarks, kept in figures.json, written by this.

python bench/figures.py measure [NAME ...]  # run the benchmarks, keep what they say (15 minutes)
python bench/figures.py write               # put the kept figures into the README
python bench/figures.py check               # is the README what `write` would make it?
"""

import datetime as dt
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import guard_tables
import vet

sys.path.insert(0, str(Path(__file__).resolve().parent / "gateway"))
import report

HERE = Path(__file__).resolve().parent
KEPT = HERE / "figures.json"
README = HERE.parent / "README.md"
PARTS = {
    "digest": ["digest.py"],
    "gateway": ["gateway"],
    "gateway_soak": ["gateway", "--soak", "100000", "--only", "guarded"],
    "scores": ["scores.py"],
    "evaluate": ["evaluate.py"],
    "guard": ["guard.py"],
    "hostile": ["hostile.py", "--rules", "--way", "whole", "--way", "varied"],
    "guard_peers": ["guard_peers.py"],
    "guard_heads": ["guard_heads.py"],
    "secrets": ["secret_recall.py"],
    "false_alarms": ["false_alarms.py", "--mb", "20"],
    "vet": ["vet.py"],
}


def measure(names):
    figures = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    figures["machine"] = f"{os.cpu_count()} shared cores, Python {platform.python_version()}"
    for name in names:
        script, *options = PARTS[name]
        command = [sys.executable, HERE / script, *options, "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        figures[name] = json.loads(done.stdout)
        figures.setdefault("dates", {})[name] = today
        KEPT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def render(figures):
    found = figures["gateway"]
    direct, rows = found["direct"], found["rows"]
    yield f"Measured on {figures['dates']['gateway']} ({figures['machine']}) by `make bench`; "
    yield "all in one run, between the same mock engine and the same load. Use the ratios.\n\n"
    yield "| | CPU per JSON request | CPU per 40-chunk stream | added time, p50 / p99 "
    yield "| memory at rest |\n|---|---|---|---|---|\n"
    for key, name in report.NAMES.items():
        if key not in rows:
            continue
        row = rows[key]
        p50, p99 = (row["json"][p] - direct["json"][p] for p in ("p50", "p99"))
        yield f"| {name} | {report.cpu(row['json_cpu_ms'])} | {report.cpu(row['stream_cpu_ms'])} "
        yield f"| {max(p50, 0):.1f} / {max(p99, 0):.1f} ms | {row['rest_mb']:.0f} MB |\n"
    yield "\nMore of it, and which goals are not reached: "
    yield "[figures of the gateway](docs/reference/gateway-figures.md).\n"
    yield f"\nThe digest of a {figures['digest']['size_gb']:g} GB model is taken at "
    yield f"{figures['digest']['ratio']:.2f} of the speed of bare SHA-256."


TOOLS = {"keelmark": "**Keelmark**", **{n: f"{n} {v}" for n, v in vet.VERSIONS.items()}}


def render_vet(figures):
    found = figures["vet"]
    count = found["counts"]
    yield f"Measured on {figures['dates']['vet']} by `python bench/vet.py`: "
    yield f"{count['checks']} checks and {count['surveys']} surveys with {count['rules']} rules, "
    yield f"{count['licences']} licence records, {count['cases']} hostile and benign cases made "
    yield f"from advisories and specifications. {found['models']} small models, one in five "
    yield "hostile, from those cases "
    yield "(so the counts say who was at work, not who is better):\n\n"
    yield "| | CPU | time | hostile ones flagged | benign ones flagged |\n|---|---|---|---|---|\n"
    for key, name in TOOLS.items():
        if row := found["small"].get(key):
            yield f"| {name} | {row['cpu_s']} s | {row['wall_s']} s | {row['hostile']} "
            yield f"| {row['benign']} |\n"
    large = found["large"]
    yield f"\nA {found['size_gb']:g} GB safetensors file is vetted at "
    yield f"{large['safetensors']['ratio']:.2f} of the speed of bare SHA-256, a GGUF file at "
    yield f"{large['gguf']['ratio']:.2f}."


RENDER = {
    "vet figures": render_vet,
    "figures": render,
    "guard figures": guard_tables.summary,
}


def rendered(text):
    """Return a text with the figures of today in its marked blocks."""
    figures = json.loads(KEPT.read_text(encoding="utf-8"))
    for name, make in RENDER.items():
        block = f"<!-- {name} -->\n{''.join(make(figures))}\n<!-- /{name} -->"
        pattern = re.compile(f"<!-- {name} -->.*<!-- /{name} -->", re.DOTALL)
        text = pattern.sub(lambda _, block=block: block, text)
    return text


def main(words):
    if words[:1] == ["measure"] and set(words[1:]) <= set(PARTS):
        measure(words[1:] or PARTS)
        return 0
    if words not in (["write"], ["check"]):
        print(__doc__)
        return 2
    old = README.read_text(encoding="utf-8")
    new = rendered(old)
    if words == ["write"]:
        README.write_text(new, encoding="utf-8")
    elif new != old:
        print("The README's figures are not those of bench/figures.json: run figures.py write.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
