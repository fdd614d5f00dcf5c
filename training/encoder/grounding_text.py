"""Text for the groundedness rows: sentences, windows, overlap, and what changed between two."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from grounding_lexicon import ABBREVIATED, STOP

_END = re.compile(r"[.!?][\"”’')]*\s+(?=[\"“‘'(]?[A-Z0-9])")
_WORD = re.compile(r"\w+(?:[.,'’]\w+)*")
_PENN = (
    (re.compile(r"``\s*|\s*''"), '"'),
    (re.compile(r"-LRB-\s*|\(\s+"), "("),
    (re.compile(r"\s*-RRB-|\s+\)"), ")"),
    (re.compile(r"-LSB-\s*"), "["),
    (re.compile(r"\s*-RSB-"), "]"),
    (re.compile(r"\s+([,;:!?%]|\.(?!\d))"), r"\1"),
    (re.compile(r"\s+('s|'re|'ve|'ll|'d|'m|n't)\b"), r"\1"),
    (re.compile(r"\$ (\d)"), r"$\1"),
    (re.compile(r"\s{2,}"), " "),
)


TOGETHER = 175
"""Most words of a claim and its passage."""


def tidy(text: str) -> str:
    """Undo the spaces and brackets of Penn Treebank tokens; leave out lines about the file."""
    text = re.sub(r"^\(meta data\).*$", "", text, flags=re.MULTILINE)
    if re.search(r"\w [,.] ", text):
        text = re.sub(r"(\w) --? (\w)", r"\1-\2", text)
    for pattern, plain in _PENN:
        text = pattern.sub(plain, text)
    return re.sub(r'(^|\s)"([^"]*?)"(\w)', r'\1"\2" \3', text).strip()


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case, numbers with their separators."""
    return [w.lower() for w in _WORD.findall(text)]


def content(text: str) -> set[str]:
    """Return the words that carry meaning."""
    return {w for w in words(text) if w not in STOP}


def overlap(claim: str, source: str) -> float:
    """Return the share of the claim's content words that its source has, 0 to 1."""
    mine = content(claim)
    return len(mine & content(source)) / len(mine) if mine else 1.0


def sentences(text: str) -> list[str]:
    """Split a text into sentences; line ends always part them."""
    found = []
    for line in text.splitlines():
        start = 0
        for end in _END.finditer(line):
            last = line[start : end.start()].rsplit(None, 1)[-1:] or [""]
            word = last[0].strip("(\"'“").lower()
            if line[end.start()] == "." and (word in ABBREVIATED or re.fullmatch(r"[a-z]", word)):
                continue
            found.append(line[start : end.end()].strip())
            start = end.end()
        found.append(line[start:].strip())
    return [s for s in found if s]


_FINITE = re.compile(
    r"\b(is|are|was|were|has|have|had|will|would|can|could|may|might|must|shall|should|do|does|did"
    r"|\w{3,}ed|began|became|won|lost|led|made|took|said|says|gave|came|went|wrote|held|built|grew"
    r"|rose|fell|left|met|sold|sent|spent|beat|ran|saw|set|put|includes?|remains?|contains?)\b"
)


def prose(sentence: str) -> bool:
    """Say whether this reads like a whole sentence that states something."""
    count = len(sentence.split())
    return (
        6 <= count <= 42
        and re.match(r"[A-Z0-9\"“]", sentence) is not None
        and re.search(r"[.!][\"”]?$", sentence) is not None
        and _FINITE.search(sentence) is not None
        and not re.search(r"https?:|www\.|[|{}<>@#©]|\.\.\.|\(meta|\bclick\b|cookie", sentence)
        and sentence.count("(") == sentence.count(")")
        and sentence.count('"') % 2 == 0
        and sentence.count("“") == sentence.count("”")
        and sum(c.isalpha() or c.isspace() for c in sentence) > 0.82 * len(sentence)
    )


def window(parts: Sequence[str], at: int, limit: int) -> str:
    """Return the sentences around one of them, at most `limit` words where that one is shorter."""
    first = last = at
    size = len(parts[at].split())
    while True:
        grown = False
        if last + 1 < len(parts) and size + len(parts[last + 1].split()) <= limit:
            last, grown = last + 1, True
            size += len(parts[last].split())
        if first and size + len(parts[first - 1].split()) <= limit:
            first, grown = first - 1, True
            size += len(parts[first].split())
        if not grown:
            return " ".join(parts[first : last + 1])


def best_window(claim: str, source: str, longest: int = TOGETHER) -> str:
    """Return the run of whole sentences that shares most with the claim.

    With the claim it is at most `longest` words, so that a model of 256 tokens sees all. Rare
    words count for more: a word's weight is the inverse of how many sentences have it.
    """
    parts = sentences(source)
    limit = max(longest - len(claim.split()), 60)
    if len(source.split()) <= limit or not parts:
        return " ".join(source.split())
    have = [content(part) for part in parts]
    wanted = content(claim)
    weight = {w: 1 / (1 + sum(w in h for h in have)) for w in wanted}
    sizes = [len(part.split()) for part in parts]
    best, chosen = -1.0, (0, 1)
    for first in range(len(parts)):
        last, size, seen = first, 0, set[str]()
        while last < len(parts) and (size + sizes[last] <= limit or last == first):
            size += sizes[last]
            seen |= have[last] & wanted
            last += 1
        score = sum(weight[w] for w in seen)
        if score > best + 1e-9:
            best, chosen = score, (first, last)
    return " ".join(" ".join(parts[chosen[0] : chosen[1]]).split()[: limit + 20])


_TOKEN = re.compile(r"\w+(?:[.,'’/-]\w+)*|[^\w\s]")


def changed(text: str, other: str) -> tuple[tuple[int, int], ...]:
    """Return the places of `text` that `other` does not have, code points, whole words.

    Where something is only missing from `text`, the words around the gap stand for it.
    """
    mine = [(m.group(), m.start(), m.end()) for m in _TOKEN.finditer(text)]
    theirs = [m.group().lower() for m in _TOKEN.finditer(other)]
    matcher = difflib.SequenceMatcher(None, [m[0].lower() for m in mine], theirs, autojunk=False)
    spans: list[tuple[int, int]] = []
    for kind, first, last, _, _ in matcher.get_opcodes():
        if kind == "equal" or not mine:
            continue
        a, b = first, last
        if a == b:
            a, b = max(a - 1, 0), min(a + 1, len(mine))
            a += not mine[a][0].isalnum() and a + 1 < b
        spans.append((mine[a][1], mine[b - 1][2]))
    return joined(spans)


def joined(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sort spans and join those that touch or overlap."""
    result: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return tuple(result)
