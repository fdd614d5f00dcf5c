"""The words that rules of names go by, read from tables/names.toml and made ready."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from keelmark.guard._name_words import CAPITAL, EVERYDAY, LEXICON, MIXED, Word
from keelmark.guard._patterns import table


class Rules(NamedTuple):
    """What stands under `rules` of the table, in small letters; phrases as their last three words.

    Attributes not explained there: `places` are names of places of one word, `pairs` and `threes`
    those of more, `streets` words for streets and words that end like them, `companies`
    organisations of one word.
    """

    honorific: frozenset[str]
    before_one: frozenset[str]
    relation: frozenset[str]
    speech: frozenset[str]
    sure: frozenset[tuple[str, ...]]
    before: frozenset[tuple[str, ...]]
    place: frozenset[tuple[str, ...]]
    preposition: frozenset[str]
    legal: frozenset[str]
    legal_capitals: frozenset[str]
    head: frozenset[str]
    tail: frozenset[str]
    behind: frozenset[str]
    behind_small: frozenset[str]
    ahead: frozenset[str]
    ahead_small: frozenset[str]
    units: frozenset[str]
    box: frozenset[str]
    military: frozenset[str]
    state: frozenset[str]
    doubtful: frozenset[str]
    capitals: frozenset[str]
    places: frozenset[str]
    pairs: frozenset[tuple[str, ...]]
    threes: frozenset[tuple[str, ...]]
    streets: frozenset[str]
    companies: frozenset[str]
    things: frozenset[str]
    laws: frozenset[str]


@cache
def rules() -> Rules:
    """Read the table."""
    names = table("names")
    given, kinds = names["rules"], names["kinds"]
    several = [w.split("_") for k in ("city", "region") for w in kinds[k].split() if "_" in w]
    doubtful = _words(given["doubtful"])
    return Rules(
        honorific=_words(given["honorific"]),
        before_one=_words(given["rank"]) | _words(given["relation"]),
        relation=_words(given["relation"]),
        speech=_words(given["speech"]),
        sure=_phrases(given["sure"]),
        before=_phrases(given["before"]),
        place=_phrases(given["place"]),
        preposition=_words(given["preposition"]),
        legal=_words(given["legal"]),
        legal_capitals=_words(given["legal_capitals"]),
        head=_words(given["head"]),
        tail=_words(given["tail"]),
        behind=_words(given["behind"]),
        behind_small=_words(given["behind_small"]),
        ahead=_words(given["ahead"]),
        ahead_small=_words(given["ahead_small"]),
        units=_words(given["unit"]),
        box=_words(given["box"]),
        military=_words(given["military"]),
        state=_words(given["state"]),
        doubtful=doubtful,
        capitals=_words(given["capitals"]),
        places=_single(kinds["city"], kinds["region"]),
        pairs=frozenset(tuple(w) for w in several if len(w) == 2),
        threes=frozenset(tuple(w) for w in several if len(w) == 3),
        streets=_words(kinds["street"]) | _words(given["no_street"]),
        companies=_single(kinds["organisation"]) - doubtful,
        things=_words(given["things"]),
        laws=_words(given["laws"]),
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


def _single(*texts: str) -> frozenset[str]:
    return frozenset(w for text in texts for w in text.split() if w.isalpha())


def _phrases(phrases: list[str]) -> frozenset[tuple[str, ...]]:
    parts = (phrase.replace("\\n", "\0").split(" ") for phrase in phrases)
    return frozenset(tuple(w.replace("\0", "\n") for w in p)[-3:] for p in parts)


def bit(*kinds: str) -> int:
    """Return the bits of kinds of words."""
    return sum(1 << LEXICON.index(kind) for kind in kinds)


_NO_NAME = EVERYDAY | bit("calendar", "people", "org_word", "title")


def titled(w: Word) -> bool:
    """Whether a word is written as names are."""
    return w.shape in (CAPITAL, MIXED) and bool(w.able) and not w.made


def named(w: Word) -> bool:
    """Whether a word is written as names are, and is not known as anything else."""
    return titled(w) and len(w.low) > 1 and not w.kinds & _NO_NAME
