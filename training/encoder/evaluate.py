"""What the exported encoder makes of sources that it has not seen, and its operating points.

    python training/encoder/evaluate.py ROWS BASE WEIGHTS [--most 600]

WEIGHTS is the folder that `export.py` wrote; `calibration.json` and `figures.json` are put there.
Thresholds come from these validation sources alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from batches import GROUNDING, Tokens, batch, numbered, packed, rows_of, tokenizer
from measures import at_rate, auroc, average_precision, balanced, platt
from model import HAZARDS, SEQUENCE, TOKENS
from rows import Row

VERSION = "1"
PLAIN = ("injection", "harm_request", "toxic", "harm_answer")
POINTS = {"fpr_1": 0.01, "fpr_5": 0.05}


class Seen(NamedTuple):
    """What a head said of rows: logits, what is so, and where each is from."""

    logits: np.ndarray
    truth: np.ndarray
    sources: np.ndarray


def said(model: Path, rows: list[Tokens]) -> np.ndarray:
    """Return the logits of all sequence heads, rows as given."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(model), options, ["CPUExecutionProvider"])
    place = {id(row): number for number, row in enumerate(rows)}
    made = np.zeros((len(rows), len(SEQUENCE)), np.float32)
    for group in packed(rows, 2048):
        one = batch(group)
        given = {
            "input_ids": one.ids.numpy(),
            "attention_mask": one.attention.numpy(),
            "token_type_ids": one.kinds.numpy(),
        }
        made[[place[id(row)] for row in group]] = session.run(["sequence"], given)[0]
    return made


def ungrounded(logits: np.ndarray) -> np.ndarray:
    """Return the log-odds that a claim is not supported, of its three logits."""
    supported, *rest = logits[:, GROUNDING : GROUNDING + 3].T
    return np.logaddexp(*rest) - supported


def of_heads(rows: list[Row], logits: np.ndarray) -> dict[str, Seen]:
    """Return what each head said of the rows that know its answer."""
    heads = {}
    for head in (*PLAIN, "grounding"):
        known = [number for number, row in enumerate(rows) if head in row.y]
        if not known:
            continue
        own = (
            ungrounded(logits[known])
            if head == "grounding"
            else logits[known, SEQUENCE.index(head)]
        )
        truth = np.asarray([int(rows[number].y[head] > 0) for number in known])
        heads[head] = Seen(
            own, truth, np.asarray([family(rows[number].source) for number in known])
        )
    return heads


def family(source: str) -> str:
    """Return the name under which sources are counted together: all before the first slash."""
    return source.partition("/")[0]


def calibrated(seen: Seen) -> dict[str, Any]:
    """Return a head's entry of the calibration table."""
    names, counts = np.unique(seen.sources, return_counts=True)
    shares = dict(zip(names, 1 / counts, strict=True))
    weights = np.asarray([shares[name] for name in seen.sources])
    a, b = platt(seen.logits, seen.truth, weights * len(weights) / weights.sum())
    scores = chance(seen.logits, a, b)
    benign = seen.truth == 0
    points = {
        name: round(at_rate(scores[benign], seen.sources[benign], rate), 6)
        for name, rate in POINTS.items()
    }
    points["balanced"] = round(balanced(scores, seen.truth), 6)
    return {"platt": [a, b], "points": points}


def chance(logits: np.ndarray, a: float, b: float) -> np.ndarray:
    """Return probabilities."""
    return 1 / (1 + np.exp(-np.clip(a * logits + b, -30, 30)))


def figures(seen: Seen, entry: dict[str, Any]) -> dict[str, Any]:
    """Return, by source, how well a head tells, and what it does at its operating points."""
    scores, made = chance(seen.logits, *entry["platt"]), {}
    for name in np.unique(seen.sources):
        own = seen.sources == name
        truth, one = seen.truth[own], scores[own]
        entry_ = {"n": int(own.sum()), "positive": int(truth.sum())}
        if 0 < truth.sum() < len(truth):
            entry_["auroc"] = round(auroc(one, truth), 4)
            entry_["ap"] = round(average_precision(one, truth), 4)
        for point, threshold in entry["points"].items():
            flagged = one >= threshold
            if truth.any():
                entry_[f"recall@{point}"] = round(float(flagged[truth == 1].mean()), 4)
            if not truth.all():
                entry_[f"false@{point}"] = round(float(flagged[truth == 0].mean()), 4)
        made[str(name)] = entry_
    return made


def main() -> None:
    """Measure and calibrate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--most", type=int, default=600, help="rows of each source at most")
    asked = parser.parse_args()
    rows = drawn(asked.rows, asked.most)
    model = asked.weights / "encoder.onnx"
    heads = of_heads(rows, said(model, numbered(rows, tokenizer(asked.base))))
    table = {head: calibrated(seen) for head, seen in heads.items()}
    calibration = {
        "version": VERSION,
        "sequence": SEQUENCE,
        "tokens": TOKENS,
        "heads": table,
        "hazards": HAZARDS,
        "model": hashlib.sha256(model.read_bytes()).hexdigest(),
    }
    write(asked.weights / "calibration.json", calibration)
    told = {head: figures(seen, table[head]) for head, seen in heads.items()}
    write(asked.weights / "figures.json", told)
    for head, sources in told.items():
        for name, entry in sources.items():
            print(head, name, json.dumps(entry), sep="\t")


def drawn(folder: Path, most: int) -> list[Row]:
    """Return the validation rows, at most so many of each source, by lot."""
    sources: dict[str, list[Row]] = {}
    for rows in rows_of(folder, "valid").values():
        for row in rows:
            sources.setdefault(family(row.source), []).append(row)
    lot = random.Random(1)
    return [
        row
        for name in sorted(sources)
        for row in lot.sample(sources[name], min(most, len(sources[name])))
    ]


def write(path: Path, value: Any) -> None:
    """Write JSON that diffs well."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
