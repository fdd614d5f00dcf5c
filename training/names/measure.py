"""Measures the shipped names model: with personal_data on a held-out fifth, and on plain prose.

.venv/bin/python training/names/measure.py --data DATA
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import card
import corpora

from keelmark.guard._name_words import tokens
from keelmark.guard.contract import BaseDetector
from keelmark.guard.detectors import names, personal_data
from keelmark.guard.normalise import fold

Span = tuple[int, int]
BORDER = 0.5
PROSE = ("banking77", "clinc_oos", "selfinstruct_seed")


def found(detector: BaseDetector, text: str) -> list[Span]:
    """Where a detector finds something."""
    return [(hit.start, hit.end) for hit in detector.find(text) if hit.score >= BORDER]


def combined(folder: Path) -> None:
    """Print how many of the marked words are found, whatever they are called."""
    detectors = {"personal_data": personal_data.Detector(), "names": names.Detector()}
    counts = {way: Counter[str]() for way in ("personal_data", "names", "both", "both, no dates")}
    missed = Counter[str]()
    for row in corpora.rows(folder / "pii" / "presidio_generated_large.train.jsonl.gz"):
        if not corpora.held_out(f"x-{row['template']}"):
            continue
        text, written = fold(row["text"]), row["text"]
        gold = [(len(fold(written[:a])), len(fold(written[:b])), k) for a, b, k in row["entities"]]
        spans = {name: found(detector, text) for name, detector in detectors.items()}
        spans["both"] = spans["both, no dates"] = spans["personal_data"] + spans["names"]
        for token in tokens(text):
            if not token.text.isalnum():
                continue
            kind = next((k for a, b, k in gold if a <= token.start < b and k != "TITLE"), "")
            for way, places in spans.items():
                said = any(a <= token.start < b for a, b in places)
                if not (way == "both, no dates" and kind == "DATE_TIME"):
                    key = "right" if kind and said else "missed" if kind else "false" * said
                    counts[way][key] += 1
                if way == "both" and kind and not said:
                    missed[kind] += 1
    for way, count in counts.items():
        print(f"{way}: {card.figures(count)}")
    print(f"missed by both: {dict(missed.most_common())}")


def prose(folder: Path) -> None:
    """Print what is found in requests that hardly name anybody; not all of it is false."""
    detector = names.Detector()
    for name in PROSE:
        rows = corpora.rows(folder / "injection" / f"{name}.train.jsonl.gz")
        texts = [fold(row["text"]) for number, row in enumerate(rows) if number % 5][:3000]
        hits = Counter(
            (text[hit.start : hit.end], hit.label)
            for text in texts
            for hit in detector.find(text)
            if hit.score >= BORDER
        )
        print(f"{name}: {hits.total()} hits in {len(texts)} texts: {hits.most_common(12)}")


def main() -> None:
    """Measure."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds pii/ ...")
    folder = arguments.parse_args().data
    combined(folder)
    prose(folder)


if __name__ == "__main__":
    main()
