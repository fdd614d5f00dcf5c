"""Tables in a text, those of Markdown and of CSV: every row a record, with where it is written."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise, takewhile, zip_longest

from keelmark.guard._nodes import Node, placed, told, words

_RULE = re.compile(
    r"^[ \t]*(?:\|[ \t]*)?:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+(?:\|[ \t]*)?$", re.MULTILINE
)
_BAR = re.compile(r"(?<!\\)\|")
_LEAST_CELLS = {"\t": 2, ";": 2, ",": 3}
_LEAST_LINES = 3
_WIDEST_HEAD = 48


def markdown(text: str) -> Iterator[Node]:
    """Yield the tables of a text in Markdown (GitHub Flavored Markdown, 4.10), in order."""
    done = 0
    for rule in _RULE.finditer(text):
        start = text.rfind("\n", 0, max(0, rule.start() - 1)) + 1
        head = list(map(words, _barred(text[start : rule.start()])))
        if start < done or len(head) < 2:
            continue
        lines = list(takewhile(lambda line: "|" in text[slice(*line)], _lines(text, rule.end())))
        if lines:
            rows = [_row(head, _barred(text[slice(*line)]), *line) for line in lines]
            done = lines[-1][1]
            yield Node("", None, tuple(rows), start, done)


def _lines(text: str, after: int) -> Iterator[tuple[int, int]]:
    """The lines after one that ends here."""
    while after < len(text):
        end = text.find("\n", after + 1)
        end = len(text) if end < 0 else end
        yield after + 1, end
        after = end


def _barred(line: str) -> list[str]:
    cells = [one.replace("\\|", "|").strip() for one in _BAR.split(line.strip())]
    return cells[not cells[0] : len(cells) - (len(cells) > 1 and not cells[-1])]


def comma_separated(text: str) -> Node | None:
    """Return a text that is a table with a head, as CSV (RFC 4180), by commas or by tabs.

    None where it is none: all rows have as many cells, and the names at the head are short, differ
    and are no numbers.
    """
    lines = text.strip().splitlines(keepends=True)
    begin = len(text) - len(text.lstrip())
    places = list(accumulate(map(len, lines), initial=begin))
    for mark, least in _LEAST_CELLS.items() if len(lines) >= _LEAST_LINES else ():
        if lines[0].count(mark) + 1 < least or ", " in lines[0]:  # that is how prose is written
            continue
        read = csv.reader(lines, delimiter=mark, strict=True)
        try:
            found = [(row, read.line_num) for row in read]
        except csv.Error:
            continue
        head = [one.strip() for one in found[0][0]]
        if len(head) >= least and _is_head(head) and all(len(row) == len(head) for row, _ in found):
            names = list(map(words, head))
            rows = [
                _row(names, row, places[since], places[until])
                for (_, since), (row, until) in pairwise(found)
            ]
            return Node("", None, tuple(rows), places[0], places[-1])
    return None


def _is_head(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names) and all(
        0 < len(one) <= _WIDEST_HEAD and any(map(str.isalpha, one)) for one in names
    )


def _row(head: Sequence[str], cells: Sequence[str], start: int, end: int) -> Node:
    named = zip_longest(head[: len(cells)], map(str.strip, cells), fillvalue="")
    leaves = (Node(name, told(said), (), start, end) for name, said in named if said)
    return Node("", None, placed(tuple(leaves)), start, end)
