"""Edits that make a true sentence say something that its source does not.

Each takes a sentence and its surroundings and returns the edited sentence, or None where it finds
nothing to edit. Label 1: the source says otherwise; label 2: the source does not say it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import grounding_lexicon as w


class Edit(NamedTuple):
    """An edited sentence, and what was put where.

    `everywhere`: the source may be edited along with it wherever it has the word; otherwise only
    in the sentence that says the same.
    """

    text: str
    label: int
    kind: str
    old: str = ""
    new: str = ""
    everywhere: bool = False


class Around(NamedTuple):
    """What stands around a sentence: its document's names and numbers, and those of others."""

    names: tuple[tuple[str, str], ...]
    numbers: tuple[str, ...]
    other_names: tuple[tuple[str, str], ...]
    clauses: tuple[str, ...]
    own_clauses: tuple[str, ...] = ()


_NUMBER = re.compile(r"(?<![\w.,:/-])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w:/-]|[.,]\d)")
_SMALL = re.compile(r"\b(" + "|".join(w.NUMBER_WORDS[2:]) + r")\b")
_ORDINAL = re.compile(r"\b(" + "|".join(w.ORDINALS) + r")\b")
_NAME = re.compile(r"\b[A-Z][\w'’-]*[\w](?:\s+(?:(?:of|de|van|von|the)\s+)?[A-Z][\w'’-]*\w)*")


def names(sentence: str) -> list[tuple[str, str, int]]:
    """Return names by their shape: text, kind, start. The first word of a sentence is no sign."""
    found = []
    for match in _NAME.finditer(sentence):
        text, start = match.group(), match.start()
        text = re.sub(r"['’]s$", "", text)
        parts = text.split()
        while parts and parts[0] in w.NO_NAMES:
            start += len(parts[0]) + 1
            parts = parts[1:]
        text = sentence[start : match.start() + len(match.group())] if parts else ""
        text = re.sub(r"['’]s$", "", text)
        if len(text) < 3 or (start == 0 and len(parts) == 1):
            continue
        found.append((text, _kind(sentence[:start], text, sentence[start + len(text) :]), start))
    return found


def _kind(before: str, text: str, after: str) -> str:
    for at, group in enumerate(w.CLASSES[:4]):
        if text in group:
            return f"class{at}"
    count = min(len(text.split()), 3)
    last = (before.split() or [""])[-1].lower()
    article = "the" if last == "the" else ""
    if text.isupper():
        return "acronym"
    if article or re.search(r"\b(of|University|College|Company|Inc|Council|Club|League)\b", text):
        return f"body{article}"
    if last in {"in", "near", "at", "from", "throughout", "across"}:
        return f"place{min(count, 2)}"
    if after.startswith(("'s", "’s")) or re.match(
        r" (said|says|was born|wrote|told|won|played)", after
    ):
        return f"person{count}"
    if last in {
        "by",
        "with",
        "and",
        "coach",
        "president",
        "actor",
        "director",
        "singer",
        "mr",
        "dr",
    }:
        return f"person{count}"
    return f"other{count}"


# Kinds that say enough for a name from elsewhere to fit.
_CLEAR = frozenset(["place1", "place2", "person2", "person3", "acronym", "bodythe", "other3"])


def _replaced(text: str, start: int, old: str, new: str) -> str:
    return text[:start] + new + text[start + len(old) :]


def _shaped(value: float, like: str) -> str:
    decimals = len(like.split(".")[1]) if "." in like else 0
    return f"{value:,.{decimals}f}" if "," in like else f"{value:.{decimals}f}"


def _year(text: str) -> bool:
    return re.fullmatch(r"1[5-9]\d\d|20[0-3]\d", text) is not None


def _other_number(old: str, around: Around, rng: random.Random) -> str:
    value = float(old.replace(",", ""))
    if _year(old):
        near = [n for n in around.numbers if _year(n) and n != old]
        if near and rng.random() < 0.5:
            return rng.choice(near)
        years = [y for y in range(int(old) - 15, int(old) + 16) if y != int(old) and y < 2026]
        return str(rng.choice(years))
    near = [
        n for n in around.numbers
        if n != old and not _year(n) and 0.1 < (float(n.replace(",", "")) + 1) / (value + 1) < 10
    ]  # fmt: skip
    roll = rng.random()
    if near and roll < 0.4:
        return rng.choice(near)
    if roll < 0.6 or value < 10:
        step = max(1.0, round(value * rng.uniform(0.03, 0.3)))
        if "." in old:
            step = rng.choice((0.5, 1.5, 2.0, 3.0))
        new = value + step if value <= step or rng.random() < 0.5 else value - step
    elif roll < 0.8:
        digits = list(old)
        at = rng.choice([i for i, c in enumerate(digits) if c.isdigit()])
        digits[at] = rng.choice([d for d in "123456789" if d != digits[at]])
        return "".join(digits)
    else:
        new = value * rng.choice((2, 3, 10, 0.5, 0.1))
        if "." not in old:
            new = float(round(new))
    return _shaped(new, old)


def number(sentence: str, around: Around, rng: random.Random) -> Edit | None:
    """Put another number or year in the place of one."""
    found = list(_NUMBER.finditer(sentence)) + list(_SMALL.finditer(sentence))
    if not found:
        return None
    match = rng.choice(found)
    old = match.group()
    if old[0].isdigit():
        new = _other_number(old, around, rng)
    else:
        new = rng.choice([n for n in w.NUMBER_WORDS[2:13] if n != old])
    if new == old:
        return None
    everywhere = len(old) > 2 and old[0].isdigit()
    return Edit(_replaced(sentence, match.start(), old, new), 1, "number", old, new, everywhere)


_UNIT = re.compile(
    rf"(?<=[\d\w] )(?:{'|'.join(sorted({u for g in w.UNITS for u in g}, key=len, reverse=True))})\b"
)


def unit(sentence: str, around: Around, rng: random.Random) -> Edit | None:
    """Change the unit or the order of magnitude that stands behind a number, or an ordinal."""
    del around
    options = []
    for match in _UNIT.finditer(sentence):
        old, before = match.group(), sentence[: match.start()].rsplit(maxsplit=1)[-1].lower()
        if before[-1].isdigit() or before in w.NUMBER_WORDS or old in w.TIMES:
            group = next(g for g in w.UNITS if old in g)
            options += [(match.start(), old, new) for new in group if new != old]
    for match in _ORDINAL.finditer(sentence):
        old = match.group()
        options.append((match.start(), old, rng.choice([o for o in w.ORDINALS[:6] if o != old])))
    if not options:
        return None
    start, old, new = rng.choice(options)
    return Edit(_replaced(sentence, start, old, new), 1, "unit", old, new)


def name(sentence: str, around: Around, rng: random.Random) -> Edit | None:
    """Put another name of the same shape in the place of one."""
    options = names(sentence)
    if not options:
        return None
    old, kind, start = rng.choice(options)
    if kind.startswith("class"):
        pool = [n for n in w.CLASSES[int(kind[5:])] if n not in sentence]
        inside = [n for n, k in around.names if k == kind and n not in sentence]
        pool = inside if inside and rng.random() < 0.6 else pool
    else:
        mine = set(old.lower().split())
        usable = [
            (n, k) for n, k in around.names
            if n not in sentence and not mine & set(n.lower().split())
        ]  # fmt: skip
        pool = [n for n, k in usable if k == kind]
        if kind in _CLEAR and (not pool or rng.random() < 0.3):
            pool = [n for n, k in around.other_names if k == kind and n not in sentence]
    if not pool:
        return None
    new = rng.choice(pool)
    return Edit(_replaced(sentence, start, old, new), 1, "name", old, new, everywhere=True)


_SORT = {old: group for group in w.CLASSES for old in group}
_SORTS = w.any_of(_SORT)


def sort(sentence: str, around: Around, rng: random.Random) -> Edit | None:
    """Put another word of the same sort in place: a month, a colour, a relative, a profession."""
    del around
    found = [
        m for m in _SORTS.finditer(sentence)
        if m.group() != "May" or re.match(r"May \d", sentence[m.start() :])
    ]  # fmt: skip
    if not found:
        return None
    match = rng.choice(found)
    old = match.group()
    new = rng.choice([n for n in _SORT[old] if n not in sentence])
    if (old[0].lower() in "aeiou") != (new[0].lower() in "aeiou"):
        return None
    return Edit(_replaced(sentence, match.start(), old, new), 1, "sort", old, new, old[0].isupper())


_OPPOSITES, _FORCES = w.any_of(w.OPPOSITE), w.any_of(w.FORCE)
_FIXED = re.compile(
    r"first (of all|place|time)|open to|most (recent|of)|known (as|for)|high school|high-"
    r"|old \w+s ago|new (york|zealand|orleans|jersey|south|england|delhi|mexico)|light of",
    re.IGNORECASE,
)


def antonym(sentence: str, around: Around, rng: random.Random) -> Edit | None:
    """Turn one word into its opposite."""
    del around
    found = [m for m in _OPPOSITES.finditer(sentence) if not _FIXED.match(sentence, m.start())]
    if not found:
        return None
    match = rng.choice(found)
    old, new = match.group(), w.OPPOSITE[match.group()]
    return Edit(_replaced(sentence, match.start(), old, new), 1, "antonym", old, new)


def strength(sentence: str, around: Around, rng: random.Random) -> Edit | None:
    """Change how many, how sure, or why."""
    del around
    lower = sentence[0].lower() + sentence[1:]
    found = list(_FORCES.finditer(lower))
    if not found:
        return None
    match = rng.choice(found)
    new, label = rng.choice(w.FORCE[match.group()])
    if new in lower and len(new) > 4:
        return None
    old = sentence[match.start() : match.end()]
    new = new[0].upper() + new[1:] if old[0].isupper() else new
    return Edit(_replaced(sentence, match.start(), old, new), label, "strength", old, new)


_AUXILIARY = re.compile(
    r"\b(is|are|was|were|has been|have been|had been|will|would|can|could|should|must|has|have|had)"
    r" (?!not\b|been\b|never\b|no\b|n't)(?=[a-z])"
)
_PAST = re.compile(r"\b([A-Z]\w+|he|she|it|they|who|which) (" + "|".join(w.BASE) + r")\b(?! by)")
_SUBORDINATE = re.compile(
    r"\b(that|when|who|whom|whose|which|where|if|than|until|because|whether|while|what|as|before|after)\b"
)
_DENIED = re.compile(r"\b(is|are|was|were|did|does|do|has|have|had|will|would|can|could|should)"
                     r"( not|n['’]t|not) ")  # fmt: skip


def negation(sentence: str, around: Around, rng: random.Random) -> Edit | None:
    """Deny what is said, or say what is denied."""
    del around
    options = [
        _replaced(sentence, m.start(), m.group(), f"{m.group(1)} ")
        for m in _DENIED.finditer(sentence)
        if m.group(1) not in {"did", "does", "do"} and m.group().lower() != "cannot "
    ]
    if not options and not re.search(r"\b(not|never|no|nor|neither)\b|n['’]t\b", sentence):
        for match in list(_AUXILIARY.finditer(sentence))[:2]:
            if _SUBORDINATE.search(sentence[: match.start()]):
                break
            aux = match.group(1)
            head, _, tail = aux.partition(" ")
            denied = f"{head} not {tail + ' ' if tail else ''}"
            if rng.random() < 0.3 and head in {
                "is",
                "are",
                "was",
                "were",
                "could",
                "should",
                "would",
                "has",
                "have",
                "had",
            }:
                denied = f"{head}n't {tail + ' ' if tail else ''}"
            elif rng.random() < 0.15 and head in {"was", "were", "has", "have", "had", "is", "are"}:
                denied = f"{head} never {tail + ' ' if tail else ''}"
            if aux in {"has", "have", "had"} and not re.match(
                r"\w+(ed|en|wn|ne|un|lt|ld|st|ht)\b", sentence[match.end() :]
            ):
                continue
            options.append(_replaced(sentence, match.start(), match.group(), denied))
        for match in list(_PAST.finditer(sentence))[:1]:
            if _SUBORDINATE.search(sentence[: match.start()]):
                break
            base = w.BASE[match.group(2)]
            word = "did not" if rng.random() < 0.7 else "didn't"
            if rng.random() < 0.15:
                base, word = match.group(2), "never"
            options.append(
                _replaced(sentence, match.start(), match.group(), f"{match.group(1)} {word} {base}")
            )
    return Edit(rng.choice(options), 1, "negation") if options else None


def roles(sentence: str, around: Around, rng: random.Random) -> Edit | None:
    """Swap two names, or two numbers, that stand in different roles."""
    del around
    found = names(sentence)
    first_words = [m for m in [re.match(r"(?:[A-Z][\w'’-]+ )+(?=\w)", sentence)] if m]
    if first_words and not any(start == 0 for _, _, start in found):
        lead = first_words[0].group().strip()
        if lead not in w.NO_NAMES and " " not in lead and len(lead) > 3:
            found.insert(0, (lead, "person1", 0))
    pairs = []
    for (a, ka, i), (b, kb, j) in pairwise(found):
        between = set(sentence[i + len(a) : j].lower().split())
        alike = ka.rstrip("123") == kb.rstrip("123") or {ka[:5], kb[:5]} <= {"perso", "other"}
        if alike and between & w.ONE_WAY and a != b and not {a, b} & set(w.MONTHS):
            pairs.append((a, i, b, j))
    numbers = [(m.group(), m.start()) for m in _NUMBER.finditer(sentence)]
    for (a, i), (b, j) in pairwise(numbers):
        between = sentence[i + len(a) : j]
        worded = len(between) > 6 and re.search(r"[a-z]{3,}", between)
        joined = re.fullmatch(r"\W*(and|or|by)\W*", between)
        if a != b and _year(a) == _year(b) and worded and not joined:
            pairs.append((a, i, b, j))
    if not pairs:
        return None
    a, i, b, j = rng.choice(pairs)
    text = sentence[:i] + b + sentence[i + len(a) : j] + a + sentence[j + len(b) :]
    return Edit(text, 1, "roles")


def addition(sentence: str, around: Around, rng: random.Random) -> Edit | None:
    """Add a detail that the source does not have: a clause of another text, or a likely one."""
    end = re.search(r"[.!][\"”]?$", sentence)
    if not end or not around.other_names:
        return None
    roll = rng.random()
    elsewhere = [c for c in around.own_clauses if c not in sentence]
    if not elsewhere and roll < 0.6:
        return None
    roll = rng.random()
    if elsewhere and roll < 0.7:
        tail = rng.choice(elsewhere)
    elif around.clauses and roll < 0.75:
        tail = rng.choice(around.clauses)
    else:
        near = around.names if rng.random() < 0.5 else ()
        places = [n for n, k in near if k in {"place1", "class0", "class2"}] or w.CITIES
        people = [n for n, k in near if k == "person2"]
        people = people or [n for n, k in around.other_names if k == "person2"]
        tail = rng.choice(w.DETAILS).format(
            year=rng.randint(1950, 2022), n=rng.randint(2, 90), place=rng.choice(places),
            person=rng.choice(people or ["the mayor"]),
        )  # fmt: skip
    if tail.strip(" ,") in sentence:
        return None
    return Edit(sentence[: end.start()] + tail + end.group(), 2, "addition", "", tail)


EDITS: tuple[tuple[Callable[[str, Around, random.Random], Edit | None], float], ...] = (
    (number, 5.0), (name, 5.0), (negation, 3.0), (antonym, 3.0), (strength, 3.0), (unit, 2.0),
    (sort, 2.0), (roles, 3.0), (addition, 4.0),
)  # fmt: skip
