"""Facts made up from tables: evidence of one to three sentences, claims with computed truth.

Claims compare numbers and dates (more than, at least, between, before, in the 1990s, for how
long), or say a stated fact in other words, so that a true claim may share few words with its
evidence and a false one nearly all.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grounding_lexicon as w
from rows import Row

Record = dict[str, Any]
_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PARTS = {name: text.split() for name, text in _TABLES["names"].items()}
HELD_OUT = frozenset({"museum", "trial", "game", "quake"})


def _pick(name: str, rng: random.Random) -> str:
    return rng.choice(PARTS[name])


def place(rng: random.Random) -> str:
    """Return the name of a place that does not exist, or of one that does."""
    if rng.random() < 0.5:
        return rng.choice(w.CITIES + w.COUNTRIES + w.STATES)
    middle = _pick("syllables", rng) if rng.random() < 0.5 else ""
    name = (_pick("syllables", rng) + middle + _pick("endings", rng)).title()
    return f"{_pick('fronts', rng)} {name}" if rng.random() < 0.2 else name


def person(rng: random.Random) -> str:
    """Return the name of a person."""
    return f"{_pick('given', rng)} {_pick('family', rng)}"


def title(rng: random.Random) -> str:
    """Return the name of a work."""
    kind, thing = _pick("kinds", rng), _pick("things", rng)
    return rng.choice((f"The {kind} {thing}", f"{kind} {thing}", f"{thing} of {place(rng)}"))


def firm(rng: random.Random) -> str:
    """Return the name of a company."""
    stem = (_pick("syllables", rng) + _pick("syllables", rng)).title()
    return stem + rng.choice(
        (" Group", " Ltd", " Inc.", " Foods", " Systems", " Energy", "", " Bank")
    )


def _named(form: str, rng: random.Random) -> str:
    for slot, make in (
        ("{place}", place),
        ("{person}", person),
        ("{title}", title),
        ("{firm}", firm),
    ):
        if slot in form:
            form = form.replace(slot, make(rng))
    return form


def _one(forms: str, rng: random.Random) -> str:
    return rng.choice(forms.split(" | "))


def shown(value: int, rng: random.Random) -> str:
    """Write a number as a text might."""
    if value < 13 and rng.random() < 0.5:
        return w.NUMBER_WORDS[value]
    if value >= 1_000_000 and value % 100_000 == 0:
        return f"{value / 1e6:g} million"
    return f"{value:,}" if rng.random() < 0.85 else str(value)


def round_to(value: float) -> int:
    """Round to two leading figures."""
    if value < 100:
        return max(1, round(value))
    scale = 10 ** (len(str(int(value))) - 2)
    return int(round(value / scale) * scale)


def comparison(value: int, rng: random.Random, *, want: bool) -> str:
    """Return words such as 'more than 500' that are so of the value, or not so."""
    gap = rng.choice((0.03, 0.08, 0.15, 0.3, 0.6))
    below, above = round_to(value * (1 - gap)), round_to(value * (1 + gap))
    if not below < value < above:
        below, above = value - 1, value + 1
    lower = rng.choice(
        ("more than", "over", "at least", "in excess of", "no fewer than", "greater than")
    )
    upper = rng.choice(("less than", "fewer than", "under", "at most", "no more than", "below"))
    kind = rng.random()
    if kind < 0.4:
        return f"{lower} {shown(below if want else above, rng)}"
    if kind < 0.8:
        return f"{upper} {shown(above if want else below, rng)}"
    if kind < 0.9:
        far = above + (above - below)
        low, high = (below, above) if want else (above, far)
        return f"between {shown(low, rng)} and {shown(high, rng)}"
    if kind < 0.96:
        near = value if want else value * rng.choice((0.4, 0.6, 1.5, 2))
        about = rng.choice(("about", "around", "roughly", "approximately"))
        return f"{about} {shown(round_to(near), rng)}"
    off = above if rng.random() < 0.5 else below
    return f"exactly {shown(value if want else off, rng)}"


def period(year: int, rng: random.Random, *, want: bool) -> str:
    """Return words such as 'before 1990' or 'in the 1980s' that are so of a year, or not so."""
    gap = rng.choice((1, 2, 5, 10, 30))
    kind = rng.random()
    if year + 3 * gap > 2026:
        kind = rng.choice((0.4, 0.9))
        gap = min(gap, 2) if not want else gap
    if kind < 0.35:
        word = rng.choice(("before", "prior to", "earlier than"))
        return f"{word} {year + gap if want else year - gap}"
    if kind < 0.7:
        return f"{rng.choice(('after', 'later than'))} {year - gap if want else year + gap}"
    if kind < 0.8:
        low, high = (year - gap, year + gap) if want else (year + gap, year + 3 * gap)
        return f"between {low} and {high}"
    other = year if want else year + rng.choice((-1, 1)) * rng.choice((10, 20, 100))
    if kind < 0.93:
        return f"in the {other // 10 * 10}s"
    other = year if want else year + rng.choice((-100, 100))
    nth = {15: "16th", 16: "17th", 17: "18th", 18: "19th", 19: "20th", 20: "21st"}
    century = nth.get((other - 1) // 100)
    return (
        f"in the {century} century" if century else f"before {year + gap if want else year - gap}"
    )


class Fact(NamedTuple):
    """A quantity with its value, and how the evidence writes it."""

    quantity: Record
    value: int
    shown: str


class Story(NamedTuple):
    """What is known of a subject."""

    topic: Record
    subject: str
    facts: list[Fact]
    when: str
    text: str

    @property
    def split(self) -> str:
        """`valid` for the topics that are held out."""
        return "valid" if self.topic["name"] in HELD_OUT else "train"

    def row(
        self, claim: str, label: int, spans: tuple[tuple[int, int], ...] = (), text: str = ""
    ) -> Row:
        """Return a row about it."""
        source = "made_facts" if self.split == "train" else "valid_made_facts"
        y = {"grounding": label}
        return Row(claim, y, source, text or self.text, self.split, spans=spans if label else ())


def _value(quantity: Record, rng: random.Random) -> int:
    low, high = max(quantity["low"], 3), quantity["high"]
    value = int(low * (high / low) ** rng.random())
    return round_to(value) if value > 9000 and rng.random() < 0.4 else value


def _digits(form: str) -> str:
    """Before a sign for percent, and after one for dollars, a value is not written in words."""
    return form.replace("{v}%", "{n}%").replace("${v}", "${n}")


def _told(facts: list[Fact], when: str, subject: str, rng: random.Random) -> str:
    clauses = [
        _digits(_one(f.quantity["said"], rng)).format(s=subject, v=f.shown, n=f"{f.value:,}")
        for f in facts
    ]
    head, *rest = clauses
    if subject not in head:
        head = f"{head} ({subject})"
    text = f"{when}, {head}"
    if rest and rng.random() < 0.5:
        text += f"{rng.choice((', and', ', while', ';'))} {rest.pop(0)}"
    return " ".join([f"{text}.", *(f"{clause[0].upper()}{clause[1:]}." for clause in rest)])


def _story(topic: Record, rng: random.Random) -> Story:
    subject = _named(rng.choice(topic["subjects"]), rng)
    quantities = list(topic["quantities"])
    rng.shuffle(quantities)
    facts = []
    for quantity in quantities[: rng.choice((1, 2, 3, 3))]:
        value = _value(quantity, rng)
        facts.append(Fact(quantity, value, shown(value, rng)))
    day, month, year = rng.randint(1, 28), rng.choice(w.MONTHS), rng.randint(1960, 2023)
    when = rng.choice(
        (
            f"As of {day} {month} {year}",
            f"By {month} {year}",
            f"In {year}",
            f"On {month} {day}, {year}",
        )
    )
    text = _told(facts, when, subject, rng)
    if rng.random() < 0.3:
        text += " " + rng.choice(_TABLES["fillers"])
    return Story(topic, subject, facts, when, text)


def _claim(fact: Fact, subject: str, words: str, rng: random.Random) -> str:
    text = _one(fact.quantity["asked"], rng).format(s=subject, q=words)
    return (text[0].upper() + text[1:]).replace("Inc..", "Inc.")


def _span(claim: str, words: str) -> tuple[tuple[int, int], ...]:
    at = claim.lower().find(words.lower())
    return ((at, at + len(words)),) if at >= 0 else ()


def facts(count: int, seed: int) -> Iterator[Row]:
    """Yield rows over made-up facts: compared, exact, left out, and of another subject."""
    rng = random.Random(seed)
    for _ in range(count):
        story = _story(rng.choice(_TABLES["topics"]), rng)
        if story.split == "valid" and rng.random() < 0.5:
            continue
        fact = rng.choice(story.facts)
        exact = fact.quantity.get("exact", False) or rng.random() < 0.25
        for want in (True, False):
            if exact:
                words = fact.shown if want else _wrong(story, fact, rng)
            else:
                words = comparison(fact.value, rng, want=want)
            if want or words != fact.shown:
                claim = _claim(fact, story.subject, words, rng)
                yield story.row(claim, 0 if want else 1, _span(claim, words))
        if rng.random() < 0.45:
            yield from _missing(story, fact, rng)


def _wrong(story: Story, fact: Fact, rng: random.Random) -> str:
    others = [f.shown for f in story.facts if f.value != fact.value]
    if others and rng.random() < 0.6:
        return rng.choice(others)
    return shown(round_to(fact.value * rng.choice((0.5, 0.8, 1.2, 2))), rng)


def _missing(story: Story, fact: Fact, rng: random.Random) -> Iterator[Row]:
    """The claim against evidence that leaves its fact out, or that is about somebody else."""
    claim = _claim(fact, story.subject, comparison(fact.value, rng, want=True), rng)
    rest = [f for f in story.facts if f is not fact]
    if rest and rng.random() < 0.6:
        yield story.row(claim, 2, text=_told(rest, story.when, story.subject, rng))
        return
    other = _named(rng.choice(story.topic["subjects"]), rng)
    twin = _story(story.topic, rng)
    changed = claim.replace(story.subject, other)
    if changed != claim and other not in story.text:
        yield story.row(changed, 2, _span(changed, other))
        both = f"{story.text} {twin.text}" if rng.random() < 0.5 else f"{twin.text} {story.text}"
        yield story.row(claim, 0, text=both)


def spans_of_time(count: int, seed: int) -> Iterator[Row]:
    """Yield rows over two years of a life: how long, before or after what; of two at times."""
    rng = random.Random(seed)
    for _ in range(count):
        life = rng.choice(_TABLES["lives"])
        subject, other = _named(life["subject"], rng), _named(life["subject"], rng)
        start, length = rng.randint(1780, 1930), rng.randint(3, life["longest"])
        text = life["said"].format(s=subject, a=start, b=start + length) + "."
        if rng.random() < 0.4 and other != subject:
            first = rng.randint(1780, 1930)
            text += f" {life['said'].format(s=other, a=first, b=first + rng.randint(3, 30))}."
        which = rng.choice(("long", "began", "ended"))
        for want in (True, False):
            if which == "long":
                words = comparison(length, rng, want=want)
            else:
                words = period(start + length * (which == "ended"), rng, want=want)
            claim = _one(life[which], rng).format(s=subject, q=words, p=words)
            spans = () if want else _span(claim, words)
            yield Row(claim, {"grounding": 0 if want else 1}, "made_times", text, spans=spans)
