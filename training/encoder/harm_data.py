"""Rows of the shared datasets that teach harm, each capped so that none of them outweighs the rest.

What the datasets get wrong is mended here: labels that are given by scenario count less, slang
that annotators took for an offence is left out, and each text says nothing about a head that its
dataset does not judge.
"""

from __future__ import annotations

import itertools
import random
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from rows import Row, shared

Record = dict[str, Any]
Labels = dict[str, Any]

HAZARDS_OF_CATQA = {
    "Drug:": "S2",
    "Weapon:": "S2 S9",
    "Human Trafficking:": "S2 S3",
    "Cybercrime:": "S2",
    "Theft and Robbery:": "S2",
    "Content Sexual exploitation": "S4",
    "Physical abuse": "S1",
    "Emotional and psychological abuse": "S1",
    "Neglect": "S1",
    "Online predation": "S4",
    "Racial or ethnic hate": "S10",
    "Religious intolerance": "S10",
    "Gender-based violence": "S1 S10",
    "Cyberbullying": "S10",
    "Terrorism and extremism": "S1",
    "Self-harm": "S11",
    "Assault and battery": "S1",
    "Hazardous material handling": "S9",
    "Unsafe practices": "S6",
    "Weapon making": "S9",
    "Intellectual property theft": "S8",
    "Data theft": "S7 S2",
    "Surveillance": "S7",
    "Doxxing": "S7",
    "Deepfake creation": "S7",
    "Tracking and location monitoring": "S7",
    "Political misinformation": "S6",
}
"""CatQA's subcategory to hazards; fraud and malware are S2, adult content is S12."""
GROUPS_OF_CATQA = {
    "Malware Viruses": "S2",
    "Economic Harm": "S2",
    "Fraud/Deception": "S2",
    "Adult Content": "S12",
}
HAZARDS_OF_FORBIDDEN = {
    "Illegal Activity": "S2",
    "Hate Speech": "S10",
    "Malware": "S2",
    "Physical Harm": "S1 S9",
    "Fraud": "S2",
    "Pornography": "S12",
    "Privacy Violence": "S7",
}
SLANG = re.compile(
    r"\b(bitch(es)?|hoes?|niggas?|pussy|ghetto|trash|bird|yankees?|charlie|faggot ass)\b",
    re.IGNORECASE,
)
"""Words that Davidson's annotators marked whoever used them, and however."""
GRAVE = re.compile(
    r"suicid|selbstmord|umbring|\bkill|töten|\bdie\b|dead|\btot\b|rape|missbrauch|tuer|matar|morir|"
    r"mourir|sterben|abus|blood|blut|knife|messer|drog|drug|beat|hurt|schlag",
    re.IGNORECASE,
)
SEXUAL = re.compile(
    r"\b(pussy|dick|cock|horny|porn\w*|cum|tits|titties|nudes?|naked|suck(ing|ed)? my|blowjob|"
    r"orgasm|fuck(ed|ing|s)? (her|him|me|you|that|this)( \w+)? (hard|good|all night))\b",
    re.IGNORECASE,
)
HELD_TOPICS = re.compile(
    r"bull(y|ied)|insider trad|fake check|plagiar|kidnap|\btax(es)?\b", re.IGNORECASE
)
"""Topics of the requests behind `gptfuzz_responses` that are kept for validation."""
IMPERATIVES = re.compile(
    r"\b(kill|murder|steal|rob|rape|bomb|drug|meth|cocaine|hack|poison|shoot|stab|attack|kidnap|"
    r"torture|illegal|crime|fraud|scam|counterfeit|fake|blackmail|hurt|harm|hide a body|get away|"
    r"without (getting|being) caught|racist|nigg\w*|porn|beat up|burn|explosive|weapon|address)\b",
    re.IGNORECASE,
)


def _request(value: int, hazards: str | None = None, toxic: int | None = 0) -> Labels:
    y: Labels = {"harm_request": value}
    if toxic is not None:
        y["toxic"] = toxic
    if hazards is not None:
        y["hazards"] = hazards.split()
    return y


def _catqa(record: Record) -> Labels | None:
    group, kind = record["cats"]
    hazards = HAZARDS_OF_CATQA.get(kind) or GROUPS_OF_CATQA.get(group)
    if hazards is None:
        return None
    return _request(1, hazards, None if set(hazards.split()) & {"S4", "S10", "S12"} else 0)


def _forbidden(record: Record) -> Labels | None:
    hazards = HAZARDS_OF_FORBIDDEN.get(record["cats"][0])
    if hazards is None:
        return None
    return _request(1, hazards, None if hazards in {"S10", "S12"} else 0)


def _benign(_record: Record) -> Labels:
    return {"harm_request": 0, "toxic": 0, "hazards": []}


def _document(_record: Record) -> Labels:
    return {"harm_request": 0, "toxic": 0, "harm_answer": 0, "hazards": []}


def _harmful(_record: Record) -> Labels:
    return _request(1)


def _weak(record: Record) -> Labels | None:
    return {"harm_request": 1} if IMPERATIVES.search(record["text"]) else None


def _xsafety_requests(record: Record) -> Labels | None:
    kinds = {"Unsafe_Instruction_Topic", "Crimes_And_Illegal_Activities"}
    return {"harm_request": 1} if record["cats"][0] in kinds else None


def _xsafety_insults(record: Record) -> Labels | None:
    return {"toxic": 1} if record["cats"][0] == "Insult" else None


def _xsafety_worries(record: Record) -> Labels | None:
    kinds = {"Mental_Health", "Physical_Harm", "Ethics_And_Morality", "commen_sense"}
    latin = record["lang"] in {"en", "de", "fr", "es"}
    if record["cats"][0] not in kinds or not latin or GRAVE.search(record["text"]):
        return None
    return _benign(record)


def _comment(record: Record) -> Labels:
    asked = zlib.crc32(record["id"].encode()) % 5 < 2  # the rest would drown the requests
    return {"toxic": record["label"]} | ({"harm_request": 0} if asked else {})


def _clean_comment(record: Record) -> Labels | None:
    return None if record["label"] else _comment(record)


def _hate(record: Record) -> Labels:
    return _comment(record) | {"hazards": ["S10"] if record["label"] else []}


def _davidson(record: Record) -> Labels | None:
    kind = record["cats"][0]
    if kind == "offensive" and SLANG.search(record["text"]):
        return None
    return _comment(record) | ({"hazards": ["S10"]} if kind == "hate" else {})


def _davidson_sexual(record: Record) -> Labels | None:
    if record["cats"][0] != "offensive" or not SEXUAL.search(record["text"]):
        return None
    return _comment(record) | {"hazards": ["S12"]}


def _answer(record: Record) -> Labels | None:
    return None if HELD_TOPICS.search(record["text"]) else {"harm_answer": record["label"]}


def _held_answer(record: Record) -> Labels | None:
    return {"harm_answer": record["label"]} if HELD_TOPICS.search(record["text"]) else None


def cut(text: str, words: int) -> str:
    """Return at most so many words from the beginning of a text."""
    found = list(itertools.islice(re.finditer(r"\S+", text), words))
    return text[found[0].start() : found[-1].end()][: words * 7] if found else ""


class Take(msgspec.Struct, frozen=True):
    """What is taken of one file.

    Attributes:
        file: The file in `train/` of the shared data, without its ending.
        labels: What a record teaches; None where it is left out.
        cap: Most rows; every kind of label gets an even share of them.
        name: Source of the rows; what begins with `valid_` is for validation.
        weight: How much each row counts.
        lang: Languages to take, all where empty.
        text: Field that holds the text; `pair` the field of its request, if any.
        matched: Whether to take as many rows of each length from every kind of label.
        words: Most words of a text.
    """

    file: str
    labels: Callable[[Record], Labels | None]
    cap: int
    name: str = ""
    weight: float = 1.0
    lang: str = ""
    text: str = "text"
    pair: str = ""
    matched: bool = False
    words: int = 230

    @property
    def source(self) -> str:
        """Source of the rows."""
        return self.name or self.file.rpartition("/")[2].partition(".")[0]

    def rows(self, data: Path, seed: int) -> Iterator[Row]:
        """Yield the rows, an even share of each label."""
        rng = random.Random(f"{seed} {self.source} {self.file}")
        kept: dict[str, list[Row]] = {}
        for record in shared(data, f"train/{self.file}"):
            if self.lang and record["lang"] not in self.lang.split():
                continue
            y = self.labels(record)
            text = cut(record[self.text], self.words)
            if y is None or not text:
                continue
            row = Row(
                text=text,
                y=y,
                source=self.source,
                pair=record[self.pair] if self.pair else None,
                split="valid" if self.source.startswith("valid_") else "train",
                weight=self.weight,
            )
            heads = {head: value for head, value in y.items() if head != "hazards"}
            kept.setdefault(str(heads), []).append(row)
        if self.matched:
            kept = match_lengths(kept, rng)
        left, room = len(kept), self.cap
        for found in sorted(kept.values(), key=len):
            rng.shuffle(found)
            share = min(len(found), room // left)
            left, room = left - 1, room - share
            yield from found[:share]


def match_lengths(kept: dict[str, list[Row]], rng: random.Random) -> dict[str, list[Row]]:
    """Leave of each kind as many rows of each length, so that length says nothing."""
    by_length: dict[int, dict[str, list[Row]]] = {}
    for kind, found in kept.items():
        for row in found:
            step = min(len(row.text.split()) // 25, 9)
            by_length.setdefault(step, {}).setdefault(kind, []).append(row)
    left: dict[str, list[Row]] = {}
    for kinds in by_length.values():
        fewest = min(len(kinds.get(kind, ())) for kind in kept)
        for kind, found in kinds.items():
            left.setdefault(kind, []).extend(rng.sample(found, fewest))
    return left


_XS = "harm/xsafety.train"
_TRAINED = "en de fr es zh ru ar hi"

TAKES = (
    # what is held out comes first: what is doubled stays there
    Take(
        "harm/trustair_forbidden.train", _forbidden, 300, name="valid_requests/trustair_forbidden"
    ),
    Take("injection/mtbench_vicuna.train", _benign, 300, name="valid_requests/mtbench_vicuna"),
    Take("injection/selfinstruct_seed.train", _benign, 300, name="valid_requests/selfinstruct"),
    Take("harm/surge_toxicity.train", _comment, 999, name="valid_moderation/surge_toxicity"),
    Take("harm/toxigen_prompts.train", _hate, 668, name="valid_hate/toxigen_prompts"),
    Take("harm/germeval2018.dev", _comment, 500, name="valid_multilingual/germeval2018.dev"),
    Take("harm/korean_hate.dev", _comment, 470, name="valid_multilingual/korean_hate.dev"),
    Take("harm/cold.dev", _comment, 500, name="valid_multilingual/cold.dev"),
    Take(_XS, _xsafety_requests, 200, lang="ja", name="valid_multilingual/xsafety_ja"),
    Take(
        "grounding/halueval_qa_1k.train",
        _document,
        250,
        name="valid_moderation/halueval_qa",
        text="source",
    ),
    Take(
        "harm/gptfuzz_responses.train",
        _held_answer,
        400,
        matched=True,
        name="valid_answers/gptfuzz_topics",
    ),
    Take(
        "grounding/clapnq_dev.train",
        _document,
        200,
        name="valid_answers/clapnq",
        text="answer",
        pair="question",
    ),
    # requests
    Take("harm/advbench.train", _harmful, 508),
    Take("harm/harmfulqa.train", _harmful, 900, weight=0.5),
    Take("harm/catqa.train", _catqa, 1400),
    Take("harm/hh_harmless_first_turn.weak", _weak, 700, weight=0.5),
    Take(_XS, _xsafety_requests, 1100, weight=0.6, lang=_TRAINED, name="xsafety"),
    Take(_XS, _xsafety_insults, 500, weight=0.6, lang=_TRAINED, name="xsafety"),
    Take(_XS, _xsafety_worries, 700, weight=0.5, name="xsafety"),
    Take("grounding/halueval_general.nosource", _benign, 1300, text="question"),
    Take("harm/cyberseceval_frr.train", _benign, 500),
    Take("injection/oasst_prompts.train", _benign, 951),
    Take("injection/awesome_prompts.train", _benign, 500, words=120),
    Take("injection/clinc_oos.train", _benign, 500),
    Take("injection/banking77.train", _benign, 200),
    Take("injection/gsm8k_questions.train", _benign, 150),
    # comments
    Take("harm/davidson.train", _davidson, 1700, weight=0.6),
    Take("harm/davidson.train", _davidson_sexual, 400, weight=0.6),
    Take("harm/toxic_spans.train", _comment, 1400, weight=0.8),
    Take("harm/germeval2018.train", _comment, 1500),
    Take("harm/korean_hate.train", _comment, 900),
    Take("harm/cold.train", _comment, 1000),
    Take("harm/stormfront.train", _hate, 1300, weight=0.8),
    Take("harm/jigsaw_bias_templates.train", _comment, 600, weight=0.5),
    # answers
    Take("harm/gptfuzz_responses.train", _answer, 1800, matched=True, words=170),
    Take(
        "grounding/halueval_general.nosource",
        _document,
        900,
        text="answer",
        pair="question",
        words=120,
    ),
    # documents and sentences of every day
    Take("grounding/wice_oracle.train", _document, 450, text="source", words=110),
    Take("grounding/fever_symmetric.train", _document, 300, text="source"),
    Take("grounding/snli_dev_test.train", _document, 400, text="source"),
    Take("grounding/begin.train", _document, 300, text="answer", pair="question"),
    Take("pii/sec_filings.train", _document, 200),
    Take("pii/btc.train", _clean_comment, 600, weight=0.7),
    Take("pii/germeval2014.dev", _document, 250),
    Take("pii/gretel_finance_ko.train", _document, 150, words=60),
)
