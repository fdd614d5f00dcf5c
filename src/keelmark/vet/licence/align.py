"""Alignment of the words of a text with the marks of a record."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

GRAM = 5
"""Words in a row by which places are found."""

_SMALL = 400 * 400
_FAR = 30
_STRAY = 12


class Run(NamedTuple):
    """A stretch of text and the stretch of the record that it stands for.

    Attributes:
        same: Whether their words are the same.
        text: First word of the text, and one past the last.
        record: First word of the record, and one past the last.
    """

    same: bool
    text: tuple[int, int]
    record: tuple[int, int]


def grams(marks: Sequence[int]) -> list[tuple[int, ...]]:
    """Return every run of `GRAM` marks."""
    return list(zip(*(marks[at:] for at in range(GRAM)), strict=False))


def align(
    text: Sequence[int], places: Mapping[tuple[int, ...], int], record: Sequence[int]
) -> list[Run]:
    """Align a text with a record.

    Args:
        text: Marks of the text; -1 where a word belongs to something else.
        places: Where each run of marks stands first in the text.
        record: Marks of the record.

    Returns:
        Runs in order, from the first word of the record to its last; empty when they share no run
        of words. What stands in the text before and after them is not part of it.
    """
    chain = _without_strays(_chain(places, record))
    if not chain:
        return []
    runs: list[Run] = []
    t, r = _head(chain[0], text, record, runs)
    for at_text, at_record in chain:
        if at_text < t or at_record < r:
            continue  # inside what the run before has grown over
        _gap(text, record, (t, at_text), (r, at_record), runs)
        size = 0
        while (
            at_text + size < len(text)
            and at_record + size < len(record)
            and text[at_text + size] == record[at_record + size]
        ):
            size += 1
        t, r = at_text + size, at_record + size
        runs.append(Run(same=True, text=(at_text, t), record=(at_record, r)))
    left = len(record) - r
    if left:
        end = min(len(text), t + left + left // 4 + 2)
        tail: list[Run] = []
        _gap(text, record, (t, end), (r, len(record)), tail)
        runs += _cut_tail(tail)
    return runs


def _chain(places: Mapping[tuple[int, ...], int], record: Sequence[int]) -> list[tuple[int, int]]:
    """The longest list of shared runs that stand in the same order on both sides."""
    pairs = [(places[gram], at) for at, gram in enumerate(grams(record)) if gram in places]
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, (at_text, _) in enumerate(pairs):
        slot = bisect_left(tails, at_text)
        before.append(ends[slot - 1] if slot else -1)
        if slot == len(tails):
            tails.append(at_text)
            ends.append(index)
        else:
            tails[slot], ends[slot] = at_text, index
    chain = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chain.append(pairs[index])
        index = before[index]
    return chain[::-1]


def _without_strays(chain: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Drop short ends of a chain that stand far off: a phrase that also occurs elsewhere."""
    for _ in range(2):  # once from the front, once from the back
        cut = 0
        for at in range(1, min(len(chain), _STRAY + 1)):
            (t0, r0), (t1, r1) = chain[at - 1], chain[at]
            if abs(t1 - t0) - abs(r1 - r0) > _FAR and at <= len(chain) - at:
                cut = at
        chain = chain[cut:][::-1]
    return chain


def _head(
    first: tuple[int, int], text: Sequence[int], record: Sequence[int], runs: list[Run]
) -> tuple[int, int]:
    """Align what the record has before the first shared run."""
    at_text, at_record = first
    if at_record:
        start = max(0, at_text - at_record - at_record // 4 - 2)
        head: list[Run] = []
        _gap(text, record, (start, at_text), (0, at_record), head)
        if head and not head[0].same and head[0].text[0] < head[0].text[1]:
            run = head.pop(0)  # words that only stand before it are not part of it
            if run.record[0] < run.record[1]:
                head.insert(0, run._replace(text=_nearest(run, after=True)))
        runs += head
    return at_text, at_record


def _cut_tail(tail: list[Run]) -> list[Run]:
    if tail and not tail[-1].same and tail[-1].text[0] < tail[-1].text[1]:
        run = tail.pop()
        if run.record[0] < run.record[1]:
            tail.append(run._replace(text=_nearest(run, after=False)))
    return tail


def _nearest(run: Run, *, after: bool) -> tuple[int, int]:
    """As many words of the text as the record has, next to what is shared; the rest is outside."""
    start, end = run.text
    size = min(end - start, run.record[1] - run.record[0])
    return (end - size, end) if after else (start, start + size)


def _gap(
    text: Sequence[int],
    record: Sequence[int],
    span: tuple[int, int],
    part: tuple[int, int],
    runs: list[Run],
) -> None:
    """Align what lies between two shared runs."""
    (t0, t1), (r0, r1) = span, part
    if t0 == t1 and r0 == r1:
        return
    if t0 == t1 or r0 == r1 or (t1 - t0) * (r1 - r0) > _SMALL:
        runs.append(Run(same=False, text=span, record=part))
        return
    matcher = SequenceMatcher(None, text[t0:t1], record[r0:r1], autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        runs.append(Run(same=tag == "equal", text=(t0 + i1, t0 + i2), record=(r0 + j1, r0 + j2)))
