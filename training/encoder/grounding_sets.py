"""Rows of the labelled sets: what people said is supported by a source, and what not."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from grounding_edits import names
from grounding_forms import reworded
from grounding_reading import beside, spoken_against
from grounding_text import best_window, joined, overlap, sentences, tidy
from rows import Row, shared

SUPPORTED, CONTRADICTED, UNSUPPORTED = range(3)
_NLI = {"entailment": SUPPORTED, "contradiction": CONTRADICTED, "neutral": UNSUPPORTED}


def valid_document(key: str) -> bool:
    """Say whether a document of RAGTruth is held out: every second one, by its number."""
    return int(key.split("-")[1]) % 2 == 0


def passage(claim: str, source: str, split: str) -> str:
    """Return what of a source a claim is held against: in validation always what the guard reads.

    In training half of the claims, drawn by themselves, have sentences in a row.
    """
    if split == "train" and zlib.crc32(claim.encode()) % 2:
        return best_window(claim, source)
    return beside(claim, source) or best_window(claim, source)


def snli(data: Path, rng: random.Random) -> Iterator[Row]:
    """SNLI's entailments, contradictions and neutral sentences, as they are."""
    records = list(shared(data, "train/grounding/snli_dev_test.train"))
    for r in rng.sample(records, len(records)):
        yield Row(r["answer"], {"grounding": _NLI[r["nli"]]}, "snli", r["source"], weight=0.5)


def breaking_nli(data: Path, rng: random.Random) -> Iterator[Row]:
    """Single-word substitutions, as many supported as not.

    For that, claims that contradict are also held against themselves in other words.
    """
    records = list(shared(data, "train/grounding/breaking_nli.train"))
    kept = [r for r in records if r["nli"] != "contradiction"]
    against = [r for r in records if r["nli"] == "contradiction"]
    for r in kept + rng.sample(against, min(2 * len(kept), len(against))):
        yield Row(r["answer"], {"grounding": _NLI[r["nli"]]}, "breaking", r["source"], weight=0.7)
        if r["nli"] == "contradiction" and rng.random() < 0.5:
            source = reworded(r["answer"], rng.getrandbits(32))
            yield Row(r["answer"], {"grounding": SUPPORTED}, "breaking", source, weight=0.7)


def fever_held_out(records: Sequence[dict[str, Any]]) -> list[bool]:
    """Say of each record of Symmetric FEVER whether it is held out: about every second group.

    A group is what hangs together by a claim or by its evidence.
    """
    first: dict[str, str] = {}

    def root(text: str) -> str:
        while first.setdefault(text, text) != text:
            text = first[text]
        return text

    for r in records:
        one, other = sorted((root(r["answer"]), root(r["source"])))
        first[other] = one
    return [zlib.crc32(root(r["answer"]).encode()) % 2 == 0 for r in records]


def fever_symmetric(data: Path) -> Iterator[Row]:
    """Symmetric FEVER, claims with one sentence of evidence; half of the groups held out."""
    records = list(shared(data, "train/grounding/fever_symmetric.train"))
    for r, held in zip(records, fever_held_out(records), strict=True):
        source, split = ("valid_fact/fever", "valid") if held else ("fever", "train")
        label, weight = _NLI[r["nli"]], 1.0 if held else 2.0
        yield Row(tidy(r["answer"]), {"grounding": label}, source, tidy(r["source"]), split, weight)


def wice(data: Path) -> Iterator[Row]:
    """WiCE: claims of Wikipedia against the pages they cite; `dev` is for validation."""
    labels = {"supported": 0, "partially_supported": 2, "not_supported": 2}
    for name, split in (
        ("train/grounding/wice_oracle.train", "train"),
        ("dev/grounding/wice_oracle.test", "valid"),
    ):
        for r in shared(data, name):
            source = passage(r["answer"], tidy(r["source"]), split)
            kind = "wice" if split == "train" else "valid_wice/wice"
            label = labels[r["nli"]]
            if split == "train" and label == SUPPORTED and spoken_against(r["answer"], source):
                continue
            yield Row(r["answer"], {"grounding": label}, kind, source, split)
    for name, split in (
        ("train/grounding/wice_spans.train", "train"), ("train/grounding/wice_spans.dev", "valid"),
        ("dev/grounding/wice_spans.test", "valid"),
    ):  # fmt: skip
        for r in shared(data, name):
            source = passage(r["answer"], tidy(r["source"]), split)
            spans = joined((a, b) for a, b, _ in r["spans"])
            kind = "spans/wice" if split == "train" else "valid_wice_spans/wice"
            yield Row(r["answer"], {"grounding": UNSUPPORTED}, kind, source, split, 1.0, spans)


def begin(data: Path) -> Iterator[Row]:
    """BEGIN: replies in a dialogue against the knowledge; cmu-dog and topicalchat held out."""
    for r in shared(data, "train/grounding/begin.train"):
        held = not r["meta"].startswith("wow")
        source = best_window(r["answer"], tidy(r["source"]))
        label = UNSUPPORTED if r["label"] else SUPPORTED
        name = "valid_begin/begin" if held else "begin"
        yield Row(
            tidy(r["answer"]), {"grounding": label}, name, source, "valid" if held else "train", 0.7
        )


def q2(data: Path) -> Iterator[Row]:
    """Q2's replies. The file's 1 marks the consistent ones: read, and by word overlap."""
    for r in shared(data, "train/grounding/q2_wow.train"):
        label = SUPPORTED if r["label"] else UNSUPPORTED
        yield Row(tidy(r["answer"]), {"grounding": label}, "q2", r["source"], weight=0.4)


def answer_sentences(
    record: dict[str, Any],
) -> Iterator[tuple[str, tuple[tuple[int, int], ...], set[str]]]:
    """Yield an answer's sentences with the spans in each and what kind they are."""
    at = 0
    for sentence in sentences(record["answer"]):
        start = record["answer"].find(sentence, at)
        if start < 0:
            continue
        at = end = start + len(sentence)
        inside = [(a, b, k) for a, b, k in record["spans"] if a < end and b > start]
        spans = joined((max(a - start, 0), min(b, end) - start) for a, b, _ in inside)
        yield sentence, tuple((a, b) for a, b in spans if b - a > 1), {k for _, _, k in inside}


def ragtruth(data: Path) -> Iterator[Row]:
    """RAGTruth's answers, a sentence at a time; half of the documents held out.

    The held-out rows come twice: `valid_rag` for its questions, `valid_rag_summary` for summaries.
    """
    for r in shared(data, "train/grounding/ragtruth_nontest.train"):
        held = valid_document(r["id"])
        name = "ragtruth"
        if held:
            name = "valid_rag/ragtruth" if r["task"] == "QA" else "valid_rag_summary/ragtruth"
        for sentence, spans, kinds in answer_sentences(r):
            if len(sentence.split()) < 4:
                continue
            against = any("Conflict" in k for k in kinds)
            label = (CONTRADICTED if against else UNSUPPORTED) if spans else SUPPORTED
            split = "valid" if held else "train"
            source = passage(sentence, r["source"], split)
            if not spans and overlap(sentence, source) < 0.25:
                continue
            if not held and not spans and spoken_against(sentence, source):
                continue
            weight = 2.0 if spans and not held else 1.0
            yield Row(
                sentence,
                {"grounding": label},
                name,
                source,
                split,
                weight,
                spans,
            )


def halueval(data: Path, rng: random.Random) -> Iterator[Row]:
    """HaluEval's questions. Wrong answers run longer, so they are taken only at equal lengths.

    Where a short right answer stands in the source, another name or number of the source, of the
    same shape, is its wrong twin.
    """
    sides: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for r in shared(data, "train/grounding/halueval_qa_1k.train"):
        sides.setdefault((min(len(r["answer"].split()), 12), r["label"]), []).append(r)
    for length in range(1, 13):
        right, wrong = sides.get((length, 0), []), sides.get((length, 1), [])
        for r in (x for pair in zip(right, wrong, strict=False) for x in pair):
            yield _answer(r, r["answer"], r["label"])
        for r in right:
            if wrong_answer := _of_same_shape(
                r["answer"], _spaced(r["source"]), r["question"], rng
            ):
                yield _answer(r, r["answer"], 0)
                yield _answer(r, wrong_answer, 1)


def _spaced(source: str) -> str:
    return tidy(re.sub(r"([a-z)])\.([A-Z])", r"\1. \2", source))


def _answer(record: dict[str, Any], answer: str, wrong: int) -> Row:
    question = record["question"].strip().rstrip("?")
    text = f"Question: {question}? Answer: {answer}"
    spans = ((len(text) - len(answer), len(text)),) if wrong else ()
    source = best_window(text, _spaced(record["source"]))
    return Row(text, {"grounding": 1 if wrong else 0}, "halueval", source, spans=spans)


def _of_same_shape(answer: str, source: str, question: str, rng: random.Random) -> str | None:
    if answer.lower() in {"yes", "no"}:
        return "no" if answer.lower() == "yes" else "yes"
    if re.fullmatch(r"\d{4}", answer):
        pool = re.findall(r"\b(?:1[5-9]|20)\d\d\b", source)
    else:
        pool = [n for n, _, _ in names(source) if len(n.split()) == len(answer.split())]
        if answer not in pool:
            return None
    mine = set(answer.lower().split())
    pool = [n for n in pool if not mine & set(n.lower().split()) and n not in question]
    return rng.choice(pool) if pool else None


def labelled(data: Path, seed: int) -> Iterator[Row]:
    """Yield all rows of the labelled sets."""
    rng = random.Random(seed)
    for part in (
        snli(data, rng), breaking_nli(data, rng), fever_symmetric(data), wice(data), begin(data),
        q2(data), ragtruth(data), halueval(data, rng),
    ):  # fmt: skip
        yield from part
