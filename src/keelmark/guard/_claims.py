"""What a sentence claims: its telling words, names, quotations and negations."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import NamedTuple
from unicodedata import combining, normalize

from keelmark.guard._dates import NAMES
from keelmark.guard._measures import WORDS
from keelmark.guard._name_words import EVERYDAY, word
from keelmark.guard._patterns import table

_DOTTED = re.compile(r"[^\W\d_]{1,3}\.[^\W\d_]")  # Ph.D.
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_ENDINGS = ("ingly", "edly", "ing", "ied", "ies", "ed", "es", "ly", "s", "e")
_QUOTED = re.compile(
    r"“([^“”]{0,400})”|\"([^\"\n]{0,400})\"|«([^«»]{0,400})»|「([^「」]{0,400})」|„([^“”„]{0,400})[“”]"
)
_BEGINS = re.compile(r"(?:\A|[:;.!?•+–—|]\s|\n)[\s\"'“‘(*_#+-]*\Z")
_GAP = re.compile(r"\.\.\.|…|\[[^\]]*\]")
_MARKS = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "’": "'", "‘": "'", "–": "-", "—": "-", "\u00a0": " "}
)
_AROUND = " *_#>-\"'"
_ENCLOSED = re.compile(r"\(([^()]*)\)[.!]?")
_BUT = (
    r"(?:[;:]|\s[–—-]|,?\s(?:but|however|although|though|yet|nevertheless|nonetheless|aber|jedoch|"
    r"mais|cependant|pero|ma|però|но|однако|maar)\b,?)\s+"
)
_VERB = re.compile(
    r" (?:is|was|are|were|has|had|will|would|can|could|did|does|may|might|became|began|made|won|"
    r"lost|wrote|died|[a-z]{3,}ed)\b"
)
_NO_NAME = ("ly", "ing", "ed")
_LEAST_NAME = 3
_TURN = re.compile(_BUT, re.IGNORECASE)
_COMMA = re.compile(rf",\s+|{_BUT}", re.IGNORECASE)
_CONCEDES = re.compile(
    r"(?:even )?(?:although|though|while|whereas|obwohl|bien que)\b", re.IGNORECASE
)
_TOLD = re.compile(r"did you know\b", re.IGNORECASE)
_MOST_TURNS = 6
_LEAST_WORDS = 3
_TWO_LETTERS = re.compile(r"([aou])e")
_MOST_CAPITALS = 0.6


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        key: What it is compared by.
        start: Where it begins.
        end: Where it ends.
        text: As it is written.
    """

    key: str
    start: int
    end: int
    text: str


class Name(NamedTuple):
    """A name in a text: words with a capital, one after the other.

    Attributes:
        words: Those that tell something: no titles, no initials.
        start: Where it begins.
        end: Where it ends.
    """

    words: tuple[str, ...]
    start: int
    end: int


@lru_cache(maxsize=65_536)
def key(word: str) -> str:
    """Return what a word is compared by: small letters, without its ending."""
    word = word.casefold().replace("’", "'").removesuffix("'s").removesuffix("'")
    if len(word) <= 3 or not word.isascii() or not word.isalpha():
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word[: -len(ending)]
            if ending in {"ied", "ies"}:
                return stem + "y"
            return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] not in "ls" else stem
    return word


def bare(word: str) -> str:
    """Return what a name is compared by however it is spelled: `Müller` is `Mueller`."""
    plain_ = "".join(one for one in normalize("NFKD", word.casefold()) if not combining(one))
    return key(_TWO_LETTERS.sub(r"\1", plain_))


def words(text: str) -> Iterator[Word]:
    """Yield the words of a text; in scripts without white space every two characters are one."""
    for found in _TOKEN.finditer(text):
        start, end, written = found.start(), found.end(), found[0]
        if written.isascii() or not (runs := list(_SPACELESS.finditer(written))):
            yield Word(key(written), start, end, written)
            continue
        for run in runs:
            for at in range(run.start(), max(run.end() - 1, run.start() + 1)):
                pair = written[at : at + 2]
                yield Word(pair, start + at, start + at + len(pair), pair)


def telling(text: str) -> list[Word]:
    """Return the words of a text that are not function words; numbers are left to `quantities`."""
    stop = _stop()
    return [
        one
        for one in words(text)
        if one.text.casefold() not in stop
        and one.key not in stop
        and not one.text.isdigit()
        and (len(one.text) > 1 or not one.text.isascii())
    ]


def names(text: str) -> list[Name]:
    """Return the names of a text; none where capitals say nothing (German, titles)."""
    found = list(_TOKEN.finditer(text))
    letters = [one[0] for one in found if one[0][0].isalpha()]
    capitals = sum(word[0].isupper() for word in letters)
    german = sum(word.casefold() in _table()["german"] for word in letters)
    if not letters or german > 1 or (len(letters) > 4 and capitals > _MOST_CAPITALS * len(letters)):
        return []
    out: list[Name] = []
    group: list[re.Match[str]] = []
    for one in found:
        gap = text[group[-1].end() : one.start()] if group else ""
        if one[0][0].isupper() and (not group or gap in {" ", "-", ". ", "&", " & "}):
            group.append(one)
            continue
        out += _named(text, group)
        group = [one] if one[0][0].isupper() else []
    return [*out, *_named(text, group)]


def _named(text: str, group: Sequence[re.Match[str]]) -> Iterator[Name]:
    """A group of words with a capital, if it is a name."""
    known = _table()
    if group and _BEGINS.search(text, 0, group[0].start()):
        first = group[0][0].casefold()
        alone = len(group) == 1 and not _subject(text, group[0])
        group = (
            group[1:] if alone or first in known["stop"] or key(first) in known["stop"] else group
        )
    telling = [
        one
        for one in group
        if len(one[0].removesuffix("'s").removesuffix("’s")) > 1
        and not {one[0].casefold(), key(one[0])} & (_stop() | known["title"])
        and not _DOTTED.match(text, one.start())
    ]
    if telling:
        yield Name(tuple(one[0] for one in telling), telling[0].start(), telling[-1].end())


def _subject(text: str, first: re.Match[str]) -> bool:
    """Whether a word that begins a sentence is a name: no everyday word, and an English verb next.

    Orders begin with a verb themselves.
    """
    verb, low = _VERB.match(text, first.end()), first[0].casefold()
    if verb is None or low.endswith(_NO_NAME) or len(low) < _LEAST_NAME or not low.isalpha():
        return False
    return not any(word(one).kinds & EVERYDAY for one in (low, low.removesuffix("s"), key(low)))


def quotations(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield what stands in quotation marks and is longer than a title, with its place."""
    for found in _QUOTED.finditer(text):
        said = found[found.lastindex or 0]
        written = _TOKEN.findall(said)
        if sum(word[0].isupper() for word in written) > _MOST_CAPITALS * len(written):
            continue  # a title: its words are looked up as a name
        if len(written) >= _LEAST_WORDS or _SPACELESS.search(said):
            yield said, found.start(), found.end()


def parts(quotation: str) -> list[str]:
    """Return the pieces of a quotation between what was left out, as `plain` writes them."""
    pieces = (plain(one).strip(" .,;:!?'\"") for one in _GAP.split(quotation))
    return [one for one in pieces if len(one) > 2]


def plain(text: str) -> str:
    """Return a text without its typography: small letters, plain marks, single spaces."""
    return " ".join(text.translate(_MARKS).casefold().split())


def negations(text: str) -> int:
    """Return how many words of a sentence deny."""
    known = _table()["negation"]
    said = (one.casefold() for one in _TOKEN.findall(text.replace("’", "'")))
    return sum(one in known or one.endswith("n't") for one in said)


def opposites(said: frozenset[str], known: frozenset[str]) -> bool:
    """Whether one says a word and the other its opposite, and neither says both."""
    for one, other in _antonyms():
        if one in said and other in known and other not in said and one not in known:
            return True
    return False


def claims(text: str) -> bool:
    """Whether a sentence says something that sources could bear out."""
    return claimed(text) is not None


def claimed(text: str) -> tuple[int, int] | None:
    """Return the part of a sentence that says something that sources could bear out.

    That is all of it, but for what only says that nothing is known, before a "but" or behind it.
    """
    bare = _inside(text)
    if not bare or (bare[-1] in "?？؟" and not _TOLD.match(bare)):
        return None
    if not telling(bare) and not any(one.isdigit() for one in bare):
        return None
    turns = _TURN
    if _courtesy().search(bare):
        turns = _COMMA
    elif not _is_talk(bare):
        return 0, len(text)
    told = [one for one in _clauses(text, turns) if _tells(text[slice(*one)])]
    return (told[0][0], told[-1][1]) if told else None


def _clauses(text: str, turns: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """The parts of a sentence between its turns; of many, what is behind the last is one."""
    start = 0
    found = [*islice(turns.finditer(text), _MOST_TURNS)]
    if _CONCEDES.match(text.strip(_AROUND)) and (comma := text.rfind(", ")) > 0:
        found.append(_COMMA.match(text, comma) or found[-1])
    for one in sorted(found, key=lambda one: one.start()):
        if one.start() > start:
            yield start, one.start()
        start = one.end()
    yield start, len(text)


def _tells(clause: str) -> bool:
    """Whether a part of a sentence says something itself."""
    if _is_talk(bare := _inside(clause)) or _courtesy().search(bare):
        return False
    return any(one.isdigit() for one in bare) or len(telling(bare)) > 1 or bool(names(bare))


def _inside(text: str) -> str:
    """What is said, without marks around it, and without brackets around all of it."""
    bare = text.strip(_AROUND)
    return found[1].strip(_AROUND) if (found := _ENCLOSED.fullmatch(bare)) else bare


def _is_talk(bare: str) -> bool:
    return any(pattern.search(bare) for pattern in _talk())


@cache
def peoples() -> dict[str, frozenset[str]]:
    """Return countries and those who live there, the ones by the others."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for pair in table("grounding")["peoples"].split(","):
        one, other = (key(name.strip()) for name in pair.split("="))
        found[one].add(other)
        found[other].add(one)
    return {name: frozenset(others) for name, others in found.items()}


@cache
def _table() -> dict[str, frozenset[str]]:
    return {name: frozenset(given.split()) for name, given in table("grounding")["words"].items()}


@cache
def _antonyms() -> tuple[tuple[str, str], ...]:
    pairs = [
        tuple(key(one) for one in pair.split("/"))
        for pair in table("grounding")["antonyms"].split()
    ]
    return tuple((one, other) for a, b in pairs for one, other in ((a, b), (b, a)))


@cache
def _courtesy() -> re.Pattern[str]:
    return re.compile(table("grounding")["courtesy"], re.IGNORECASE)


@cache
def _talk() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(one, re.IGNORECASE) for one in table("grounding")["talk"])


@cache
def _stop() -> frozenset[str]:
    """Function words, numbers in letters, and what dates are made of."""
    return _table()["stop"] | WORDS.keys() | NAMES
