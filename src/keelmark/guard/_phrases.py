"""Phrases of several words, and whether one may have begun where a text ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_Tree = dict[str, "_Tree"]


def begun(phrases: Iterable[str]) -> str:
    """Return a pattern for the end of a text that begins a phrase of several words.

    The first words stand there whole, the next one may stand there in part. A phrase of one word
    has no such beginning but its own token.

    Args:
        phrases: In small letters, words with one space between them.
    """
    tree: _Tree = {}
    for phrase in phrases:
        level = tree
        for word in phrase.split()[:-1]:
            level = level.setdefault(word, {})
    return rf"(?<![^\W\d_])(?:{'|'.join(_branches(tree)) or '(?!)'})"


def _branches(tree: _Tree) -> list[str]:
    return [
        re.escape(word) + r"\s{1,3}(?:" + "|".join([*_branches(below), r"\S*\Z"]) + ")"
        for word, below in sorted(tree.items(), reverse=True)
    ]


def is_joined(word: str) -> bool:
    """Whether the word's script writes words without spaces between them."""
    return word[0] >= "\u0e00"


def any_of(words: Sequence[str]) -> str:
    """A pattern for one of the words; those of scripts with spaces stand alone."""
    spaced = sorted((word for word in words if not is_joined(word)), key=len, reverse=True)
    letters = "|".join(re.escape(word).replace(r"\ ", r"\s{1,3}") for word in spaced)
    alone = [rf"(?<![^\W\d_])(?:{letters})(?![^\W_])"] if spaced else []
    return "|".join([*alone, *(re.escape(word) for word in words if is_joined(word))])
