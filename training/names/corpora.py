"""Reads the marked texts that the model is trained and measured on, and divides them."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from text import Marked, Writer

from keelmark.guard.normalise import fold

MARKED = {
    "presidio_generated_large.train": "MIT; names of FakeNameGenerator CC-BY-SA-3.0-US",
    "wikigold.train": "CC-BY-4.0",
    "btc.train": "CC-BY-4.0",
    "sec_filings.train": "CC-BY-3.0",
    "germeval2014.dev": "CC-BY-4.0",
}
PROSE = {
    "injection/banking77.train": "CC-BY-4.0",
    "injection/clinc_oos.train": "CC-BY-3.0",
    "injection/gsm8k_questions.train": "MIT",
    "injection/oasst_prompts.train": "Apache-2.0",
    "injection/selfinstruct_seed.train": "Apache-2.0",
    "injection/awesome_prompts.train": "CC0-1.0",
    "injection/deepset_pi.train": "Apache-2.0",
    "harm/germeval2018.train": "CC-BY-4.0",
    "harm/xsafety.train": "Apache-2.0",
    "harm/gptfuzz_responses.train": "MIT",
}
LABELS = {
    "PERSON": "PERSON",
    "PER": "PERSON",
    "LOCATION": "LOCATION",
    "LOC": "LOCATION",
    "ORGANIZATION": "ORGANISATION",
    "ORG": "ORGANISATION",
    "ADDRESS": "ADDRESS",
    "MISC": "OTHER",
    "OTH": "OTHER",
    "LOCderiv": "OTHER",
    "LOCpart": "OTHER",
    "ORGpart": "OTHER",
    "PERpart": "OTHER",
    "OTHpart": "OTHER",
}
_ROLES = {"borrower", "lender", "bank", "company", "landlord", "tenant", "agent", "commonwealth"}
OWN = 16500  # texts made from templates
SEED = 20261122


def rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def folded(text: str, spans: list[tuple[int, int, str]], source: str) -> Marked:
    """Return a marked text as detectors read it."""
    moved = [(len(fold(text[:a])), len(fold(text[:b])), label) for a, b, label in spans]
    return Marked(fold(text), tuple(moved), source)


def _whole_addresses(text: str, spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Count the town and the country that stand within an address as part of it."""
    out = []
    for start, end, label in spans:
        within = label == "LOCATION" and any(
            other == "ADDRESS" and (0 <= start - b <= 24 or 0 <= a - end <= 3) and "\n" in text
            for a, b, other in spans
        )
        out.append((start, end, "ADDRESS" if within else label))
    return out


def _spans(row: dict[str, Any]) -> list[tuple[int, int, str]]:
    text = row["text"]
    found = [(a, b, LABELS[kind]) for a, b, kind in row["entities"] if kind in LABELS]
    return [s for s in found if text[s[0] : s[1]].lower() not in _ROLES]


def marked(folder: Path) -> Iterator[Marked]:
    """Yield the marked texts of all sources; the source says by what they are divided."""
    for name in MARKED:
        for number, row in enumerate(rows(folder / "pii" / f"{name}.jsonl.gz")):
            text, spans = str(row["text"]), _spans(row)
            part = row["template"] if "template" in row else number // 10
            if "template" in row:
                spans = _whole_addresses(text, spans)
            yield folded(text, spans, f"{name.partition('.')[0]}-{part}")


def held_out(source: str) -> bool:
    """Whether a text is kept for validation: a fifth of the templates or blocks of a source.

    No template of ours may imitate one that is held out, or the figures would flatter.
    """
    return int(source.rpartition("-")[2]) % 5 == 2


def names_of(texts: list[Marked]) -> dict[str, list[str]]:
    """The names in marked texts, to fill templates with."""
    kinds = {"PERSON": "person", "LOCATION": "place", "ORGANISATION": "org"}
    found: dict[str, dict[str, None]] = {kind: {} for kind in kinds.values()}
    for text in texts:
        if text.source.startswith("btc"):
            continue
        for start, end, label in text.spans:
            name = " ".join(text.text[start:end].split())
            if label in kinds and name[:1].isupper() and len(name) < 40:
                found[kinds[label]][name] = None
    return {kind: list(names) for kind, names in found.items()}


def own(names: dict[str, list[str]], random: Random, count: int, *, held: bool) -> list[Marked]:
    """Make texts from our templates."""
    writer = Writer(random, names)
    templates = [t for t in writer.templates if held_out(t[0]) == held]
    made = [writer.fill(*random.choice(templates)) for _ in range(count)]
    return [folded(m.text, list(m.spans), m.source) for m in made]


def recased(texts: list[Marked], random: Random) -> Iterator[Marked]:
    """Yield each text, and some of them again in small letters or in capitals."""
    for text in texts:
        yield text
        chance = random.random()
        changed = text.text.lower() if chance < 0.2 else text.text.upper() if chance > 0.96 else ""
        if changed and len(changed) == len(text.text):
            yield text._replace(text=changed)


def divided(folder: Path) -> tuple[list[Marked], list[Marked]]:
    """Return the texts to train on and the texts to measure on."""
    random = Random(SEED)
    texts = list(marked(folder))
    train = [t for t in texts if not held_out(t.source)]
    valid = [t for t in texts if held_out(t.source)]
    train += own(names_of(train), random, OWN, held=False)
    valid += own(names_of(valid), random, OWN // 10, held=True)
    for row in rows(folder / "injection" / "banking77.train.jsonl.gz")[::5]:
        train.append(folded(str(row["text"]), [], "banking77-0"))
    return list(recased(train, random)), valid
