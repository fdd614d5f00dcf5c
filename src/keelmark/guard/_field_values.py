"""Whether the value of a field rests on the sources: with its name, as a claim of a few words."""

from __future__ import annotations

import re

import msgspec

from keelmark.core.grounding import Ground, Sentence
from keelmark.guard._claims import telling
from keelmark.guard._dates import dated
from keelmark.guard._flags import NO, YES
from keelmark.guard._grounds import Voice, judge, judge_claim
from keelmark.guard._records import SAYS_NOTHING
from keelmark.guard._sources import Index

_SENTENCE = 6  # words from which on a value speaks for itself, without its field
_NOTHING = YES | NO | {"", "null", "none", "n/a", "unknown"}
_BORNE_OUT, _AGAINST = 0.03, 0.97
_CARRIES = SAYS_NOTHING | {"answer", "answers", "output", "reply", "value", "final", "year", "date"}
_OF_A_SET = re.compile(r"[a-z][\w.-]*|[A-Z]{1,4}|[-+]?[\d.,]+%?")
_ESCAPED = re.compile(r"\\[\"\\/bfnrt]")
_BLANKS = str.maketrans("bfnrt", "     ")


def judge_value(
    text: str, label: str, index: Index, voice: Voice | None = None, *, bare: bool = False
) -> Sentence:
    """Judge the value of a field, or a sentence of it.

    Where the sources have no word for a field, its numbers and its words of a set ("positive",
    "EUR") are the writer's own: a score, a class; unless the name says only that an answer or a
    date comes. Yes and no are held to the same field of a record, where the sources have one.

    Args:
        text: The value, with its escapes or without.
        label: The names of the field and of what it is in.
        index: The sources.
        voice: The encoder, where there is one.
        bare: Whether it stands without quotes.

    Raises:
        UnavailableError: There is an encoder, and it cannot be asked.
    """
    value = _ESCAPED.sub(lambda found: found[0][1:].rjust(2).translate(_BLANKS), text)
    if len(value.split()) >= _SENTENCE:
        return judge(value, index, voice)
    if said := _yes_or_no(value, label, index):
        return msgspec.structs.replace(said, end=len(text))
    label = label if _named(label) else ""
    if not _tells(value, label, index, bare=bare):
        reason = "a value for which the sources have no word"
        return Sentence(0, len(text), Ground.NO_CLAIM, 0.0, 1, reason)
    before = len(f"{label}: ") if label else 0
    said = judge_claim(f"{label}: {value}" if label else value, index, voice)
    spans = {(max(0, first - before), last - before) for first, last in said.spans if last > before}
    return msgspec.structs.replace(said, end=len(text), spans=tuple(sorted(spans)))


def _yes_or_no(value: str, label: str, index: Index) -> Sentence | None:
    """What the records of the sources say to a yes or a no; None where none speaks of it.

    Records of several things may say both; then nothing is against either.
    """
    plain = value.strip().lower()
    if plain not in YES | NO:
        return None
    own = " - ".join(one for one in label.split(" - ") if _named(one))
    said = {yes: place for place, yes in reversed(index.flags(own))}
    if not said:
        return None
    if place := said.get(plain in YES):
        reason = "a record of the sources says so"
        return Sentence(0, 0, Ground.SUPPORTED, _BORNE_OUT, 1, reason, index.origin(place))
    (place,) = said.values()
    reason = "a record of the sources says the opposite"
    return Sentence(0, 0, Ground.CONTRADICTED, _AGAINST, 1, reason, index.origin(place))


def _tells(value: str, label: str, index: Index, *, bare: bool) -> bool:
    """Whether a value says something that sources can bear out."""
    if value.strip().lower() in _NOTHING:
        return False
    plain = bare or (_OF_A_SET.fullmatch(value) and not dated(value))
    return not (plain and label) or any(one.key in index.vocabulary for one in telling(label))


def _named(label: str) -> bool:
    """Whether the name of a field says what its value is, and not only that one comes."""
    return any(one.text.lower() not in _CARRIES for one in telling(label))
