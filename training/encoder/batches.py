"""Rows as token numbers, in batches of one length, every head in its share."""

from __future__ import annotations

import itertools
import random
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from heads import HAZARDS, SEQUENCE
from rows import BUILDERS, Row, read
from tokenizers import Tokenizer
from torch import Tensor

LONGEST = 256
SHARES = {"injection": 0.36, "harm": 0.1, "grounding": 0.54}
"""Part of the work that each kind of row gets, in tokens."""
_LOOK = 0.4  # what a look at a token costs, beside learning from it
_DRAWN = 192  # rows at a time
_CHUNK = 48  # batches that are sorted by length together
_PLAIN = {name: SEQUENCE.index(name) for name in ("injection", "harm_request", "toxic")}
_PLAIN["harm_answer"] = SEQUENCE.index("harm_answer")
GROUNDING = SEQUENCE.index("grounding_supported")
HAZARD = SEQUENCE.index(HAZARDS[0])
_NORMALISE = Path(__file__).parents[2] / "src/keelmark/guard/normalise.py"
_fold: Callable[[str], str] = runpy.run_path(str(_NORMALISE))["fold"]
"""What the guard reads is folded. From its file, since that needs nothing else of the product."""


class Tokens(NamedTuple):
    """A row in numbers; `marks` says of each token of the text whether it is unsupported."""

    ids: np.ndarray
    kinds: np.ndarray
    marks: np.ndarray
    row: Row


class Batch(NamedTuple):
    """What a step learns from.

    Attributes:
        ids: Token numbers [B, L]; `attention` and `kinds` beside them.
        targets: [B, len(SEQUENCE)], NaN where nothing is known; grounding's three are one-hot.
        marks: [B, L], NaN where nothing is known.
        weights: [B].
    """

    ids: Tensor
    attention: Tensor
    kinds: Tensor
    targets: Tensor
    marks: Tensor
    weights: Tensor


def tokenizer(folder: Path) -> Tokenizer:
    """Return the base model's tokenizer, cut at LONGEST: the pair first, the text when alone."""
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.no_padding()
    made.no_truncation()
    return made


def _read(row: Row, text: str) -> str:
    """Return a text as the guard reads it; claims and sources are read as they stand."""
    return text if "grounding" in row.y else _fold(text)


def numbered(rows: Sequence[Row], by: Tokenizer) -> list[Tokens]:
    """Return rows in numbers."""
    texts = by.encode_batch([_read(row, row.text) for row in rows], add_special_tokens=False)
    pairs = by.encode_batch([_read(row, row.pair or "") for row in rows], add_special_tokens=False)
    first, last = by.token_to_id("[CLS]"), by.token_to_id("[SEP]")
    made = []
    for row, text, pair in zip(rows, texts, pairs, strict=True):
        room = LONGEST - 3 if row.pair else LONGEST - 2
        kept = text.ids[: room if not row.pair else min(len(text.ids), room * 2 // 3)]
        ids, kinds = [first, *kept, last], [0] * (len(kept) + 2)
        if row.pair:
            other = pair.ids[: room - len(kept)]
            ids += [*other, last]
            kinds += [1] * (len(other) + 1)
        marks = np.full(len(ids), np.nan, np.float32)
        if "grounding" in row.y and (row.spans or row.y["grounding"] == 0):
            inside = [
                any(a < end and start < b for start, end in row.spans)
                for a, b in text.offsets[: len(kept)]
            ]
            marks[1 : len(kept) + 1] = inside
        made.append(Tokens(np.asarray(ids, np.int64), np.asarray(kinds, np.int64), marks, row))
    return made


def targets(row: Row) -> np.ndarray:
    """Return what the heads should say; NaN where nothing is known."""
    wanted = np.full(len(SEQUENCE), np.nan, np.float32)
    for name, place in _PLAIN.items():
        if name in row.y:
            wanted[place] = row.y[name]
    if "grounding" in row.y:
        wanted[GROUNDING : GROUNDING + 3] = 0
        wanted[GROUNDING + row.y["grounding"]] = 1
    if "hazards" in row.y:
        wanted[HAZARD:] = [name.removeprefix("hazard_") in row.y["hazards"] for name in HAZARDS]
    return wanted


def batch(rows: Sequence[Tokens]) -> Batch:
    """Return rows as tensors, padded to the longest."""
    length = max(len(row.ids) for row in rows)
    shape = len(rows), length
    ids, kinds, attention = (np.zeros(shape, np.int64) for _ in range(3))
    marks = np.full(shape, np.nan, np.float32)
    for number, row in enumerate(rows):
        size = len(row.ids)
        ids[number, :size], kinds[number, :size] = row.ids, row.kinds
        attention[number, :size], marks[number, :size] = 1, row.marks
    wanted = np.stack([targets(row.row) for row in rows])
    weights = np.asarray([row.row.weight for row in rows], np.float32)
    arrays = ids, attention, kinds, wanted, marks, weights
    return Batch(*(torch.from_numpy(array) for array in arrays))


def packed(rows: list[Tokens], size: int) -> list[list[Tokens]]:
    """Return rows in batches of about `size` tokens, each of rows of one length."""
    ready: list[list[Tokens]] = [[]]
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if ready[-1] and (len(ready[-1]) + 1) * len(row.ids) > size:
            ready.append([])
        ready[-1].append(row)
    return ready


def forever(rows: Sequence[Row], lot: random.Random) -> Iterator[Row]:
    """Yield rows in a new order each time round."""
    order = list(range(len(rows)))
    while True:
        lot.shuffle(order)
        for number in order:
            yield rows[number]


Screen = Callable[[Batch], Sequence[bool]]
"""Says of each row of a batch whether it is worth learning from."""


def screened(rows: list[Tokens], size: int, screen: Screen) -> list[Tokens]:
    """Return the rows that are worth learning from."""
    kept = []
    for group in packed(rows, size):
        kept += itertools.compress(group, screen(batch(group)))
    return kept


def _count(rows: Sequence[Tokens]) -> int:
    return sum(len(one.ids) for one in rows)


def stream(
    kinds: dict[str, Sequence[Row]],
    by: Tokenizer,
    size: int,
    seed: int,
    screens: Mapping[str, Screen] = MappingProxyType({}),
) -> Iterator[Batch]:
    """Yield batches for ever: every kind of row in its share of the work.

    Args:
        kinds: Rows by kind.
        by: The tokenizer.
        size: Tokens of a batch.
        seed: Of the order.
        screens: What chooses among the rows, by kind; where there is none, all are taken.
    """
    lot = random.Random(seed)
    sources = {name: forever(rows, lot) for name, rows in kinds.items()}
    spent = dict.fromkeys(sources, 0.0)
    while True:
        chunk: list[Tokens] = []
        total = 0
        while total < _CHUNK * size:
            name = min(sources, key=lambda name: spent[name] / SHARES[name])
            drawn = numbered(list(itertools.islice(sources[name], _DRAWN)), by)
            if name in screens:
                spent[name] += _LOOK * _count(drawn)
                drawn = screened(drawn, size, screens[name])
            spent[name] += _count(drawn)
            total += _count(drawn)
            chunk += drawn
        ready = packed(chunk, size)
        lot.shuffle(ready)
        yield from map(batch, ready)


def rows_of(folder: Path, split: str, kinds: Sequence[str] = BUILDERS) -> dict[str, Sequence[Row]]:
    """Return the rows of a split by kind."""
    return {
        name: [row for row in read(folder / f"{name}.jsonl.gz") if row.split == split]
        for name in kinds
    }
