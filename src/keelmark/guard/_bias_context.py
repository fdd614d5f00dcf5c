"""What stands around biased wording: adverts, quotation, criticism, figures, particular people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property

from keelmark.guard._bias import LEAD, Claim, Found, Group, Term, pattern, phrase_words
from keelmark.guard._patterns import CONTEXT, table
from keelmark.guard.contract import Hit

AFTER = 96
"""Characters after the wording that are read before it is judged."""

_GENERAL = frozenset({"ethnicity", "religion", "nationality", "orientation"})
_THE = ("the ", "die ", "den ")
_SAID = re.compile(
    r"""[\s,."'”’!?]{1,4}(?:(?:he|she|they) )?"""
    r"(?:said|says|wrote|writes|claimed|shouted|thought)\b"
)
_STOP = re.compile(r"[.!?;:\"(),]")
_QUOTED = re.compile(r"""(?:\A|[\s(:])["'“‘«„`][^"”’»“`\n.!?]{0,24}\Z""")
_UNQUOTE = re.compile(r"""[^"”’»“`\n]{0,48}[."',!?]?["'”’»“`]""")
_ASKED = re.compile(r"[^.!?\n]*\?")
_WHY = re.compile(r"\b(?:why|warum|wieso|weshalb|pourquoi|por que)\b[^.!?\n]{0,40}\Z")
_FIGURE = re.compile(r"\d ?%|\(\d{4}\)")
_ANY = re.compile(r"[^\W_]+")
_MOST_REASON = 96


@cache
def near_words(name: str, language: str = "") -> tuple[str, ...]:
    """Return words of the tables' `context` or `excuse`, made for `spaced` texts."""
    tables = table("bias_terms")
    some = tables["context"].get(name) or tables["excuse"][name]
    if language:
        some = [*some["en"], *(some[language] if language != "en" else ())]
    return tuple(dict.fromkeys(map(_stem, some)))


def _stem(word: str) -> str:
    inner = " ".join(phrase_words(word))
    return f"{'' if word[0] == '*' else ' '}{inner}{'' if word[-1] == '*' else ' '}"


def spaced(text: str) -> str:
    """Return the words of a text with one blank before and after each."""
    return f" {' '.join(_ANY.findall(text))} "


@cache
def hollow() -> re.Pattern[str]:
    """What looks like criticism and is none, in a spaced text."""
    return pattern(table("bias_terms")["excuse"]["hollow"])


class Around:
    """The text before and after something that was found.

    Args:
        low: The text in small letters.
        start: Where the wording begins.
        end: Where it ends.
    """

    def __init__(self, low: str, start: int, end: int) -> None:
        self.before = low[max(0, start - CONTEXT) : start]
        self.found = low[start:end]
        self.after = low[end : end + AFTER]

    @property
    def whole(self) -> str:
        """All of it."""
        return f"{self.before}{self.found}{self.after}"

    @cached_property
    def words(self) -> str:
        """The words on either side, with blanks around them."""
        return f"{spaced(self.before)} {spaced(self.after)}"

    @cached_property
    def lead(self) -> str:
        """The words of the sentence that stand before, with blanks around them."""
        return spaced(_STOP.split(self.before[-LEAD:])[-1])

    def near(self, name: str, language: str = "") -> bool:
        """Whether words of the tables stand near by."""
        return _any(near_words(name, language), self.words)

    def criticised(self, language: str) -> bool:
        """Whether it is spoken about with criticism, or as history or language."""
        said = near_words("criticism", language)
        return _any(said, self.words) and _any(said, hollow().sub(" ", self.words))

    @property
    def quoted(self) -> bool:
        """Whether it stands in quotation marks."""
        return bool(_QUOTED.search(self.before) and _UNQUOTE.match(self.after))

    @property
    def asked(self) -> bool:
        """Whether it is a question, and not one that takes it for granted."""
        return bool(_ASKED.match(self.after)) and not _WHY.search(self.before)

    @property
    def sourced(self) -> bool:
        """Whether figures are given, or where they come from."""
        return bool(_FIGURE.search(self.whole)) or self.near("source")

    @property
    def particular(self) -> bool:
        """Whether some people are meant and not all."""
        lead = self.lead
        for word in near_words("every"):
            lead = lead.removesuffix(word[1:])
        lead = lead if lead != self.lead else _bare(lead, " the ", " les ", " los ", " las ")
        return lead.endswith(near_words("particular"))

    @property
    def reported(self) -> bool:
        """Whether it is what somebody else is said to think."""
        lead = _bare(self.lead, *near_words("reported_skip"), times=3)
        return lead.endswith(near_words("reported")) or bool(_SAID.match(self.after))


def _any(words: Iterable[str], text: str) -> bool:
    for word in words:  # noqa: SIM110 (half the time of a generator)
        if word in text:
            return True
    return False


def _bare(lead: str, *words: str, times: int = 1) -> str:
    """Take some words off the end."""
    for _ in range(times):
        shorter = lead
        if lead.endswith(words):
            shorter = lead[: lead.rstrip().rfind(" ") + 1]
        if shorter == lead:
            break
        lead = shorter
    return lead


def hits(text: str, low: str, start: int, some: Iterator[Found]) -> Iterator[Hit]:
    """Yield the hits of what was found at one place."""
    for end, group, what in some:
        around = Around(low, start, end)
        if isinstance(what, Term):
            score, ground = _of_term(what, around), what.ground
        elif group is not None:
            score, ground = _of_claim(what, group, around, text[start]), group.ground
        if not score:
            continue
        if what.needs and not around.near(what.needs):
            score /= 2
        if (what.kind != "exclusion" and around.quoted) or around.criticised(what.language):
            score /= 2
        yield Hit(f"{what.kind}_{ground}".upper(), round(score, 3), start, end, _reason(what))


def _of_term(term: Term, around: Around) -> float:
    return 0.0 if term.unless and term.unless.search(around.whole) else term.score


def _of_claim(claim: Claim, group: Group, around: Around, first: str) -> float:
    if group.cased and not first.isupper():
        return 0.0
    if claim.before:
        return claim.score
    general = group.ground in _GENERAL or group.article
    if around.particular or (not general and around.lead.endswith(_THE)):
        return claim.score / 2
    if around.reported or around.asked or around.sourced:
        return claim.score / 2
    every = _bare(around.lead, " les ", " los ", " las ").endswith(near_words("every"))
    return min(0.95, claim.score + 0.1) if every else claim.score


def _reason(what: Claim | Term) -> str:
    instead = f"; plainer: {what.instead}" if isinstance(what, Term) and what.instead else ""
    return (what.why + instead)[:_MOST_REASON]
