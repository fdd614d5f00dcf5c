"""Answers that refuse, in many languages: for metrics, and to ask another model."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, ClassVar, NamedTuple

from keelmark.guard._patterns import both_views, every, lower, settle, table
from keelmark.guard._phrases import any_of, begun, is_joined
from keelmark.guard.contract import BaseDetector, Example, Hit, last_token
from keelmark.guard.normalise import fold

_NEAR = 64
_LONGEST = 160  # characters of a hit: the first words, what lies between, and the last ones
_END = re.compile(r"[.!?](?=\s)|[。！？\n]")
_LETTERS = re.compile(r"[^\W\d_]+")


class _Row(NamedTuple):
    """A row of the table; a text holds no beginning unless it has all words of one of `words`.

    Words of scripts without spaces are only looked for, so `words` has an empty set for them.
    """

    language: str
    score: float
    words: tuple[frozenset[str], ...]
    begin: re.Pattern[str]
    then: re.Pattern[str] | None


@cache
def _rows() -> tuple[_Row, ...]:
    return tuple(map(_row, table("refusal")["row"]))


def _row(row: dict[str, Any]) -> _Row:
    begin = both_views(row["begin"])
    return _Row(
        row["language"],
        row["score"],
        tuple(frozenset(() if is_joined(one) else _LETTERS.findall(one)) for one in begin),
        re.compile(any_of(begin)),
        re.compile(f"{row['then']}|{fold(row['then'])}") if row["then"] else None,
    )


@cache
def _begins() -> tuple[re.Pattern[str], re.Pattern[str], frozenset[str]]:
    """Every beginning; a beginning that has begun; the first words of those in ASCII."""
    words = both_views(word for row in table("refusal")["row"] for word in row["begin"])
    firsts = frozenset(match[0] for word in words if (match := _LETTERS.match(word)))
    return re.compile(any_of(words)), re.compile(begun(words)), firsts


class Detector(BaseDetector):
    """Phrases by which an answer refuses.

    A hit is the phrase. Scores: 0.8 for a refusal in words, 0.6 for a model that speaks of itself
    as one, where a refusal usually follows. It says nothing about whether refusing was right.
    """

    title = "Refusals"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = ("REFUSAL",)
    tags = ("nist-ai-600-1:info-integrity",)
    languages = (
        *("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "uk", "tr", "sv", "id", "vi"),
        *("zh", "ja", "ko", "ar", "hi"),
    )

    examples = (
        Example("I can't help with that.", ("REFUSAL",), "plain"),
        Example("I’m sorry, but I cannot assist.", ("REFUSAL",), "with an apology"),
        Example("As an AI language model, I have no body.", ("REFUSAL",), "at 0.6"),
        Example("I must respectfully decline this request.", ("REFUSAL",), "declines"),
        Example("Dabei kann ich dir leider nicht helfen.", ("REFUSAL",), "German"),
        Example("Je ne peux pas répondre à cette demande.", ("REFUSAL",), "French"),
        Example("Lo siento, pero no puedo ayudarte con eso.", ("REFUSAL",), "Spanish"),
        Example("Não posso ajudar com isso.", ("REFUSAL",), "Portuguese"),
        Example("Извините, я не могу с этим помочь.", ("REFUSAL",), "Russian"),
        Example("抱歉，我无法提供这些信息。", ("REFUSAL",), "Chinese"),
        Example("申し訳ありませんが、それはできません。", ("REFUSAL",), "Japanese"),
        Example("죄송합니다. 도와드릴 수 없습니다.", ("REFUSAL",), "Korean"),
        Example("عذراً، لا يمكنني مساعدتك في ذلك", ("REFUSAL",), "Arabic"),
        Example("I  cann\u200bot assist", ("REFUSAL",), "evasion: blanks, zero widths"),
        Example("I can help with that, and I cannot help but smile.", (), "look-alike: gladly"),
        Example("The door will not open. I can't wait!", (), "look-alike: a door"),
        Example("Sorry for the delay; here is the file.", (), "look-alike: an apology"),
        Example("Ich kann dir das erklären, wenn du magst.", (), "look-alike: German"),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean"),
    )

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        low = lower(text)
        first = _begins()[0].search(low, start)
        return settle(_candidates(low, first.start()), start) if first else []

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: no word that a refusal begins with."""
        held = text[start:]
        return held.isascii() and _begins()[2].isdisjoint(_LETTERS.findall(lower(held)))

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where a sentence that may become a refusal begins to do so."""
        low = lower(text)
        near = max(start, len(text) - _LONGEST)
        opened = max(near, last_token(text, near))
        if half := _begins()[1].search(low, near):
            opened = min(opened, half.start())
        for match in every(_begins()[0], low, near):
            if match.start() >= opened:
                break
            end = _END.search(low, match.end())
            if not end and len(low) - match.end() < _NEAR + 40:
                return match.start()
        return opened


def _candidates(low: str, start: int) -> Iterator[Hit]:
    stops = [*(match.start() for match in _END.finditer(low, start)), len(low)]
    said = set(_LETTERS.findall(low, start))
    for row in _rows():
        if not any(map(said.issuperset, row.words)):
            continue
        first = -1  # where the first of the words that must follow begins, from here on
        for match in every(row.begin, low, start):
            end = match.end()
            if row.then:
                limit = min(stops[bisect_left(stops, end)], end + _NEAR)
                if first < end:
                    found = row.then.search(low, end)
                    first = found.start() if found else len(low)
                last = row.then.search(low, end, limit) if first < limit else None
                if not last:
                    continue
                end = last.end()
            reason = f"words of a refusal ({row.language})"
            yield Hit("REFUSAL", row.score, match.start(), end, reason)
