"""Log-probabilities of texts, token by token, with what several texts share read once.

A model has one sequence of tokens in memory. Texts are scored in the order of a dictionary of
tokens, so that neighbours share the longest beginning; what they share is neither read again nor
scored again, within a request or from one request to the next. The last shared token is read
twice, because the logits after it tell of the token that differs.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from keelmark.serve.llama_api import Rows

Live = Callable[[], None]
"""Called between steps; raises to stop the work."""


class Model(Protocol):
    """A model that reads one sequence of tokens (`llama_api.Llama`)."""

    def rewind(self, length: int) -> bool:
        """Forget all but the first tokens; False when all had to be forgotten."""

    def read(self, tokens: Sequence[int], start: int) -> Iterator[Rows]:
        """Read tokens; yield the logits after each of them, some rows at a time."""

    def ends(self, token: int) -> bool:
        """Whether a token ends an answer."""


class Mark(NamedTuple):
    """What is known of one token of a text.

    Attributes:
        logprob: Its log-probability after all tokens before it, natural logarithm.
        top: The likeliest tokens in its place and theirs, likeliest first.
    """

    logprob: float
    top: tuple[tuple[int, float], ...]


Marks = list[Mark | None]
"""One for each token; None for the first, which nothing comes before."""


class Scorer:
    """Scores texts with one model; not for several threads at once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._ids: list[int] = []  # the text that was scored last
        self._marks: Marks = []
        self._held = 0  # how many tokens of it the model has in memory
        self._top = 0
        self._last: Rows | None = None  # logits after the last token, once it was read

    def score(self, texts: Sequence[Sequence[int]], top: int, live: Live) -> list[Marks]:
        """Return the marks of texts, in their order.

        Args:
            texts: Tokens of each, at least one.
            top: How many likeliest tokens to give for each place.
            live: See `Live`.
        """
        marks: dict[int, Marks] = {}
        for number in sorted(range(len(texts)), key=lambda at: tuple(texts[at])):
            marks[number] = list(self._score(list(texts[number]), top, live)[: len(texts[number])])
        return [[_cut(mark, top) for mark in marks[number]] for number in range(len(texts))]

    def next(self, text: Sequence[int], live: Live) -> Rows:
        """Return the logits of all tokens that may follow a text, one row; it has a token."""
        self._score(list(text), self._top, live, whole=True)
        if self._last is None:
            raise ValueError("a text has at least one token")
        return self._last

    def ends(self, token: int) -> bool:
        """Whether a token ends an answer."""
        return self._model.ends(token)

    def _score(self, ids: list[int], top: int, live: Live, *, whole: bool = False) -> Marks:
        if top > self._top:
            self._ids, self._marks, self._top = [], [], top
        shared = _shared(self._ids, ids)
        if shared < len(ids) or shared < len(self._ids):
            self._ids, self._marks, self._last = ids, self._marks[:shared], None
        if shared < len(ids) or (whole and self._last is None):
            try:
                self._read(ids, live, len(ids) if whole else len(ids) - 1)
            except BaseException:  # boundary: what was half read is forgotten, however it ended
                self._ids, self._marks, self._last, self._held = [], [], None, 0
                raise
        return self._marks

    def _read(self, ids: list[int], live: Live, end: int) -> None:
        """Read up to a place what is missing, and mark what it tells of."""
        if not self._marks:
            self._marks.append(None)
        at = min(self._held, len(self._marks) - 1, len(ids) - 1)
        if not self._model.rewind(at):
            at = 0
        for rows in self._model.read(ids[at:end], at):
            for row in rows:
                at += 1
                if len(self._marks) <= at < len(ids):
                    self._marks.append(mark_of(row, ids[at], self._top))
            if at == len(ids):
                self._last = rows[-1].copy()
            live()
        self._held = at


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def log_total(row: Rows) -> float:
    """Return the logarithm of the sum of the exponentials of logits."""
    high = float(row.max())
    return high + math.log(float(np.exp(row - np.float32(high)).sum(dtype=np.float64)))


def mark_of(row: Rows, token: int, top: int) -> Mark:
    """Return the mark of a token from the logits before it."""
    total = log_total(row)
    best: list[tuple[int, float]] = []
    if top:
        few = np.argpartition(row, -top)[-top:] if top < len(row) else np.arange(len(row))
        pairs = ((int(at), float(row[at]) - total) for at in few)
        best = heapq.nsmallest(top, pairs, key=lambda pair: (-pair[1], pair[0]))
    return Mark(float(row[token]) - total, tuple(best))


def _cut(mark: Mark | None, top: int) -> Mark | None:
    return mark if mark is None else Mark(mark.logprob, mark.top[:top])
