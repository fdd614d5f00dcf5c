"""How well answers are told that do not rest on their sources, on labelled sets.

python bench/grounding.py [FOLDER] [--limit N] [--encoder] [--held-out] [--checks] [--speed]

FOLDER (../shared/data) holds train/grounding and dev/grounding. An answer counts as its worst
sentence does, from the score 0.5 on; in brackets 95 % intervals. `--encoder` asks the encoder too,
`--held-out` only about what it was not taught with, `--checks` says how often exact checks were
right, `--speed` what it costs.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from keelmark.core.grounding import Ground, Sentence
from keelmark.guard._grounds import Voice, judge
from keelmark.guard._sentences import cut
from keelmark.guard._sources import Index, Source
from keelmark.guard._support import weighed

sys.path.append(str(Path(__file__).resolve().parents[1] / "training" / "encoder"))
import measures
from grounding_sets import fever_held_out, valid_document

Row = dict[str, Any]
Chosen = Callable[[Sequence[Row]], Sequence[bool]]
"""Says of each row of a set whether it is wanted."""
SETS = (
    "dev/grounding/wice_oracle.test",
    "train/grounding/ragtruth_nontest.train",
    "train/grounding/begin.train",
    "train/grounding/q2_wow.train",
    "train/grounding/fever_symmetric.train",
    "train/grounding/halueval_qa_1k.train",
    "train/grounding/clapnq_dev.train",
)
RAG = SETS[1]
REVERSED = "train/grounding/q2_wow.train"
"""Where the label 1 marks replies that are consistent, and not the others."""


def _each(wanted: Callable[[Row], bool]) -> Chosen:
    return lambda rows: [wanted(row) for row in rows]


_ALL = _each(lambda _: True)
HELD_OUT: dict[str, tuple[str, Chosen]] = {
    "RAG answers": (RAG, _each(lambda row: valid_document(row["id"]))),
    "RAG answers, questions": (
        RAG,
        _each(lambda row: row["task"] == "QA" and valid_document(row["id"])),
    ),
    "claims and evidence": (SETS[0], _ALL),
    "single facts": ("train/grounding/fever_symmetric.train", fever_held_out),
    "dialogue": (
        "train/grounding/begin.train",
        _each(lambda row: not row["meta"].startswith("wow")),
    ),
}
"""Of which set, and which of its rows, the encoder was taught nothing."""
RATES = ("balanced_accuracy", "f1", "recall", "false")
WHOLE = {Path(name).name.split(".")[0]: (name, _ALL) for name in SETS}


def judged(row: Row, voice: Voice | None) -> list[Sentence]:
    """Return what is said of the sentences of an answer."""
    index = Index([Source("", row["source"])], row.get("question") or "")
    answer = row["answer"]
    pieces = cut(answer, final=True).pieces
    return [judge(answer[one.start : one.end], index, voice) for one in pieces if not one.code]


def rows(path: Path, limit: int, wanted: Chosen = _ALL) -> list[Row]:
    """Return the rows of a set; of more than `limit` some drawn ones, always the same."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        all_rows = [json.loads(line) for line in file]
    found = list(itertools.compress(all_rows, wanted(all_rows)))
    return found if len(found) <= limit else random.Random(0).sample(found, limit)


def table(folder: Path, limit: int, voice: Voice | None, *, held_out: bool, checks: bool) -> None:
    """Print a row for each set."""
    names = ("set", "answers", "not supported", "AUROC", "balanced accuracy", "F1", "recall",
             "false alarms", "exact checks speak", "of these right")  # fmt: skip
    print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    reasons: Counter[tuple[str, int]] = Counter()
    for title, (name, wanted) in (HELD_OUT if held_out else WHOLE).items():
        path = folder / f"{name}.jsonl.gz"
        if not path.is_file():
            print(f"| {title} | not here |" + " |" * (len(names) - 2))
            continue
        given = rows(path, limit, wanted)
        labels = np.array([int(row["label"]) ^ (name == REVERSED) for row in given])
        said = [judged(row, voice) for row in given]
        exact = np.array([any(one.score in {0.97, 0.9} for one in each) for each in said])
        for each, label in zip(said, labels, strict=True):
            for one in each:
                if one.verdict not in {Ground.SUPPORTED, Ground.NO_CLAIM}:
                    reasons[one.reason, int(label)] += 1
        scores = np.array([max((one.score for one in each), default=0.0) for each in said])
        told = measures.told(scores, labels, {"half": 0.5})
        cells = (shown(told, key) for key in ("auroc", *(f"{rate}@half" for rate in RATES)))
        print(
            f"| {title} | {len(given):,} | {labels.mean():.0%} | {' | '.join(cells)} | "
            f"{exact.mean():.0%} | {labels[exact].mean() if exact.any() else float('nan'):.0%} |"
        )
    if checks:
        for reason in sorted({reason for reason, _ in reasons}):
            bad, good = reasons[reason, 1], reasons[reason, 0]
            print(f"{reason}: {bad} in answers that are not supported, {good} in others")


def shown(told: dict[str, Any], key: str) -> str:
    """Return a figure with its interval; "-" where the set has none."""
    return "{:.3f} [{:.3f}, {:.3f}]".format(told[key], *told[f"{key}_95"]) if key in told else "-"


def speed(folder: Path, voice: Voice | None) -> None:
    """Print what the sources and each sentence cost."""
    given = rows(folder / f"{RAG}.jsonl.gz", 120)
    Index([Source("", "Once, for the tables.")])
    for times in (1, 10, 100):
        first: list[float] = []
        each: list[float] = []
        for row in given[: 120 // times + 4]:
            began = process_time()
            index = Index([Source("", row["source"] * times)], row.get("question") or "")
            first.append(process_time() - began)
            for one in cut(row["answer"], final=True).pieces:
                began = process_time()
                judge(row["answer"][one.start : one.end], index, voice)
                each.append(process_time() - began)
        size = int(np.mean([len(row["source"]) for row in given])) * times
        print(
            f"sources of {size:,} characters: {1000 * np.mean(first):.1f} ms once; a sentence "
            f"{1000 * np.median(each):.2f} ms (p99 {1000 * np.quantile(each, 0.99):.2f})"
        )


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description="Grounding on labelled sets.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--checks", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--encoder", action="store_true")
    options = parser.parse_args()
    voice = weighed if options.encoder else None
    if options.speed:
        speed(options.folder, voice)
    else:
        table(
            options.folder,
            options.limit,
            voice,
            held_out=options.held_out,
            checks=options.checks,
        )


if __name__ == "__main__":
    main()
