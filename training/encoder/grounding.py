"""Rows for the head `grounding`: claims held against the passages they should rest on.

Labelled sets (grounding_sets), made-up facts (grounding_facts), and twins: a true sentence and its
edit, set against the passage as it is and against the passage with the same edit. Each claim so
stands once as true and once as false, in the same words; neither it alone nor its overlap with the
source tells which.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grounding_deeds
import grounding_facts
import grounding_sets as sets
from grounding_claims import claims as claims_about
from grounding_compared import compared
from grounding_dialogues import dialogues
from grounding_edits import EDITS, Around, Edit, negation, roles
from grounding_forms import core, rephrased, reworded
from grounding_leads import leads
from grounding_passages import (
    Bank,
    Document,
    Said,
    answers,
    around,
    bank,
    documents,
    lookalike,
    said,
)
from grounding_reading import beside, spoken_against
from grounding_records import records
from grounding_text import TOGETHER, best_window, changed, overlap, sentences, window
from rows import Row

DATASETS = ("begin", "breaking", "clapnq", "fever", "halueval", "q2", "ragtruth", "snli", "wice")
PER_DOCUMENT = {"wice": 3, "ragtruth": 3, "begin": 0, "halueval": 0}
WINDOWS = (15, 25, 30, 40, 50, 60, 80, 140)
"""Words of the passages around an edited sentence: short ones teach more for what they cost."""
SHORT_WINDOWS = (0, 0, 0, 25, 40)
EDITS_OF_SAID = {"begin": 1}
GUARDED = 0.5
"""Share of the claims that somebody wrote which have the guard's passage beside them."""
HELD_OUT = 8
FACTS, MORE_FACTS, LEADS, RECORDS, DIALOGUES = 4_000, 5_000, 11_000, 5_600, 3_600
DEEDS = 11_000
SUPPORTED, CONTRADICTED, UNSUPPORTED = range(3)


class Twins(NamedTuple):
    """A true claim and its edit, and the passages in which each of them is true.

    `worded` are the places of the two in their passages, and other words for them.
    """

    claim: str
    edited: str
    passage: str
    edited_passage: str
    label: int
    kind: str
    worded: tuple[tuple[str, str], ...] = ()


def rows(data: Path, seed: int) -> Iterator[Row]:
    """Yield every row, labelled and made, train and valid."""
    yield from sets.labelled(data, seed)
    yield from (row for row in grounding_facts.facts(FACTS, seed) if row.split == "valid")
    yield from _more_made(seed)
    every = list(documents(data))
    claims = list(said(data))
    for split in ("train", "valid"):
        found = [d for d in every if d.split == split and d.parts]
        store = bank(found)
        rng = random.Random(f"{seed} {split}")
        yield from _from_documents(found, store, rng)
        yield from _from_said([c for c in claims if c.split == split], store, rng)
    found = [d for d in every if d.split == "train" and d.parts]
    told = list(answers(data))
    rng = random.Random(f"{seed} short")
    yield from compared([*found, *told], rng)
    yield from claims_about([*found, *told], rng)
    yield from _mains([*found, *told], bank(found), rng)


def _more_made(seed: int) -> Iterator[Row]:
    """Yield more made-up facts, of the topics for training, and made-up leads."""
    for row in grounding_facts.facts(MORE_FACTS, seed + 1000):
        if row.split == "train":
            yield row
    yield from grounding_facts.spans_of_time(FACTS // 4, seed + 1000)
    yield from grounding_deeds.deeds(DEEDS, seed)
    yield from leads(LEADS, seed)
    yield from records(RECORDS, seed)
    yield from dialogues(DIALOGUES, seed)


def _mains(found: list[Document], store: Bank, rng: random.Random) -> Iterator[Row]:
    """Yield twins of main clauses, alone or two joined, over short passages worded anew."""
    for document in found:
        near = around(document.parts, store, rng)
        for line, sentence in enumerate(document.parts):
            passage = window(document.parts, line, rng.choice(SHORT_WINDOWS))
            swapped = roles(sentence, near, rng) if rng.random() < 0.5 else None
            if swapped is None and rng.random() < 0.6:
                continue
            edit = swapped or _edit(sentence, _close(near, passage, rng), rng)
            if edit is None:
                continue
            seed, again = rng.getrandbits(32), rng.getrandbits(32)
            before = document.parts[line - 1] if line and rng.random() < 0.15 else ""
            pair = sentence, edit.text
            cut = core(sentence), core(edit.text)
            if (cut[0] == sentence) == (cut[1] == edit.text):
                pair = cut
            claim, edited = (
                rephrased(f"{core(before)} {text}" if before else text, seed, 1.2) for text in pair
            )
            if before and before not in passage:
                passage = f"{before} {passage}"
            if abs(len(claim.split()) - len(edited.split())) > 15:
                continue
            other = passage.replace(sentence, "\0")
            other = _everywhere(other, edit).replace("\0", edit.text)
            worded = tuple((text, reworded(text, again)) for text in (sentence, edit.text))
            twins = Twins(claim, edited, passage, other, edit.label, edit.kind, worded)
            yield from _rows_of(twins, f"mains/{document.collection}", "train", rng)


def sources(data: Path, seed: int = 1) -> list[dict[str, Any]]:
    """List what the rows are made of: dataset, SHA-256, licence and rows used.

    Edits of a dataset's passages and claims count with the dataset.
    """
    made = Counter(row.source.rpartition("/")[2] for row in rows(data, seed))
    table = (data / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in table if ".jsonl.gz |" in line]
    licences = {row[1]: row[5] for row in cells}
    paths = [path for part in ("train", "dev") for path in (data / part / "grounding").iterdir()]
    found = []
    for name in DATASETS:
        files = sorted(p for p in paths if p.name.startswith(name))
        hashes = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
        entry = {"dataset": name, "licence": licences[files[0].name], "files": hashes}
        found.append(entry | {"rows": made.pop(name)})
    here = sorted(Path(__file__).parent.glob("grounding_*.toml"))
    hashes = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in here}
    own = {"dataset": "made facts", "licence": "Apache-2.0", "files": hashes}
    return [*found, own | {"rows": made.total()}]


def _edit(sentence: str, near: Around, rng: random.Random) -> Edit | None:
    """Draw an edit that the sentence allows."""
    left = list(EDITS)
    while left:
        made, _ = pair = rng.choices(left, [weight for _, weight in left])[0]
        edit = made(sentence, near, rng)
        if edit and edit.text != sentence:
            return edit
        left.remove(pair)
    return None


def _close(near: Around, passage: str, rng: random.Random) -> Around:
    """Keep, mostly, only the names and numbers that the passage has: words that are all there."""
    if rng.random() < 0.25:
        return near
    kept = tuple(n for n in near.names if n[0] in passage)
    numbers = tuple(n for n in near.numbers if n in passage)
    clauses = tuple(c for c in near.own_clauses if c in passage)
    return near._replace(
        names=kept or near.names, numbers=numbers or near.numbers, own_clauses=clauses
    )


def _everywhere(passage: str, edit: Edit) -> str:
    """Make the edit of a name or a number in the rest of the passage too."""
    if not edit.everywhere:
        return passage
    return re.sub(rf"(?<!\w){re.escape(edit.old)}(?!\w)", lambda _: edit.new, passage)


def _rows_of(twins: Twins, source: str, split: str, rng: random.Random) -> Iterator[Row]:
    """Yield one supported row and one that is not, in one of the four ways to pair them."""
    t = twins
    here, there = changed(t.edited, t.claim), changed(t.claim, t.edited)
    whole = sum(b - a for a, b in here) > 0.55 * len(t.edited)
    if t.claim == t.edited or (whole and t.kind != "addition"):
        return
    true = [(t.claim, t.passage), (t.edited, t.edited_passage)]
    false = [(t.edited, t.passage, here), (t.claim, t.edited_passage, there)]
    if not t.edited_passage:
        chosen = true[0], false[0]
    elif t.label == UNSUPPORTED:
        chosen = true[rng.random() < 0.75], false[0]
    else:
        chosen = rng.choice(true), rng.choice(false)
    (claim, passage), (other, its_passage, spans) = chosen
    for old, new in t.worded if rng.random() < 0.9 else ():
        passage = passage.replace(old, new)
    for old, new in t.worded if rng.random() < 0.3 else ():
        its_passage = its_passage.replace(old, new)
    yield Row(claim, {"grounding": SUPPORTED}, source, passage, split)
    yield Row(other, {"grounding": t.label}, source, its_passage, split, spans=spans)


def _from_documents(found: list[Document], store: Bank, rng: random.Random) -> Iterator[Row]:
    for at, document in enumerate(found):
        order = list(range(len(document.parts)))
        rng.shuffle(order)
        near = around(document.parts, store, rng)
        most = PER_DOCUMENT.get(document.collection, 1)
        for line in order[: most if document.split == "train" else HELD_OUT]:
            name = f"edits/{document.collection}"
            if document.split == "valid":
                name = f"valid_news_edits/{document.collection}"
            twins = _twins(document.parts, line, near, rng)
            if twins:
                yield from _rows_of(twins, name, document.split, rng)
            yield from _compared(document, line, rng)
            if rng.random() < 0.2:
                yield from _misplaced(found, at, line, store, rng)


def _twins(parts: tuple[str, ...], line: int, near: Around, rng: random.Random) -> Twins | None:
    """Edit a sentence of a document, then say it and its edit in the same other way."""
    sentence = parts[line]
    limit = rng.choice(WINDOWS)
    passage = window(parts, line, limit)
    edit = _edit(sentence, _close(near, passage, rng), rng)
    if edit is None:
        return None
    seed = rng.getrandbits(32)
    strength = rng.choice((0.0, 0.7, 1.0, 1.3))
    claim, edited = (rephrased(text, seed, strength) for text in (sentence, edit.text))
    if rng.random() < 0.08 and line > 0 and parts[line - 1] in passage:
        before = rephrased(parts[line - 1], seed, strength)
        claim, edited = f"{before} {claim}", f"{before} {edited}"
    other = passage.replace(sentence, "\0")
    other = _everywhere(other, edit).replace("\0", edit.text)
    again = rng.getrandbits(32)
    worded = tuple((text, reworded(text, again)) for text in (sentence, edit.text))
    return Twins(claim, edited, passage, other, edit.label, edit.kind, worded)


_PLAIN = re.compile(
    r"(?<!than )(?<!about )(?<!least )(?<!most )(?<!over )(?<!nearly )(?<!almost )(?<!around )"
    r"(?<!under )(?<!to )(?<!no\. )(?<!No\. )(?<!number )(?<!and )(?<!between )(?<!from )"
    r"(?<!approximately )(?<!roughly )(?<!some )(?<![\w.,:/$£€-])"
    r"(\d{1,3}(?:,\d{3})+|\d{1,4})(?= (?!million|billion|January|February|March|April|May|June|July"
    r"|August|September|October|November|December|thousand|percent|st|am|pm|BC|AD|to|and|or|in|on|at"
    r"|by|for|from|with|was|is|of|the|a)[a-z]{3,})"
)
_SINCE = re.compile(r"(?<= in )(1[5-9]\d\d|20[0-2]\d)(?=[,.; ])(?! and)(?!–)")


def _compared(document: Document, line: int, rng: random.Random) -> Iterator[Row]:
    """Compare a number or a year of a sentence: 'more than 500', 'before 1990'; true and false."""
    sentence = document.parts[line]
    found = [
        m for m in _PLAIN.finditer(sentence) if not re.fullmatch(r"1[0-9]\d\d|20\d\d", m.group())
    ]
    years = list(_SINCE.finditer(sentence))
    if not found and not years:
        return
    passage = window(document.parts, line, rng.choice(WINDOWS))
    match = rng.choice(found or years)
    if re.search(r"[(\"“]", sentence[: match.start()][-30:]):
        return
    seed, strength = rng.getrandbits(32), rng.choice((0.0, 0.7, 1.0))
    kind = "valid_news_compared" if document.split == "valid" else "compared"
    name = f"{kind}/{document.collection}"
    for want in (True, False):
        value = int(match.group().replace(",", ""))
        if found:
            if value < 3:
                return
            words, start = grounding_facts.comparison(value, rng, want=want), match.start()
        else:
            words, start = grounding_facts.period(value, rng, want=want), match.start() - 3
        text = rephrased(f"{sentence[:start]}\x02 {sentence[match.end() :]}", seed, strength)
        at = text.find("\x02")
        if at < 0:
            return
        text = text.replace("\x02 ", words + " ", 1).replace(words + "  ", words + " ")
        text = re.sub(r" ([.,;])", r"\1", text)
        spans = () if want else ((at, at + len(words)),)
        label = SUPPORTED if want else CONTRADICTED
        yield Row(
            text[:1].upper() + text[1:],
            {"grounding": label},
            name,
            passage,
            document.split,
            spans=spans,
        )


def _misplaced(
    found: list[Document], at: int, line: int, store: Bank, rng: random.Random
) -> Iterator[Row]:
    """Hold a sentence against its own passage, and against one that only sounds like it."""
    document = found[at]
    sentence = document.parts[line]
    passage = window(document.parts, line, rng.choice(WINDOWS))
    inside = [s for s in document.parts if s not in passage and 0.2 < overlap(s, passage) < 0.6]
    other = rng.choice(inside) if inside and rng.random() < 0.6 else None
    if other:
        home = window(document.parts, document.parts.index(other), 80)
    else:
        place = lookalike(sentence, at, store)
        if place is None:
            return
        parts = found[place[0]].parts
        other, home = parts[place[1]], window(parts, place[1], 80)
    if re.match(r"(He|She|It|They|This|These|His|Her|That|I|We|Yes|No|But|And)\b", other):
        return
    if overlap(other, passage) > 0.75:
        return
    claim = rephrased(other, rng.getrandbits(32), rng.choice((0.0, 1.0)))
    kind = "valid_misplaced" if document.split == "valid" else "misplaced"
    name = f"{kind}/{document.collection}"
    yield Row(claim, {"grounding": UNSUPPORTED}, name, passage, document.split)
    home = home.replace(other, reworded(other, rng.getrandbits(32)))
    yield Row(claim, {"grounding": SUPPORTED}, name, home, document.split)


def _from_said(claims: list[Said], store: Bank, rng: random.Random) -> Iterator[Row]:
    """Edit claims that somebody wrote about a source, in several ways each."""
    for item in claims:
        longest = rng.choice((80, 90, 120, TOGETHER))
        if item.split == "train" and rng.random() < 0.6:
            longest = 60
        passage = beside(item.claim, item.source) if rng.random() < GUARDED else ""
        passage = passage or best_window(item.claim, item.source, longest)
        if spoken_against(item.claim, passage):
            continue
        near = around(sentences(passage), store, rng)
        kinds: set[str] = set()
        for _ in range(2 if item.split == "valid" else EDITS_OF_SAID.get(item.collection, 2)):
            edit = _edit(item.claim, near, rng)
            if edit is None or edit.kind in kinds:
                continue
            kinds.add(edit.kind)
            other = _edited_source(item.claim, passage, edit, near, rng)
            claim, edited = _asked(item, edit.text, rng)
            twins = Twins(claim, edited, passage, other, edit.label, edit.kind)
            yield from _rows_of(twins, _said_name(item), item.split, rng)


def _denied_word(text: str) -> str:
    found = re.search(r"(?:\bnot|n['’]t|\bnever) (\w+)", text)
    return found.group(1) if found else ""


def _edited_source(claim: str, passage: str, edit: Edit, near: Around, rng: random.Random) -> str:
    """Edit the sentence of a source that says what the claim says; '' where that is not clear."""
    if edit.everywhere:
        return _everywhere(passage, edit) if edit.old in passage else ""
    home = max(sentences(passage), key=lambda part: overlap(claim, part), default="")
    if overlap(claim, home) < 0.6:
        return ""
    if edit.kind == "addition":
        return passage.replace(home, f"{home.rstrip('. ')}{edit.new}.")
    if edit.kind == "negation":
        denied = negation(home, near, rng)
        same = denied and _denied_word(denied.text) == _denied_word(edit.text)
        return passage.replace(home, denied.text) if denied and same else ""
    if not edit.old or len(re.findall(rf"(?<!\w){re.escape(edit.old)}(?!\w)", home)) != 1:
        return ""
    word = rf"(?<!\w){re.escape(edit.old)}(?!\w)"
    return passage.replace(home, re.sub(word, lambda _: edit.new, home))


def _said_name(item: Said) -> str:
    origin = "ragtruth" if item.collection in {"rag", "summary"} else item.collection
    if item.split == "train":
        return f"said/{origin}"
    kind = "valid_rag_edits" if item.collection == "rag" else "valid_summary_edits"
    return f"{kind}/{origin}"


def _asked(item: Said, edited: str, rng: random.Random) -> tuple[str, str]:
    """Say claim and edit in the same form; now and then as the answer to the question."""
    if item.question and rng.random() < 0.35:
        lead = f"Question: {item.question.strip().rstrip('?')}? Answer: "
        return lead + item.claim, lead + edited
    seed, strength = rng.getrandbits(32), rng.choice((0.0, 0.6))
    return rephrased(item.claim, seed, strength), rephrased(edited, seed, strength)
