"""What somebody did or did not do, what something is, where it stands, whether it is the only one.

Evidence denies in words that are no negation ("turned down every offer to", "all except"), and
affirms in words that look like one ("did not hesitate to"); it may say what everybody knows to be
wrong. A claim is held to what its evidence says: half of them are borne out, the others said the
opposite.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import grounding_lexicon as w
from grounding_facts import firm, person, place, title
from rows import Row

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_DEEDS = [line.split(" / ") for line in _TABLES["deeds"].strip().splitlines()]
_KINDS = dict(line.split(" / ") for line in _TABLES["kinds"].strip().splitlines())
_SIGHTS = _TABLES["sights"].split(" | ")
_TOWNS = dict(pair.split("=") for pair in _TABLES["towns"])
_NTH = ("second", "third", "fifth", "ninth")
_BEFORE = 0.35

Told = tuple[str, str, str]
"""Evidence, claim, and the part of the claim that is wrong where it is not borne out."""


def _date(rng: random.Random, low: int, high: int) -> str:
    return f"{rng.choice(w.MONTHS)} {rng.randint(1, 28)}, {rng.randint(low, high)}"


def _common(rng: random.Random) -> dict[str, str]:
    return {
        "y": str(rng.randint(1860, 2022)),
        "c": place(rng),
        "o": person(rng),
        "d": _date(rng, 1890, 1990),
        "e": _date(rng, 1991, 2023),
        "land": rng.choice(_TABLES["lands"].split()),
        "job": rng.choice(_TABLES["jobs"].split()),
    }


def _pair(names: tuple[str, str], rng: random.Random, *, so: bool) -> tuple[str, str]:
    """Return a frame of one of two tables, and a frame for the claim that fits it or not."""
    first = rng.random() < 0.5
    evidence = rng.choice(_TABLES[names[0] if first else names[1]])
    kind = names[0] if first == so else names[1]
    claims = {"done": "claims_done", "undone": "claims_undone", "is_one": "claims_is"}
    claims |= {"is_none": "claims_none", "made_one": "claims_one", "made_more": "claims_more"}
    return evidence, rng.choice(_TABLES[claims[kind]])


def _deed(rng: random.Random, *, so: bool) -> Told:
    subject, given = person(rng), _common(rng)
    slots = {"title": title(rng), "firm": firm(rng), "place": place(rng), "person": person(rng)}
    forms = [form.format(**slots) for form in rng.choice(_DEEDS)]
    given |= {"s": subject, **dict(zip("ipg", forms, strict=True))}
    given["w"] = rng.choice(_TABLES["who"]).format(**given)
    evidence, claim = (frame.format(**given) for frame in _pair(("done", "undone"), rng, so=so))
    return evidence, claim, claim.partition(subject)[2].strip(" .") or claim


def _kind(rng: random.Random, *, so: bool) -> Told:
    kind, other = rng.sample(sorted(_KINDS), 2)
    given = _common(rng) | {"s": title(rng) if rng.random() < 0.4 else person(rng), "kind": kind}
    given["sub"] = rng.choice(_KINDS[kind].split(" | "))
    given["other"] = rng.choice(_KINDS[other].split(" | "))
    evidence, claim = (frame.format(**given) for frame in _pair(("is_one", "is_none"), rng, so=so))
    return _article(evidence), _article(claim), kind


def _sight(rng: random.Random, *, so: bool) -> Told:
    town, other = rng.sample(sorted(_TOWNS), 2)
    sight = rng.choice(_SIGHTS)
    given = {"s": sight, "S": sight[:1].upper() + sight[1:], "y": str(rng.randint(1600, 2010))}
    here = {"town": town, "land": _TOWNS[town], "other": _TOWNS[other]}
    evidence = rng.choice(_TABLES["stands"]).format(**given, **here)
    denies = rng.random() < 0.3
    at = town if so != denies else other
    frame = rng.choice(_TABLES["claims_out" if denies else "claims_in"])
    claim = frame.format(**given, town=at, land=_TOWNS[at])
    return evidence, claim, at if at in claim else _TOWNS[at]


def _work(rng: random.Random, *, so: bool) -> Told:
    given = _common(rng) | {"s": person(rng), "t": title(rng), "n": str(rng.randint(2, 40))}
    given |= {"w": rng.choice(_TABLES["works"].split()), "nth": rng.choice(_NTH)}
    pair = _pair(("made_one", "made_more"), rng, so=so)
    evidence, claim = (frame.format(**given) for frame in pair)
    return evidence, claim, claim.partition(given["s"])[2].strip(" .") or claim


_MAKERS: tuple[tuple[Callable[..., Told], float], ...] = (
    (_deed, 0.55),
    (_kind, 0.15),
    (_sight, 0.15),
    (_work, 0.15),
)


def _article(text: str) -> str:
    """Return a text with "an" before vowels, which the tables write as "a"."""
    for vowel in "aeioAEIO":
        text = text.replace(f" a {vowel}", f" an {vowel}")
    return text


def _sights(text: str) -> set[str]:
    return {sight for sight in _SIGHTS if sight.lower() in text.lower()}


def deeds(count: int, seed: int) -> Iterator[Row]:
    """Yield claims, each with its evidence and what else stands there."""
    rng = random.Random(f"{seed} deeds")
    makers, weights = zip(*_MAKERS, strict=True)
    for number in range(count):
        (make,) = rng.choices(makers, weights)
        so = number % 2 == 0
        evidence, claim, wrong = make(rng, so=so)
        if rng.random() < _BEFORE:
            besides = make(rng, so=so)[0]
            if not _sights(besides) & _sights(evidence):
                evidence = rng.choice((f"{evidence} {besides}", f"{besides} {evidence}"))
        start = claim.find(wrong)
        spans = () if so else ((start, start + len(wrong)),)
        yield Row(claim, {"grounding": 0 if so else 1}, "made_deeds", evidence, spans=spans)
