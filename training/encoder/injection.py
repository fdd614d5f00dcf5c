"""Rows for the head `injection`: is the reading model told to depart from its user's task?

Attacks are such orders, wherever they stand; benign is all else, however many of the words it
has. Every document that carries an attack is also there without it and with an innocent sentence
in its place, so that neither source, subject nor length tells which is which.

Held back whole for validation, and what each stands in for:

| source | stands in for |
|---|---|
| `valid_trigger_words` | innocent prompts full of trigger words: none of the trained forms |
| `valid_hard_prompts` | hard real prompts: a third of the shared prompts (awesome_prompts) |
| `valid_chat` | ordinary chat: MT-bench and Vicuna's questions, a third of OASST's |
| `valid_documents` | documents without attacks: a collection that is not trained on |
| `valid_embedded` | attacks in documents: other carriers, other orders (TaskTracker's) |
| `valid_tool_results` | agents' tool results (InjecAgent; accounts and channels of our own) |
| `valid_jailbreaks` | jailbreak artefacts (PyRIT's templates that TrustAIRLab does not have) |
| `valid_direct` | direct attacks and questions (deepset) |
| `valid_multilingual` | languages that no trained source has |
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain
from pathlib import Path
from typing import Any

import documents
import injection_attacks as attacks
import injection_benign as benign
import injection_rounds
import injection_who
from documents import MOST_TOKENS, Document, cut, mine, tidy, tokens
from rows import Row, shared

HELD_COLLECTION = "node_documents"
PROMPTS = 700  # long prompts that an attack is added to
OWN_TABLES = (
    "injection_benign",
    "injection_attacks",
    "injection_indirect",
    "injection_orders",
    "injection_breadth",
    "injection_rounds",
    "injection_rounds_languages",
    "injection_languages",
    "injection_more_languages",
    "injection_who",
    "carriers",
)
LICENCES = {
    "awesome_prompts": "CC0-1.0", "trustair_jailbreak": "MIT", "garak": "Apache-2.0",
    "cyberseceval_pi": "MIT", "injecagent": "MIT", "deepset_pi": "Apache-2.0",
    "spikee": "Apache-2.0", "tasktracker": "MIT", "gptfuzz_templates": "MIT",
    "pyrit_jailbreaks": "MIT", "selfinstruct_seed": "Apache-2.0", "oasst_prompts": "Apache-2.0",
    "mtbench_vicuna": "Apache-2.0", "clinc_oos": "CC-BY-3.0", "banking77": "CC-BY-4.0",
    "gsm8k_questions": "MIT",
}  # fmt: skip
HARM_LICENCES = {"advbench": "MIT", "cyberseceval_frr": "MIT", "harmfulqa": "Apache-2.0"}
PROSE_LICENCES = {"clapnq_dev": "Apache-2.0", "begin": "CC-BY-4.0", "halueval_qa_1k": "MIT"}


def row(text: str, label: int, source: str) -> Row:
    """Return a row of this head; sources called `valid_...` are for validation."""
    split = "valid" if source.startswith("valid_") else "train"
    return Row(text=text, y={"injection": label}, source=source, split=split)


def _tokens(text: str) -> set[str]:
    return set(re.findall(r"\w+", text[:700].lower()))


def _some(
    records: Iterable[dict[str, Any]], count: int, rng: random.Random
) -> list[dict[str, Any]]:
    found = list(records)
    return rng.sample(found, min(count, len(found)))


def _third(text: str) -> bool:
    """Say whether a text is in the third that is held back: those that begin alike go together."""
    return hashlib.sha256(text[:40].lower().encode()).digest()[0] % 3 == 0


def windows(text: str, most: int = 4) -> list[str]:
    """Return the beginning of a long prompt and more of what follows, as the guard reads it."""
    starts = [0, *(match.end() for match in re.finditer(r"(?<=[^\n]{40})[\n.] ?", text))]
    kept: list[int] = []
    for start in starts:
        if not kept or (start - kept[-1] > 900 and len(text) - start > 120):
            kept.append(start)
    return [text[start:] for start in kept[:most]]


def _prompts(data: Path, grammar: attacks.Attacks, rng: random.Random) -> Iterator[Row]:
    """Yield parts of long prompts with an attack, with the user's own request, or alone."""
    records = shared(data, "train/injection/awesome_prompts.train")
    texts = [cut(tidy(r["text"]), 170) for r in records if not _third(r["text"])]
    for text in rng.sample(texts, min(PROMPTS, len(texts))):
        start = rng.randint(0, max(0, len(text) - 300))
        part = text if rng.random() < 0.4 else text[start : start + rng.randint(120, 500)]
        end, gap = rng.random() < 0.75, rng.choice([" ", "\n", "\n\n"])
        own = grammar.write(rng.choice(["ask", "mine", "task", "meta_prompt"]))
        for put, label in ((grammar.direct(), 1), (attacks.finish(own), 0)):
            twin = gap.join([part, put] if end else [put, part])
            if tokens(tidy(twin)) <= MOST_TOKENS:
                yield row(twin, label, "prompt_twins")


def _benign(data: Path, rng: random.Random) -> Iterator[Row]:
    """Yield what people asked of assistants, and other short requests."""
    for record in shared(data, "train/injection/awesome_prompts.train"):
        held = _third(record["text"])
        texts = [record["text"]] if held else windows(record["text"])
        yield from (row(t, 0, "valid_hard_prompts" if held else "awesome_prompts") for t in texts)
    for record in shared(data, "train/injection/oasst_prompts.train"):
        held = _third(record["text"])
        yield row(record["text"], 0, "valid_chat" if held else "oasst_prompts")
    for record in shared(data, "train/injection/mtbench_vicuna.train"):
        yield row(record["text"], 0, "valid_chat")
    for name, count in (("banking77", 900), ("clinc_oos", 900), ("gsm8k_questions", 700)):
        records = _some(shared(data, f"train/injection/{name}.train"), count, rng)
        yield from (row(record["text"], 0, name) for record in records)
    for record in shared(data, "train/harm/cyberseceval_frr.train"):
        yield row(record["text"], 0, "cyberseceval_frr")
    for name in ("clapnq_dev", "halueval_qa_1k", "begin"):
        records = shared(data, f"train/grounding/{name}.train")
        asked = {record["question"] for record in records if record["question"]}
        yield from (row(text, 0, f"{name}_questions") for text in sorted(asked)[:900])


def _labelled(data: Path) -> Iterator[Row]:
    """Yield the rows of the sets that have attacks."""

    def records(name: str) -> Iterator[dict[str, Any]]:
        return shared(data, f"train/injection/{name}.train")

    for name in ("selfinstruct_seed", "garak", "gptfuzz_templates", "trustair_jailbreak", "spikee"):
        yield from (row(r["text"], r["label"], name) for r in records(name))
    for record in records("cyberseceval_pi"):
        held = record["lang"] in attacks.HELD_LANGUAGES
        yield row(record["text"], 1, "valid_multilingual" if held else "cyberseceval_pi")
    yield from (row(r["text"], r["label"], "valid_tool_results") for r in records("injecagent"))
    yield from (row(r["text"], r["label"], "valid_direct") for r in records("deepset_pi"))
    known = [_tokens(record["text"]) for record in records("trustair_jailbreak")]
    for record in records("pyrit_jailbreaks"):
        text = re.sub(r"\{% ?(end)?raw ?%\}", "", record["text"])
        if len(text.split()) < 15:
            continue  # what is left of a template without its request
        said = _tokens(text)
        if not any(_alike(said, other) for other in known):
            yield row(text, 1, "valid_jailbreaks")


def _alike(one: AbstractSet[str], other: AbstractSet[str]) -> bool:
    """Say whether two sets share at least half of what is in either."""
    if 2 * min(len(one), len(other)) < max(len(one), len(other)):
        return False
    shared_ = len(one & other)
    return 2 * shared_ >= len(one) + len(other) - shared_


def _prose(data: Path) -> list[str]:
    """Return sentences and passages that people wrote on any subject."""
    passages = chain(
        (r["source"] for r in shared(data, "train/grounding/begin.train")),
        (r["answer"] for r in shared(data, "train/grounding/begin.train")),
    )
    kept = {tidy(text) for text in passages}
    return sorted(t for t in kept if 5 <= len(t.split()) <= 70 and "?" not in t)


def _passages(data: Path) -> list[Document]:
    kept = {cut(tidy(r["source"]), 150) for r in shared(data, "train/grounding/clapnq_dev.train")}
    return [Document(text, "passages") for text in sorted(kept) if len(text.split()) > 15]


def _crimes(data: Path) -> list[str]:
    """Return harmful requests as what completes "how to ..."."""
    texts = [r["text"].rstrip(".") for r in shared(data, "train/harm/advbench.train")]
    return [text[:1].lower() + text[1:] for text in texts]


def _asks(text: str) -> bool:
    """Say whether a turn of a conversation asks for something: thanks and remarks do not."""
    return "?" in text or not re.match(
        r"(?:thank|thx|ok|yes|no|i |it |that|this|my |the )", text, re.IGNORECASE
    )


def _requests(data: Path) -> list[str]:
    """Return short requests to assistants: harmless from a user, strange in a document."""
    found: set[str] = set()
    for name in ("oasst_prompts", "selfinstruct_seed"):
        records = shared(data, f"train/injection/{name}.train")
        found.update(r["text"] for r in records if not _third(r["text"]) and _asks(r["text"]))
    for name in ("clapnq_dev", "halueval_qa_1k"):
        asked = (r["question"] for r in shared(data, f"train/grounding/{name}.train"))
        found.update(text for text in asked if text.endswith("?"))
    return sorted(text for text in found if 4 <= len(text.split()) <= 30)


def _articles(data: Path) -> list[Document]:
    """Return passages on many subjects as documents to set attacks into."""
    records = shared(data, "train/grounding/halueval_qa_1k.train")
    texts = {cut(tidy(r["source"]), 180) for r in records}
    return [Document(text, "articles") for text in sorted(texts) if len(text.split()) > 15]


def _every(data: Path, seed: int) -> Iterator[Row]:
    rng = random.Random(seed)
    mined = {name: list(mine(name, seed)) for name in documents.COLLECTIONS}
    held = mined.pop(HELD_COLLECTION) + _passages(data)
    trained = [*chain.from_iterable(mined.values()), *_articles(data)]
    prose = _prose(data)
    grammar = attacks.Attacks(_crimes(data), prose, rng)
    grammar.requests = _requests(data)
    yield from _benign(data, rng)
    yield from _labelled(data)
    alone = [d for at, d in enumerate(trained) if at % 2 == 0 or d.language]
    yield from (row(document.text, 0, document.collection) for document in alone)
    yield from (row(document.text, 0, "valid_documents") for document in held)
    yield from _prompts(data, grammar, rng)
    yield from (row(*found) for found in benign.written(grammar, rng))
    yield from (row(*found) for found in attacks.written(grammar, data, rng))
    yield from (row(*found) for found in attacks.embedded(grammar, trained, rng))
    turns = random.Random(seed + 1)
    yield from (row(*found) for found in injection_rounds.written(grammar, turns))
    yield from (row(*found) for found in injection_rounds.quizzes(grammar, trained, turns))
    strange = [r["text"] for r in shared(data, "train/injection/tasktracker.train")]
    yield from (row(*found) for found in attacks.held_out(grammar, held, strange, rng))
    yield from injection_who.written(grammar, seed)


def rows(data: Path, seed: int) -> Iterator[Row]:
    """Yield the rows: no text twice, none empty or longer than the encoder sees."""
    seen: set[str] = set()
    for found in sorted(_every(data, seed), key=lambda found: found.split != "valid"):
        text = cut(tidy(found.text), MOST_TOKENS)
        key = re.sub(r"\W+", "", text.lower())
        if len(key) > 2 and key not in seen:
            seen.add(key)
            yield Row(text=text, y=found.y, source=found.source, split=found.split)


def sources(data: Path, seed: int = 1) -> list[dict[str, Any]]:
    """Describe all that the rows are made from, for the training manifest."""
    found = [documents.described(n, [d.text for d in mine(n, seed)]) for n in documents.COLLECTIONS]
    folders = (("injection", LICENCES), ("harm", HARM_LICENCES), ("grounding", PROSE_LICENCES))
    for folder, licences in folders:
        for name, licence in licences.items():
            path = data / "train" / folder / f"{name}.train.jsonl.gz"
            records = shared(data, f"train/{folder}/{name}.train")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            count = sum(1 for _ in records)
            found.append({"dataset": name, "sha256": digest, "licence": licence, "rows": count})
    for name in OWN_TABLES:
        text = (Path(__file__).parent / f"{name}.toml").read_bytes()
        digest = hashlib.sha256(text).hexdigest()
        found.append(
            {
                "dataset": name,
                "sha256": digest,
                "licence": "Apache-2.0",
                "rows": text.count(b'"') // 2,
            }
        )
    return found
