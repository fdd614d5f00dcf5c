"""Measures the names model and writes its card."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import corpora
from text import Marked

from keelmark.guard._name_words import tokens
from keelmark.guard._names_file import LABELS
from keelmark.guard.contract import Hit
from keelmark.guard.detectors.names import Detector

Counts = dict[str, Counter[str]]
_PLACE = {"ADDRESS": "PLACE", "LOCATION": "PLACE"}


def compare(text: Marked, hits: Iterable[Hit], counts: Counts) -> None:
    """Count words that are found, missed and falsely found, by label."""
    found = list(hits)
    for token in tokens(text.text):
        if not token.text.isalnum():
            continue
        gold = next((k for a, b, k in text.spans if a <= token.start < b), "")
        gold = "" if gold == "OTHER" else gold
        said = next((h.label for h in found if h.start <= token.start < h.end), "")
        for name in {gold, said, "ANY", "PLACE"} - {""}:
            one = _as(name, gold)
            two = _as(name, said)
            if one and two:
                counts.setdefault(name, Counter())["right"] += 1
            elif one:
                counts.setdefault(name, Counter())["missed"] += 1
            elif two:
                counts.setdefault(name, Counter())["false"] += 1


def _as(name: str, label: str) -> bool:
    if name == "ANY":
        return bool(label)
    return name == label or name == _PLACE.get(label)


def figures(count: Counter[str]) -> dict[str, float]:
    """Precision, recall, F1 and F2."""
    right, missed, false = count["right"], count["missed"], count["false"]
    precision = right / max(1, right + false)
    recall = right / max(1, right + missed)

    def f(beta: float) -> float:
        weight = beta * beta
        return (1 + weight) * precision * recall / max(1e-9, weight * precision + recall)

    return {
        "words": right + missed,
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "f1": round(f(1), 3),
        "f2": round(f(2), 3),
    }


def measured(valid: Iterable[Marked], threshold: float = 0.5) -> dict[str, Counts]:
    """Run the detector over the texts that were held out, source by source."""
    detector = Detector()
    by_source: dict[str, Counts] = {}
    for text in valid:
        source = text.source.rpartition("-")[0]
        hits = [hit for hit in detector.find(text.text) if hit.score >= threshold]
        compare(text, hits, by_source.setdefault(source, {}))
    return by_source


def written(data: bytes, folder: Path, valid: list[Marked]) -> str:
    """Return the card of a model as TOML."""
    lines = [
        "# Written by training/names/train.py. Figures are of words in texts that were held out.",
        "",
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"',
        f"bytes = {len(data)}",
        'kind = "linear model over hashed features, averaged perceptron, one byte per weight"',
        f"labels = {[k for k in LABELS if k not in {'', 'OTHER'}]}".replace("'", '"'),
        f"seed = {corpora.SEED}",
        "",
        "[data]",
        "# Texts that it learnt from; none of them is shipped.",
    ]
    for name, licence in corpora.MARKED.items():
        path = folder / "pii" / f"{name}.jsonl.gz"
        lines.append(f'"{name}" = {{ licence = "{licence}", sha256 = "{corpora.digest(path)}" }}')
    lines += ["", "[words]", "# Texts of which it has the hashes of everyday words."]
    for name, licence in corpora.PROSE.items():
        path = folder / f"{name}.jsonl.gz"
        lines.append(f'"{name}" = {{ licence = "{licence}", sha256 = "{corpora.digest(path)}" }}')
    for source, counts in measured(valid).items():
        lines += ["", f"[figures.{source}]"]
        for label in sorted(counts):
            values = ", ".join(f"{k} = {v}" for k, v in figures(counts[label]).items())
            lines.append(f"{label} = {{ {values} }}")
    return "\n".join(lines) + "\n"
