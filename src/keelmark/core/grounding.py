"""What is said of the sentences of an answer: whether its sources bear them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

import msgspec


class Ground(StrEnum):
    """What the sources say of a sentence."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNSUPPORTED = "unsupported"
    UNCHECKED = "unchecked"
    UNCERTAIN = "uncertain"
    CONSISTENT = "consistent"
    NO_CLAIM = "no_claim"


class SourceSpan(msgspec.Struct, frozen=True):
    """A span of a source.

    Attributes:
        path: Path of its text in the request.
        start: Where it begins in that text, code points.
        end: Where it ends.
    """

    path: str
    start: int
    end: int


class Sentence(msgspec.Struct, frozen=True):
    """What is said of one sentence of an answer.

    Attributes:
        start: Where it begins in the text as the model wrote it, code points.
        end: Where it ends.
        verdict: What the sources say of it; no_claim for questions, courtesies, refusals. Where
            there are no sources, uncertain when the model was not sure of its words or says
            otherwise when it is asked again, and consistent when it says the same.
        score: How likely it is not supported, 0 to 1; how unsure the model was, without sources.
        tier: Who decided: 1 exact checks and words, 3 the encoder.
        reason: Why, one phrase, without the text.
        source: Where the sources say most of it; None when they say nothing of it.
        path: Name of the channel it stands in.
        spans: Its parts that no source bears out, first and last, where these can be told.
        by: What it was held to: sources, other answers of the model, or its tokens.
    """

    start: int
    end: int
    verdict: Ground
    score: float
    tier: int
    reason: str
    source: SourceSpan | None = None
    path: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    by: Literal["sources", "samples", "tokens"] = "sources"


def summary(sentences: Iterable[Sentence]) -> str:
    """Return how many sentences there are of each kind, as a header says it."""
    counts = Counter(one.verdict for one in sentences)
    told = [kind for kind in Ground if kind in _ALWAYS or (counts[kind] and kind != "no_claim")]
    return ", ".join(f"{kind}={counts[kind]}" for kind in told)


_ALWAYS = (Ground.SUPPORTED, Ground.CONTRADICTED, Ground.UNSUPPORTED, Ground.UNCHECKED)
