"""What two texts have in common: words, runs of words, and the measures made of them.

Words are runs of letters and digits in any script, without case; a character of a script that has
no spaces between words (Chinese, Japanese, Thai ...) is a word of its own.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_NO_SPACES}]|[^\W_{_NO_SPACES}]+")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
View = Literal["text", "loose", "plain", "words"]
"""How texts are compared: `text` as they stand, but for white space; `loose` without case, and
without punctuation and marks at their ends; `plain` as SQuAD does it (no case, no punctuation, no
English articles); `words` by their words in any script."""

_MOST = 4000
"""Words of a text that are compared; beyond it a table of two texts would grow too large."""


class Overlap(NamedTuple):
    """How much two texts share.

    Attributes:
        precision: Share of the answer that is in the reference.
        recall: Share of the reference that is in the answer.
        f1: Harmonic mean of both.
    """

    precision: float
    recall: float
    f1: float


NOTHING = Overlap(0.0, 0.0, 0.0)


def words(text: str) -> list[str]:
    """Return the words of a text, without case, in order."""
    return _WORD.findall(text.casefold())


def plain(text: str) -> str:
    """Return a text as SQuAD compares it: no case, punctuation, English articles, extra spaces."""
    bare = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(bare.split())


def seen(text: str, view: View) -> str:
    """Return a text as it is compared."""
    if view == "plain":
        return plain(text)
    if view == "words":
        return " ".join(words(text))
    text = " ".join(text.split())
    return text.casefold().strip(".,;:!?\"'`* ") if view == "loose" else text


def overlap(shared: float, answer: int, reference: int) -> Overlap:
    """Return precision, recall and F1 of `shared` units out of so many in each text."""
    if not shared or not answer or not reference:
        return NOTHING
    precision, recall = shared / answer, shared / reference
    return Overlap(precision, recall, 2 * precision * recall / (precision + recall))


def bag(answer: Iterable[Hashable], reference: Iterable[Hashable]) -> Overlap:
    """Compare two bags: what is in both counts as often as it is in both."""
    a, b = Counter(answer), Counter(reference)
    return overlap((a & b).total(), a.total(), b.total())


def rouge_n(answer: Sequence[str], reference: Sequence[str], n: int) -> Overlap:
    """ROUGE-N (Lin 2004): runs of `n` words that two texts share."""
    return bag(_runs(answer, n), _runs(reference, n))


def _runs(of: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(of[at:] for at in range(n)), strict=False)


def rouge_l(answer: Sequence[str], reference: Sequence[str]) -> Overlap:
    """ROUGE-L (Lin 2004): the longest sequence of words, with gaps, that two texts share.

    Of texts of more than 4,000 words the first 4,000 are compared.
    """
    a, b = answer[:_MOST], reference[:_MOST]
    return overlap(_longest(a, b), len(a), len(b))


def _longest(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, in bits (Hyyrö 2004): one step a word of `a`."""
    where: dict[str, int] = {}
    for at, word in enumerate(b):
        where[word] = where.get(word, 0) | 1 << at
    full = (1 << len(b)) - 1
    state = full
    for word in a:
        fits = where.get(word, 0)
        state = (state + (state & fits) | state & ~fits) & full
    return len(b) - state.bit_count()


ROUGE = ("rouge1", "rouge2", "rouge_l")


def rouge(answer: str, reference: str) -> dict[str, float]:
    """Return the F1 of each of `ROUGE` for two texts."""
    a, b = words(answer), words(reference)
    found = (rouge_n(a, b, 1), rouge_n(a, b, 2), rouge_l(a, b))
    return {name: one.f1 for name, one in zip(ROUGE, found, strict=True)}


def leaves(value: Any) -> Iterator[str]:
    """Yield every text in a value of lists and objects, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from leaves(one)


def references(target: Any) -> list[str]:
    """Return the right answers of a target: one text, number or truth value, or a list of them."""
    if target is None:
        return []
    several = target if isinstance(target, (list, tuple)) else [target]
    return [one if isinstance(one, str) else str(one) for one in several]


def right_ones(target: Any, view: View) -> list[str]:
    """Return the right answers of a target as they are compared."""
    return [seen(one, view) for one in references(target)]
