"""What a word is, judged from the words around it: by the model, by rules, or by both.

The model is linear over hashed features with small whole numbers as weights, read from
`guard/models/names.bin` on first use (see `training/names`). What it takes for a name though it is
written as programs and abbreviations are must be surer.
"""

from __future__ import annotations

import math
from functools import lru_cache
from operator import itemgetter

from keelmark.guard._name_rules import ruled
from keelmark.guard._name_table import rules
from keelmark.guard._name_words import (
    A_X,
    AFTER,
    BEFORE,
    CAPITALS,
    LEXICON,
    MIXED,
    NUMBER,
    SMALL,
    STREET,
    UNIT,
    X_Y,
    Around,
    Word,
    may_be_name,
    sits,
)
from keelmark.guard._names_file import BITS, LABELS, model

LEAST = 0.5
"""How sure the model must be of a word, at least; what a rule asks for if it does not say."""

NEVER = 2.0
_ALL = len(LEXICON) + 2
_AROUND = STREET | UNIT | NUMBER | (1 << LEXICON.index("title"))
_KNOWN = sum(1 << LEXICON.index(k) for k in ("given", "family", "city", "region", "organisation"))
_CALENDAR = 1 << LEXICON.index("calendar")
_GIVEN = 1 << LEXICON.index("given")
_FULL = 0xFFFFFFFF
_FACTORS = tuple((0x9E3779B1 * (2 * k + 1) ^ (0x85EBCA6B * (k + 7))) & _FULL | 1 for k in range(52))
_FOR_ONE = _FACTORS[:14]
_FOR_TWO = tuple(zip(_FACTORS[14:33], _FACTORS[33:], strict=True))


def features(around: Around, how: int) -> list[int]:
    """Return the places of what is true of the middle word, in each lane."""
    x = around[3]
    three = (around[2].shape * 16 + x.shape) * 16 + around[4].shape
    spaced = (bool(how & BEFORE) * 2 + bool(how & AFTER)) * 16 + x.shape
    singles = _one_by_one(around, three, spaced)
    pairs = _two_by_two(around, three, spaced)
    shift = 32 - BITS
    places = [(s * p & _FULL) >> shift for s, p in zip(singles, _FOR_ONE, strict=True)]
    places += [
        (s * p + t * q & _FULL) >> shift for (s, t), (p, q) in zip(pairs, _FOR_TWO, strict=True)
    ]
    return places


def _one_by_one(around: Around, three: int, spaced: int) -> tuple[int, ...]:
    _, b, a, x, y, z, _ = around
    first, _, suffix, four = x.ends
    return (
        (three << 8) + 1,
        x.key + 2,
        a.key + 3,
        y.key + 4,
        b.key + 5,
        z.key + 6,
        suffix + 7,
        first + 8,
        four + 9,
        (b.shape << 16) + three,
        (z.shape << 20) + (three << 4) + 3,
        (b.shape << 28) + (z.shape << 20) + three + 7,
        (x.kinds << 8) + x.shape,
        spaced + 11,
    )


def _two_by_two(around: Around, three: int, spaced: int) -> tuple[tuple[int, int], ...]:
    c, b, a, x, y, z, w = around
    shape, key = x.shape, x.key
    own = x.kinds * 16 + shape
    full = (shape << _ALL) + x.kinds
    left = (a.kinds | b.kinds | c.kinds) & _AROUND
    right = (y.kinds | z.kinds | w.kinds) & _AROUND
    return (
        (a.key, key),
        (key, y.key),
        (a.key, three),
        (y.key, three),
        (b.key, a.key + shape),
        (y.key, z.key + shape),
        (x.ends[1], spaced),
        (a.kinds, own),
        (y.kinds, own),
        ((a.kinds << _ALL) + y.kinds, own),
        ((b.kinds << _ALL) + a.kinds, shape),
        ((y.kinds << _ALL) + z.kinds, shape),
        (left, full),
        (right, full),
        ((left << _ALL) + right, shape),
        (a.ends[2], shape),
        (y.ends[2], shape),
        (a.key, spaced),
        (y.key, spaced),
    )


@lru_cache(maxsize=1 << 13)
def judge(around: Around, borders: bytes, by_model: bool) -> tuple[str, float]:  # noqa: FBT001
    """Return what the middle word is, and how sure that is (0 to 1)."""
    how = sits(around, borders)
    if not may_be_name(around, how):
        return "", 0.0
    rule = ruled(around, how)
    if not by_model or rule[1] >= 0.9:
        return rule
    label, score = decide(around, how)
    if score >= max(LEAST, rule[1], needed(around, how, label)):
        return label, score
    return rule


def decide(around: Around, how: int) -> tuple[str, float]:
    """Return what the model takes the middle word for, and how sure that is (0 to 1)."""
    knows = model()
    take = itemgetter(*features(around, how))
    sums = [sum(take(lane)) for lane in knows.lanes]
    best = max(range(1, len(LABELS)), key=sums.__getitem__)
    if LABELS[best] == "OTHER":
        return "", 0.0
    odds = (sums[best] - sums[0]) / knows.scale
    return LABELS[best], round(1 / (1 + math.exp(-max(-30.0, min(30.0, odds)))), 2)


def needed(around: Around, how: int, label: str) -> float:
    """Return how sure the model must be of a word that is written as few names are."""
    _, _, a, x, y, z, _ = around
    if label == "ADDRESS" or x.kinds & NUMBER:
        return LEAST
    known, knows = x.kinds & _KNOWN, rules()
    if x.low in knows.things:
        return NEVER
    if label == "ORGANISATION" and {y.low, z.low} & knows.laws:
        return NEVER
    if x.kinds & _CALENDAR and not x.kinds & _GIVEN:
        return 0.9
    if x.shape == SMALL:
        return _small(around, how, known)
    if known or x.shape not in (CAPITALS, MIXED):
        return LEAST
    if x.shape == MIXED:
        return 0.95 if x.made else LEAST
    return LEAST if _shouted(a, y) else 0.8


def _small(around: Around, how: int, known: int) -> float:
    _, _, a, _, y, z, w = around
    if how & X_Y and y.low == "-" and z.shape == SMALL and not (z.kinds & _KNOWN and w.low != "-"):
        return NEVER  # a compound, as machines and packages have them
    if how & A_X and a.low == "-":
        return NEVER if not known else 0.8
    return LEAST if known else 0.6


def _shouted(a: Word, y: Word) -> bool:
    """Whether a neighbour is in capitals too: then the sentence is, and no abbreviation."""
    return any(w.shape == CAPITALS and len(w.low) > 3 for w in (a, y))
