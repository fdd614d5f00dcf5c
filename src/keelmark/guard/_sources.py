"""What an answer may rest on: the sources in a request, in sentences that can be looked up."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import log
from typing import NamedTuple

from keelmark.core.ports import Segment
from keelmark.guard._bounds import gathered
from keelmark.guard._claims import key, negations, plain, telling
from keelmark.guard._dates import Calendar, dated
from keelmark.guard._quantities import Known, decimals_of, ordinals, quantities
from keelmark.guard._sentences import cut
from keelmark.guard.tape import as_read

MOST = 400_000
"""Code points of sources that are read; claims that the first ones do not bear out are then said
not to be checked."""

_MOST_PLACES = 2000  # sentences with a word, above which it says nothing of where
_PREFIX = 4
_LEAD = re.compile(
    r"^[ \t]*(context|sources?|documents?|passages?|article|reference|background)\s*:\s*$"
    r"|^[ \t]*(context|document|passage|article)\s*:[ \t]+(?=\S)",
    re.IGNORECASE | re.MULTILINE,
)
_ASKS = re.compile(
    r"^[ \t]*(?:question|query|user|task|instructions?|q|frage|pregunta)\s*:",
    re.IGNORECASE | re.MULTILINE,
)


class Source(NamedTuple):
    """A text to rest on.

    Attributes:
        path: Where it stands in the request.
        text: The text, as it reads.
        offset: Where it begins in the text of its segment.
    """

    path: str
    text: str
    offset: int = 0


class Place(NamedTuple):
    """A sentence of a source.

    Attributes:
        source: Number of the source.
        start: Where it begins.
        end: Where it ends.
        keys: Its telling words.
        denials: How many words of it deny.
    """

    source: int
    start: int
    end: int
    keys: frozenset[str]
    denials: int


class Found(NamedTuple):
    """A sentence of a source that has words of a claim, and the weight of those."""

    place: Place
    weight: float


def given(
    segments: Sequence[Segment], kinds: Sequence[str], marks: Sequence[str]
) -> tuple[tuple[Source, ...], str]:
    """Return the sources of a request, and the rest of what is said in it.

    Args:
        segments: The texts of the request.
        kinds: What counts: documents, tools, marked, system, user.
        marks: Names of tags in a user's message between which documents stand.
    """
    sources: list[Source] = []
    rest: list[str] = []
    roles = {
        "retrieved": "documents",
        "tool": "tools",
        "system": "system",
        "user": "user",
        "input": "user",
    }
    for one in segments:
        kind = roles.get(one.role, "")
        text = as_read(one.text) if one.is_json else one.text
        if kind and kind in kinds:
            sources.append(Source(one.path, text))
        elif kind == "user" and "marked" in kinds:
            spans = list(_marked(text, marks))
            sources += (Source(one.path, text[a:b], a) for a, b in spans)
            rest.append(_without(text, spans))
        elif kind in {"user", "system"}:
            rest.append(text)
    return tuple(one for one in sources if one.text.strip()), "\n".join(rest)


def _marked(text: str, marks: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where documents stand in a message: between tags, or behind `Context:` up to `Question:`."""
    opening = re.compile(rf"<({'|'.join(map(re.escape, marks))})(?:\s[^<>]*)?>", re.IGNORECASE)
    done, low, closed, any_tag = 0, text.lower(), set[str](), False
    for found in opening.finditer(text) if marks else ():
        name = found[1].lower()
        if found.start() < done or name in closed:
            continue
        end = low.find(f"</{name}>", found.end())
        if end < 0:
            closed.add(name)  # so that a text full of openings is read once
            continue
        any_tag = True
        yield found.end(), end
        done = end
    if any_tag or not (lead := _LEAD.search(text)):
        return
    asks = _ASKS.search(text, lead.end())
    yield lead.end(), asks.start() if asks else len(text)


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    out, done = [], 0
    for start, end in spans:
        out.append(text[done:start])
        done = end
    return "\n".join([*out, text[done:]])


class Index:
    """The sources of one request, built in one pass over them.

    Args:
        sources: The sources.
        rest: What else is said in the request: an answer may repeat it.

    Attributes:
        sources: The sources.
        coverage: Share of them that is read, 0 to 1.
    """

    def __init__(self, sources: Sequence[Source], rest: str = "") -> None:
        self.sources = tuple(sources)
        self._rest = rest[:MOST]
        read, left = [], MOST
        for one in sources:
            read.append(one.text[:left])
            left -= len(read[-1])
        total = sum(len(one.text) for one in sources)
        self.coverage = (MOST - left) / total if total else 1.0
        self.places = [place for number, text in enumerate(read) for place in _places(number, text)]
        self._of: defaultdict[str, list[int]] = defaultdict(list)
        for number, place in enumerate(self.places):
            for word in place.keys:
                self._of[word].append(number)
        every = "\n".join(read)
        self.vocabulary = set(self._of)
        self.asked = {one.key for one in telling(self._rest)}
        self._heads = {
            one[:_PREFIX] for one in (*self.vocabulary, *self.asked) if len(one) >= _PREFIX
        }
        self._plain = plain(f"{every}\n{self._rest}")
        self._capitals = _initials(every + "\n" + self._rest)
        self.decimals = decimals_of(every)
        every += "\n" + self._rest
        dates = dated(every)
        spans = [(date.start, date.end) for date in dates]
        found = quantities(every, "," if self.decimals == "," else ".", spans)
        self.figures = gathered(dates, found)
        years = [int(year) for year in self.figures.years]
        self.calendar = Calendar(dates, years)
        known = *self.calendar.years, *self.calendar.days, *ordinals(every)
        self.numbers = Known(found, known)
        self._none = log(1 + len(self.places)) + 1.0

    def rarity(self, word: str) -> float:
        """The weight of a word: the fewer sentences have it, the more."""
        if word in self._of:
            return log(1 + len(self.places) / len(self._of[word])) + 0.5
        return self._none

    def best(self, keys: frozenset[str], most: int) -> list[Found]:
        """Return the sentences that have most of the words, the best first."""
        weights: defaultdict[int, float] = defaultdict(float)
        for word in keys:
            places = self._of.get(word, ())
            if 0 < len(places) <= _MOST_PLACES:
                weight = self.rarity(word)
                for number in places:
                    weights[number] += weight
        ranked = sorted(
            weights.items(),
            key=lambda one: (-one[1] / (8 + len(self.places[one[0]].keys)) ** 0.3, one[0]),
        )
        return [Found(self.places[number], weight) for number, weight in ranked[:most]]

    def quotes(self, piece: str) -> bool:
        """Whether a quotation stands in the sources or the question, up to typography."""
        return piece in self._plain

    def names(self, word: str) -> bool:
        """Whether a word of a name is in them, as it is, as a beginning or as initials."""
        own = key(word)
        if own in self.vocabulary or own in self.asked:
            return True
        if len(own) >= _PREFIX and own[:_PREFIX] in self._heads:
            return True
        return word.isupper() and word.replace(".", "") in self._capitals

    def text(self, place: Place) -> str:
        """The sentence."""
        return self.sources[place.source].text[place.start : place.end]

    def passage(self, places: Sequence[Place], width: int) -> str:
        """Return places with what stands around them, in their order, within a width."""
        out: list[str] = []
        done: dict[int, int] = {}
        for place in sorted(places):
            text = self.sources[place.source].text
            room = max(0, width // len(places) - (place.end - place.start)) // 2
            start = max(0, place.start - room, done.get(place.source, 0))
            end = max(start, min(len(text), place.end + room))
            if start and (gap := text.find(" ", start, place.start)) > 0:
                start = gap + 1
            if end < len(text) and (gap := text.rfind(" ", place.end, end)) > 0:
                end = gap
            done[place.source] = end
            out.append(text[start:end])
        return "\n".join(one for one in out if one.strip())[: 2 * width]


def _places(number: int, text: str) -> Iterator[Place]:
    for piece in cut(text, final=True).pieces:
        said = text[piece.start : piece.end]
        keys = frozenset(one.key for one in telling(said))
        if keys:
            yield Place(number, piece.start, piece.end, keys, negations(said))


def _initials(text: str) -> set[str]:
    """The initials of names of two to six words."""
    out: set[str] = set()
    for found in re.finditer(
        r"\b[A-Z][\w'-]*(?:\s+(?:of|the|and|for|de)?\s*[A-Z][\w'-]*){1,5}", text
    ):
        letters = [word[0] for word in found[0].split() if word[0].isupper()]
        out.update(
            "".join(letters[a:b])
            for a in range(len(letters))
            for b in range(a + 2, len(letters) + 1)
        )
    return out
