"""What a text says differently from the record it is nearest to, and whether that matters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from keelmark.vet.licence.align import Run
from keelmark.vet.licence.records import Record, Span
from keelmark.vet.licence.words import Word, mark, unpack

_SHOWN = 160
_LONGEST_NOTICE = 40
_LONGEST_TITLE = 14
_LONGEST_OPEN = 20
_LONGEST_JOIN = 12
_SOLID = 6
_NUMBERING = re.compile(r"\d{1,2}|[a-z]|[ivx]{2,5}")
_DOTTED = re.compile(r"\d{1,2}(?:\.\d{1,2}){0,3}|[a-z]|[ivx]{2,5}")
_AFTER_END = re.compile(r"(?:^|[\n.;:,”\"*#>])[\s*#>_(\[]*$")
_DOT = re.compile(r"\\?[.)](?=\s)")
_QUANTITY = frozenset(
    [
        "million",
        "billion",
        "thousand",
        "percent",
        "months",
        "month",
        "days",
        "years",
        "year",
        "users",
        "dollars",
        "usd",
        "us",
        "times",
    ]
)
_OPERATIVE = frozenset(
    [
        "shall",
        "must",
        "may",
        "not",
        "no",
        "only",
        "except",
        "unless",
        "require",
        "requires",
        "required",
        "prohibited",
        "prohibit",
        "commercial",
        "noncommercial",
        "non",
        "research",
        "fee",
        "fees",
        "royalty",
        "revoke",
        "additional",
        "restrict",
        "restricted",
        "restriction",
        "restrictions",
        "user",
        "users",
        "subject",
        "agree",
        "agrees",
        "permission",
        "permitted",
        "forbidden",
        "modified",
        "modification",
        "addendum",
        "amendment",
        "exception",
        "provided",
        "condition",
        "conditions",
        "territory",
        "territories",
        "licensee",
        "grant",
        "grants",
        "granted",
        "terminate",
        "however",
        "notwithstanding",
        "pay",
        "payment",
        "revenue",
        "train",
        "never",
        "without",
        "cannot",
        "supplement",
        "supplemental",
        "rider",
        "hereby",
        "purposes",
        "personal",
        "hobby",
        "educational",
        "academic",
        "evaluation",
        "business",
        "sell",
        "military",
        "consent",
        "written",
        "export",
        "countries",
        "country",
        "limited",
    ]
)


class Difference(NamedTuple):
    """One place where a text is not as the record has it.

    Attributes:
        kind: `added`, `missing` or `changed`.
        line: Line of the text, from 1.
        after: The words that stand before the place in the text.
        found: The words that the record does not have, shortened; "" for what is missing.
        missing: How many words of the record are not there.
        terms: Ids of terms whose clause this touches.
    """

    kind: Literal["added", "missing", "changed"]
    line: int
    after: str
    found: str
    missing: int
    terms: tuple[str, ...]


class Reading(NamedTuple):
    """A text read as one record.

    Attributes:
        same: How many words of the record stand there.
        missing: How many do not, though they should.
        foreign: How many words stand between them that the record does not have.
        share: Part of the words that should stand there that do.
        solid: The same, counting only runs of several words: what two texts of lawyers share by
            chance is short.
        differences: What is not as in the record.
        altered: Ids of terms whose clause is not there word for word.
    """

    same: int
    missing: int
    foreign: int
    share: float
    solid: float
    differences: tuple[Difference, ...]
    altered: frozenset[str]


def compare(text: str, found: Sequence[Word], runs: Sequence[Run], record: Record) -> Reading:
    """Read aligned words as a record."""
    body = record.body
    numbers = unpack(body.marks)
    optional, filled = _members(body.optional_words), _members(body.open_words)
    clauses = [(term.id, term.words) for term in record.terms]
    if record.heirs:
        clauses.append(("heirs", record.heirs.words))
    differences: list[Difference] = []
    altered: set[str] = set()
    same = missing = foreign = solid = 0
    for run in runs:
        size = run.record[1] - run.record[0]
        if run.same or _joined(found[slice(*run.text)], numbers[slice(*run.record)]):
            same += size
            solid += size if size >= _SOLID else 0
            continue
        lacking = [at for at in range(*run.record) if at not in optional and at not in filled]
        extra = _extra(text, found, run, filled)
        if not lacking and not extra:
            same += sum(at in filled for at in range(*run.record))
            continue
        missing += len(lacking)
        foreign += len(extra)
        touched = _touched(clauses, run, extra)
        altered.update(touched)
        differences.append(_difference(text, found, run, len(lacking), extra, touched))
    expected = max(1, len(numbers) - len(optional))
    if not runs:
        missing = expected
    return Reading(
        same,
        missing,
        foreign,
        same / (same + missing) if missing else 1.0,
        min(1.0, solid / expected),
        tuple(differences),
        frozenset(altered),
    )


def outside(text: str, found: Sequence[Word], free: Sequence[int]) -> tuple[Difference, ...]:
    """Return the passages of a text that belong to no licence and are more than a title."""
    passages: list[Difference] = []
    at = 0
    while at < len(found):
        end = at
        while end < len(found) and free[end] != -1:
            end += 1
        if end > at and not _harmless(text, found, at, end):
            words = found[at:end]
            passages.append(
                Difference("added", _line(text, words[0]), _before(text, found, at),
                           _shown(text, words), 0, ())
            )  # fmt: skip
        at = end + 1 if end == at else end
    return tuple(passages)


def _members(spans: Sequence[Span]) -> frozenset[int]:
    return frozenset(at for first, size in spans for at in range(first, first + size))


def _joined(words: Sequence[Word], numbers: Sequence[int]) -> bool:
    """Say whether the same letters are only cut into words differently ("non- exclusive")."""
    if not words or not numbers or len(words) + len(numbers) > _LONGEST_JOIN:
        return False
    letters = "".join(word.key for word in words)
    ends = {0}
    for number in numbers:
        ends = {
            stop
            for start in ends
            for stop in range(start + 1, len(letters) + 1)
            if mark(letters[start:stop]) == number
        }
    return len(letters) in ends


def _extra(text: str, found: Sequence[Word], run: Run, filled: frozenset[int]) -> list[Word]:
    """Words that stand in the text only, and matter."""
    start, end = run.text
    extra = list(found[start:end])
    if not extra:
        return []
    if run.record[0] in filled or run.record[1] - 1 in filled or run.record[0] - 1 in filled:
        return extra if len(extra) > _LONGEST_OPEN or _operative(extra) else []
    if run.record[0] == run.record[1] and _numbering(text, found, start, end):
        return []
    if _notice(extra) or _notice(found[max(0, start - 2) : end]):
        return []
    return extra


def _harmless(text: str, found: Sequence[Word], start: int, end: int) -> bool:
    words = found[start:end]
    if (
        _notice(words)
        or _notice(found[max(0, start - 2) : end])
        or _numbering(text, found, start, end)
    ):
        return True
    return len(words) <= _LONGEST_TITLE and not _operative(words)


def _operative(words: Sequence[Word]) -> bool:
    return any(word.key in _OPERATIVE for word in words)


def _notice(words: Sequence[Word]) -> bool:
    """Say whether words are a copyright line: it names a holder and grants or forbids nothing."""
    keys = [word.key for word in words]
    lines = sum(key == "copyright" for key in keys)
    if "copyright" not in keys[:_LONGEST_JOIN] or len(keys) > _LONGEST_NOTICE * lines:
        return False
    return not _operative(words)


def _numbering(text: str, found: Sequence[Word], start: int, end: int) -> bool:
    """Say whether words are only the numbers of paragraphs, each where a sentence begins."""
    for at in range(start, end):
        word = found[at]
        follows = found[at + 1].key if at + 1 < len(found) else ""
        dotted = _DOT.match(text, word.end)
        form = _DOTTED if dotted else _NUMBERING
        if not form.fullmatch(word.key) or follows in _QUANTITY:
            return False
        before = _AFTER_END.search(text, max(0, word.start - 12), word.start)
        if not before and not dotted:
            return False
    return True


def _touched(
    clauses: Sequence[tuple[str, Span]], run: Run, extra: Sequence[Word]
) -> tuple[str, ...]:
    """Ids of the terms in whose clause words are missing, or stand between its words."""
    first, last = run.record
    return tuple(
        name
        for name, (start, size) in clauses
        if size
        and (
            (first < start + size and last > start)
            if first < last
            else (bool(extra) and start < first < start + size)
        )
    )


def _difference(
    text: str,
    found: Sequence[Word],
    run: Run,
    missing: int,
    extra: Sequence[Word],
    touched: tuple[str, ...],
) -> Difference:
    start = min(run.text[0], len(found) - 1)
    kind: Literal["added", "missing", "changed"] = "changed" if missing else "added"
    if missing and not extra:
        kind = "missing"
    return Difference(
        kind,
        _line(text, found[start]),
        _before(text, found, run.text[0]),
        _shown(text, extra) if extra else "",
        missing,
        touched,
    )


def _line(text: str, word: Word) -> int:
    return text.count("\n", 0, word.start) + 1


def _before(text: str, found: Sequence[Word], at: int) -> str:
    words = found[max(0, at - 6) : at]
    return " ".join(text[words[0].start : words[-1].end].split()) if words else ""


def _shown(text: str, words: Sequence[Word]) -> str:
    shown = " ".join(text[words[0].start : words[-1].end].split())
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
