"""The encoder's detectors and policy `full` beside peers that run offline, on held-out sources.

    python bench/guard_heads.py [--rows FOLDER] [--most 200] [--without NAME ...] [--json]

The texts are the validation rows of the encoder's training, of sources that nothing was taught
with: at most so many of each, by lot. `make weights` leaves them in .training/rows, and
`python training/encoder/rows.py .training/rows` makes them alone. How things are counted:

- Each product at the threshold it comes with; our detectors at `fpr_1`, as policy `full` has them.
  That threshold comes from these very sources, so our false alarms are right by construction on
  average; areas and what is found are not.
- A text is harmless where no head calls it anything else. Policy `full` flags what it stops.
- The mean source: figures are of all texts of a head together, of each source about as many.
- Peers are installed into .bench/guard-peers and see the text alone; ours is told what an answer
  answers, and what is a tool's result.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import guard_tables
from guard_peers import ask, install, spent
from keelmark.core.ports import Segment
from keelmark.guard import Guard
from keelmark.guard.contract import Request
from keelmark.guard.detectors import harm_classifier, injection_classifier
from keelmark.guard.normalise import fold

sys.path.append(str(Path(__file__).resolve().parents[1] / "training" / "encoder"))
import measures
from rows import Row, read

ROWS = Path(__file__).resolve().parents[1] / ".training" / "rows"
PACKAGES = {
    "metatronnanoguard": ("metatronnanoguard==0.1.0", "torch==2.13.0"),
    "prompt-guardrail": ("prompt-guardrail==1.0.1", "scikit-learn==1.9.1"),
    "aicordon": ("aicordon==1.4.0",),
    "alt-profanity-check": ("alt-profanity-check==1.9.1",),
}
INJECTION = ("metatronnanoguard", "prompt-guardrail", "aicordon")
HEADS = {
    "injection": ("injection", INJECTION),
    "harm_request": ("harm", ("alt-profanity-check",)),
    "toxic": ("harm", ("alt-profanity-check",)),
    "harm_answer": ("harm", ("alt-profanity-check",)),
}
"""For each head, the file of rows that knows it, and the peers that are for it."""
FLAGS_ONLY = {"aicordon", "policy full"}
HARM = ("harm_request", "toxic", "harm_answer")
READ_BY_TOOLS = {"valid_embedded", "valid_tool_results", "valid_documents"}
POINT = "shipped"
TIMED = 60


class Text(NamedTuple):
    """A text, what it answers, and as what it comes."""

    text: str
    prompt: str = ""
    stage: str = "input"


class Case(NamedTuple):
    """A text with what is so of it, and its source."""

    text: Text
    truth: int
    source: str


def family(row: Row) -> str:
    return row.source.partition("/")[0]


def cases(rows: Iterable[Row], head: str, most: int) -> list[Case]:
    """Texts that a head knows, at most so many of each source, by lot."""
    sources: dict[str, list[Case]] = defaultdict(list)
    for row in rows:
        if row.split != "valid" or head not in row.y or not row.text.strip():
            continue
        answer = "harm_answer" in row.y
        if answer != (head == "harm_answer"):
            continue
        truth = int(row.y[head] > 0)
        if not truth and any(row.y.get(other, 0) for other in HARM):
            continue
        stage = "tool_result" if family(row) in READ_BY_TOOLS else "input"
        text = Text(row.text, (row.pair or "") if answer else "", "output" if answer else stage)
        sources[family(row)].append(Case(text, truth, family(row)))
    lot = random.Random(1)
    return [
        case
        for _, group in sorted(sources.items())
        for case in lot.sample(group, min(most, len(group)))
    ]


def detector(module: Any) -> Callable[[Text], float]:
    """What a detector gives its surest hit, as the guard would ask it."""

    def score(one: Text) -> float:
        asked = module.Detector()
        if one.stage == "output":
            asked = asked.for_stage("output").for_request(Request(segments(one)))
        return max((hit.score for hit in asked.for_text().find(fold(one.text))), default=0.0)

    return score


def segments(one: Text) -> tuple[Segment, ...]:
    return (Segment(role="user", path="messages[0].content", text=one.prompt),)


def policy(guard: Guard) -> Callable[[Text], float]:
    """Whether the whole policy stops a text."""

    def stops(one: Text) -> float:
        told = guard.about(segments(one)) if one.prompt else guard
        return float(told.check(one.text, stage=one.stage).verdict.stops)

    return stops


def each(texts: list[Text], score: Callable[[Text], float]) -> tuple[np.ndarray, list[float]]:
    """Scores, and milliseconds of each."""
    scores, times = [], []
    for text in texts:
        began = time.perf_counter()
        scores.append(score(text))
        times.append(1000 * (time.perf_counter() - began))
    return np.asarray(scores), times


def told(scores: np.ndarray, found: list[Case], threshold: float, *, area: bool) -> dict:
    """Figures of a product: all sources together, and of each what it flags."""
    truth = np.asarray([case.truth for case in found])
    figures = measures.told(scores, truth, {POINT: threshold})
    figures = {name: one for name, one in figures.items() if area or name[:2] not in {"au", "ap"}}
    sources: dict[str, list[list[int]]] = {}
    for case, score in zip(found, scores, strict=True):
        pair = sources.setdefault(case.source, [[0, 0], [0, 0]])[case.truth]
        pair[0] += int(score >= threshold)
        pair[1] += 1
    return {**figures, "sources": sources}


def measured(head: str, found: list[Case], guard: Guard, peers: Iterable[str]) -> dict:
    """Figures of each product for a head; ours is timed on texts it has not read before."""
    module = injection_classifier if head == "injection" else harm_classifier
    texts = [case.text for case in found]
    scores, times = each(texts, detector(module))
    name = module.__name__.rpartition(".")[2]
    point = module.Detector.points["fpr_1"]
    products = {name: told(scores, found, point, area=True) | spent(times)}
    stops, _ = each(texts, policy(guard))
    products["policy full"] = told(stops, found, 0.5, area=False)
    for peer in peers:
        answer = ask(
            peer, [one.text for one in texts], {"all": [one.text for one in texts[:TIMED]]}
        )
        flags = told(np.asarray(answer["found"]), found, 0.5, area=peer not in FLAGS_ONLY)
        products[peer] = flags | spent(answer["times"]["all"])
    return {
        "texts": len(found),
        "positive": sum(case.truth for case in found),
        "products": products,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--most", type=int, default=200, help="texts of each source and head")
    parser.add_argument("--without", nargs="*", default=[], choices=PACKAGES, help="leave out")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    files = {name: wanted.rows / f"{name}.jsonl.gz" for name, _ in HEADS.values()}
    if not all(path.is_file() for path in files.values()):
        missing = f"No rows in {wanted.rows}: make them with `python training/encoder/rows.py "
        missing += ".training/rows`, from the root, or name their folder with --rows."
        if wanted.json or wanted.rows != ROWS:
            sys.exit(missing)
        print(missing)  # so that the benchmarks after this one go on
        return
    left_out = dict.fromkeys(wanted.without, "not asked for")
    left_out |= {n: why for n in PACKAGES if n not in left_out and (why := install(n, PACKAGES))}
    rows = {name: list(read(path)) for name, path in files.items()}
    guard = Guard("full")
    guard.warm()
    heads = {
        head: measured(
            head,
            cases(rows[name], head, wanted.most),
            guard,
            [p for p in peers if p not in left_out],
        )
        for head, (name, peers) in HEADS.items()
    }
    results = {"most": wanted.most, "heads": heads, "left_out": left_out}
    if wanted.json:
        print(json.dumps(results))
    else:
        print("".join(guard_tables.heads(results)))
        for peer, why in left_out.items():
            print(f"{peer}: left out, {why}")


if __name__ == "__main__":
    main()
