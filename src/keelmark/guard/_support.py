"""Whether a source supports what is claimed: the encoder's voice, in windows over the source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, repeat
from math import exp
from typing import NamedTuple

from keelmark.guard._encoder import LONGEST, Answer, Encoder, Window, encoder
from keelmark.guard._weights import chance
from keelmark.guard._wordpiece import Token

_ROOM = LONGEST - 3  # for claim and source, without what marks their ends
_CLAIM = 96  # tokens of a claim that are held against a source at once
_OVERLAP = 32
_LEAST = 1e-9
_CLASSES = ("grounding_supported", "grounding_contradicted", "grounding_unsupported")


class Doubt(NamedTuple):
    """A token of a claim: its span in the claim, and the probability that nothing supports it."""

    start: int
    end: int
    unsupported: float


class Support(NamedTuple):
    """What a source says of a claim.

    The three probabilities add up to 1. A long claim is read in parts and is as supported as the
    part that is supported least; a long source in windows, of which the best one counts.

    Attributes:
        supported: Probability that the source says so.
        contradicted: Probability that it says otherwise.
        unsupported: Probability that it does not say.
        start: Where the window of the source that supports the claim best begins.
        end: Where it ends.
        tokens: The claim, token by token, left to right.
    """

    supported: float
    contradicted: float
    unsupported: float
    start: int
    end: int
    tokens: tuple[Doubt, ...]


def pairs(claims: Sequence[str], source: str) -> list[Support]:
    """Hold claims against a source, all of it.

    Takes some 5 to 40 ms for each claim and each window of about 150 words, so call it in a
    thread where others wait; what was asked before is remembered. The order of claims does not
    matter to what is said of each.

    Args:
        claims: Sentences, or parts of them, as they read (`normalise.fold` helps).
        source: The text they are held against; a claim without a source is not supported.

    Raises:
        UnavailableError: The encoder's weights or ONNX Runtime are not installed.
        IntegrityError: The weights are not the ones that were calibrated.
    """
    model = encoder()
    words = model.words.tokens(source)
    return [held(model, model.words.tokens(claim), words) for claim in claims]


def weighed(claims: Sequence[str], source: str) -> list[Support]:
    """Hold claims against a source, with calibrated doubt: see `pairs`.

    What is left of 1 beside `supported` is the score of the head `grounding`, where there is one:
    0.5 is where one supported claim in twenty is doubted (`_weights.SCORES`).

    Raises:
        UnavailableError: The encoder's weights or ONNX Runtime are not installed.
        IntegrityError: The weights are not the ones that were calibrated.
    """
    head, said = encoder().heads.get("grounding"), pairs(claims, source)
    if head is None:
        return said
    return [one._replace(supported=1 - head.score(_doubt(one.supported))) for one in said]


def _doubt(supported: float) -> float:
    """The log-odds that a claim is not supported."""
    return math.log((1 - supported + _LEAST) / (supported + _LEAST))


def held(model: Encoder, claim: list[Token], source: list[Token]) -> Support:
    """Hold one claim against a source, in tokens; see `pairs`."""
    if not claim:
        return Support(1.0, 0.0, 0.0, 0, 0, ())
    if not source:
        doubts = tuple(Doubt(token.start, token.end, 1.0) for token in claim)
        return Support(0.0, 0.0, 1.0, 0, 0, doubts)
    parts = [_part(model, claim[at : at + _CLAIM], source) for at in range(0, len(claim), _CLAIM)]
    least = min(parts, key=lambda part: part.supported)
    return least._replace(tokens=tuple(token for part in parts for token in part.tokens))


def _part(model: Encoder, claim: list[Token], source: list[Token]) -> Support:
    spans = list(spread(len(source), _ROOM - len(claim), _OVERLAP))
    text = tuple(token.number for token in claim)
    answers = model.ask(
        [Window(text, tuple(token.number for token in source[a:b])) for a, b in spans]
    )
    said = [_softmax(model, answer) for answer in answers]
    best = max(range(len(said)), key=lambda number: said[number][0])
    supported = said[best][0]
    contradicted = min(1 - supported, max(one[1] for one in said))
    column = model.tokens["grounding"]
    doubts = map(min, zip(*(answer.tokens[:, column].tolist() for answer in answers), strict=True))
    first, last = spans[best]
    return Support(
        supported,
        contradicted,
        max(0.0, 1 - supported - contradicted),
        source[first].start,
        source[last - 1].end,
        tuple(
            Doubt(token.start, token.end, chance(doubt))
            for token, doubt in zip(claim, doubts, strict=True)
        ),
    )


def _softmax(model: Encoder, answer: Answer) -> tuple[float, float]:
    logits = [float(answer.sequence[model.sequence[name]]) for name in _CLASSES]
    powers = [exp(logit - max(logits)) for logit in logits]
    return powers[0] / sum(powers), powers[1] / sum(powers)


def spread(length: int, room: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield spans of at most `room` that cover a length, each beginning before the last one ends.

    They are of about one size, so that the last is not a scrap.
    """
    if length <= room:
        yield 0, length
        return
    count = -(-(length - overlap) // (room - overlap))
    size = -(-(length + (count - 1) * overlap) // count)
    for start in accumulate(repeat(size - overlap, count - 1), initial=0):
        yield start, min(length, start + size)
