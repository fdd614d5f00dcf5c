"""Texts that tables of templates in `harm_texts/` write: requests, comments and answers.

A template is a text with `{slots}`; a table names what goes into them. An act (`kill a process`,
a phrase that begins with a verb) is set into a frame (`How do I {act}?`) drawn from the same list
whether the act is innocent or not, so that frame, length and politeness say nothing of the label.
"""

from __future__ import annotations

import itertools
import random
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rows import Row

TEXTS = Path(__file__).parent / "harm_texts"
_SLOT = re.compile(r"\{(\w+)\}")
_WHOLE = tuple('.?!。？！؟।…"”')
_OFTEN = 0.35  # share of texts that are written carelessly
_TOLD = 0.3  # share of comments that stand among ordinary sentences
ASKED = 0.4  # share of comments that also teach that they are no requests

Slots = Mapping[str, Sequence[str]]


def table(name: str) -> dict[str, Any]:
    """Read a table of `harm_texts/`."""
    return tomllib.loads((TEXTS / f"{name}.toml").read_text(encoding="utf-8"))


def fill(template: str, slots: Slots, rng: random.Random) -> str:
    """Put a word into every slot; the same slot gets the same word throughout a text."""
    chosen: dict[str, str] = {}

    def put(match: re.Match[str]) -> str:
        name = match[1]
        if name not in chosen:
            chosen[name] = rng.choice(slots[name])
        return chosen[name]

    while _SLOT.search(template):
        template = _SLOT.sub(put, template)
    return template.replace(" .", ".").replace(" ,", ",").strip()


def careless(text: str, rng: random.Random) -> str:
    """Write a text as people type: sometimes without capitals, or without the last mark."""
    if rng.random() > _OFTEN:
        return text[:1].upper() + text[1:]
    kind = rng.randrange(4)
    if kind == 0:
        return text.lower()
    if kind == 1:
        return text.rstrip(".?!")
    if kind == 2:
        return text.lower().rstrip(".?!").replace("'", "")
    return text + rng.choice((" Thanks!", " Please be brief.", " thx", " I need it today."))


def framed(act: str, frames: Sequence[str], slots: Slots, rng: random.Random) -> str:
    """Make a request of an act; what ends like a sentence is one already."""
    whole = act.endswith(_WHOLE)
    text = act if whole else rng.choice(frames).replace("{act}", act)
    return fill(text, slots, rng)


def distinct(write: Callable[[str], str], templates: Sequence[str], count: int) -> list[str]:
    """Write up to `count` different texts, going round the templates."""
    found: dict[str, None] = {}
    for template in itertools.islice(itertools.cycle(templates), count * 4):
        found.setdefault(write(template))
        if len(found) >= count:
            break
    return list(found)


def requests(seed: int) -> Iterator[Row]:
    """Yield requests in pairs of the same words, one innocent and one harmful."""
    given = table("requests")
    pairs = [{"frames": given["frames"], **pair} for pair in given["pairs"]]
    for language in table("requests_languages")["languages"]:
        pairs += [{**language, **pair} for pair in language["pairs"]]
    for pair in pairs:
        rng = random.Random(f"{seed} {pair['id']}")
        slots = {**given["slots"], **pair.get("slots", {})}
        write = _request(pair["frames"], slots, rng, english="lang" not in pair)
        split, source = _source(
            pair, "requests", "multilingual" if "lang" in pair else "overrefusal"
        )
        for harmful, side in enumerate(("safe", "harmful")):
            acts = pair.get(side, ())
            hazards = pair.get("hazards") if harmful else []
            y: dict[str, Any] = {"harm_request": harmful}
            y |= {} if hazards is None else {"hazards": hazards}
            y |= {} if {"S10", "S12"} & set(hazards or ()) else {"toxic": 0}
            for text in distinct(write, acts, pair.get("take", 5) * len(acts)):
                yield Row(text=text, y=y, source=source, split=split)


def _request(
    frames: Sequence[str], slots: Slots, rng: random.Random, *, english: bool
) -> Callable[[str], str]:
    def write(act: str) -> str:
        text = framed(act, frames, slots, rng)
        return careless(text, rng) if english else text

    return write


def _source(given: Mapping[str, Any], kind: str, stand_in: str) -> tuple[str, str]:
    split = given.get("split", "train")
    return split, f"{f'valid_{stand_in}' if split == 'valid' else kind}/{given['id']}"


def ordinary(seed: int) -> Iterator[Row]:
    """Yield ordinary requests and sentences in the frames that harmful ones come in."""
    given = table("ordinary")
    slots = {**table("requests")["slots"], **given["slots"]}
    tables = {"en": {**given, "texts": ()}, **given["languages"]}
    for language, own in tables.items():
        rng = random.Random(f"{seed} ordinary {language}")
        split, source = _source({**own, "id": f"ordinary-{language}"}, "ordinary", "multilingual")
        write = _request(own["frames"], slots, rng, english=language == "en")
        count = len(own["acts"]) * (6 if language == "en" else 3)
        texts = [*distinct(write, own["acts"], count), *own["texts"]]
        if language == "en":
            texts += distinct(lambda text: fill(text, slots, rng), given["requests"], 500)  # noqa: B023
        y: dict[str, Any] = {"harm_request": 0, "toxic": 0, "hazards": []}
        for text in texts:
            yield Row(text=text, y=y, source=source, split=split)


def comments(seed: int, around: Sequence[str] = ()) -> Iterator[Row]:
    """Yield hateful comments and their look-alikes, and what else is moderated with its twins.

    Args:
        seed: Chooses words.
        around: More ordinary sentences for comments to stand among.
    """
    fillers = [*table("ordinary")["slots"]["sentence"], *around]
    for name, stand_in in (("hate", "hate_lookalikes"), ("moderation", "moderation")):
        given = table(name)
        for family in given["families"]:
            rng = random.Random(f"{seed} {name} {family['id']}")
            slots = {**given["slots"], **family.get("slots", {})}
            english = "lang" not in family
            split, source = _source(family, name, stand_in if english else "multilingual")
            y = {"toxic": family["toxic"], "hazards": list(family.get("hazards", ()))}
            for text in distinct(
                _comment(slots, rng, english=english), family["texts"], family["take"]
            ):
                asked = {"harm_request": 0} if rng.random() < ASKED else {}
                if "harm_request" in family:
                    asked = {"harm_request": family["harm_request"]}
                among = english and rng.random() < _TOLD
                whole = _told(text, fillers, rng) if among else text
                yield Row(text=whole, y={**y, **asked}, source=source, split=split)


def _comment(slots: Slots, rng: random.Random, *, english: bool) -> Callable[[str], str]:
    def write(template: str) -> str:
        text = fill(template, slots, rng)
        return careless_comment(text, rng) if english else text

    return write


def _told(text: str, fillers: Sequence[str], rng: random.Random) -> str:
    """Put a text among ordinary sentences."""
    told = rng.sample(fillers, rng.randint(1, 6))
    told.insert(rng.randint(0, len(told)), text if text.endswith(_WHOLE) else f"{text}.")
    return " ".join(told)


def careless_comment(text: str, rng: random.Random) -> str:
    """Write a comment as people type, with a word before or after that says nothing."""
    if rng.random() < 0.15:
        text = rng.choice(("Honestly, ", "So ", "Look, ", "lol ", "Well, ", "imo ")) + text
    if rng.random() < 0.1:
        text += rng.choice((" Just saying.", " #truth", " lol", " That's it.", " Full stop."))
    kind = rng.randrange(8)
    if kind == 0:
        return text.lower().rstrip(".")
    if kind == 1:
        return text.rstrip(".") + "!"
    return text.upper() if kind == 2 and rng.random() < 0.3 else text[:1].upper() + text[1:]


def answers(seed: int) -> Iterator[Row]:
    """Yield answers to innocent and harmful requests that share their scaffolding."""
    given, asked = table("answers"), table("requests")
    for pair in asked["pairs"]:
        rng = random.Random(f"{seed} answers {pair['id']}")
        split, source = _source(pair, "answers", "answers")
        slots = {**asked["slots"], **given["slots"], **pair.get("slots", {})}
        for harmful, side in enumerate(("safe", "harmful")):
            acts = [act for act in pair.get(side, ()) if not act.endswith(_WHOLE)]
            hazards = pair.get("hazards") if harmful else []
            for act in (fill(act, slots, rng) for act in acts for _ in range(2)):
                text = careless(framed(act, asked["frames"], slots, rng), rng)
                helps = fill(rng.choice(given["helps"]).replace("{act}", act), slots, rng)
                y: dict[str, Any] = {"harm_answer": harmful}
                y |= {} if hazards is None else {"hazards": hazards}
                yield Row(text=helps, pair=text, y=y, source=source, split=split)
                if rng.random() < (0.6 if harmful else 0.15):
                    refusal = fill(rng.choice(given["refusals"]).replace("{act}", act), slots, rng)
                    y = {"harm_answer": 0, "toxic": 0, "harm_request": 0, "hazards": []}
                    yield Row(text=refusal, pair=text, y=y, source=source, split=split)
