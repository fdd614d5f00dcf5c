"""The vault of one request: reversible masking with placeholders such as `<EMAIL_1>`.

The same value gets the same placeholder. A number is never given out when something like the
placeholder already stands in a text of the request, however it is spelled: who types `<EMAIL_1>`
gets exactly that back. Values live in memory, as long as the request, and are in no `repr`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import count, filterfalse

from keelmark.guard.normalise import fold
from keelmark.guard.tape import JsonTape, Tape


class Vault:
    """Values of one request and the placeholders that stand for them.

    Args:
        texts: Every text of the request as it reads (JSON unescaped); kept until the vault goes.
    """

    __slots__ = ("_by_value", "_folded", "_numbers", "_texts", "_values")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = list(texts)
        self._folded: str | None = None
        self._by_value: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._numbers: dict[str, Iterator[int]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Vault of {len(self)} values>"

    def mask(self, label: str, value: str) -> str:
        """Return the placeholder that stands for a value, made on first use."""
        known = self._by_value.get(value)
        if known is not None:
            return known
        if label not in self._numbers:
            self._numbers[label] = filterfalse(self._written(label).__contains__, count(1))
        placeholder = f"<{label}_{next(self._numbers[label])}>"
        self._by_value[value] = placeholder
        self._values[placeholder] = value
        return placeholder

    def _written(self, label: str) -> set[int]:
        """Numbers that stand after something like the label in the texts of the request."""
        if self._folded is None:
            self._folded = "\n".join(fold(text) for text in self._texts).upper()
        spelled = r"[\W_]*".join(c for c in label if c != "_")
        found = re.finditer(rf"{spelled}[\W_]*([0-9]{{1,9}})", self._folded)
        return {int(match[1]) for match in found}

    def knows(self, placeholder: str) -> bool:
        """Whether this is a placeholder of this request."""
        return placeholder in self._values

    def value(self, placeholder: str) -> str:
        """Return what a placeholder of this request stands for."""
        return self._values[placeholder]

    def begins(self, text: str) -> bool:
        """Whether a placeholder may begin with this text and go on after it."""
        return any(p.startswith(text) and p != text for p in self._values)


_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*_[0-9]+>")


class Unmasker:
    """Puts values back into one channel of an answer, however it is split.

    Holds only what may still become a placeholder of this request: at most the length of the
    longest one, less one character (in JSON: each character may be an escape).

    Args:
        vault: The vault of the request.
        is_json: Whether the text is JSON: placeholders are found through escapes and values are
            escaped.
    """

    __slots__ = ("_tape", "_vault")

    def __init__(self, vault: Vault, *, is_json: bool = False) -> None:
        self._vault = vault
        self._tape = JsonTape() if is_json else Tape()

    def feed(self, text: str, *, final: bool = False) -> str:
        """Take the next piece; return what is certain."""
        tape, vault = self._tape, self._vault
        tape.push(text, final=final)
        read = tape.text
        cut = len(read)
        last = read.rfind("<")
        if not final and last >= 0 and vault.begins(read[last:]):
            cut = last
        out: list[str] = []
        done = 0
        for match in _PLACEHOLDER.finditer(read, 0, cut):
            if vault.knows(match[0]):
                out.append(tape.written(done, match.start()))
                out.append(tape.replaced(match.start(), match.end(), vault.value))
                done = match.end()
        out.append(tape.written(done, cut))
        tape.drop(cut)
        return "".join(out)
