"""Claims as people write them about one sentence, made from real sentences by rule.

A rule finds a value in a sentence, such as who directed what, and a short claim about it. The value
is exchanged for another of the same kind, of the same passage first, in the claim, in the passage,
or in both: a claim is so in one passage and not so in its twin.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

import grounding_lexicon as w
from grounding_compared import other_year, years
from grounding_edits import names
from grounding_forms import dates, rephrased
from grounding_passages import Document
from grounding_text import changed, window
from rows import Row

WINDOWS = (0, 0, 25, 40)
_MONTH = "|".join(w.MONTHS)
_NAME = r"(?:[A-Z][\w.'’&-]*\w\.?(?: (?:of|de|van|von|the|and the|[A-Z][\w.'’&-]*\w\.?|[A-Z]\.))*)"
_SUBJECT = re.compile(
    rf"(?P<s>(?:[Tt]he )?[\"“]?{_NAME}[\"”]?)(?: ?\([^()]*\))?(?:, [^,]{{3,60}},)?"
    r" (?P<be>is|was|are|were) (?P<a>an? |the |one of the )"
)
_KIND = re.compile(
    r"(?P<y>[\w'’-][\w'’ ,&/-]*?)(?= (?:who|which|that|from|in|of|for|by|located|based|directed"
    r"|written|starring|produced|released|born|with|on|at|about|whose|where|known|as|to|formed"
    r"|founded|launched|presented|based|situated|set|consisting|under|between|near|featuring"
    r"|created|popular|and (?:is|was|the))\b"
    r"|, (?:who|which|located|situated|based|directed|written|best|and (?:is|was))|[.;(])"
)
_BIRTH = re.compile(
    rf"\([^()]*?\b(?:born|b\.) (?:[\w ]+; )?(?P<v>(?:{_MONTH}) \d{{1,2}}, (?P<y>\d{{4}})"
    rf"|\d{{1,2}} (?:{_MONTH}) (?P<z>\d{{4}}))"
)
_DONE = (
    "directed|written|produced|composed|created|founded|designed|developed|published|recorded"
    "|built|hosted|performed|owned|released|played|portrayed|presented|edited|distributed|led"
)
_BY = re.compile(rf"\b(?P<do>{_DONE})(?: and [a-z-]+)? by (?P<v>{_NAME})(?=[,.;() ])")
_WHERE = re.compile(
    rf"\b(?P<do>located|situated|based|headquartered|held|founded|established|set|formed|born|died"
    rf"|raised|recorded|filmed) in (?:the [a-z ]+ of )?(?P<v>{_NAME}(?:, {_NAME})?)(?=[,.;) ])"
)
_WHEN = re.compile(
    rf"\b(?P<do>released|published|founded|formed|established|opened|built|premiered|launched"
    rf"|recorded|completed|created|held|aired|incorporated|introduced|elected|died|retired|moved)"
    rf" (?:[a-z]+ ){{0,2}}(?:in|on) (?P<v>(?:(?:{_MONTH}) (?:\d{{1,2}}, )?"
    rf"|\d{{1,2}} (?:{_MONTH}) )?"
    r"(?P<y>1[1-9]\d\d|20[0-2]\d))(?![\d–-])"
)
_ACTS = re.compile(
    r"\b(?:starring|stars|starred|featuring|features) "
    rf"(?P<all>{_NAME}(?:, {_NAME})*(?:,? and {_NAME})?)"
)
_FOR = re.compile(
    rf"\b(?P<do>plays for|played for|works for|worked for|member of|president of|captain of"
    rf"|capital of|known as|part of|lead singer of|student at|professor at|graduated from"
    rf"|studied at|attended|joined|married to|son of|daughter of|brother of|sister of) "
    rf"(?:the )?(?P<v>{_NAME})(?=[,.;() ])"
)
_ASKED = {
    "by": ("{s} was {do} by {v}.", "{v} {did} {s}.", "It was {v} who {did} {s}.",
           "{s} has been {do} by {v}."),
    "where": ("{s} was {do} in {v}.", "{s} is {do} in {v}.", "{v} is where {s} was {do}."),
    "when": ("{s} was {do} in {v}.", "The year in which {s} was {do} is {v}."),
    "birth": ("{s} was born on {v}.", "{s}'s date of birth is {v}.", "{v} is the birthday of {s}."),
    "year": ("{s} was born {p}.", "{s} was born {p}.", "{s}'s birth was {p}."),
    "time": ("{s} was {do} {p}.", "It was {p} that {s} was {do}."),
    "acts": ("{s} stars {v}.", "{v} stars in {s}.", "{v} is in {s}.", "{v} acted in {s}."),
    "people": ("{s} is {v}.", "{s} is of {v} origin.", "{s} comes from a {v} background."),
    "kind": ("{s} {be} {v}.", "{s} is {v}.", "{s} can be described as {v}."),
}  # fmt: skip
_EXCLUSIVE = frozenset(["by", "where", "when", "birth", "kind", "people"])
_NO_SUBJECT = re.compile(
    r"^(?:It|He|She|They|This|That|There|These|Those|What|Here|We|I|His|Her)\b"
)


class Fact(NamedTuple):
    """A value of a sentence, what it is of, and what claims say of it."""

    kind: str
    subject: str
    value: str
    start: int
    asked: tuple[str, ...]
    year: int = 0
    listed: str = ""


def _subject(parts: tuple[str, ...], line: int) -> tuple[str, re.Match[str] | None]:
    """Return what a sentence is about; for 'He' and 'It' the subject of the sentence before."""
    match = _SUBJECT.match(parts[line])
    if match and not _NO_SUBJECT.match(match["s"]):
        return match["s"].strip('"“”'), match
    if line and re.match(r"(It|He|She|The (?:film|band|album|song|series)) ", parts[line]):
        before = _SUBJECT.match(parts[line - 1])
        if before and not _NO_SUBJECT.match(before["s"]):
            return before["s"].strip('"“”'), None
    return "", None


def _filled(kind: str, **values: str) -> tuple[str, ...]:
    """Return the ways to ask for a kind, all but the value filled in."""
    found = []
    for form in _ASKED[kind]:
        text = form
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        found.append(text)
    return tuple(found)


def _kinds(sentence: str, subject: str, match: re.Match[str]) -> Iterator[Fact]:
    kind = _KIND.match(sentence, match.end())
    if not kind or match["a"] == "one of the " or len(kind["y"].split()) > 8:
        return
    if match["a"] == "the " and len(kind["y"].split()) < 4:
        return
    if len(kind["y"].split()) == 1 and sentence[kind.end() :].startswith(
        (" of", " to", " in which")
    ):
        return  # 'is the art of', 'is a method to': not whole
    value = f"{match['a']}{kind['y']}".strip()
    yield Fact("kind", subject, value, match.start("a"), _filled("kind", s=subject, be=match["be"]))
    for word in kind["y"].split():
        if word in w.CLASSES[1]:
            at = sentence.index(word, match.end())
            yield Fact("people", subject, word, at, _filled("people", s=subject))


def facts(parts: tuple[str, ...], line: int) -> Iterator[Fact]:
    """Yield what a sentence says of its subject."""
    sentence = parts[line]
    subject, match = _subject(parts, line)
    if not subject or len(subject) > 60:
        return
    if match:
        yield from _kinds(sentence, subject, match)
    yield from _births(sentence, subject)
    yield from _doings(sentence, subject)
    yield from _ties(sentence, subject)


def _births(sentence: str, subject: str) -> Iterator[Fact]:
    for m in _BIRTH.finditer(sentence):
        yield Fact("birth", subject, m["v"], m.start("v"), _filled("birth", s=subject))
        year = int(m["y"] or m["z"])
        at = m.start("y") if m["y"] else m.start("z")
        yield Fact("year", subject, str(year), at, _filled("year", s=subject), year)


def _doings(sentence: str, subject: str) -> Iterator[Fact]:
    for kind, pattern in (("by", _BY), ("where", _WHERE), ("when", _WHEN)):
        for m in pattern.finditer(sentence):
            do = m["do"]
            if m["v"] in w.CLASSES[1]:
                continue
            asked = _filled(kind, s=subject, do=do, did="wrote" if do == "written" else do)
            if do == "died" or do in {"retired", "moved", "opened", "premiered", "aired"}:
                asked = tuple(a.replace(f"was {do}", do) for a in asked[:1])
            listed = re.split(
                r" (?:for|in|with|from|starring|featuring)\b|;", sentence[m.start() :]
            )
            yield Fact(kind, subject, m["v"], m.start("v"), asked, listed=listed[0])
            if kind == "when":
                asked = _filled("time", s=subject, do=do)
                yield Fact("time", subject, m["y"], m.start("y"), asked, int(m["y"]))


def _ties(sentence: str, subject: str) -> Iterator[Fact]:
    for m in _ACTS.finditer(sentence):
        for name in re.split(r", (?:and )?| and ", m["all"]):
            at = sentence.index(name, m.start("all"))
            listed = sentence[m.start() :]
            yield Fact("acts", subject, name, at, _filled("acts", s=subject), listed=listed)
    for m in _FOR.finditer(sentence):
        be = "" if m["do"].split()[0] in {"plays", "played", "works", "worked", "graduated",
                                          "studied", "attended", "joined"} else "is "  # fmt: skip
        article = "the " if be and m["do"].split()[0] in {"president", "capital"} else ""
        article = "a " if m["do"].startswith("member") else article
        asked = (f"{subject} {be}{article}{m['do']} {{v}}.",)
        yield Fact("for", subject, m["v"], m.start("v"), asked)


class Pool(NamedTuple):
    """Values of each kind, of all documents."""

    values: dict[str, list[str]]


def pool(found: list[Document]) -> Pool:
    """Collect the values that may stand in the place of others."""
    values: dict[str, list[str]] = {}
    for document in found:
        for line in range(len(document.parts)):
            for fact in facts(document.parts, line):
                values.setdefault(fact.kind, []).append(fact.value)
    return Pool({kind: sorted(set(v)) for kind, v in values.items()})


def _date(value: str, rng: random.Random) -> str:
    new = value
    if rng.random() < 0.5:
        new = re.sub(_MONTH, lambda m: rng.choice([x for x in w.MONTHS if x != m[0]]), new)
    if new == value or rng.random() < 0.4:
        new = re.sub(r"\d{4}", lambda m: str(other_year(int(m[0]), rng)), new)
    return new


def _kind(value: str, store: Pool, rng: random.Random) -> str:
    """Another sort of thing: a word of it changed, or a thing that is something else."""
    tokens = value.split()
    sorts = [(i, g) for i, t in enumerate(tokens) for g in w.CLASSES if t in g]
    if sorts and rng.random() < 0.6:
        at, group = rng.choice(sorts)
        tokens[at] = rng.choice([x for x in group if x != tokens[at]])
        return " ".join(tokens)
    article = tokens[0]
    same = [v for v in store.values["kind"] if v.split()[0] == article or article != "the"]
    last = set(re.findall(r"\w{4,}", value.lower()))
    return next((v for v in rng.sample(same, min(30, len(same)))
                 if not last & set(re.findall(r"\w{4,}", v.lower()))), "")  # fmt: skip


def other(fact: Fact, passage: str, store: Pool, rng: random.Random) -> str:
    """Return another value of the same kind, of the passage where it has one."""
    value = fact.value
    if fact.kind in {"birth", "when"}:
        return _date(value, rng)
    if fact.year:
        return str(other_year(fact.year, rng))
    if fact.kind == "kind":
        return _kind(value, store, rng)
    if fact.kind == "people":
        return rng.choice([p for p in w.CLASSES[1] if p != value])
    mine = set(f"{value} {fact.subject}".lower().split())
    inside = [n for n, k, _ in names(passage)
              if n not in fact.listed and not mine & set(n.lower().split()) and n not in w.MONTHS
              and len(n.split()) == len(value.split())]  # fmt: skip
    if inside and rng.random() < 0.6:
        return rng.choice(inside)
    usable = [v for v in store.values[fact.kind] if not mine & set(v.lower().split())]
    near = [v for v in usable if len(v.split()) == len(value.split())] or usable
    return rng.choice(near) if near else ""


_BE = re.compile(r" (is|was|are|were|has been) (?=[a-z]|an? |the |[A-Z])")


def denied(claim: str, rng: random.Random) -> str:
    """Deny a claim by its first 'is' or 'was'; '' where it has none."""
    match = _BE.search(claim)
    if not match or claim.startswith("It was"):
        return ""
    word = match.group(1)
    said = rng.choice((f"{word} not", f"{word} not", f"{word}n't"))
    if (
        re.match(r"\w+(?:ed|en|wn) (?:by|in|on|from)\b", claim[match.end() :])
        and rng.random() < 0.5
    ):
        said = f"{word} never"
    if word == "has been":
        said = rng.choice(("has not been", "has never been"))
    return f"{claim[: match.start()]} {said} {claim[match.end() :]}"


def spelt(text: str) -> str:
    """Mend 'a American' and 'an British', which exchanges leave."""
    text = re.sub(r"\b([Aa]) (?=[AEIO][a-z])", r"\1n ", text)
    return re.sub(r"\b([Aa])n (?=[BCDFGJKLNPQRSTVWZ][a-z])", r"\1 ", text)


def _claims(fact: Fact, new: str, rng: random.Random) -> tuple[str, str]:
    """Return the claim with the value and that with the other one."""
    form, seed = rng.choice(fact.asked), rng.getrandbits(32)
    if fact.year:
        right, wrong = (b.words for b in years(fact.year, int(new), rng))
        said = form.replace("{p}", right), form.replace("{p}", wrong)
    else:
        said = form.replace("{v}", fact.value), form.replace("{v}", new)
        if fact.kind in {"when", "birth"} and re.search(rf"in (?:{_MONTH}|\d+) \d", said[0]):
            said = tuple(re.sub(rf" in (?=(?:{_MONTH}) \d+,|\d+ )", " on ", x) for x in said)
        if fact.kind == "birth" and rng.random() < 0.5:
            said = tuple(map(dates, said))
    return tuple(rephrased(spelt(x[0].upper() + x[1:]), seed, 0.5) for x in said)  # type: ignore[return-value]


def _twins(document: Document, line: int, store: Pool, rng: random.Random) -> Iterator[Row]:
    sentence = document.parts[line]
    for fact in facts(document.parts, line):
        passage = window(document.parts, line, rng.choice(WINDOWS))
        if line and fact.subject not in passage:
            passage = f"{document.parts[line - 1]} {sentence}"
        new = other(fact, passage, store, rng)
        if not new or new in fact.value or fact.value in new or fact.subject not in passage:
            continue
        edited = sentence[: fact.start] + new + sentence[fact.start + len(fact.value) :]
        twin = passage.replace(sentence, spelt(edited))
        label = 2 if fact.kind in {"acts", "for"} else 1
        said, name = _claims(fact, new, rng), f"claims/{document.collection}"
        share = 0.3 if fact.kind in _EXCLUSIVE else 0.0
        yield from twins(said, (passage, twin), name, rng, share, label)


def twins(
    said: tuple[str, str],
    passages: tuple[str, str],
    name: str,
    rng: random.Random,
    denials: float = 0.0,
    label: int = 1,
) -> Iterator[Row]:
    """Yield one supported row and one that is not: a claim for each passage, each so of its own.

    A share of them, `denials`, is denied: what was so is not.
    """
    (right, wrong), (here, there) = said, passages
    flip = False
    if rng.random() < denials:
        lot = rng.getrandbits(32)
        no, nor = (denied(claim, random.Random(lot)) for claim in said)
        if no and nor:
            right, wrong, flip = no, nor, True
    if right == wrong:
        return
    every = ((right, here, True), (right, there, False), (wrong, there, True), (wrong, here, False))
    for at in rng.choice(((0, 1), (2, 3), (0, 3), (2, 1))):
        claim, passage, so = every[at]
        if so != flip:
            yield Row(claim, {"grounding": 0}, name, passage)
        else:
            spans = changed(claim, wrong if claim == right else right)
            yield Row(claim, {"grounding": label}, name, passage, spans=spans)


_LIST = re.compile(
    r"(?P<all>(?:[A-Z][\w-]+ )?(?P<one>[a-z-]+(?: [a-z-]+)?)(?:, [a-z -]+){0,4},? and (?:an? )?"
    r"(?P<two>[a-z-]{4,}))(?=[.,;]| (?:who|from|best|known|based|and is|and was)\b)"
)


def _several(document: Document, line: int, rng: random.Random) -> Iterator[Row]:
    """Yield 'is only an actor', and 'is also a singer', of one who is both or only the first."""
    sentence = document.parts[line]
    subject, match = _subject(document.parts, line)
    found = match and match["a"] != "the " and _LIST.match(sentence, match.end())
    if not match or not found or len(found["all"].split()) > 9:
        return
    passage = window(document.parts, line, rng.choice(WINDOWS))
    alone = sentence[: found.start("one")] + found["one"] + sentence[found.end() :]
    be, one, two = match["be"], found["one"], found["two"]
    also = rng.choice(("{s} {be} a {two}.", "{s} {be} also a {two}.", "{s} {be} a {two} as well.",
                       "{s} {be} both a {one} and a {two}.",
                       "{s} {be} not only a {one}."))  # fmt: skip
    only = rng.choice(("{s} {be} only a {one}.", "{s} {be} just a {one}.", "{s} {be} not a {two}.",
                       "{s} {be} nothing but a {one}.",
                       "{s} {be} a {one}, but not a {two}."))  # fmt: skip
    said = tuple(_vowels(form.format(s=subject, be=be, one=one, two=two)) for form in (also, only))
    passages = passage, passage.replace(sentence, alone)
    yield from twins((said[0], said[1]), passages, f"claims/{document.collection}", rng)


def _vowels(text: str) -> str:
    return re.sub(r"\ba (?=[aeio]\w)", "an ", text)


def claims(found: list[Document], rng: random.Random) -> Iterator[Row]:
    """Yield claims about the sentences of documents, and their twins."""
    store = pool(found)
    for document in found * 3:
        for line in range(len(document.parts)):
            yield from _twins(document, line, store, rng)
            yield from _several(document, line, rng)
