"""The names model: what each word of a text is, judged from the words around it.

A linear model over hashed features with small whole numbers as weights, read from
`guard/models/names.bin` on first use (see `training/names`). A word is judged from itself and from
up to three words, numbers or signs on either side that lie no further than REACH characters away,
never from what was decided about another word: so it can be judged anywhere in a stream.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import resources
from operator import itemgetter
from typing import NamedTuple
from zlib import crc32

KINDS = ("", "PERSON", "LOCATION", "ORGANISATION", "ADDRESS", "OTHER")
"""What a word can be; OTHER is a name that is none of ours (a product, a language)."""

REACH = 24
"""How far away a neighbour may begin, characters."""

LONGEST = 24
"""Characters of the longest word that is looked at."""

BITS = 17
MAGIC = b"KMN2"
LEXICON = (
    "given",
    "family",
    "city",
    "region",
    "organisation",
    "org_word",
    "street",
    "unit",
    "title",
    "calendar",
    "people",
)
"""Kinds of words that the model knows; the place in the row is the bit in `Word.kinds`."""

STREET, _UNIT = 1 << LEXICON.index("street"), 1 << LEXICON.index("unit")
_NUMBER, _EVERYDAY = 1 << len(LEXICON), 2 << len(LEXICON)
_ALL = len(LEXICON) + 2
_AROUND = STREET | _UNIT | _NUMBER | (1 << LEXICON.index("title"))
_STREET_ENDS = (
    *("strasse", "straße", "str", "weg", "gasse", "platz", "allee", "damm", "ufer", "straat"),
    *("laan", "gracht", "kade", "plein", "steenweg", "dreef", "gatan", "gata", "vagen", "veien"),
    *("vej", "gade", "katu", "tie", "utca", "stigen", "gaten"),
)
_POSTCODE = re.compile("[0-9](?:[0-9A-Z])? [0-9]")  # after the letters that a British one has
_TIES = frozenset("@_\\")
_TOKEN = re.compile(r"[^\W\d_]+|\d+|_|[^\w \t\r\f\v]")
_FULL = 0xFFFFFFFF
_FACTORS = tuple((0x9E3779B1 * (2 * k + 1) ^ (0x85EBCA6B * (k + 7))) & _FULL | 1 for k in range(52))
_FOR_ONE = _FACTORS[:14]
_FOR_TWO = tuple(zip(_FACTORS[14:33], _FACTORS[33:], strict=True))


class Token(NamedTuple):
    """A word, a number or a sign."""

    start: int
    end: int
    text: str


class Word(NamedTuple):
    """What can be seen of a token alone.

    Attributes:
        key: Hash of its small letters; of its length where it is a number.
        shape: Capitals, digits or sign, a small number.
        kinds: Bits of the lexicon, whether it is a number, whether it is an everyday word.
        ends: Hashes of its first three and last two, three and four letters.
        able: 0 cannot be part of a name, 1 can, 2 can after a number (`12 main street`).
    """

    key: int
    shape: int
    kinds: int
    ends: tuple[int, int, int, int]
    able: int


NOTHING = Word(0, 0, 0, (0, 0, 0, 0), 0)


class Model(NamedTuple):
    """The model as it is read from its file.

    Attributes:
        scale: Units of weight that multiply the odds by e.
        lexicon: Kinds by hash of the word.
        common: Hashes of everyday words, which are no names in small letters.
        never: Hashes of words that are no names with a capital either.
        lanes: For each of KINDS, a weight for each feature, 128 being none.
    """

    scale: int
    lexicon: dict[int, int]
    common: frozenset[int]
    never: frozenset[int]
    lanes: tuple[bytes, ...]


@cache
def model() -> Model:
    """Read the model from the package."""
    return unpack(resources.files("keelmark.guard").joinpath("models", "names.bin").read_bytes())


def unpack(data: bytes) -> Model:
    """Read a model (see `pack` in training/names)."""
    magic, scale, words, common, never = struct.unpack_from("<4s4I", data)
    if magic != MAGIC:
        raise ValueError("names.bin is no names model of this version.")
    place = 20

    def numbers(code: str, count: int) -> tuple[int, ...]:
        nonlocal place
        layout = f"<{count}{code}"
        place += struct.calcsize(layout)
        return struct.unpack_from(layout, data, place - struct.calcsize(layout))

    lexicon = dict(zip(numbers("I", words), numbers("H", words), strict=True))
    everyday, dull = frozenset(numbers("I", common)), frozenset(numbers("I", never))
    size = 1 << BITS
    lanes = tuple(data[place + k * size : place + (k + 1) * size] for k in range(len(KINDS)))
    return Model(scale, lexicon, everyday, dull, lanes)


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens from an index on, left to right."""
    for match in _TOKEN.finditer(text, start):
        yield Token(match.start(), match.end(), match.group())


def hashed(word: str) -> int:
    """Hash a word as the model does, whatever its case."""
    return crc32(word.lower().encode("utf-8", "replace"))


@lru_cache(maxsize=1 << 14)
def word(text: str) -> Word:
    """Return what the model sees of a token."""
    return describe(text, model())


def describe(text: str, knows: Model) -> Word:
    """Return what a model sees of a token."""
    first = text[0]
    if len(text) > LONGEST:
        return Word(1, 14, 0, (1, 1, 1, 1), 0)
    if first.isdigit():
        size = min(len(text), 7)
        return Word(size, 5 + size, _NUMBER, (1, 1, 1, 1), int(size < 7))
    low = text.lower()
    key = hashed(low)
    if low == text.upper() and first.isalpha():  # a script without capitals
        return Word(key, 15, 0, (3, 3, 3, 3), 0)
    if not first.isalpha():
        return Word(key, 12 if text == "\n" else 13, 0, (2, 2, 2, 2), 0)
    kinds = knows.lexicon.get(key, 0)
    if not kinds & STREET and len(low) > 6 and low.endswith(_STREET_ENDS):
        kinds |= STREET
    common = key in knows.common
    kinds |= _EVERYDAY * common
    ends = (hashed("^" + low[:3]), hashed(low[-2:]), hashed(low[-3:]), hashed(low[-4:]))
    if low == text:
        return Word(key, 1, kinds, ends, (2 if len(low) > 1 else 0) if common else 1)
    if text.upper() != text:
        shape = 2 if text[1:].islower() and first.isupper() else 5
    else:
        shape = 3 if len(text) == 1 else 4
    return Word(key, shape, kinds, ends, int(key not in knows.never))


def near(row: list[Token], seen: list[Word], index: int) -> tuple[Word, ...]:
    """Return three words on the left, the word, and three on the right."""
    first, end = row[index].start - REACH, row[index].end + REACH
    low, high, last = index - 3, index + 4, len(row)
    if low >= 0 and high <= last and row[low].start >= first and row[high - 1].start <= end:
        return tuple(seen[low:high])
    return tuple(
        seen[i] if 0 <= i < last and first <= row[i].start <= end else NOTHING
        for i in range(low, high)
    )


def features(around: tuple[Word, ...], before: int, after: int) -> list[int]:
    """Return the places of what is true of the middle word, in each lane.

    Args:
        around: See `near`.
        before: Whether white space stands before it.
        after: Whether white space stands after it.
    """
    x = around[3]
    three = (around[2].shape * 16 + x.shape) * 16 + around[4].shape
    spaced = (before * 2 + after) * 16 + x.shape
    singles = _one_by_one(around, three, spaced)
    pairs = _two_by_two(around, three, spaced)
    shift = 32 - BITS
    places = [(s * p & _FULL) >> shift for s, p in zip(singles, _FOR_ONE, strict=True)]
    places += [
        (s * p + t * q & _FULL) >> shift for (s, t), (p, q) in zip(pairs, _FOR_TWO, strict=True)
    ]
    return places


def _one_by_one(around: tuple[Word, ...], three: int, spaced: int) -> tuple[int, ...]:
    _, b, a, x, y, z, _ = around
    first, _, suffix, four = x.ends
    return (
        (three << 8) + 1,
        x.key + 2,
        a.key + 3,
        y.key + 4,
        b.key + 5,
        z.key + 6,
        suffix + 7,
        first + 8,
        four + 9,
        (b.shape << 16) + three,
        (z.shape << 20) + (three << 4) + 3,
        (b.shape << 28) + (z.shape << 20) + three + 7,
        (x.kinds << 8) + x.shape,
        spaced + 11,
    )


def _two_by_two(around: tuple[Word, ...], three: int, spaced: int) -> tuple[tuple[int, int], ...]:
    c, b, a, x, y, z, w = around
    shape, key = x.shape, x.key
    own = x.kinds * 16 + shape
    full = (shape << _ALL) + x.kinds
    left = (a.kinds | b.kinds | c.kinds) & _AROUND
    right = (y.kinds | z.kinds | w.kinds) & _AROUND
    return (
        (a.key, key),
        (key, y.key),
        (a.key, three),
        (y.key, three),
        (b.key, a.key + shape),
        (y.key, z.key + shape),
        (x.ends[1], spaced),
        (a.kinds, own),
        (y.kinds, own),
        ((a.kinds << _ALL) + y.kinds, own),
        ((b.kinds << _ALL) + a.kinds, shape),
        ((y.kinds << _ALL) + z.kinds, shape),
        (left, full),
        (right, full),
        ((left << _ALL) + right, shape),
        (a.ends[2], shape),
        (y.ends[2], shape),
        (a.key, spaced),
        (y.key, spaced),
    )


def stands_alone(text: str, token: Token) -> bool:
    """Whether a token is no part of a handle, an address of a machine, a file or an identifier."""
    start, end, found = token
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    left, right = before[-1:], after[:1]
    if left in _TIES or right in _TIES:
        return False
    if (left == "." and before[0].islower()) or (right == "." and after[1:].islower()):
        return False
    other = str.isalpha if found.isdigit() else str.isdigit
    return not (other(left) and other(right))


def may_be_name(text: str, token: Token, around: tuple[Word, ...]) -> bool:
    """Whether a token is judged at all: not an everyday word, and not part of something else."""
    able = around[3].able
    if able == 0 or not stands_alone(text, token):
        return False
    after = text[token.end : token.end + 5]
    short = len(token.text) < 4 and after[:1].isdigit() and not _POSTCODE.match(after)
    if (able == 2 or short) and token.text.isalpha():
        return any(w.kinds & _NUMBER for w in around[:3])
    return True


def spaces(text: str, token: Token) -> tuple[bool, bool]:
    """Whether white space stands before and after a token."""
    return text[token.start - 1 : token.start].isspace(), text[token.end : token.end + 1].isspace()


def judge(text: str, row: list[Token], seen: list[Word], index: int) -> tuple[str, float]:
    """Return what a token is, and how sure that is (0 to 1)."""
    around = near(row, seen, index)
    if not may_be_name(text, row[index], around):
        return "", 0.0
    return decide(around, *spaces(text, row[index]))


@lru_cache(maxsize=1 << 12)
def decide(around: tuple[Word, ...], before: bool, after: bool) -> tuple[str, float]:  # noqa: FBT001
    """Return what the middle word is, and how sure that is; see `features`."""
    places = features(around, before, after)
    knows = model()
    take = itemgetter(*places)
    sums = [sum(take(lane)) for lane in knows.lanes]
    best = max(range(1, len(KINDS)), key=sums.__getitem__)
    if KINDS[best] == "OTHER":
        return "", 0.0
    odds = (sums[best] - sums[0]) / knows.scale
    return KINDS[best], round(1 / (1 + math.exp(-max(-30.0, min(30.0, odds)))), 2)
