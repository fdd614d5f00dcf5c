"""Whether a sentence rests on the sources: exact checks first, words second, the encoder third.

Numbers, dates, names, quotations, denials and opposites are compared exactly, and what one of
these checks says, no share of equal words outweighs. The rest is a probability: of the words (how
much of the sentence, by rarity, its best places in the sources have), or, where there is an
encoder, of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import exp, isfinite, log
from typing import NamedTuple, Protocol

import msgspec

from keelmark.core.grounding import Ground, Sentence
from keelmark.guard._claims import (
    claimed,
    negations,
    opposites,
    parts,
    quotations,
    telling,
)
from keelmark.guard._name_faults import name_faults
from keelmark.guard._number_faults import Fault, Figures, figures_in, number_faults
from keelmark.guard._sources import Found, Index


class Said(Protocol):
    """What the encoder says of a claim; see `_support.Support`."""

    @property
    def supported(self) -> float:
        """Probability that the passage says so."""

    @property
    def contradicted(self) -> float:
        """Probability that it says otherwise."""

    @property
    def tokens(self) -> Sequence[tuple[int, int, float]]:
        """Spans of the claim, and the probability of each that nothing supports it."""


Voice = Callable[[Sequence[str], str], Sequence[Said]]
"""From claims and a passage to what the encoder says of each claim."""

WIDTH = 900
"""Code points of the passages that the encoder reads beside a sentence, together."""

_PLACES = 3
_SAME = 0.8  # share of the words of a sentence from which on one of a source says the same
_EQUAL = 0.9  # the same, for a denial to count
_ALIKE = 0.5  # and the share of that one's words
_LEAST = 0.5
_EXACT = 0.97
_MADE_UP = 0.9
_WORDS = (-3.25, -1.7, 2.2, 4.5)  # bias, best place, best places, words in no source
_MARKUP = str.maketrans("*`", "  ")
_JOINED = (-0.35, 0.33, 1.15)  # bias, log odds of the words, log odds of the encoder


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


def judge(text: str, index: Index, voice: Voice | None = None) -> Sentence:
    """Judge one sentence; its places are those in the sentence.

    Args:
        text: The sentence.
        index: The sources.
        voice: The encoder, where there is one.

    Raises:
        UnavailableError: There is an encoder, and it cannot be asked.
    """
    if (part := claimed(text)) is None:
        return Sentence(0, len(text), Ground.NO_CLAIM, 0.0, 1, "claims nothing")
    start, end = part
    said = judge_claim(text[start:end], index, voice)
    spans = tuple((start + first, start + last) for first, last in said.spans)
    return msgspec.structs.replace(said, end=len(text), spans=spans)


def judge_claim(text: str, index: Index, voice: Voice | None) -> Sentence:
    """Judge a claim, all of which counts; see `judge`."""
    length = len(text)
    figures, keys, found, near = nearest(text, index)
    source = index.origin(near[0].place) if near else None
    near = near or index.all_of_it(WIDTH)
    wrong = list(faults(text, figures, keys, index, found))
    heard = voice is not None and bool(near) and all(isfinite(one.doubt) for one in wrong)
    if wrong and not heard:
        against = [one for one in wrong if one.contradicts]
        first = (against or wrong)[0]
        verdict = Ground.CONTRADICTED if against else Ground.UNSUPPORTED
        spans = tuple(sorted({one.span for one in wrong}))
        score = _EXACT if against else _MADE_UP
        said = Sentence(0, length, verdict, score, 1, first.reason, source, "", spans)
        return _checked(said, index)
    score = probability(cover(keys, index, found))
    if voice is not None and near:
        voiced = voice([_spoken(text)], index.passage([one.place for one in near], WIDTH))[0]
        said = _heard(text, score, voiced, index, near, wrong)
        if source is None and said.verdict is not Ground.SUPPORTED:
            return msgspec.structs.replace(said, source=None)
        return said
    verdict, reason = Ground.SUPPORTED, "its words are in the sources"
    if score >= _LEAST:
        verdict, reason = Ground.UNSUPPORTED, "the sources do not say it"
    return _checked(Sentence(0, length, verdict, score, 1, reason, source), index)


class Nearest(NamedTuple):
    """What the sources have beside a sentence.

    Attributes:
        figures: The numbers of the sentence.
        keys: Its telling words.
        found: The sentences of the sources that have most of these words, the best first.
        near: The same, or those with its numbers where no word is found.
    """

    figures: Figures
    keys: frozenset[str]
    found: list[Found]
    near: list[Found]


def nearest(text: str, index: Index) -> Nearest:
    """Find where the sources may say what a sentence says."""
    figures = figures_in(text, index)
    words = [one for one in telling(text) if not figures.covers(one.start)]
    keys = frozenset(one.key for one in words)
    found = index.best(keys, _PLACES)
    return Nearest(figures, keys, found, found or index.figured(text, _PLACES))


def _spoken(text: str) -> str:
    """A sentence without its markup, letter for letter; a row of a table as `first: second`."""
    text = text.translate(_MARKUP)
    inner = text.strip("| ")
    if "|" not in text or not inner:
        return text.replace("|", " ")
    before = text.index(inner)
    row = inner.replace("|", ":", 1).replace("|", ";")
    return (" " * before + row).ljust(len(text))


def _heard(
    text: str,
    words: float,
    said: Said,
    index: Index,
    found: Sequence[Found],
    wrong: Sequence[Fault],
) -> Sentence:
    """What the encoder and the words say together, and what is against it without deciding."""
    against = max((one.doubt for one in wrong), default=0.0)
    doubt = _logit(joined(words, 1 - said.supported)) + against
    score, source = _sigmoid(doubt), index.origin(found[0].place)
    if score < _LEAST:
        reason = "the encoder finds it in the sources"
        return Sentence(0, len(text), Ground.SUPPORTED, score, 3, reason, source)
    spans = tuple((start, end) for start, end, doubt in said.tokens if doubt >= _LEAST)
    spans = tuple(sorted({*spans, *(one.span for one in wrong)}))
    verdict, reason = Ground.UNSUPPORTED, wrong[0].reason if wrong else "the sources do not say it"
    if said.contradicted > _LEAST:
        verdict, reason = Ground.CONTRADICTED, "the sources say otherwise"
    told = Sentence(0, len(text), verdict, score, 3, reason, source, "", _run_together(spans))
    return _checked(told, index)


def _run_together(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Spans of which those next to each other are one."""
    out: list[tuple[int, int]] = []
    for start, end in spans:
        if out and start - out[-1][1] <= 1:
            out[-1] = out[-1][0], max(end, out[-1][1])
        else:
            out.append((start, end))
    return tuple(out)


def _checked(said: Sentence, index: Index) -> Sentence:
    """Nothing is known of what stands in no source that was read, where not all were."""
    if index.coverage == 1.0 or said.verdict is not Ground.UNSUPPORTED:
        return said
    return msgspec.structs.replace(
        said, verdict=Ground.UNCHECKED, reason="not in the sources as far as they were read"
    )


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


def faults(
    text: str, figures: Figures, keys: frozenset[str], index: Index, found: Sequence[Found]
) -> Iterator[Fault]:
    """Yield what exact checks have against a sentence.

    Args:
        text: The sentence.
        figures: Its numbers.
        keys: Its telling words.
        index: The sources.
        found: The sentences of the sources that have most of the words.
    """
    rival = _rival(keys, index, found)
    yield from number_faults(text, figures, index, rival, found)
    yield from _quoted(text, index)
    if found:
        yield from _reversed(text, keys, found[0])
    yield from name_faults(text, keys, index, rival, found)


def _rival(keys: frozenset[str], index: Index, found: Sequence[Found]) -> str:
    """The best sentence of the sources, where it says about the same; "" where none does."""
    own = keys - index.asked
    if not found or len(own & found[0].place.keys) < _ALIKE * len(own):
        return ""
    return index.text(found[0].place)


def _quoted(text: str, index: Index) -> Iterator[Fault]:
    for said, start, end in quotations(text):
        if not all(index.quotes(piece) for piece in parts(said)):
            yield Fault("a quotation that no source has", (start, end), contradicts=False)


def _reversed(text: str, keys: frozenset[str], best: Found) -> Iterator[Fault]:
    """What the best sentence of the sources says with a denial more, or with the opposite word."""
    known, span = best.place.keys, (0, len(text))
    common, most = len(keys & known), max(len(keys), len(known))
    if common >= max(3, _EQUAL * most) and {negations(text), best.place.denials} == {0, 1}:
        yield Fault("the sources deny it, or it denies them", span, contradicts=True)
    elif common >= 2 and common + 1 >= _SAME * most and opposites(keys, known):
        yield Fault("the sources say the opposite", span, contradicts=True)
