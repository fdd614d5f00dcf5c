"""What the exported encoder makes of sources that it has not seen, and its operating points.

    python training/encoder/evaluate.py ROWS WEIGHTS [--most 400]

Run it in the project's own environment: texts are cut, read and joined by the guard's code, so the
figures are of what a request meets. WEIGHTS is the folder that `export.py` wrote;
`calibration.json` and `figures.json` are put there. Thresholds come from these validation sources
alone, each of which weighs the same; languages other than English have thresholds of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from heads import SEQUENCE, TOKENS
from measures import at_rate, balanced, platt, told
from rows import BUILDERS, Row, read

from keelmark.guard._encoder import Encoder
from keelmark.guard._languages import language_of_folded
from keelmark.guard._support import held
from keelmark.guard._units import READ, WRITTEN, logits, units
from keelmark.guard._weights import ENGLISH, OTHERS, SCORES, Entry, Weights, head
from keelmark.guard.normalise import fold

VERSION = "1"
READ_HEADS = ("injection", "harm_request", "toxic")
POINTS = {"fpr_1": 0.01, "fpr_5": 0.05}
_LEAST = 1e-9
_ENOUGH = 120  # texts of either kind that a language needs for thresholds of its own


class Seen(NamedTuple):
    """What a head said of texts: logits, what is so, where each is from, and its language."""

    logits: np.ndarray
    truth: np.ndarray
    sources: np.ndarray
    languages: np.ndarray


def said(model: Encoder, row: Row) -> dict[str, float]:
    """Return the logit of each head that knows a row: of its surest unit, as detectors take it."""
    if "grounding" in row.y:
        supported = held(model, *map(model.words.tokens, (row.text, row.pair or ""))).supported
        return {"grounding": math.log((1 - supported + _LEAST) / (supported + _LEAST))}
    answer = "harm_answer" in row.y
    size, prompt = (WRITTEN, row.pair or "") if answer else (READ, "")
    text = fold(row.text)
    read_ = [logits(model, text, unit, fold(prompt)) for unit in units(text, 0, size)]
    best = np.max([one for one in read_ if one is not None], axis=0)
    return {
        kind: float(best[model.sequence[kind]])
        for kind in (*READ_HEADS, "harm_answer")
        if kind in row.y and (answer or kind != "harm_answer")
    }


def of_heads(rows: list[Row], model: Encoder) -> dict[str, Seen]:
    """Return what each head said of the rows that know its answer."""
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda row: said(model, row), rows))
    heads = {}
    for kind in (*READ_HEADS, "harm_answer", "grounding"):
        known = [(row, one[kind]) for row, one in zip(rows, answers, strict=True) if kind in one]
        if known:
            heads[kind] = Seen(
                np.asarray([logit for _, logit in known]),
                np.asarray([int(row.y[kind] > 0) for row, _ in known]),
                np.asarray([family(row.source) for row, _ in known]),
                np.asarray([spoken(row) for row, _ in known]),
            )
    return heads


def spoken(row: Row) -> str:
    """Return the language for which the guard takes a text; claims are not told apart."""
    return "" if "grounding" in row.y else language_of_folded(fold(row.text))


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
    english = np.isin(seen.languages, list(ENGLISH))
    groups = {str(name): seen.languages == name for name in np.unique(seen.languages[~english])}
    groups[OTHERS] = ~english
    own_points = {
        name: points(scores[own], seen.truth[own], seen.sources[own])
        for name, own in groups.items()
        if min(seen.truth[own].sum(), (1 - seen.truth[own]).sum()) >= _ENOUGH
    }
    usual = points(scores[english], seen.truth[english], seen.sources[english])
    return {"platt": [a, b], "points": usual, "languages": own_points}


def points(scores: np.ndarray, truth: np.ndarray, sources: np.ndarray) -> dict[str, float]:
    """Return the operating points for texts of a language."""
    benign = truth == 0
    made = {
        name: round(at_rate(scores[benign], sources[benign], rate), 6)
        for name, rate in POINTS.items()
    }
    return made | {"balanced": round(balanced(scores, truth), 6)}


def chance(values: np.ndarray, a: float, b: float) -> np.ndarray:
    """Return probabilities of logits."""
    return 1 / (1 + np.exp(-np.clip(a * values + b, -30, 30)))


def figures(seen: Seen, entry: dict[str, Any]) -> dict[str, Any]:
    """Return, by source, how well a head tells, and what it does at its operating points."""
    by, made = head(msgspec.convert(entry, Entry)), {}
    scores = np.asarray([by.score(*one) for one in zip(seen.logits, seen.languages, strict=True)])
    for name in np.unique(seen.sources):
        own = seen.sources == name
        made[str(name)] = told(scores[own], seen.truth[own], SCORES)
    return made


def table(heads: dict[str, Any], model: Path) -> dict[str, Any]:
    """Return the calibration table."""
    return {
        "version": VERSION,
        "sequence": SEQUENCE,
        "tokens": TOKENS,
        "heads": heads,
        "model": hashlib.sha256(model.read_bytes()).hexdigest(),
    }


def drawn(folder: Path, most: int) -> Iterator[Row]:
    """Yield the validation rows, at most so many of each source, by lot."""
    sources: dict[str, list[Row]] = {}
    for name in BUILDERS:
        for row in read(folder / f"{name}.jsonl.gz"):
            if row.split == "valid" and row.text.strip():
                sources.setdefault(f"{name}/{family(row.source)}", []).append(row)
    lot = random.Random(1)
    for _, rows in sorted(sources.items()):
        yield from lot.sample(rows, min(most, len(rows)))


def write(path: Path, value: Any) -> None:
    """Write JSON that diffs well."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure and calibrate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--most", type=int, default=400, help="rows of each source at most")
    asked = parser.parse_args()
    place, model = asked.weights / "calibration.json", asked.weights / "encoder.onnx"
    write(place, table({}, model))
    seen = of_heads(list(drawn(asked.rows, asked.most)), Encoder(Weights(asked.weights), 2))
    heads = {kind: calibrated(one) for kind, one in seen.items()}
    write(place, table(heads, model))
    made = {kind: figures(one, heads[kind]) for kind, one in seen.items()}
    write(asked.weights / "figures.json", made)
    for kind, sources in made.items():
        for name, entry in sources.items():
            shown = {key: value for key, value in entry.items() if not key.endswith("_95")}
            print(kind, name, json.dumps(shown), sep="\t")


if __name__ == "__main__":
    main()
