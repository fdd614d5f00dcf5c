"""Names and addresses by rule alone: what stands before them, what they are made of, what is known.

Reads the `rules` of tables/names.toml. Like the model it judges a word from three on either side.
Places and parts of addresses: _name_places.
"""

from __future__ import annotations

from keelmark.guard._name_places import addressed, located
from keelmark.guard._name_table import Rules, bit, named, rules, titled
from keelmark.guard._name_words import (
    CAPITAL,
    CAPITALS,
    EVERYDAY,
    INITIAL,
    MIXED,
    NUMBER,
    SMALL,
    X_Y,
    Around,
    Word,
)

Found = tuple[str, float]
_GIVEN, _FAMILY, _PLACE = bit("given"), bit("family"), bit("city", "region")
_PERSON = _GIVEN | _FAMILY
_ORGANISATION = bit("organisation")
_NO_SURNAME = bit("org_word", "street", "calendar", "people")
_LINKS = frozenset({"de", "la", "le", "el", "del", "der", "den", "des", "di", "da", "du", "van"})
_OF = frozenset({"of", "de", "di", "for"})
_BY_GENDER = frozenset({"ms", "lt", "mx", "sr"})  # in small letters they are other things


def ruled(around: Around, sits: int) -> Found:
    """Return what the middle word is by rule, and how sure that is; nothing is ("", 0)."""
    x, knows = around[3], rules()
    found = addressed(around, sits, knows)
    if x.kinds & NUMBER or found[1] >= 0.8:
        return found
    return max(
        found,
        ("PERSON", _person(around, sits, knows)),
        ("LOCATION", located(around, knows)),
        ("ORGANISATION", _organisation(around, knows)),
        key=lambda one: one[1],
    )


def _person(around: Around, sits: int, knows: Rules) -> float:
    _, _, _, x, y, z, w = around
    said = _introduced(around, knows)
    if said or x.shape == SMALL:
        return said
    if x.shape == INITIAL and y.low == "." and z.kinds & _FAMILY:
        return 0.6 if titled(z) and z.low not in knows.doubtful else 0.0
    if not titled(x) or x.low in knows.units:
        return 0.0
    if named(x) and y.low in knows.speech and not x.kinds & (_ORGANISATION | _PLACE):
        return 0.6
    if named(x) and y.low == "'" and z.low == "s" and w.low in knows.relation:
        return 0.7
    return max(_alone(x, knows), _after_name(around, knows), _before_name(around, sits, knows))


def _introduced(around: Around, knows: Rules) -> float:
    """How sure it is that what stands before introduces a person."""
    a, x = around[2], around[3]
    small = x.shape == SMALL and x.able == 1 and len(x.low) > 2
    known = bool(x.kinds & _PERSON)
    fit = named(x) or (titled(x) and known)
    if not small and not fit and x.shape not in (INITIAL, CAPITALS):
        return 0.0
    if _honoured(around, knows):
        return 0.6 if small else 0.9
    if _phrase(around, knows.sure):
        return 0.65 if small else 0.85
    if x.kinds & (_ORGANISATION | _PLACE) and not known:
        return 0.0
    if not fit and not (small and (x.kinds & _GIVEN or (a.kinds & _GIVEN and a.able == 1))):
        return 0.0
    b = around[1]
    single = a.low in knows.before_one or (titled(a) and b.low in knows.before_one)
    return 0.65 if single or _phrase(around, knows.before) else 0.0


def _honoured(around: Around, knows: Rules) -> bool:
    """Whether an honorific stands before, with a dot or without, or before the name before."""
    c, b, a = around[:3]
    if a.low in knows.honorific:
        return a.shape != SMALL or a.low not in _BY_GENDER
    if a.low == "." and b.low in knows.honorific:
        return True
    dotted = b.low in knows.honorific or (b.low == "." and c.low in knows.honorific)
    return titled(a) and dotted


def _phrase(around: Around, phrases: frozenset[tuple[str, ...]]) -> bool:
    """Whether a phrase ends before the word, or before a name in front of it."""
    c, b, a = around[:3]
    if {(a.low,), (b.low, a.low), (c.low, b.low, a.low)} & phrases:
        return True
    if not titled(a) and not (a.kinds & _GIVEN and a.able == 1):
        return False
    return bool({(b.low,), (c.low, b.low)} & phrases) or (titled(b) and (c.low,) in phrases)


def _sole(w: Word, knows: Rules) -> bool:
    """Whether a word is a given name and nothing else."""
    plain = w.low not in knows.doubtful and not w.kinds & EVERYDAY
    return bool(w.kinds & _GIVEN) and titled(w) and len(w.low) > 3 and plain


def _alone(x: Word, knows: Rules) -> float:
    return 0.75 if _sole(x, knows) and not x.kinds & _PLACE else 0.0


def _after_name(around: Around, knows: Rules) -> float:
    """How sure it is that the word goes on with a name: Angela X, John F. X, Anna van der X."""
    c, b, a, x = around[:4]
    if x.kinds & _NO_SURNAME and not x.kinds & _FAMILY:
        return 0.0
    if x.kinds & EVERYDAY and not x.kinds & _PERSON:
        return 0.0
    if _sole(a, knows) or (_sole(b, knows) and (titled(a) or a.shape == INITIAL)):
        return 0.7
    linked = a.low in _LINKS and (_sole(b, knows) or (_sole(c, knows) and b.low in _LINKS))
    if linked or (a.low == "." and _sole(c, knows)):
        return 0.65
    if not x.kinds & _FAMILY or x.low in knows.doubtful:
        return 0.0
    if a.kinds & _GIVEN and titled(a):
        return 0.75
    if a.shape == INITIAL or (a.low == "." and b.shape == INITIAL):
        return 0.7
    return 0.55 if _unknown(a, knows) else 0.0


def _before_name(around: Around, sits: int, knows: Rules) -> float:
    """How sure it is that a family name follows the word."""
    x, y = around[3], around[4]
    if sits & X_Y or not y.kinds & _FAMILY or not titled(y):
        return 0.0
    if x.kinds & _GIVEN and (y.low not in knows.doubtful or not x.kinds & EVERYDAY):
        return 0.7
    return 0.55 if y.low not in knows.doubtful and named(y) and _unknown(x, knows) else 0.0


def _unknown(w: Word, knows: Rules) -> bool:
    """Whether a word with a capital is not known as anything."""
    return named(w) and w.low not in knows.doubtful and not w.kinds & (_PLACE | _ORGANISATION)


def _organisation(around: Around, knows: Rules) -> float:
    _, b, a, x, y, z, w = around
    if x.shape == SMALL:
        return 0.0
    if _is_legal(x, knows):
        return 0.75 if _proper(a) or (a.low == "," and _proper(b)) else 0.0
    if _proper(x) and (_is_legal(y, knows) or (y.low == "," and _is_legal(z, knows))):
        return 0.75
    if (
        _proper(x)
        and _proper(y)
        and (_is_legal(z, knows) or (z.low == "," and _is_legal(w, knows)))
    ):
        return 0.7
    if titled(x) and x.low in knows.head and y.low in _OF and titled(z):
        return 0.7
    if titled(x) and b.low in knows.head and titled(b) and a.low in _OF:
        return 0.7
    return _spoken_of(around, knows)


def _spoken_of(around: Around, knows: Rules) -> float:
    """How sure it is that a word is of a school, a hospital, a company that is known."""
    a, x, y = around[2], around[3], around[4]
    if titled(x) and x.low in knows.tail and named(a):
        return 0.65
    if named(x) and y.low in knows.tail and titled(y):
        return 0.65
    known = x.kinds & _ORGANISATION and x.low in knows.companies
    return 0.6 if known and x.shape in (CAPITAL, CAPITALS, MIXED) else 0.0


def _is_legal(w: Word, knows: Rules) -> bool:
    return (w.low in knows.legal and w.shape != SMALL) or (
        w.shape == CAPITALS and w.low in knows.legal_capitals
    )


def _proper(w: Word) -> bool:
    return w.shape in (CAPITAL, CAPITALS, MIXED) and len(w.low) > 1 and bool(w.able)
