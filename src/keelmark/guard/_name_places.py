"""Places and postal addresses by rule: forms of several countries, known towns and countries."""

from __future__ import annotations

from keelmark.guard._name_table import Rules, bit, named, titled
from keelmark.guard._name_words import (
    A_X,
    B_A,
    CAPITAL,
    CAPITALS,
    EVERYDAY,
    INITIAL,
    MIXED,
    NUMBER,
    SMALL,
    STREET,
    X_Y,
    Y_Z,
    Around,
    Word,
)

_GIVEN, _FAMILY, _ORGANISATION = bit("given"), bit("family"), bit("organisation")
_NOT_A_PLACE = _GIVEN | _FAMILY | EVERYDAY
_BREAK = frozenset({",", "\n", ";", ">"})
_ORDINAL = frozenset({"th", "st", "nd", "rd"})
_BOX_BEFORE = frozenset({"po", ".", "o"})
_MARKS = frozenset({".", "#"})
NO: tuple[str, float] = ("", 0.0)


def located(around: Around, knows: Rules) -> float:
    """How sure it is that the middle word is a town, a region or a country."""
    _, b, a, x, y, _, _ = around
    if _several(around, knows):
        return 0.75
    plain = x.low not in knows.doubtful and not x.kinds & _NOT_A_PLACE
    near = a.low in knows.preposition
    if x.shape == SMALL:
        known = x.low in knows.places and plain and len(x.low) > 3 and x.able == 1
        return 0.6 if known and (near or a.low == ",") else 0.0
    if x.low in knows.places and (titled(x) or (x.shape == CAPITALS and len(x.low) > 3)):
        if plain:
            return 0.7
        near = near or (a.low == "," and b.low in knows.places)
        return 0.6 if near and not (named(y) and y.kinds & _FAMILY) else 0.0
    if x.shape == CAPITALS and x.low in knows.capitals:
        return 0.6
    fit = titled(x) if x.kinds & EVERYDAY else named(x) or (x.shape == CAPITALS and len(x.low) > 4)
    return 0.6 if fit and not x.kinds & _ORGANISATION and _after_phrase(around, knows) else 0.0


def _several(around: Around, knows: Rules) -> bool:
    """Whether the word is part of a name of several words: New York, Rio de Janeiro."""
    _, b, a, x, y, z, _ = around
    for parts in ((a, x), (x, y), (b, a, x), (a, x, y), (x, y, z)):
        words = tuple(part.low for part in parts)
        if words in knows.pairs or words in knows.threes:
            return x.shape != SMALL or all(part.able == 1 for part in parts)
    return False


def _after_phrase(around: Around, knows: Rules) -> bool:
    """Whether a phrase that a place follows stands before, or before a word in front of it."""
    c, b, a, x, y, _, _ = around
    phrases = knows.place
    if {(a.low,), (b.low, a.low), (c.low, b.low, a.low)} & phrases:
        return not x.kinds & EVERYDAY or (titled(y) and named(y))
    if not titled(a) or x.kinds & EVERYDAY:
        return False
    return bool({(b.low,), (c.low, b.low)} & phrases) or (titled(b) and (c.low,) in phrases)


def addressed(around: Around, sits: int, knows: Rules) -> tuple[str, float]:
    """Return whether the middle word is part of a postal address, and how sure that is."""
    score = _number(around, sits, knows) if around[3].kinds & NUMBER else _word(around, sits, knows)
    return ("ADDRESS", score) if score else NO


def _house(w: Word) -> bool:
    """Whether a number may be that of a house: up to five digits."""
    return bool(w.kinds & NUMBER) and w.shape <= 10


def _postcode(w: Word) -> bool:
    return bool(w.kinds & NUMBER) and w.shape == 10


def _letters(w: Word) -> bool:
    return w.low.isalpha()


def _behind(w: Word, before: Word, knows: Rules) -> bool:
    """Whether a word says that what is before it is a street."""
    if w.low in knows.behind_small:
        return w.shape != SMALL or _letters(before)
    return w.low in knows.behind and titled(w) and titled(before)


def _ahead(w: Word, knows: Rules) -> bool:
    """Whether a word says that what is behind it is a street."""
    return w.low in knows.ahead and (w.shape != SMALL or w.low in knows.ahead_small)


def _suffixed(w: Word, knows: Rules) -> bool:
    """Whether a word is a street by its ending: Goethestrasse, Prinsengracht."""
    return bool(w.kinds & STREET) and w.low not in knows.streets


def _number(around: Around, sits: int, knows: Rules) -> float:
    _, b, a, x, _, _, _ = around
    if not _house(x):
        return 0.0
    unit = a.low in knows.units or (a.low in _MARKS and b.low in knows.units)
    box = a.low in knows.box and (b.low in _BOX_BEFORE or a.shape != SMALL)
    if unit or box or _before_street(around, sits, knows) or _behind_street(around, knows):
        return 0.8
    if (a.low in knows.military and a.shape == CAPITALS) or b.low in knows.military:
        return 0.6
    if _postcode(x) and _by_place(around, knows):
        return 0.7
    return 0.6 if _british(around, sits) else 0.0


def _before_street(around: Around, sits: int, knows: Rules) -> bool:
    """Whether a street follows: 42 Maple Street, 12 rue de la Paix, 350 5th Avenue."""
    _, _, _, _, y, z, w = around
    if sits & X_Y and not (y.low == "," or (_letters(y) and len(y.low) == 1)):
        return False
    if y.kinds & NUMBER:
        return _letters(z) and _letters(w) and (_behind(w, z, knows) or _ahead(z, knows))
    if y.low == "," or sits & X_Y:
        return _ahead(z, knows) and _letters(w)
    if not _letters(y):
        return False
    if _ahead(y, knows) and (_letters(z) or z.low == "."):
        return True
    if _behind(z, y, knows) or (_suffixed(y, knows) and titled(y)):
        return True
    return _letters(z) and titled(y) and _behind(w, z, knows)


def _behind_street(around: Around, knows: Rules) -> bool:
    """Whether a street is before: Goethestrasse 17, Calle Mayor 5, via Garibaldi, 23."""
    c, b, a, _, y, _, _ = around
    if a.low == "," or (a.low == "." and b.kinds & STREET):
        return titled(b) and (_suffixed(b, knows) or _ahead(c, knows) or b.low in knows.behind)
    if not _letters(a):
        return False
    if _suffixed(a, knows) and (titled(a) or y.shape != SMALL):
        return True
    dotted = b.low == "." and _ahead(c, knows)
    if dotted or _ahead(b, knows):
        return titled(a) or bool(c.kinds & NUMBER)
    if _ahead(c, knows) and _letters(b):
        return titled(a) or titled(b)
    return a.low in knows.behind and titled(a) and titled(b)


def _by_place(around: Around, knows: Rules) -> bool:
    """Whether five digits stand at a place as postcodes do: IL 62704, 50667 Koeln."""
    c, b, a, _, y, z, _ = around
    if a.low in knows.state and a.shape == CAPITALS:
        return b.low in _BREAK or titled(b)
    ends = not (y.shape == SMALL or y.low == "%" or y.kinds & NUMBER)
    if a.low in knows.places and ends and (titled(a) or y.low in ("", "\n", ".", ",")):
        return True
    if (b.low, a.low) in knows.pairs and ends:
        return True
    if not titled(y):
        return False
    if y.low in knows.places or (y.low, z.low) in knows.pairs:
        return True
    return a.low in _BREAK and bool(b.kinds & NUMBER) and (bool(c.kinds & STREET) or titled(c))


def _british(around: Around, sits: int) -> bool:
    """Whether the number is part of a British postcode: NW1 6XE, EC1A 1BB."""
    _, b, a, x, y, z, _ = around
    if x.shape > 7:
        return False
    if x.shape == 6 and sits & X_Y and y.shape == CAPITALS and len(y.low) == 2 and not sits & A_X:
        return bool(a.kinds & NUMBER or (a.shape == INITIAL and b.kinds & NUMBER))
    area = a.shape in (INITIAL, CAPITALS) and len(a.low) <= 2 and bool(sits & A_X)
    inner = y.shape == 6 and z.shape == CAPITALS and len(z.low) == 2 and bool(sits & Y_Z)
    return area and inner and not sits & X_Y


def _word(around: Around, sits: int, knows: Rules) -> float:
    _, _, a, x, y, z, _ = around
    if _street_word(around, knows) or _street_name(around, knows):
        return 0.8
    if x.low in knows.units:
        return 0.8 if _house(y) or (y.low in _MARKS and _house(z)) else 0.0
    if _boxed(around, knows):
        return 0.8
    if x.shape == CAPITALS and (x.low in knows.state or x.low in knows.military):
        near = a.low in _BREAK or titled(a) or a.low in knows.military
        coded = _postcode(y) or (y.low in knows.state and _postcode(z))
        return 0.8 if (near and coded) or (x.low in knows.military and _house(y)) else 0.0
    return 0.7 if _town(around, knows) or _outward(around, sits) else 0.0


def _boxed(around: Around, knows: Rules) -> bool:
    """Whether the word is of a post-office box: P.O. Box 101, Postfach 12."""
    _, b, a, x, y, z, _ = around
    if x.low in knows.box:
        return _house(y) and (a.low in _BOX_BEFORE or titled(x))
    if x.low == "o":
        return a.low == "." and b.low == "p" and z.low in knows.box
    return (x.low == "po" and y.low in knows.box) or (
        x.low == "p" and y.low == "." and z.low == "o"
    )


def _street_word(around: Around, knows: Rules) -> bool:
    """Whether the word itself says that it is a street, and its neighbours agree."""
    c, b, a, x, y, z, w = around
    if _suffixed(x, knows):
        return _house(y) or (bool(a.kinds & NUMBER) and titled(x))
    if _letters(a) and _behind(x, a, knows):
        numbered = (b.kinds | c.kinds) & NUMBER or a.low in _ORDINAL or (titled(x) and _house(y))
        return bool(numbered) or (x.low in knows.behind_small and titled(x) and named(a))
    if not _ahead(x, knows) or not (_letters(y) or y.low == "."):
        return False
    if a.kinds & NUMBER or (a.low == "," and b.kinds & NUMBER):
        return True
    if titled(y) and _house(z):
        return True
    return (titled(y) or titled(z)) and (_house(w) or (z.low == "," and _house(w)))


def _street_name(around: Around, knows: Rules) -> bool:
    """Whether the word is the name of a street, or part of it."""
    c, b, a, x, y, z, _ = around
    follows = _letters(y) and _behind(z, y, knows)
    if (a.kinds | b.kinds) & NUMBER and (_behind(y, x, knows) or (titled(x) and follows)):
        return True
    if y.low in knows.behind_small and titled(y) and named(x):
        return True
    numbered = _house(y) or (y.low == "," and _house(z))
    if _ahead(a, knows):
        return bool(b.kinds & NUMBER) or (titled(x) and (numbered or _house(z)))
    if (a.low == "." or _letters(a)) and _ahead(b, knows):
        return (bool(c.kinds & NUMBER) or numbered) and (titled(x) or numbered)
    return _ahead(c, knows) and titled(x) and _letters(a) and _letters(b)


def _town(around: Around, knows: Rules) -> bool:
    """Whether the word is a town beside a postcode or behind a street or a flat."""
    c, b, a, x, y, z, w = around
    if x.shape not in (CAPITAL, CAPITALS, MIXED):
        return False
    if y.low == "," and z.low in knows.state and z.shape == CAPITALS and _postcode(w):
        return True
    if y.low in knows.state and y.shape == CAPITALS and _postcode(z):
        return True
    flat = c.low in knows.units or (c.low == "." and a.low in _BREAK)
    if a.low in _BREAK and b.kinds & NUMBER and (flat or c.kinds & STREET):
        return True
    if a.kinds & NUMBER and (b.low in knows.units or (b.low == "." and c.low in knows.units)):
        return titled(x) and not x.kinds & EVERYDAY
    if titled(a) and b.kinds & NUMBER and c.low in knows.units:
        return titled(x) and not x.kinds & EVERYDAY
    if _postcode(a) and b.low in _BREAK and titled(x):
        return True
    return a.low in _BREAK and bool(b.kinds & STREET) and titled(b) and titled(c) and named(x)


def _outward(around: Around, sits: int) -> bool:
    """Whether capitals are part of a British postcode: NW in NW1 6XE, and XE."""
    _, b, a, x, y, z, w = around
    if x.shape not in (INITIAL, CAPITALS) or len(x.low) > 2:
        return False
    if sits & X_Y and y.shape in (6, 7) and not sits & Y_Z:
        return z.shape == 6 and w.shape == CAPITALS and len(w.low) == 2
    touches = bool(sits & A_X) and a.shape == 6 and len(x.low) == 2
    return touches and not sits & B_A and bool(b.kinds & NUMBER or b.shape == INITIAL)
