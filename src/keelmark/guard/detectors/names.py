"""Names of people, places and organisations; postal addresses: by a small model and by rules."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import ClassVar, NamedTuple

import msgspec
from msgspec.structs import replace

from keelmark.guard._name_words import (
    CAPITAL,
    CAPITALS,
    LONGEST,
    NUMBER,
    REACH,
    SMALL,
    STREET,
    UNIT,
    Around,
    Row,
    Word,
    codes_of,
    may_be_name,
    read,
    sits,
)
from keelmark.guard._names import LEAST, judge
from keelmark.guard._patterns import AllowConfig, Allowed, chosen
from keelmark.guard.contract import LOOK_BEHIND, BaseDetector, Example, Hit

_LINK = 24  # how far apart two words of one name may begin
_SPAN = 44  # how far from a name's begin its last word may begin; longer runs fall apart
_GAP = 10  # longest gap between two words of a name
_SMALL = "de|la|le|el|del|der|den|des|di|da|do|dos|du|van|of"
_BETWEEN = re.compile(rf"[ ]{{0,2}}(?:[.'&/-][ ]{{0,2}})?(?:(?:{_SMALL}|von|zu|the|y|e)[ ]){{0,2}}")
_BETWEEN_PARTS = re.compile(rf"[\s,.;>|#º°/'&-]{{0,6}}(?:(?:{_SMALL}|bis|and)[ ]){{0,2}}")
_POSTAL = {"ADDRESS", "LOCATION"}
_WORD, _ANCHOR, _FIRM = 1, 2, 4
_WHOLE = _WORD | _ANCHOR | _FIRM
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_START = attrgetter("start")
_WINDOW = 4096  # characters
_BY_MODEL = "words that read like a name of this kind"
_BY_RULE = "words that the rules for names of this kind know"


class Settings(AllowConfig, frozen=True, forbid_unknown_fields=True):
    """Settings of the names detector.

    Attributes:
        labels: Labels to look for; empty means all.
        model: Whether the model is asked; without it rules and lists of words decide alone, which
            finds less and explains itself.
    """

    labels: tuple[str, ...] = ()
    model: bool = True


class Judged(msgspec.Struct, frozen=True, gc=False):
    """A name, or a word of one.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        label: What it is.
        score: How sure the model is of the surest word.
        proof: What is there of what makes a name whole: _WORD, _ANCHOR, _FIRM.
    """

    start: int
    end: int
    label: str
    score: float
    proof: int


class Detector(BaseDetector):
    """People, places, organisations and postal addresses.

    Not part of the `default` policy, since names are no secret in most conversations. Switch it on
    with a rule: `{id: names, detector: names, action: mask, labels: [PERSON, ADDRESS]}`.
    """

    title = "Names of people, places and organisations; postal addresses"
    version = "2"
    labels: ClassVar[tuple[str, ...]] = ("PERSON", "LOCATION", "ORGANISATION", "ADDRESS")
    tags = ("owasp:llm02",)
    languages = ("en", "de", "fr", "es", "it", "nl")
    points: ClassVar[Mapping[str, float]] = {"balanced": LEAST, "strict": 0.8}
    tier = 2
    Config = Settings
    config: Settings

    examples = (
        Example("I spoke to Mary Johnson in Boston.", ("PERSON", "LOCATION"), "two names"),
        Example("my name is natasha higuchi", ("PERSON",), "evasion: small letters"),
        Example("Please call Mr. O'Connor or Anne-Marie.", ("PERSON", "PERSON"), "signs within"),
        Example("He joined Deutsche Bank last year.", ("ORGANISATION",), "a company"),
        Example("Ship to 42 Maple Street, Apt 7, Springfield.", ("ADDRESS",), "on one line"),
        Example("Ich wohne in der Goethestraße 17, 50667 Köln.", ("ADDRESS",), "German form"),
        Example("Le colis part pour 12 rue de la Paix, 75002 Paris.", ("ADDRESS",), "French form"),
        Example("Vivo en la Calle Mayor 5, 28013 Madrid.", ("ADDRESS",), "Spanish form"),
        Example("Abito in via Garibaldi 23, 20121 Milano.", ("ADDRESS",), "Italian form"),
        Example(
            "Hij woont aan de Prinsengracht 263, 1016 GV Amsterdam.", ("ADDRESS",), "Dutch form"
        ),
        Example("Dr. Brzezinska is in.", ("PERSON",), "by rule alone", config={"model": False}),
        Example("P.O. Box 101, Suite 242", ("ADDRESS",), "by rule alone", config={"model": False}),
        Example("She lives in Upper Wexcombe.", ("LOCATION",), "by rule", config={"model": False}),
        Example("Run printf and SwiftUI on S3.", (), "look-alike: code", config={"model": False}),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean"),
        Example("Press the start button and wait for 3 minutes.", (), "clean: a number"),
        Example("Will you mark the page in may?", (), "look-alike: words that are also names"),
        Example('{"product_id": 3074185296, "ts": 1755302400}', (), "look-alike: ids"),
        Example("Upgrade to version 1.2.3.4 on S3, EKS and C4.", (), "look-alike: services"),
        Example("git revert a94a8fe5ccb19ba61c4c0873d391e987982fbbd3", (), "look-alike: a commit"),
        Example("mail john.smith@example.org or @smith", (), "look-alike: addresses of machines"),
    )

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        self._wanted = chosen(self.config.labels, self.labels)
        self._allowed = Allowed(self.config)
        self._opened: tuple[str, int, Seen] | None = None  # the last long window, till it is read

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        opened, self._opened = self._opened, None
        if not _LETTER.search(text, max(0, start - LOOK_BEHIND)):
            return []
        if opened and opened[0] is text and opened[1] == start:
            seen = opened[2]
        else:
            seen = _seen(text, start, self.config.model)
        reason = _BY_MODEL if self.config.model else _BY_RULE
        hits = [
            Hit(one.label, one.score, one.start, one.end, reason)
            for one in seen.spans
            if one.start >= start and one.label in self._wanted and one.proof == _WHOLE
        ]
        return self._allowed.drop(hits, text)

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: everyday words in small letters, and no number near."""
        if len(text) - start > _WINDOW:
            return False  # hardly ever, and not worth a look of its own
        codes = codes_of(text[start:])
        if "w" in codes or "n" in codes:
            return False
        return "c" not in codes or not _DIGIT.search(text, max(0, start - 2 * REACH))

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where the last name begins that may go on, or the last word that may be one."""
        seen = _seen(text, start, self.config.model)
        self._opened = (text, start, seen) if len(text) > _WINDOW else None
        row, parts, spans = seen
        ends, edge = row.ends, len(text)
        first = len(ends)  # the first token of which the surroundings are not all there
        whole = first - (first > 0 and ends[-1] == edge)
        while first and not (first + 2 < whole or edge - ends[first - 1] > REACH + LONGEST):
            first -= 1
        opened = edge
        for index in range(first, len(ends)):
            if row.start(index) >= start and _may_become(row, index, edge):
                opened = row.start(index)
                break
        before = bisect_left(parts, row.start(first), key=_START)
        if before and opened - parts[before - 1].end <= _GAP:
            whole_name = spans[bisect_right(spans, parts[before - 1].start, key=_START) - 1]
            opened = min(opened, max(start, whole_name.start))
        return opened


class Seen(NamedTuple):
    """What a window shows: its tokens, which are of names, and these joined."""

    row: Row
    parts: list[Judged]
    spans: list[Judged]


def _seen(text: str, start: int, by_model: bool) -> Seen:  # noqa: FBT001
    """Judge the words from `start` on, and those before it that a name may have begun with.

    A stream asks for what is open in a window, then for what is found in it. Of long windows no
    copy stays in memory once both are known.
    """
    return (_remembered if len(text) <= _WINDOW else _judged)(text, start, by_model)


def _judged(text: str, start: int, by_model: bool) -> Seen:  # noqa: FBT001
    row = read(text, max(0, start - LOOK_BEHIND))
    if not row.ends or row.ends[-1] <= start:
        return Seen(row, [], [])
    low = bisect_left(row.starts, start - _SPAN - _LINK - 2) - 3
    places = row.judged(low)
    around = row.windows(places)
    borders = [row.touching[index : index + 4] for index in places]
    parts = [
        Judged(row.starts[index + 3], row.ends[index], *said)
        for index, said in zip(places, map(_said, around, borders, repeat(by_model)), strict=True)
        if said
    ]
    return Seen(row, parts, _spans(text, parts))


_remembered = lru_cache(maxsize=2)(_judged)


def _may_become(row: Row, index: int, edge: int) -> bool:
    """Whether a token is part of a name, or is once more has come."""
    code = row.codes[index]
    if row.ends[index] == edge:
        return edge - row.start(index) <= LONGEST  # no name is longer, however it goes on
    if code in ". ":
        return False
    around = row.around(index)
    return code != "c" or may_be_name(around, sits(around, row.borders(index)))


def _spans(text: str, parts: Iterable[Judged]) -> list[Judged]:
    """Join the words of a name.

    A run that goes on for more than _SPAN characters falls apart into its words from there on:
    so it can be known from a bounded piece of text where a name begins.
    """
    spans: list[Judged] = []
    last: Judged | None = None
    head = 0
    for part in parts:
        joined = last is not None and _belong(text, last, part)
        if not joined:
            head = part.start
        if joined and part.start - head <= _SPAN:
            before = spans[-1]
            spans[-1] = Judged(
                before.start,
                part.end,
                "ADDRESS" if part.label == "ADDRESS" else before.label,
                max(before.score, part.score),
                before.proof | part.proof,
            )
        else:
            spans.append(replace(part, proof=_WHOLE) if joined else part)
        last = part
    return spans


@lru_cache(maxsize=1 << 12)
def _said(around: Around, borders: bytes, by_model: bool) -> tuple[str, float, int] | None:  # noqa: FBT001
    """Label, score and proof of the middle word; None where it is part of no name."""
    label, score = judge(around, borders, by_model)
    return (label, score, _proof(around[3], label)) if label else None


def _proof(word: Word, label: str) -> int:
    """What a word has of what makes a name whole.

    No name is only a number or a letter, and no address is without a number or a word for a street,
    or a number with an abbreviation (`DIN 5008`, `60 Hz`).
    """
    if word.kinds & NUMBER:
        return _ANCHOR
    size = len(word.low)
    proof = _WORD if size > 1 else 0
    if label != "ADDRESS" or word.kinds & STREET:
        return proof | _ANCHOR | _FIRM
    firm = size > 3 and word.shape != SMALL if word.kinds & UNIT else size > 2
    return proof | (
        _FIRM if (firm and word.shape != CAPITALS) or (word.shape == CAPITAL and size > 2) else 0
    )


def _belong(text: str, last: Judged, part: Judged) -> bool:
    """Whether two words that follow each other are of one name; a town belongs to its street."""
    if part.start - last.start > _LINK or part.start - last.end > _GAP:
        return False
    if last.label != part.label and {last.label, part.label} != _POSTAL:
        return False
    return _ties(text[last.end : part.start], "ADDRESS" in (last.label, part.label))


@lru_cache(maxsize=1 << 10)
def _ties(gap: str, address: bool) -> bool:  # noqa: FBT001
    """Whether what stands between two words lets them be one name."""
    return bool((_BETWEEN_PARTS if address else _BETWEEN).fullmatch(gap))
