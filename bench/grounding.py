"""How well answers are told that do not rest on their sources, on labelled sets.

python bench/grounding.py [FOLDER] [--limit N] [--encoder] [--checks] [--speed]

FOLDER (../shared/data) holds train/grounding and dev/grounding. An answer counts as its worst
sentence does. `--encoder` asks the encoder too, `--checks` says how often exact checks were right,
`--speed` what it costs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import Counter
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from keelmark.core.grounding import Ground, Sentence
from keelmark.evaluate.statistics import auroc
from keelmark.guard._grounds import Voice, judge
from keelmark.guard._sentences import cut
from keelmark.guard._sources import Index, Source
from keelmark.guard._support import weighed

SETS = (
    "dev/grounding/wice_oracle.test",
    "train/grounding/ragtruth_nontest.train",
    "train/grounding/begin.train",
    "train/grounding/q2_wow.train",
    "train/grounding/fever_symmetric.train",
    "train/grounding/halueval_qa_1k.train",
    "train/grounding/clapnq_dev.train",
)


def judged(row: dict[str, Any], voice: Voice | None) -> list[Sentence]:
    """Return what is said of the sentences of an answer."""
    index = Index([Source("", row["source"])], row.get("question") or "")
    answer = row["answer"]
    pieces = cut(answer, final=True).pieces
    return [judge(answer[one.start : one.end], index, voice) for one in pieces if not one.code]


def rows(path: Path, limit: int) -> list[dict[str, Any]]:
    """Return the rows of a set; of more than `limit` some drawn ones, always the same."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return found if len(found) <= limit else random.Random(0).sample(found, limit)


def table(folder: Path, limit: int, voice: Voice | None, *, checks: bool) -> None:
    """Print a row for each set."""
    names = ("set", "answers", "not supported", "AUROC", "balanced accuracy", "recall",
             "false alarms", "exact checks speak", "of these right")  # fmt: skip
    print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    reasons: Counter[tuple[str, int]] = Counter()
    for name in SETS:
        path = folder / f"{name}.jsonl.gz"
        if not path.is_file():
            print(f"| {name} | not here |" + " |" * (len(names) - 2))
            continue
        given = rows(path, limit)
        labels = np.array([row["label"] for row in given], float)
        said = [judged(row, voice) for row in given]
        scores = np.array([max((one.score for one in each), default=0.0) for each in said])
        exact = np.array([any(one.score in {0.97, 0.9} for one in each) for each in said])
        for each, label in zip(said, labels, strict=True):
            for one in each:
                if one.verdict not in {Ground.SUPPORTED, Ground.NO_CLAIM}:
                    reasons[one.reason, int(label)] += 1
        wrong = scores >= 0.5
        recall = wrong[labels == 1].mean() if (labels == 1).any() else float("nan")
        alarms = wrong[labels == 0].mean()
        area = auroc(scores, labels) if 0 < labels.mean() < 1 else float("nan")
        print(
            f"| {path.name.split('.')[0]} | {len(given):,} | {labels.mean():.0%} | {area:.3f} | "
            f"{(recall + 1 - alarms) / 2:.3f} | {recall:.0%} | {alarms:.0%} | "
            f"{exact.mean():.0%} | {labels[exact].mean() if exact.any() else float('nan'):.0%} |"
        )
    if checks:
        for reason in sorted({reason for reason, _ in reasons}):
            bad, good = reasons[reason, 1], reasons[reason, 0]
            print(f"{reason}: {bad} in answers that are not supported, {good} in others")


def speed(folder: Path, voice: Voice | None) -> None:
    """Print what the sources and each sentence cost."""
    given = rows(folder / f"{SETS[1]}.jsonl.gz", 120)
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
    parser.add_argument("--checks", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--encoder", action="store_true")
    options = parser.parse_args()
    voice = weighed if options.encoder else None
    if options.speed:
        speed(options.folder, voice)
    else:
        table(options.folder, options.limit, voice, checks=options.checks)


if __name__ == "__main__":
    main()
