"""Names of a sentence that its sources do not bear out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from keelmark.guard._claims import Name, bare, key, names
from keelmark.guard._name_words import EVERYDAY, word
from keelmark.guard._number_faults import Fault
from keelmark.guard._sources import Found, Index

_EQUAL = 0.9  # share of the other words of a sentence from which on a source says the same
_INITIALS = 6  # capitals up to which a word may stand for several
_PASSAGE = 3  # sentences
_ANOTHER, _UNNAMED = 2.5, 1.0  # log odds of a name that no source has
_ALIKE = 0.7  # how alike two spellings of one name are, of 1
_FIRST = 2  # letters that a first name and its short form begin with: Larry, Lawrence
_MOST = 50  # sentences that are looked through for a name
_POSSESSIVE = re.compile("['’]s$")


class _Instead(NamedTuple):
    """A word of a name, what the sources have in its place, and whether it is the last one."""

    said: str
    known: str
    last: bool


def name_faults(
    text: str, keys: frozenset[str], index: Index, rival: str, found: Sequence[Found]
) -> Iterator[Fault]:
    """Yield the names that no source has, and those that they have but for a word.

    They say most where the sentence that says about the same names another, less where it names
    nobody, for it may say `he`. Where the sources are a sentence or two, which leave out whom they
    are about, a name says something beside an encoder only if all else is the same.

    Args:
        text: The sentence.
        keys: Its telling words.
        index: The sources.
        rival: The best sentence of the sources, where it says about the same; else "".
        found: The sentences of the sources that have most of the words.
    """
    said = list(names(text))
    own = {one for name in said for one in _telling(name)}
    others = any(own.isdisjoint(_telling(name)) for name in names(rival))
    alone, half = _ANOTHER if others or not rival else _UNNAMED, _ANOTHER
    if len(index.places) < _PASSAGE:
        rest = keys - {key(one) for name in said for one in name.words}
        same = found and len(rest & found[0].place.keys) >= _EQUAL * len(rest)
        alone, half = _ANOTHER if others and same else 0.0, _ANOTHER if same else 0.0
    for name in said:
        doubt = alone if _unknown(name, index) else half if _half_known(name, index) else None
        if doubt is not None:
            span = name.start, name.end
            yield Fault("a name that no source has", span, contradicts=False, doubt=doubt)


def _owned(name: Name) -> list[str]:
    return [_POSSESSIVE.sub("", one) for one in name.words]


def _telling(name: Name) -> list[str]:
    """The words by which a name differs from others: of `Nassau County` the first."""
    owned = _owned(name)
    return [one for one in owned if not _everyday(one)] or owned


def _unknown(name: Name, index: Index) -> bool:
    """Whether no source has a word that tells, and none spells such a word otherwise."""
    telling, rest = _telling(name), _owned(name)
    if any(map(index.names, telling)):
        return False
    short = len(telling) == 1 and telling[0].isupper() and len(telling[0]) < _INITIALS
    if short and (len(rest) == 1 or any(map(index.names, rest))):
        return False
    return not any(map(_alike, _instead(name, index)))


def _half_known(name: Name, index: Index) -> bool:
    """Whether the sources have a name but for one word: `Henry Bacon`, and no `John`.

    Of two words none may be an everyday one: `the Tulsa World` says nothing of `Tulsa County`.
    """
    pairs = _instead(name, index)
    if len(name.words) == 2 and any(map(_everyday, name.words)):
        return False
    if len(name.words) == 2 or any(index.names(pair.said) for pair in pairs):
        pairs = [pair for pair in pairs if not (_everyday(pair.said) or _everyday(pair.known))]
    return bool(pairs) and not any(map(_alike, pairs))


def _instead(name: Name, index: Index) -> list[_Instead]:
    """Return what the sources have in the place of the word of a name that they do not know.

    Of three words and more they may know all, but not together: the first ones may then differ.
    """
    own = _owned(name)
    places = [number for number, one in enumerate(own) if not index.names(one)]
    if len(own) < 2 or len(places) > 1 or not (places or len(own) > 2):
        return []
    anchor = own[places[0] - 1] if places else own[-1]
    places = places or list(range(len(own) - 1))
    out, said = [], list(map(bare, own))
    for place in index.having(key(anchor), _MOST):
        for known, spelled in _names_in(index.text(place)):
            if len(known) == len(own):
                differ = [at for at, one in enumerate(said) if one != spelled[at]]
                if not differ:
                    return []
                if len(differ) == 1 and differ[0] in places:
                    at = differ[0]
                    out.append(_Instead(own[at], known[at], last=at == len(own) - 1))
    return out


def _alike(pair: _Instead) -> bool:
    """Whether two words are one name: spelled otherwise, short for it, or no name at all."""
    one, other = bare(pair.said), bare(pair.known)
    if min(len(one), len(other)) < 2 or not (one + other).isalpha():
        return True
    if not pair.last and one[:_FIRST] == other[:_FIRST]:
        return True
    return SequenceMatcher(None, one, other).ratio() >= _ALIKE


@lru_cache(maxsize=4_096)
def _names_in(sentence: str) -> list[tuple[list[str], list[str]]]:
    """The names of a sentence of a source, which is looked at for each name of an answer."""
    return [(owned, list(map(bare, owned))) for owned in map(_owned, names(sentence))]


def _everyday(written: str) -> bool:
    return bool(word(written.casefold()).kinds & EVERYDAY)
