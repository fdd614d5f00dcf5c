"""What a model card says in words, by its headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_LONGEST = 2000
_MOST = 8
_FRONT = re.compile(r"\A---[ \t]*\r?\n.*?\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_NOISE = re.compile(
    r"<!--.{0,4000}?-->|<[^<>]{1,400}>|!\[[^\]]{0,200}\]\([^)]{0,1000}\)", re.DOTALL
)
_LINK = re.compile(r"\[([^\]]{1,300})\]\([^)]{0,1000}\)")
_NOTHING = {"", "more information needed", "todo", "tbd", "n a", "none", "coming soon"}

# What a heading must say, in the order in which it is asked. A heading counts for one only.
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(rf"\b(?:{words})\b", re.IGNORECASE))
    for kind, words in (
        ("environment", r"environmental impact|carbon|energy|emissions|compute infrastructure"),
        ("fairness", r"fairness"),
        ("limitations", r"limitations?|out[- ]of[- ]scope|misuse|known issues"),
        ("ethics", r"ethic\w*|bias\w*|risks?|safety|responsib\w+"),
        ("tradeoffs", r"trade[- ]?offs?"),
        ("users", r"intended users?|target users?|audience|who (?:is|are) (?:it|this|the users?)"),
        ("uses", r"(?:intended|direct|downstream|primary) use\w*|use cases?|uses|applications?"),
        ("data", r"training data\w*|data ?sets?"),
        ("evaluation", r"evaluations?|benchmarks?|results|metrics"),
    )
)


class Prose(NamedTuple):
    """What a card says: one text for each heading of a kind, shortened, without markup.

    Attributes:
        users: For whom.
        uses: What for.
        limitations: What it cannot do, and should not be used for.
        tradeoffs: What is paid for what.
        ethics: Risks and biases: heading and text.
        fairness: Who may be put at a disadvantage.
        environment: Energy and emissions.
        data: What it was trained on.
        evaluation: How it was measured.
    """

    users: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    limitations: tuple[str, ...] = ()
    tradeoffs: tuple[str, ...] = ()
    ethics: tuple[str, ...] = ()
    fairness: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()


def read_prose(markdown: str) -> Prose:
    """Read what a card says; a heading without text, or with a placeholder, says nothing.

    Args:
        markdown: The card, with or without its front matter.
    """
    found: dict[str, list[str]] = {}
    for heading, text in _sections(markdown):
        kind = next((kind for kind, words in _KINDS if words.search(heading)), "")
        shown = _plain(text)
        empty = re.sub(r"[\W_]+", " ", shown).strip().lower() in _NOTHING
        if kind and not empty and len(found.setdefault(kind, [])) < _MOST:
            found[kind].append(shown)
    return Prose(**{kind: tuple(dict.fromkeys(texts)) for kind, texts in found.items()})


def _sections(markdown: str) -> Iterator[tuple[str, str]]:
    """Headings and the text up to the next one, without blocks of code."""
    heading, lines, fenced = "", [""], False
    for line in _FRONT.sub("", markdown, count=1).splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        marks = len(line) - len(line.lstrip("#"))
        if fenced:
            continue
        if 0 < marks <= 6 and line[marks : marks + 1].isspace():
            yield heading, "\n".join(lines)
            heading, lines = line.strip("# \t"), []
        else:
            lines.append(line)
    yield heading, "\n".join(lines)


def _plain(text: str) -> str:
    clean = _LINK.sub(r"\1", _NOISE.sub(" ", text[: 4 * _LONGEST]))
    shown = " ".join(re.sub(r"[*_`|]+|^[>\-=]+", " ", clean, flags=re.MULTILINE).split())
    shown = "".join(c for c in shown if c.isprintable())
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
