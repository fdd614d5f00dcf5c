"""Secret words in a text, however they are spaced or cheaply encoded; for whole texts and streams.

Of a text only letters and digits are read, so a word is found with anything of up to six
characters between its letters. Besides as it is, a word is looked for backwards, in rot13, in hex
and in base64 at each of the three places where it may begin there.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Iterator, Sequence

from keelmark.core.canary import with_canary
from keelmark.core.ports import Segment
from keelmark.guard.contract import last_token
from keelmark.guard.normalise import fold

_GAP = 6  # characters between letters, such as `**-**`
_APART = rf"[\W_]{{0,{_GAP}}}"
_BETWEEN = re.compile(r"[\W_]+")
_LETTER = re.compile(r"[^\W_]")
_SHORTEST = 8
_SYSTEM = re.compile(r"messages\[\d+\]\.content(?:\[\d+\](?:\.text)?)?\Z")


def letters(word: str) -> str:
    """The letters and digits of a word, in small letters, as detectors read them."""
    return _BETWEEN.sub("", fold(word).lower())


def _forms(word: str) -> Iterator[str]:
    """Yield the ways to write a word that are looked for, in letters and digits."""
    plain, raw = letters(word), word.encode()
    yield from (plain, plain[::-1], codecs.encode(plain, "rot13"), letters(raw.hex()))
    bare = plain.encode()
    for said in dict.fromkeys((raw, bare)):
        yield from (letters(said.hex()),)
        for at in range(3):
            first, last = (0, 2, 3)[at], (at + len(said)) * 8 // 6
            yield letters(base64.b64encode(bytes(at) + said).decode()[first:last])


class Canaries:
    """Secret words, ready to be looked for.

    Args:
        words: The words.
    """

    def __init__(self, words: Sequence[str]) -> None:
        forms = dict.fromkeys(form for word in words for form in _forms(word))
        self._forms = tuple(form for form in forms if len(form) >= _SHORTEST)
        self._begun = frozenset(form[:n] for form in self._forms for n in range(1, len(form)))
        self._longest = max(map(len, self._forms), default=0)

    def __bool__(self) -> bool:
        return bool(self._forms)

    def spans(self, low: str, start: int) -> Iterator[tuple[int, int]]:
        """Yield where a word stands, in a text in small letters."""
        compact = _BETWEEN.sub("", low[start:])
        for form in self._forms:
            if form in compact:
                pattern = re.compile(_APART.join(form))
                match = pattern.search(low, start)
                while match:
                    yield match.span()
                    match = pattern.search(low, match.start() + 1)

    def open_from(self, low: str, start: int) -> int:
        """Return where a word begins that may go on; the text's length if none does."""
        at = reach = len(low)
        places: list[int] = []
        while at > max(start, reach - _GAP - 1) and len(places) < self._longest:
            at -= 1
            if _LETTER.match(low[at]):
                places.append(at)
                reach = at
        tail = "".join(low[at] for at in reversed(places))
        for size in range(len(tail), 0, -1):
            if tail[-size:] in self._begun:
                return places[size - 1]
        return len(low)

    def quiet(self, low: str, start: int) -> bool:
        """Whether no word stands in a text, or may begin in it before its last token."""
        compact = _BETWEEN.sub("", low[start:])
        if any(form in compact for form in self._forms):
            return False
        last = len(_BETWEEN.sub("", low[last_token(low, start) :]))
        return not any(
            compact[-size:] in self._begun
            for size in range(last + 1, min(self._longest, len(compact)) + 1)
        )


def plant(segments: Sequence[Segment], texts: list[str]) -> str:
    """Put a new canary at the end of the last system prompt; return it, "" without a prompt.

    Args:
        segments: What the model reads.
        texts: Their texts as they are sent; the one of the system prompt is changed.
    """
    for number in reversed(range(len(segments))):
        if segments[number].role == "system" and _SYSTEM.match(segments[number].path):
            canary = with_canary(texts[number])
            texts[number] = canary.prompt
            return canary.token
    return ""
