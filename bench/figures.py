"""The README's figures: measured by the benchmarks, kept in figures.json, written by this.

python bench/figures.py measure     # run the benchmarks, keep what they say (ten minutes)
python bench/figures.py write       # put the kept figures into the README
python bench/figures.py check       # is the README what `write` would make it?
"""

import datetime as dt
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = HERE / "figures.json"
README = HERE.parent / "README.md"
BLOCK = re.compile(r"<!-- figures -->.*<!-- /figures -->", re.DOTALL)
NAMES = {
    "nginx": "nginx, a bare proxy (the floor)",
    "bare relay (uvicorn + pyreqwest)": "30 lines of Python that relay (uvicorn, pyreqwest)",
    "keelmark keys + trace": "**Keelmark**: keys, trace, ledger; no guard rule",
    "keelmark + guard": "**Keelmark**: keys, trace, ledger, encrypted content, default guard",
    "LiteLLM 1.106.2": "LiteLLM 1.106.2: master key; no database, no guard",
}


def measure():
    figures = {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} shared cores, Python {platform.python_version()}",
    }
    for name in ("digest", "gateway"):
        command = [sys.executable, HERE / f"{name}.py", "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures[name] = json.loads(done.stdout)
    KEPT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def render(figures):
    direct, rows = figures["gateway"]["direct"], figures["gateway"]["rows"]
    yield f"Measured on {figures['date']} ({figures['machine']}) by `make bench`; all in one run, "
    yield "between the same mock engine and the same load. Use the ratios.\n\n"
    yield "| | CPU per JSON request | CPU per 40-chunk stream | added time, p50 / p99 "
    yield "| memory at rest |\n|---|---|---|---|---|\n"
    for key, name in NAMES.items():
        if key not in rows:
            continue
        row = rows[key]
        p50, p99 = (row["json"][p] - direct["json"][p] for p in ("p50", "p99"))
        yield f"| {name} | {row['json_cpu_ms']:.2f} ms | {row['stream_cpu_ms']:.2f} ms "
        yield f"| {max(p50, 0):.1f} / {max(p99, 0):.1f} ms | {row['rest_mb']:.0f} MB |\n"
    yield f"\nThe digest of a {figures['digest']['size_gb']:g} GB model is taken at "
    yield f"{figures['digest']['ratio']:.2f} of the speed of bare SHA-256."


def main(words):
    if words == ["measure"]:
        measure()
        return 0
    if words not in (["write"], ["check"]):
        print(__doc__)
        return 2
    figures = json.loads(KEPT.read_text(encoding="utf-8"))
    old = README.read_text(encoding="utf-8")
    block = f"<!-- figures -->\n{''.join(render(figures))}\n<!-- /figures -->"
    new = BLOCK.sub(lambda _: block, old)
    if words == ["write"]:
        README.write_text(new, encoding="utf-8")
    elif block not in old:
        print("The README's figures are not those of bench/figures.json: run figures.py write.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
