"""Alphabets in another order, read back: Caesar's 25 shifts and Atbash, told by common words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from string import ascii_lowercase

_COMMON = """
above all and any disregard everything following for forget from guidelines have ignore
instruction instructions must not override password please previous print prior prompt repeat
restrictions reveal rules secret show system tell that the this with without you your
"""
WORDS = frozenset(_COMMON.split())
"""Words that most texts or most attacks contain."""

MOST = 2
"""Ciphers in which one text is read."""

_ROT13 = 12  # its place
_ENOUGH = 7  # letters of different words: short ones turn into other words by chance
_CIPHERS = (
    *(ascii_lowercase[by:] + ascii_lowercase[:by] for by in range(1, 26)),
    ascii_lowercase[::-1],
)
_TABLES = tuple(
    str.maketrans(cipher + cipher.upper(), ascii_lowercase + ascii_lowercase.upper())
    for cipher in _CIPHERS
)


def _encoded() -> dict[str, tuple[int, ...]]:
    """What the words look like, and in which ciphers."""
    found: dict[str, tuple[int, ...]] = {}
    for number, cipher in enumerate(_CIPHERS):
        table = str.maketrans(ascii_lowercase, cipher)
        for word in WORDS:
            written = word.translate(table)
            if written not in WORDS:
                found[written] = (*found.get(written, ()), number)
    return found


_ENCODED = _encoded()
ENCODED = frozenset(_ENCODED)
"""Every word of `WORDS` in every cipher."""


def shown(found: Collection[str]) -> list[tuple[int, int]]:
    """Return the ciphers that words of a text show, the likeliest first.

    Args:
        found: Those of its words that are in `ENCODED`, each once.

    Returns:
        Ciphers, each with the letters of the words that show it. One word is enough for rot13,
        which is used for more than all others.
    """
    letters: Counter[int] = Counter()
    for word in found:
        for number in _ENCODED[word]:
            letters[number] += len(word)
    return [
        (number, many)
        for number, many in letters.most_common()
        if many >= _ENOUGH or number == _ROT13
    ]


def turned(text: str, cipher: int) -> str:
    """Return the text as it reads when the cipher is undone; as long as it was."""
    return text.translate(_TABLES[cipher])
