"""The words of grounding_lexicon.toml, in the shapes that the generators want."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path


def _list(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("|")]


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(a, b) for a, b in (part.split("/") for part in _list(text))]


def any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for any of these as whole words, the longest first."""
    longest = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])")


_WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_SORTS = {name: _list(text) for name, text in _WORDS["sorts"].items()}

COUNTRIES, PEOPLES, CITIES = _SORTS["countries"], _SORTS["peoples"], _SORTS["cities"]
STATES, MONTHS, DAYS = _SORTS["states"], _SORTS["months"], _SORTS["days"]
CLASSES = tuple(_SORTS.values())
NUMBER_WORDS = _list(_WORDS["numbers"]["words"])
ORDINALS = _list(_WORDS["numbers"]["ordinals"])
UNITS = tuple(_list(text) for text in _WORDS["numbers"]["units"])
TIMES = frozenset(("weekly", "monthly", "daily", "annually"))

OPPOSITE = {a: b for pair in _pairs(_WORDS["meaning"]["opposites"]) for a, b in (pair, pair[::-1])}
FORCE: dict[str, list[tuple[str, int]]] = {}
for _label, _key in ((1, "against"), (2, "beyond")):
    for _old, _new in _pairs(_WORDS["meaning"][_key]):
        FORCE.setdefault(_old, []).append((_new, _label))

SAME: dict[str, list[tuple[str, str]]] = {}
"""For a phrase: what means the same, and what must follow for that."""
for _key, _next in (
    ("same", ""),
    ("same_before_number", r" [$£€]?\d"),
    ("same_before_noun", r" (?:the|a|an|his|her|its|their|this|\d+)\b"),
):
    for _old, _new in _pairs(_WORDS["meaning"][_key]):
        SAME.setdefault(_old, []).append((_new, _next))

TRANSITIVE = frozenset(_list(_WORDS["verbs"]["transitive"]))
ONE_WAY = frozenset(_list(_WORDS["verbs"]["one_way"]))
BASE = {past: base for base, past in _pairs(_WORDS["verbs"]["base"])}
FRAMES: list[str] = _WORDS["forms"]["frames"]
DETAILS: list[str] = _WORDS["forms"]["details"]

_READING = {name: frozenset(_list(text)) for name, text in _WORDS["reading"].items()}
ABBREVIATED, STOP = _READING["abbreviated"], _READING["stop"]
NO_NAMES = _READING["no_names"] | set(MONTHS) | set(DAYS)
