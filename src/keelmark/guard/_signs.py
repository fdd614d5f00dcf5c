"""Signs of prompt injection as the tables write them, and which of them a text may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from keelmark.guard._heads import needed
from keelmark.guard._patterns import both_views, compiled, table
from keelmark.guard._slots import BLANK, KEY, LATIN, Phrase, Slot, phrase, slots
from keelmark.guard.normalise import fold

_PLANES = 4  # conditions of what is looked for
_IN_SENTENCE = r"(?:[^.!?。！？]|[.!?](?=\S))"


class Pattern(NamedTuple):
    """A regular expression, and without what it does not match.

    Attributes:
        written: The expression.
        heads: Keys of the Latin words that it begins with; empty when it may begin in another
            way, so that it has to be searched for.
        needs: It needs one of each of these: keys, and other characters.
    """

    written: str
    heads: frozenset[str]
    needs: tuple[frozenset[str], ...]

    @property
    def regex(self) -> re.Pattern[str]:
        """The expression, compiled when a text may first hold it."""
        return compiled(self.written)


class Sign(NamedTuple):
    """One row of the tables.

    Attributes:
        label: Label of the hit.
        weight: How telling it is alone, 0 to 1.
        why: For the reason.
        keyed: Literals that begin with a Latin letter, by the key of their longest word; every
            match of a pattern holds one of these or of the others.
        others: Literals that begin otherwise.
        patterns: Regular expressions.
        phrases: Phrases of a language.
        language: The language of the phrases.
        turns: Whether some words turn its meaning around (`keep` in the tables).
    """

    label: str
    weight: float
    why: str
    keyed: dict[str, list[str]]
    others: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    phrases: tuple[Phrase, ...] = ()
    language: str = ""
    turns: bool = False


@cache
def signs() -> tuple[Sign, ...]:
    """Every sign of the tables: those written out, and every phrase in every language."""
    plain = table("injection")
    told = [_sign(row, row["any"], _patterns(row["like"])) for row in plain["sign"]]
    for code in _codes():
        spoken = language(code)
        for row in plain["phrase"]:
            phrases = [phrase(like) for like in row["like"]]
            kept = tuple(one for one in phrases if all(slot in spoken for slot in one.slots))
            sign = Sign(row["label"], row["weight"], f"{row['why']} ({code})", {}, (), (), kept)
            told.append(sign._replace(language=code))
    return tuple(
        sign._replace(turns=sign.label == "INSTRUCTION_OVERRIDE")
        for sign in told
        if sign.patterns or sign.phrases
    )


@cache
def turning() -> re.Pattern[str]:
    """A pattern for the words that turn an order around, of all languages."""
    of = table("injection_words")
    words = {word for slots in of.values() for word in both_views(slots.get("keep", ()))}
    return re.compile("|".join(re.escape(word) for word in sorted(words, key=len)))


def _codes() -> list[str]:
    return [code for code in table("injection_words") if code != "common"]


@cache
def language(code: str) -> dict[str, Slot]:
    """The words of a language, by slot."""
    languages = table("injection_words")
    return slots(languages["common"]) | slots(languages[code])


def _sign(row: dict[str, Any], gate: list[str], patterns: tuple[Pattern, ...]) -> Sign:
    keyed: dict[str, list[str]] = {}
    literals = both_views(gate)
    for literal in literals:
        if LATIN.match(literal):
            longest = max(LATIN.findall(literal), key=len)
            keyed.setdefault(longest[:KEY], []).append(literal)
    others = tuple(literal for literal in literals if not LATIN.match(literal))
    return Sign(row["label"], row["weight"], row["why"], keyed, others, patterns)


def _patterns(sources: list[str]) -> tuple[Pattern, ...]:
    """Regular expressions for the text as written and, in other scripts, for the folded view."""
    written = [_expand(source) for source in sources]
    foreign = [fold(w) for w in written if any(c > "\x7f" and c.isalpha() for c in w)]
    return tuple(_pattern(w) for w in dict.fromkeys([*written, *foreign]))


def _expand(source: str) -> str:
    """Turn the table's shorthand into a regular expression."""
    out, in_class, index = [], False, 0
    while index < len(source):
        char = source[index]
        if char == "\\":
            out.append(source[index : index + 2])
            index += 2
            continue
        if char in "[]":
            in_class = char == "["
        if in_class or char not in " ~^.":
            out.append(char)
        elif source.startswith(" ?", index):
            out.append(r"[\s*_]{0,3}")
            index += 1
        else:
            out.append(
                {
                    ".": r"[^\s。]",
                    " ": BLANK,
                    "~": _IN_SENTENCE + "{0,40}?",
                    "^": _IN_SENTENCE + "{0,100}?",
                }[char]
            )
        index += 1
    return "".join(out)


def _pattern(written: str) -> Pattern:
    heads, needs = needed(written)
    return Pattern(written, heads if all(map(LATIN.match, heads)) else frozenset(), needs)


class Wanted(NamedTuple):
    """A pattern or a phrase that may be looked for.

    Attributes:
        sign: Number of its sign.
        pattern: The pattern, unless it is a phrase.
        phrase: The phrase.
        language: Language of the phrase.
    """

    sign: int
    pattern: Pattern | None = None
    phrase: Phrase | None = None
    language: str = ""


class Gate:
    """Tells in one pass over the words of a text what may be in it at all.

    What is wanted has up to _PLANES conditions, each met by some keys or literals. A key stands
    for one number: the bit of each condition that it meets, the first conditions of all that is
    wanted in the lowest bits, then the second ones. So the keys of a text are joined by `|`, and
    the planes by `&`.
    """

    def __init__(self) -> None:
        self._wanted: list[Wanted] = []
        self._met: list[tuple[int, int, str, bool]] = []  # of which, condition, by what, a key?
        self._open: list[tuple[int, int]] = []

    def want(self, wanted: Wanted, conditions: Sequence[tuple[set[str], set[str]]]) -> None:
        """Take something in.

        Args:
            wanted: What it is.
            conditions: Each: keys and literals of which the text must have one; those that are
                too many are not asked.
        """
        number = len(self._wanted)
        self._wanted.append(wanted)
        for plane in range(_PLANES):
            if plane >= len(conditions):
                self._open.append((number, plane))
                continue
            keys, literals = conditions[plane]
            self._met += ((number, plane, key, True) for key in keys)
            self._met += ((number, plane, literal, False) for literal in literals)

    def close(self) -> None:
        """Everything is in."""
        size = self._size = len(self._wanted)
        self._keyed: dict[str, int] = {}
        self._first: dict[str, dict[str, int]] = {}
        self._always = sum(1 << plane * size + number for number, plane in self._open)
        for number, plane, met_by, is_key in self._met:
            under = self._keyed if is_key else self._first.setdefault(met_by[0], {})
            under[met_by] = under.get(met_by, 0) | 1 << plane * size + number
        self._plain = [char for char in self._first if char.isascii()]

    def literals(self, low: str) -> list[tuple[str, int]]:
        """Return the literals that a text has, each with what it meets."""
        return [
            (literal, bits)
            for char in (self._plain if low.isascii() else self._first.keys() & set(low))
            if char in low
            for literal, bits in self._first[char].items()
            if literal in low
        ]

    def passed(self, low: str, keys: set[str], literals: list[tuple[str, int]]) -> Iterator[Wanted]:
        """Yield what may be in a text, in the order in which it was taken in.

        Args:
            low: The text.
            keys: Of its Latin words.
            literals: Those that it may have.
        """
        met = self._always
        for key in self._keyed.keys() & keys:
            met |= self._keyed[key]
        for literal, bits in literals:
            if literal in low:
                met |= bits
        size = self._size
        all_met = met & (1 << size) - 1
        for plane in range(1, _PLANES):
            all_met &= met >> plane * size
        while all_met:
            lowest = all_met & -all_met
            yield self._wanted[lowest.bit_length() - 1]
            all_met ^= lowest


@cache
def gate() -> Gate:
    """Return the gate for all signs."""
    made = Gate()
    for number, sign in enumerate(signs()):
        literals = (set(sign.keyed), set(sign.others))
        for pattern in sign.patterns:
            needs = [
                ({one for one in some if LATIN.match(one)}, set(some)) for some in pattern.needs
            ]
            made.want(
                Wanted(number, pattern),
                [literals, *((keys, some - keys) for keys, some in needs)],
            )
        for one in sign.phrases:
            conditions = [_held(language(sign.language)[slot]) for slot in one.slots]
            made.want(Wanted(number, None, one, sign.language), conditions)
    made.close()
    return made


def _held(slot: Slot) -> tuple[set[str], set[str]]:
    """The keys and literals of which a text must have one to hold a word of a slot."""
    return set(slot.keyed), {word.holds for word in slot.searched}


def holds(sign: Sign, low: str, keys: set[str]) -> bool:
    """Whether a text has one of the literals of a sign."""
    for key in sign.keyed.keys() & keys:
        for literal in sign.keyed[key]:
            if literal in low:
                return True
    return bool(sign.others) and any(other in low for other in sign.others)
