"""Whether a sentence rests on the sources: exact checks first, words second, the encoder third.

Numbers, dates, names, quotations, denials and opposites are compared exactly, and what one of
these checks says, no share of equal words outweighs. The rest is a probability: of the words (how
much of the sentence, by rarity, its best places in the sources have), or, where there is an
encoder, of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import exp, log
from typing import NamedTuple

import msgspec

from keelmark.core.grounding import Ground, Sentence, SourceSpan
from keelmark.guard._claims import (
    Word,
    claims,
    names,
    negations,
    opposites,
    parts,
    quotations,
    telling,
)
from keelmark.guard._dates import dated
from keelmark.guard._quantities import Known, decimals_of, quantities
from keelmark.guard._sources import Found, Index

Pairs = Callable[[Sequence[tuple[str, str]]], Sequence[tuple[float, float, float]]]
"""From claims and passages to the probabilities that each is supported, contradicted, or neither.
"""

PASSAGES = 2
"""Passages that the encoder reads beside a sentence."""
WIDTH = 700
"""Code points of such a passage."""

_PLACES = 3
_SAME = 0.8  # share of the words of a sentence from which on one of a source says the same
_ALIKE = 0.5  # and the share of that one's words
_INITIALS = 6  # capitals up to which a word may stand for several
_EXACT = 0.97
_MADE_UP = 0.9
_WORDS = (-3.25, -1.7, 2.2, 4.5)  # bias, best place, best places, words in no source
_JOINED = (0.0, 0.35, 0.9)  # bias, log odds of the words, log odds of the encoder


class Fault(NamedTuple):
    """What an exact check has found.

    Attributes:
        reason: What it is.
        span: Where in the sentence.
        contradicts: Whether the sources say something else.
    """

    reason: str
    span: tuple[int, int]
    contradicts: bool


class Cover(NamedTuple):
    """How much of the words of a sentence the sources have, by weight, each 0 to 1.

    Attributes:
        best: In the best sentence of the sources.
        few: In the best sentences together.
        lacking: Share that no source has.
    """

    best: float
    few: float
    lacking: float


def judge(text: str, index: Index, encoder: Pairs | None = None) -> Sentence:
    """Judge one sentence; its place is that in the sentence.

    Args:
        text: The sentence.
        index: The sources.
        encoder: The second voice, where there is one.
    """
    length = len(text)
    if not claims(text):
        return Sentence(0, length, Ground.NO_CLAIM, 0.0, 1, "claims nothing")
    said = telling(text)
    keys = frozenset(one.key for one in said)
    found = index.best(keys, _PLACES)
    source = _span(index, found[0]) if found else None
    fault = next(faults(text, index, found), None)
    if fault is not None:
        verdict = Ground.CONTRADICTED if fault.contradicts else Ground.UNSUPPORTED
        score = _EXACT if fault.contradicts else _MADE_UP
        return _checked(Sentence(0, length, verdict, score, 1, fault.reason, source), index)
    score, contradicted, tier = probability(cover(keys, index, found)), 0.0, 1
    reason = "its words are in the sources"
    if encoder is not None and found:
        passages = [(text, index.around(one.place, WIDTH)) for one in found[:PASSAGES]]
        supported, contradicted, _ = max(encoder(passages), key=lambda one: one[0])
        score, tier = joined(score, 1 - supported), 3
        reason = "the encoder finds it in the sources"
    if score < 0.5:
        return Sentence(0, length, Ground.SUPPORTED, score, tier, reason, source)
    against = tier == 3 and contradicted > 0.5
    verdict = Ground.CONTRADICTED if against else Ground.UNSUPPORTED
    reason = "the sources say otherwise" if against else "the sources do not say it"
    return _checked(Sentence(0, length, verdict, score, tier, reason, source), index)


def _checked(said: Sentence, index: Index) -> Sentence:
    """Nothing is known of what stands in no source that was read, where not all were."""
    if index.coverage == 1.0 or said.verdict is Ground.CONTRADICTED:
        return said
    return msgspec.structs.replace(
        said, verdict=Ground.UNCHECKED, reason="not in the sources as far as they were read"
    )


def _span(index: Index, found: Found) -> SourceSpan:
    source = index.sources[found.place.source]
    offset = source.offset
    return SourceSpan(source.path, offset + found.place.start, offset + found.place.end)


def cover(keys: frozenset[str], index: Index, found: Sequence[Found]) -> Cover:
    """Return how much of a sentence the sources have."""
    free = keys & index.asked - index.vocabulary
    weights = {key: index.rarity(key) for key in keys - free}
    total = sum(weights.values())
    if not total:
        return Cover(1.0, 1.0, 0.0)
    near: set[str] = set()
    for one in found:
        near |= one.place.keys
    best = sum(weights[k] for k in weights if found and k in found[0].place.keys)
    few = sum(weight for k, weight in weights.items() if k in near)
    lacking = sum(weight for k, weight in weights.items() if k not in index.vocabulary)
    return Cover(best / total, few / total, lacking / total)


def probability(said: Cover) -> float:
    """How likely a sentence is not supported, by its words alone."""
    bias, best, few, lacking = _WORDS
    return _sigmoid(
        bias + best * (said.best - 0.5) + few * (said.few - 0.5) + lacking * said.lacking
    )


def joined(words: float, encoder: float) -> float:
    """How likely a sentence is not supported, by its words and by the encoder."""
    bias, own, other = _JOINED
    return _sigmoid(bias + own * _logit(words) + other * _logit(encoder))


def _sigmoid(value: float) -> float:
    return 1 / (1 + exp(-value))


def _logit(share: float) -> float:
    share = min(max(share, 1e-4), 1 - 1e-4)
    return log(share / (1 - share))


def faults(text: str, index: Index, found: Sequence[Found]) -> Iterator[Fault]:
    """Yield what exact checks have against a sentence, the gravest kind first."""
    yield from _numbers(text, index, _rival(text, index, found))
    yield from _quoted(text, index)
    said = telling(text)
    if found:
        yield from _reversed(text, said, found[0])
    yield from _named(text, index)


def _rival(text: str, index: Index, found: Sequence[Found]) -> str:
    """The best sentence of the sources, where it says about the same; "" where none does."""
    keys = {one.key for one in telling(text)} - index.asked
    if not found or len(keys & found[0].place.keys) < _ALIKE * len(keys):
        return ""
    return index.text(found[0].place)


def _numbers(text: str, index: Index, rival: str) -> Iterator[Fault]:
    dates, others = dated(text), dated(rival)
    spans = [(date.start, date.end) for date in others]
    kinds = {one.unit and one.unit.kind for one in quantities(rival, index.decimals, spans)}
    kinds |= {None} if others else set()
    for date in dates:
        if not index.calendar.has(date):
            other = bool(others) or None in kinds
            yield Fault("a date that no source has", (date.start, date.end), contradicts=other)
    decimals = decimals_of(text) if any(c in text for c in ".,") else index.decimals
    decimals = "," if "," in {decimals, index.decimals} else "."
    spans = [(date.start, date.end) for date in dates]
    said = quantities(text, decimals, spans)
    known = [one for one in said if not one.small and index.numbers.has(one)]
    for one in said:
        if one.small:
            if index.numbers.differs(one):
                yield Fault("a number that no source has", (one.start, one.end), contradicts=True)
        elif one not in known and not Known(known).has(one):  # one may convert another
            other = (one.unit and one.unit.kind) in kinds
            yield Fault("a number that no source has", (one.start, one.end), contradicts=other)


def _quoted(text: str, index: Index) -> Iterator[Fault]:
    for said, start, end in quotations(text):
        if not all(index.quotes(piece) for piece in parts(said)):
            yield Fault("a quotation that no source has", (start, end), contradicts=False)


def _reversed(text: str, said: Sequence[Word], best: Found) -> Iterator[Fault]:
    """What the best sentence of the sources says with a denial more, or with the opposite word."""
    keys, known = {one.key for one in said}, set(best.place.keys)
    common = len(keys & known)
    if common < 3 or common < _SAME * len(known):
        return
    if common >= _SAME * len(keys) and {negations(text), best.place.denials} == {0, 1}:
        yield Fault("the sources deny it, or it denies them", (0, len(text)), contradicts=True)
    elif common + 1 >= _SAME * len(keys) and opposites(keys, known):
        yield Fault("the sources say the opposite", (0, len(text)), contradicts=True)


def _named(text: str, index: Index) -> Iterator[Fault]:
    for name in names(text):
        short = len(name.words) == 1 and name.words[0].isupper() and len(name.words[0]) < _INITIALS
        if not short and not any(index.names(word) for word in name.words):
            yield Fault("a name that no source has", (name.start, name.end), contradicts=False)
