"""Made-up first sentences of articles, and claims about one value of each.

The value is exchanged in the passage, in the claim, or in both; two of the same sort change places,
so that who beat whom is all that differs. What a text leaves out makes the rows of class 2.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grounding_lexicon as w
from grounding_claims import twins
from grounding_compared import Bound, amounts, other_amount, other_year, years
from grounding_facts import firm, person, place, title
from grounding_forms import rephrased
from rows import Row

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_WORDS = {name: text.split() for name, text in _TABLES["words"].items()}
_WORDS |= {"people": w.CLASSES[1], "month": w.MONTHS}
_MAKERS = {"person": person, "place": place, "title": title, "firm": firm}
_RANGES = {"count": (12, 98), "small": (3, 14), "large": (1200, 90000), "percent": (12, 88)}
_SORTED = frozenset([*_RANGES, "year"])


class Asked(NamedTuple):
    """Claims about a slot, for the texts that have one of `where`; `pair` may change places."""

    slot: str
    forms: list[str]
    pair: tuple[str, str] | None
    where: list[str]
    alone: bool


def _asked(line: str) -> Asked:
    slot, _, rest = line.strip().partition(": ")
    slot, alone = slot.rstrip("!"), slot.endswith("!")
    pair = None
    if "@@" in rest:
        rest, _, tail = rest.partition("@@")
        names, _, where = tail.partition("@")
        first, second = names.split()
        pair = first, second
    else:
        rest, _, where = rest.partition("@")
    found = [part.strip() for part in where.split(";") if part.strip()]
    return Asked(slot, [form.strip() for form in rest.split(" / ")], pair, found, alone)


def _read(lead: dict[str, str]) -> tuple[dict[str, str], list[str], list[Asked]]:
    slots = dict(part.split("=") for part in lead["slots"].split())
    texts = [" ".join(text.split()) for text in lead["texts"].split("|")]
    return slots, texts, [_asked(line) for line in lead["claims"].split("|")]


_LEADS: list[Any] = [_read(lead) for lead in _TABLES["leads"]]


def _made(sort: str, rng: random.Random) -> str:
    if sort == "year":
        return str(rng.randint(1880, 2022))
    if sort in _RANGES:
        value = rng.randint(*_RANGES[sort])
        return f"{value:,}"
    return rng.choice(_WORDS[sort]) if sort in _WORDS else _MAKERS[sort](rng)


def _values(slots: dict[str, str], rng: random.Random) -> dict[str, str]:
    values: dict[str, str] = {}
    for slot, sort in slots.items():
        value = _made(sort, rng)
        while value in values.values():
            value = _made(sort, rng)
        values[slot] = value
    if "e" in slots and slots["e"] == "year":
        first, last = sorted((int(values["y"]), int(values["e"])))
        values |= {"y": str(first), "e": str(last + 2)}
    return values


def _has(asked: Asked, text: str) -> bool:
    here = all("{" + slot + "}" in text for slot in asked.pair or (asked.slot,))
    return here and (not asked.where or any(part in text for part in asked.where))


def _spelt(text: str) -> str:
    text = re.sub(r"\b([Aa]) (?=[AEIOaeio])", r"\1n ", text)
    return text[:1].upper() + text[1:]


def _bounds(sort: str, one: str, other: str, rng: random.Random) -> tuple[Bound, Bound]:
    if sort == "year":
        return years(int(one), int(other), rng)
    return amounts(float(one.replace(",", "")), float(other.replace(",", "")), "", "", rng)


def _exchanged(
    asked: Asked, slots: dict[str, str], values: dict[str, str], text: str, rng: random.Random
) -> dict[str, str]:
    """Return the values of the twin: two changed places, or one is another."""
    slot = asked.slot
    sort = slots[slot]
    if asked.pair:
        a, b = asked.pair
        return values | {a: values[b], b: values[a]}
    if sort == "year":
        return values | {slot: str(other_year(int(values[slot]), rng))}
    if sort in _RANGES:
        most = 99 if sort == "percent" else 1e9
        value = other_amount(float(values[slot].replace(",", "")), rng, whole=True, most=most)
        return values | {slot: f"{value:,.0f}"}
    same = [
        s for s in slots
        if slots[s] == sort and s != slot and "{" + s + "}" in text
        and not any("{" + s + "}" in form for form in asked.forms)
    ]  # fmt: skip
    if same and not asked.alone and rng.random() < 0.6:
        other = rng.choice(same)
        return values | {slot: values[other], other: values[slot]}
    new = _made(sort, rng)
    while new in values.values():
        new = _made(sort, rng)
    return values | {slot: new}


def _said(asked: Asked, sort: str, values: dict[str, str], twin: dict[str, str],
          rng: random.Random) -> tuple[str, str]:  # fmt: skip
    """Return a claim that is so of the values, and one that is so of the twin's."""
    form, seed = rng.choice(asked.forms), rng.getrandbits(32)
    found = []
    bounds = None
    if sort in _SORTED:
        bounds = _bounds(sort, values[asked.slot], twin[asked.slot], rng)
        exact = rng.random() < 0.2
    for at, mine in enumerate((values, twin)):
        text = form
        if asked.pair:
            a, b = asked.pair
            text = text.replace("{v}", mine[a]).replace("{w}", mine[b])
        elif bounds:
            plain = f"in {mine[asked.slot]}" if sort == "year" else mine[asked.slot]
            text = text.replace("{p}", plain if exact else bounds[at].words)
        else:
            text = text.replace("{v}", mine[asked.slot])
        still = {k: v for k, v in values.items() if k != asked.slot}
        text = text.format(**(still | {asked.slot: mine[asked.slot]}))
        found.append(rephrased(_spelt(text), seed, 0.4))
    return found[0], found[1]


def _more(lead: Any, rng: random.Random) -> str:
    """Return the text of another subject, which says the same of other names."""
    slots, texts, _ = lead
    return " " + _spelt(rng.choice(texts).format(**_values(slots, rng)))


def leads(count: int, seed: int) -> Iterator[Row]:
    """Yield rows over made-up leads: two for each, and two more where a text leaves it out."""
    rng = random.Random(f"leads {seed}")
    for _ in range(count):
        yield from _lead(rng.choice(_LEADS), rng)


def _lead(lead: Any, rng: random.Random) -> Iterator[Row]:
    slots, texts, every = lead
    asked = rng.choice(every)
    fitting = [text for text in texts if _has(asked, text)]
    text, values = rng.choice(fitting), _values(slots, rng)
    other = _exchanged(asked, slots, values, text, rng)
    sort = slots[asked.slot]
    right, wrong = _said(asked, sort, values, other, rng)
    if right == wrong:
        return
    tail = _more(lead, rng) if rng.random() < 0.25 else ""
    here, there = (_spelt(text.format(**v)) + tail for v in (values, other))
    share = 0.0 if sort in _SORTED else 0.2
    yield from twins((right, wrong), (here, there), "made_leads", rng, share)
    bare = [t for t in texts if "{" + asked.slot + "}" not in t]
    if bare and rng.random() < 0.3:
        without = _spelt(rng.choice(bare).format(**values)) + tail
        yield Row(right, {"grounding": 2}, "made_leads", without)
        yield Row(right, {"grounding": 0}, "made_leads", here)
