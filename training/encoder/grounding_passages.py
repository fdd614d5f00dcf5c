"""Passages that claims are made from, and sentences that people wrote about them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grounding_sets as sets
from grounding_edits import _NUMBER, Around, names
from grounding_text import content, overlap, prose, sentences, tidy
from rows import shared

_BOILERPLATE = re.compile(
    r"Internet Archive|Wayback Machine|web page captures|subscri|sign up|newsletter|privacy policy"
    r"|terms of use|email address|crawls are|commenting using|your account|captures from|seed list"
    r"|ad blocking|all rights reserved|javascript|log in|embargo period|advertis|this article",
    re.IGNORECASE,
)


class Document(NamedTuple):
    """Whole sentences of one document, in order."""

    collection: str
    parts: tuple[str, ...]
    split: str = "train"


class Said(NamedTuple):
    """A supported claim that people or a model wrote, with the source; and the question, if any."""

    claim: str
    source: str
    collection: str
    split: str
    question: str = ""


def _document(collection: str, text: str, split: str = "train") -> Document:
    parts = [s for s in sentences(tidy(text)) if prose(s) and not _BOILERPLATE.search(s)]
    return Document(collection, tuple(dict.fromkeys(parts)), split)


def documents(data: Path) -> Iterator[Document]:
    """Yield the documents; WiCE's dev part is held out, so are half of RAGTruth's."""
    seen: set[str] = set()
    for name, split in (
        ("train/grounding/wice_spans.train", "train"),
        ("train/grounding/wice_spans.dev", "valid"),
    ):
        for r in shared(data, name):
            if r["source"][:300] not in seen:
                seen.add(r["source"][:300])
                yield _document("wice", r["source"], split)
    for name in (
        "clapnq_dev.train",
        "begin.train",
        "halueval_qa_1k.train",
        "ragtruth_nontest.train",
    ):
        for r in shared(data, f"train/grounding/{name}"):
            held = name.startswith("ragtruth") and sets.valid_document(r["id"])
            held = held or (name.startswith("begin") and not r["meta"].startswith("wow"))
            if r["source"] in seen or held:
                continue
            seen.add(r["source"])
            text = r["source"].replace("\n", ".\n", 1) if name.startswith("clapnq") else r["source"]
            text = re.sub(r"passage \d:", "", text)
            text = re.sub(r"([a-z0-9)])\.([A-Z])", r"\1. \2", text)
            text = text[0].upper() + text[1:]
            yield _document(name.split(".")[0].split("_")[0], text)


def answers(data: Path) -> Iterator[Document]:
    """Yield what a model told at length (HaluEval's general part): passages, true or not."""
    for r in shared(data, "train/grounding/halueval_general.nosource"):
        document = _document("halueval", r["answer"])
        parts = tuple(s for s in document.parts if not _PERSONAL.search(s))
        if len(parts) > 1:
            yield document._replace(parts=parts)


def said(data: Path) -> Iterator[Said]:
    """Yield supported claims that somebody wrote about a source."""
    yield from _said_of_clapnq(data)
    yield from _said_of_ragtruth(data)
    for name, split in (
        ("train/grounding/wice_oracle.train", "train"),
        ("dev/grounding/wice_oracle.test", "valid"),
    ):
        for r in shared(data, name):
            if not r["label"] and len(r["answer"].split()) < 45:
                yield Said(r["answer"], tidy(r["source"]), "wice", split)
    for r in shared(data, "train/grounding/begin.train"):
        claim = tidy(r["answer"])
        if not r["label"] and r["meta"].startswith("wow") and 6 <= len(claim.split()) <= 40:
            claim = claim[0].upper() + claim[1:] + ("" if claim[-1] in ".!?" else ".")
            yield Said(claim, tidy(r["source"]), "begin", "train")
    for r in shared(data, "train/grounding/halueval_qa_1k.train"):
        if not r["label"] and len(r["answer"].split()) > 4:
            claim = r["answer"].rstrip(".") + "."
            yield Said(claim, tidy(r["source"]), "halueval", "train", r["question"])


def _said_of_clapnq(data: Path) -> Iterator[Said]:
    for r in shared(data, "train/grounding/clapnq_dev.train"):
        for s in sentences(tidy(r["answer"])):
            if 5 <= len(s.split()) <= 45:
                yield Said(s, tidy(r["source"]), "clapnq", "train", r["question"])


def _said_of_ragtruth(data: Path) -> Iterator[Said]:
    for r in shared(data, "train/grounding/ragtruth_nontest.train"):
        split = "valid" if sets.valid_document(r["id"]) else "train"
        kind = "rag" if r["task"] == "QA" else "summary"
        for s, spans, _ in sets.answer_sentences(r):
            if not spans and prose(s) and overlap(s, r["source"]) > 0.5:
                yield Said(s, r["source"], kind, split, r["question"] if kind == "rag" else "")


_CLAUSE = re.compile(
    r"(, (?:which|who|where|because|after|although|despite) [^,;()\"“”]{15,80}"
    r"| (?:because of|due to|as part of|in exchange for|with the aim of|on behalf of)"
    r" [^,;()\"“”]{10,60})(?=[.]$)"
)
_TAIL = re.compile(
    r" (?:in|at|on|from|for|with|after|during|by) (?:the |his |her |their |a )?"
    r"[\w'’ -]{5,45}(?=[.]$)"
)
_PERSONAL = re.compile(r"\b(you|your|I|we|our|us|my|me)\b")


class Bank(NamedTuple):
    """Names and clauses of a split's documents, and an index of their sentences by rare words."""

    names: tuple[tuple[str, str], ...]
    clauses: tuple[str, ...]
    by_word: dict[str, list[tuple[int, int]]]


def bank(found: list[Document]) -> Bank:
    """Collect what may be borrowed from other documents."""
    every, clauses = [], []
    by_word: dict[str, list[tuple[int, int]]] = {}
    for at, document in enumerate(found):
        for line, sentence in enumerate(document.parts):
            every += [(n, k) for n, k, _ in names(sentence)]
            clauses += [
                c for c in clauses_of(sentence) if not re.match(r" (in|at|on|from|for)\b", c)
            ]
            for word in content(sentence):
                by_word.setdefault(word, []).append((at, line))
    return Bank(tuple(every), tuple(clauses), by_word)


def around(parts: tuple[str, ...] | list[str], store: Bank, rng: random.Random) -> Around:
    """Return what stands around a sentence of a document."""
    own = tuple(dict.fromkeys((n, k) for s in parts for n, k, _ in names(s)))
    numbers = tuple(dict.fromkeys(m.group() for s in parts for m in _NUMBER.finditer(s)))
    others = tuple(rng.sample(store.names, min(400, len(store.names))))
    clauses = tuple(rng.sample(store.clauses, min(40, len(store.clauses))))
    mine = tuple(c for s in parts for c in clauses_of(s))
    return Around(own, numbers, others, clauses, mine)


def clauses_of(sentence: str) -> list[str]:
    """Return the clauses at its end that could stand at the end of another."""
    found = [m.group() for m in _CLAUSE.finditer(sentence)]
    found += [m.group() for m in _TAIL.finditer(sentence)]
    return [c for c in found if not _PERSONAL.search(c)]


def lookalike(sentence: str, at: int, store: Bank) -> tuple[int, int] | None:
    """Return where, in another document, the sentence is that shares most words with this one."""
    rare = sorted(content(sentence), key=lambda word: (len(store.by_word.get(word, ())), word))
    scores: dict[tuple[int, int], float] = {}
    for word in rare[:8]:
        places = store.by_word.get(word, [])
        if len(places) > 400:
            break
        for place in places:
            if place[0] != at:
                scores[place] = scores.get(place, 0) + 1
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:1]
    return best[0][0] if best and best[0][1] >= 2 else None
