"""Phrases of several words, and whether one may have begun where a text ends."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
    return rf"(?<![^\W_])(?:{'|'.join(_branches(tree)) or '(?!)'})"


def _branches(tree: _Tree) -> list[str]:
    return [
        re.escape(word) + r"\s+(?:" + "|".join([*_branches(below), r"\S*\Z"]) + ")"
        for word, below in sorted(tree.items(), reverse=True)
    ]
