"""Yes and no in the records of sources: what an answer's `refundable: true` is held to.

Words and an encoder take `parking: yes` and `parking: no` for much the same, so only the same field
of a record counts: by the last part of its name, and by what it belongs to as far as both say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from keelmark.guard._claims import negations, telling
from keelmark.guard._records import Reading

YES, NO = frozenset({"true", "yes"}), frozenset({"false", "no"})
_FLAG = re.compile(
    r"(?:^|; )([^:;\n]{1,160}): (?:(yes|true)|no|false)(?=;|$)", re.MULTILINE | re.IGNORECASE
)
_PART = " - "
_DENYING = frozenset({"non", "not", "no"})


class Field(NamedTuple):
    """The name of a field that says yes or no.

    Attributes:
        own: The telling words of its last part.
        around: Those of what it belongs to.
        denied: Whether it denies what it names: `no smoking`, `non-refundable`.
    """

    own: frozenset[str]
    around: frozenset[str]
    denied: bool

    def is_like(self, other: Field) -> bool:
        """Whether both speak of one thing, as far as they say what they belong to."""
        apart = self.around and other.around and self.around.isdisjoint(other.around)
        return bool(self.own) and self.own == other.own and not apart


class Flag(NamedTuple):
    """A yes or no of a record.

    Attributes:
        field: What it is of.
        yes: What it says of that, undenied.
        start: Where it begins in the reading.
        end: Where it ends.
    """

    field: Field
    yes: bool
    start: int
    end: int


def flags(reading: Reading) -> Iterator[Flag]:
    """Yield the fields of a reading's records that say yes or no."""
    if not reading.has_records:
        return
    text = reading.text
    for found in _FLAG.finditer(text):
        if reading.told(found.start(1)):
            line = text[text.rfind("\n", 0, found.start(1)) + 1 : found.end(1)]
            before = line.partition(": ")[0].rpartition(_PART)[0]
            one = field(found[1])
            one = one._replace(around=one.around | _words(before))
            yield Flag(one, bool(found[2]) != one.denied, found.start(1), found.end())


def field(name: str) -> Field:
    """Read the name of a field, its parts in words: `parking - street`."""
    before, _, last = name.rpartition(_PART)
    return Field(_words(last), _words(before), negations(last) % 2 == 1)


def _words(text: str) -> frozenset[str]:
    return frozenset(one.key for one in telling(text) if one.key not in _DENYING)
