"""What an answer may rest on: the sources in a request, in sentences that can be looked up."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice, pairwise
from math import log
from typing import NamedTuple

from keelmark.core.grounding import SourceSpan
from keelmark.core.ports import Segment
from keelmark.guard._bounds import gathered
from keelmark.guard._claims import bare, key, negations, peoples, plain, telling, words
from keelmark.guard._compounds import shares
from keelmark.guard._dates import NAMES, Calendar, dated
from keelmark.guard._flags import Flag, field, flags
from keelmark.guard._nodes import states
from keelmark.guard._patterns import lower
from keelmark.guard._quantities import Known, decimals_of, ordinals, quantities
from keelmark.guard._ranges import between
from keelmark.guard._records import Reading, is_field, read, record
from keelmark.guard._sentences import cut

MOST = 400_000
"""Code points of sources that are read; claims that the first ones do not bear out are then said
not to be checked."""

_STATE = re.compile(r", ([A-Z]{2}) (?:\d{5}\b|[A-Z]\d[A-Z]\b)")
_LABELLED = re.compile(
    r"\b((?:passage|step|section|chapter|part|item|document|source|chunk|page|question|answer|day|week"
    r"|note|line)\s\d{1,3}):(?=\d)",
    re.IGNORECASE,
)
"""A label with a number, right before another: `passage 2:30 minutes` is no time of day."""
_FISCAL = re.compile(r"\bFY(?=\d{4}\b)")
_FIELD = re.compile(r"([a-z_]+\[\d+\])\.(.+)\Z")
_DOTTED = re.compile(r"\b(?:[^\W\d_]{1,3}\.){2,}")  # Ph.D.
_MOST_PLACES = 2000  # sentences with a word, above which it says nothing of where
_PREFIX = 4
_MOST_DAYS = 4000  # that lie between others
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
        text: The text, as it is written; of a record the values of its fields, a line each.
        offset: Where it begins in the text of its segment.
        fields: Of a record, the names of its fields behind the path of the record.
    """

    path: str
    text: str
    offset: int = 0
    fields: tuple[str, ...] = ()


class Place(NamedTuple):
    """A sentence of a source.

    Attributes:
        source: Number of the source.
        start: Where it begins in what the source says.
        end: Where it ends.
        keys: Its telling words.
        denials: How many words of it deny; -1 for a record, in which `no` denies its field alone.
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
    records: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    roles = {
        "retrieved": "documents",
        "tool": "tools",
        "system": "system",
        "user": "user",
        "input": "user",
    }
    for one in segments:
        kind = roles.get(one.role, "")
        if kind and kind in kinds:
            field = _FIELD.match(one.path) if kind == "documents" else None
            if field and is_field(field[2], one.text):
                records[field[1]].append((field[2], one.text))
            else:
                sources.append(Source(one.path, one.text))
        elif kind == "user" and "marked" in kinds:
            spans = list(_marked(one.text, marks))
            sources += (Source(one.path, one.text[a:b], a) for a, b in spans)
            rest.append(_without(one.text, spans))
        elif kind in {"user", "system"}:
            rest.append(one.text)
    sources += (
        Source(path, "\n".join(text for _, text in fields), 0, tuple(name for name, _ in fields))
        for path, fields in records.items()
    )
    return tuple(one for one in sources if one.text.strip()), "\n".join(rest)


def _marked(text: str, marks: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where documents stand in a message: between tags, or behind `Context:` up to `Question:`."""
    opening = re.compile(rf"<({'|'.join(map(re.escape, marks))})(?:\s[^<>]*)?>", re.IGNORECASE)
    done, low, closed, any_tag = 0, lower(text), set[str](), False
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
        readings: What they say, records as they would be told.
        coverage: Share of them that is read, 0 to 1.
    """

    def __init__(self, sources: Sequence[Source], rest: str = "") -> None:
        self.sources = tuple(sources)
        self._rest = rest[:MOST]
        written, left = [], MOST
        for one in sources:
            written.append(one.text[:left])
            left -= len(written[-1])
        total = sum(len(one.text) for one in sources)
        self.coverage = (MOST - left) / total if total else 1.0
        self.readings = list(map(_reading, self.sources, written))
        self.places = [
            place for number, one in enumerate(self.readings) for place in _places(number, one)
        ]
        self._of: defaultdict[str, list[int]] = defaultdict(list)
        for number, place in enumerate(self.places):
            for word in place.keys:
                self._of[word].append(number)
        every = "\n".join(one.text for one in self.readings)
        self.vocabulary = {*self._of, *_addressed(every)}
        self.asked = {one.key for one in telling(self._rest)}
        self._heads = {
            one[:_PREFIX] for one in (*self.vocabulary, *self.asked) if len(one) >= _PREFIX
        }
        as_written = [
            one for one, said in zip(written, self.readings, strict=True) if said.text != one
        ]
        self._plain = plain("\n".join((every, *as_written, self._rest)))
        self._capitals = _initials(every + "\n" + self._rest)
        self.decimals = decimals_of(every)
        every = _FISCAL.sub("  ", _LABELLED.sub(r"\1;", every + "\n" + self._rest))
        dates = dated(every)
        spans = [(date.start, date.end) for date in dates]
        found = quantities(every, "," if self.decimals == "," else ".", spans, parts=True)
        dates += list(islice(between(every, dates), _MOST_DAYS))
        found += shares(every)
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

    def having(self, word: str, most: int) -> list[Place]:
        """Return sentences that have a word, the first ones."""
        return [self.places[number] for number in self._of.get(word, ())[:most]]

    def figured(self, text: str, most: int) -> list[Found]:
        """Return the sentences that have most of the days, months and digits of a sentence."""
        counts = Counter(number for word in _figures_in(text) for number in self._by_figure[word])
        return [Found(self.places[number], 0.0) for number, _ in counts.most_common(most)]

    def all_of_it(self, most: int) -> list[Found]:
        """Return all sentences, if the sources are no longer than that."""
        short = sum(len(one.text) for one in self.readings) <= most
        return [Found(place, 0.0) for place in self.places] if short else []

    @cached_property
    def _by_figure(self) -> defaultdict[str, list[int]]:
        """Which sentences have a day, a month or a number; seldom asked for."""
        out: defaultdict[str, list[int]] = defaultdict(list)
        for number, place in enumerate(self.places):
            for word in _figures_in(self.text(place)):
                out[word].append(number)
        return out

    def flags(self, name: str) -> list[tuple[Place, bool]]:
        """Return where a record says yes or no to a field of this name, and which."""
        asked = field(name)
        return [
            (Place(number, one.start, one.end, frozenset(), -1), one.yes != asked.denied)
            for number, one in self._flags.get(asked.own, ())
            if one.field.is_like(asked)
        ]

    @cached_property
    def _flags(self) -> defaultdict[frozenset[str], list[tuple[int, Flag]]]:
        out: defaultdict[frozenset[str], list[tuple[int, Flag]]] = defaultdict(list)
        for number, reading in enumerate(self.readings):
            for one in flags(reading):
                out[one.field.own].append((number, one))
        return out

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
        if bare(word) in self._bare or not self.vocabulary.isdisjoint(peoples().get(own, ())):
            return True
        return word.isupper() and word.replace(".", "") in self._capitals

    @cached_property
    def _bare(self) -> set[str]:
        dotted = (one.replace(".", "") for one in _DOTTED.findall(self._plain))
        return {bare(one) for one in (*self.vocabulary, *self.asked, *dotted)}

    def text(self, place: Place) -> str:
        """The sentence."""
        return self.readings[place.source].text[place.start : place.end]

    def origin(self, place: Place) -> SourceSpan:
        """Where the sentence is written."""
        source = self.sources[place.source]
        start, end = self.readings[place.source].origin(place.start, place.end)
        if source.fields:
            return _in_field(source, start, end)
        return SourceSpan(source.path, source.offset + start, source.offset + end)

    def passage(self, places: Sequence[Place], width: int) -> str:
        """Return places with what stands around them, in their order, within a width.

        A record that is no longer than that is returned whole: its fields do not follow another.
        """
        numbers = {place.source for place in places}
        whole = self.readings[min(numbers)] if len(numbers) == 1 else None
        if whole and whole.has_records and len(whole.text) <= width:
            return whole.text
        out: list[tuple[int, int, int]] = []
        for place in sorted(places):
            text = self.readings[place.source].text
            room = max(0, width // len(places) - (place.end - place.start)) // 2
            start, end = max(0, place.start - room), min(len(text), place.end + room)
            if start and (gap := text.find(" ", start, place.start)) > 0:
                start = gap + 1
            if end < len(text) and (gap := text.rfind(" ", place.end, end)) > 0:
                end = gap
            if out and out[-1][0] == place.source and start <= out[-1][2] + 1:
                out[-1] = place.source, out[-1][1], max(end, out[-1][2])
            else:
                out.append((place.source, start, end))
        read = (self.readings[number].text[start:end] for number, start, end in out)
        return "\n".join(one for one in read if one.strip())[: 2 * width]


def _in_field(source: Source, start: int, end: int) -> SourceSpan:
    """Where a span of a record begins: in one of its fields, each a line."""
    first = source.text.rfind("\n", 0, start) + 1
    field = source.fields[source.text.count("\n", 0, first)]
    last = source.text.find("\n", first)
    stop = end if last < 0 else min(end, last)
    return SourceSpan(f"{source.path}.{field}", start - first, stop - first)


def _reading(source: Source, text: str) -> Reading:
    """What a source says, as far as it is read."""
    if not source.fields:
        return read(text)
    return record(list(zip(source.fields, text.split("\n"), strict=False)))


def _places(number: int, reading: Reading) -> Iterator[Place]:
    for piece in cut(reading.text, final=True).pieces:
        said = reading.text[piece.start : piece.end]
        keys = {one.key for one in telling(said)}
        denials = negations(said)
        if reading.told(piece.start):
            keys, denials = keys | _compounds(said), -1
        if keys:
            yield Place(number, piece.start, piece.end, frozenset(keys), denials)


def _figures_in(said: str) -> set[str]:
    return {one.key for one in words(said) if one.text.isdigit() or one.key in NAMES}


def _compounds(said: str) -> set[str]:
    """Words of a record next to each other as one: `TakeOut` may be asked for as `takeout`."""
    return {key(one.text + other.text) for one, other in pairwise(words(said))
            if one.end + 1 == other.start and other.text.istitle()}  # fmt: skip


def _addressed(text: str) -> Iterator[str]:
    """The words of states that an address names by two letters: `Leeds, TX 75001`."""
    for found in _STATE.finditer(text):
        for one in words(states().get(found[1], "")):
            yield one.key


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
