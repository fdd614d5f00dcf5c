"""How many secrets are found, of every kind of the table, beside detect-secrets.

    python bench/secret_recall.py [--json]

Samples are made by the recipes of the tests (random, with right checksums) and stand in a line of
Python and in a file of settings, which is what detect-secrets is made for. Keelmark has found one
when a single finding covers all of it; the peer when it reports anything in the file.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import false_alarms
from guard_peers import wilson

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/unit/guard/detectors"))
import test_secret_kinds as made  # it lies among the tests

SEED = 20261122
PLACES = ("python", "env file")
SCAN = """
import json, sys
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings
with default_settings():
    print(json.dumps([bool(list(scan_file(n))) for n in sys.stdin.read().splitlines()]))
"""


def samples() -> list[tuple[str, str, str]]:
    """Return (kind, text, secret) of every kind and recipe, in every place."""
    out = []
    for kind in made.kinds():
        for number, recipe in enumerate(kind.recipes):
            chance = random.Random(f"{SEED} {kind.name} {number}")
            value, secret = made.sample(chance, recipe)
            if kind.called == "-":
                out.append((kind.name, f"x\n{value}\ny\n", secret))
                continue
            out += [
                (kind.name, made.SURROUNDINGS[place](kind.called, value), secret)
                for place in PLACES
            ]
    return out


def peer(texts: list[str]) -> list[bool]:
    python = false_alarms.installed()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"sample{number}.py" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [python, "-c", SCAN],
            input="\n".join(map(str, paths)),
            capture_output=True,
            text=True,
            check=True,
        )
    return json.loads(done.stdout)


def main() -> None:
    chosen = samples()
    ours = [made.covered(text, secret) is not None for _, text, secret in chosen]
    theirs = peer([text for _, text, _ in chosen])
    results = {
        "kinds": len({kind for kind, _, _ in chosen}),
        "samples": len(chosen),
        "found": {"Keelmark": sum(ours), false_alarms.PEER: sum(theirs)},
    }
    results["intervals"] = {
        name: wilson(count, len(chosen)) for name, count in results["found"].items()
    }
    if "--json" in sys.argv:
        print(json.dumps(results))
        return
    print(f"{results['samples']} samples of {results['kinds']} kinds")
    for name, count in results["found"].items():
        print(f"{name:24} {count:5} found, {results['intervals'][name]}")


if __name__ == "__main__":
    main()
