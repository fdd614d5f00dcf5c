"""Words as names are recognised by: what can be seen of each alone, and which stand around it.

A word is judged from itself and from up to three words, numbers or signs on either side that lie no
further than REACH characters away, never from what was decided about another word: so it can be
judged anywhere in a stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate, compress
from operator import attrgetter, eq
from typing import Any, NamedTuple
from zlib import crc32

from keelmark.guard._names_file import everyday
from keelmark.guard._patterns import table

REACH = 24
"""How far away a neighbour may begin, characters."""

LONGEST = 24
"""Characters of the longest word that is looked at."""

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
"""Kinds of words; the place in the row is the bit in `Word.kinds`."""

STREET, UNIT = 1 << LEXICON.index("street"), 1 << LEXICON.index("unit")
NUMBER, EVERYDAY = 1 << len(LEXICON), 2 << len(LEXICON)
SMALL, CAPITAL, INITIAL, CAPITALS, MIXED = 1, 2, 3, 4, 5
"""Shapes of words; 5 + n is a number of n digits, 7 of more."""

B_A, A_X, X_Y, Y_Z, BEFORE, AFTER = 1, 2, 4, 8, 16, 32
"""How a word sits among its neighbours: which touch, and whether white space is beside it."""

_STREET_ENDS = (
    *("strasse", "straße", "str", "weg", "gasse", "platz", "allee", "damm", "ufer", "straat"),
    *("laan", "gracht", "kade", "plein", "steenweg", "dreef", "gatan", "gata", "vagen", "veien"),
    *("vej", "gade", "katu", "tie", "utca", "stigen", "gaten"),
)
_TOKEN = re.compile(r"([^\W\d_]+|\d+|_|[^\w \t\r\f\v])")
_PART = re.compile("[A-Z]?[a-z]+|[A-Z]+")
_ABLE, _COMMON, _NUMBER = (bytes(code == ord(one) for code in range(256)) for one in "wcn")
_TIES = frozenset("@_\\")
_CODE_BEFORE = frozenset("$%`~")
_PAIRS = frozenset({("<", ">"), ("{", "}"), ("`", "`")})


@dataclass(slots=True, eq=False)
class Word:
    """What can be seen of a token alone. Each is made once, and is the same as itself only.

    Attributes:
        low: Its small letters.
        key: Hash of them; of its length where it is a number.
        shape: Capitals, digits or sign, a small number.
        kinds: Bits of the lexicon, whether it is a number, whether it is an everyday word.
        ends: Hashes of its first three and last two, three and four letters.
        able: 0 cannot be part of a name, 1 can, 2 can after a number (`12 main street`).
        code: The same in a letter: `w` can, `c` can after a number, `n` a number that can; `.` and
            a blank, which is white space, cannot.
        made: Whether it is made of everyday words (`ViewWindow`).
    """

    low: str
    key: int
    shape: int
    kinds: int
    ends: tuple[int, int, int, int]
    able: int
    code: str
    made: bool = False


NOTHING = Word("", 0, 0, 0, (0, 0, 0, 0), 0, ".")
_PAD = (NOTHING,) * 3
_FAR = 1 << 62
Around = tuple[Word, Word, Word, Word, Word, Word, Word]
"""Three words on the left, the word, and three on the right."""


class Row(NamedTuple):
    """The tokens of a text from an index on.

    Attributes:
        words: What is seen of each, between three times NOTHING.
        starts: Where each begins, between three places out of reach.
        ends: Where each ends.
        codes: Their codes in a row.
        touching: For each border between tokens whether nothing is there, from two before the
            first token to two behind the last.
    """

    words: tuple[Word, ...]
    starts: list[int]
    ends: list[int]
    codes: str
    touching: bytes

    def start(self, index: int) -> int:
        """Return where a token begins."""
        return self.starts[index + 3]

    def judged(self, low: int = 0) -> list[int]:
        """Return the places of tokens that may be part of a name, from a place on.

        They are words that may be names, everyday words shortly after a number, numbers that are
        near a word; told by arithmetic on whole rows, a byte for each token.
        """
        codes = self.codes.encode()
        able, common, number = (
            int.from_bytes(codes.translate(one), "little") for one in (_ABLE, _COMMON, _NUMBER)
        )
        words = able | common
        common &= number << 8 | number << 16 | number << 24
        number &= words << 8 | words << 16 | words << 24 | words >> 8 | words >> 16 | words >> 24
        judged = (able | common | number).to_bytes(len(codes), "little")
        return list(compress(range(low, len(codes)), judged[low:]))

    def windows(self, places: Iterable[int]) -> list[Around]:
        """Return tokens with their neighbours, as `around` does."""
        words, starts, ends = self.words, self.starts, self.ends
        found: list[Any] = [
            words[index : index + 7]
            if starts[index] >= starts[index + 3] - REACH
            and starts[index + 6] <= ends[index] + REACH
            else self.around(index)
            for index in places
        ]
        return found

    def around(self, index: int) -> Around:
        """Return a token with its neighbours."""
        starts, high = self.starts, index + 7
        first, end = starts[index + 3] - REACH, self.ends[index] + REACH
        found = list(self.words[index:high])
        if starts[index] < first or starts[high - 1] > end:
            for place in range(7):
                if not first <= starts[index + place] <= end:
                    found[place] = NOTHING
        return tuple(found)  # type: ignore[return-value]

    def borders(self, index: int) -> bytes:
        """Return whether the neighbours of a token touch: two borders before it, two behind."""
        return self.touching[index : index + 4]


def sits(around: Around, borders: bytes) -> int:
    """Return how a word sits among its neighbours: bits."""
    b_a, a_x, x_y, y_z = borders
    before = not a_x or around[2].code == " "
    after = not x_y or around[4].code == " "
    return b_a * B_A + a_x * A_X + x_y * X_Y + y_z * Y_Z + before * BEFORE + after * AFTER


class Token(NamedTuple):
    """A word, a number or a sign."""

    start: int
    end: int
    text: str


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens from an index on, left to right."""
    for match in _TOKEN.finditer(text, start):
        yield Token(match.start(), match.end(), match.group())


def read(text: str, start: int = 0) -> Row:
    """Return the tokens from an index on, as the model that is shipped sees them."""
    return row(text, start, None)


def row(text: str, start: int, words: list[Word] | None) -> Row:
    """Return the tokens from an index on, as others see them."""
    parts = _TOKEN.split(text[start:])
    places = list(accumulate(map(len, parts), initial=start))
    if words is None:
        said = {part: word(part) for part in set(parts[1::2])}
        words = [said[part] for part in parts[1::2]]
    codes = "".join(map(attrgetter("code"), words))
    begins, ends = places[1:-1:2], places[2::2]
    between = bytes(map(eq, places[0:-1:2], places[1::2]))
    touching = b"\0" + between + b"\0"
    return Row((*_PAD, *words, *_PAD), [-_FAR] * 3 + begins + [_FAR] * 3, ends, codes, touching)


def codes_of(text: str) -> set[str]:
    """Return which codes the tokens of a text have."""
    return {word(token).code for token in set(_TOKEN.findall(text))}


def hashed(word: str) -> int:
    """Hash a word as the model does, whatever its case."""
    return crc32(word.lower().encode("utf-8", "replace"))


@cache
def kinds() -> dict[int, int]:
    """The kinds of the words of the table, by hash; names of several words give each of them."""
    found: dict[int, int] = {}
    for kind, entries in table("names")["kinds"].items():
        for entry in entries.replace("_", "\0").split():
            parts = entry.replace("-", "\0").split("\0")
            for part in parts:
                if len(part) > 2 or len(parts) == 1:
                    key = hashed(part)
                    found[key] = found.get(key, 0) | 1 << LEXICON.index(kind)
    return found


@lru_cache(maxsize=1 << 14)
def word(text: str) -> Word:
    """Return what is seen of a token."""
    return describe(text, *everyday())


def describe(text: str, common: frozenset[int], never: frozenset[int]) -> Word:
    """Return what is seen of a token.

    Args:
        text: The token.
        common: Hashes of everyday words, which are no names in small letters.
        never: Hashes of words that are no names with a capital either.
    """
    first = text[0]
    if len(text) > LONGEST:
        return Word("", 1, 14, 0, (1, 1, 1, 1), 0, ".")
    if first.isdigit():
        size = min(len(text), 7)
        able = int(size < 7)
        return Word(text, size, 5 + size, NUMBER, (1, 1, 1, 1), able, "n" if able else ".")
    low = text.lower()
    key = hashed(low)
    if low == text.upper() and first.isalpha():  # a script without capitals
        return Word(low, key, 15, 0, (3, 3, 3, 3), 0, ".")
    if not first.isalpha():
        space = " " if first.isspace() else "."
        return Word(low, key, 12 if text == "\n" else 13, 0, (2, 2, 2, 2), 0, space)
    bits = kinds().get(key, 0)
    if not bits & STREET and len(low) > 6 and low.endswith(_STREET_ENDS):
        bits |= STREET
    everyday = key in common
    bits |= EVERYDAY * everyday
    ends = (hashed("^" + low[:3]), hashed(low[-2:]), hashed(low[-3:]), hashed(low[-4:]))
    if low == text:
        able = (2 if len(low) > 1 else 0) if everyday else 1
        return Word(low, key, SMALL, bits, ends, able, ".wc"[able])
    able = int(key not in never)
    shape = _shape(text)
    made = shape == MIXED and all(hashed(part) in common for part in _PART.findall(text))
    return Word(low, key, shape, bits, ends, able, ".w"[able], made)


def _shape(text: str) -> int:
    if text.upper() != text:
        return CAPITAL if text[1:].islower() and text[0].isupper() else MIXED
    return INITIAL if len(text) == 1 else CAPITALS


def may_be_name(around: Around, sits: int) -> bool:
    """Whether a word is judged at all: not an everyday word, and not part of something else."""
    c, b, a, x, y, z, w = around
    if not x.able or not _stands_alone(around, sits):
        return False
    if x.kinds & NUMBER:
        return any(near.code in "wc" for near in around)
    if x.able == 2 or (sits & X_Y and y.kinds & NUMBER and len(x.low) < 4):
        postcode = y.shape == 6 and (z.shape == INITIAL and w.kinds & NUMBER)
        postcode = postcode or (y.shape <= 7 and not sits & Y_Z and z.shape == 6)
        near = (a.kinds | b.kinds | c.kinds) & NUMBER
        return bool(near or (x.able == 1 and postcode))
    return True


def _stands_alone(around: Around, sits: int) -> bool:
    """Whether a token is no part of a handle, an address of a machine, a file or an identifier."""
    _, b, a, x, y, z, _ = around
    left = a.low if sits & A_X else ""
    right = y.low if sits & X_Y else ""
    if left in _TIES or right in _TIES or left in _CODE_BEFORE or right == "(":
        return False
    if left == "." and sits & B_A and b.shape in {SMALL, CAPITAL, MIXED}:
        return False
    if right == "." and sits & Y_Z and z.shape == SMALL:
        return False
    if x.shape == SMALL and (right == "=" or "/" in (left, right) or (left, right) in _PAIRS):
        return False
    if x.kinds & NUMBER:
        return not (left.isalpha() and right.isalpha())
    return not (left.isdigit() and right.isdigit())
