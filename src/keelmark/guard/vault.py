"""The vault of one request: reversible masking with placeholders such as `<EMAIL_1>`.

The same value gets the same placeholder. A number is never given out when something like the
placeholder already stands in a text of the request, however it is spelled: who types `<EMAIL_1>`
gets exactly that back. Instead of a placeholder a surrogate may stand for a value: one that looks
like it and stands in no text of the request either. Values live in memory, as long as the request,
and are in no `repr`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from itertools import count, filterfalse

from keelmark.core.policy import Replacement
from keelmark.guard._surrogates import surrogate
from keelmark.guard.normalise import fold
from keelmark.guard.tape import JsonTape, Tape


class Vault:
    """Values of one request and the placeholders that stand for them.

    Args:
        texts: Every text of the request as it reads (JSON unescaped); kept until the vault goes.
        key: Secret of surrogates: the same one gives the same surrogates in every turn of a
            conversation. A new one when empty.
    """

    __slots__ = ("_by_value", "_folded", "_key", "_numbers", "_surrogates", "_texts", "_values")

    told = "a surrogate of the request passed"  # as an excuse of the answer's rules

    def __init__(self, texts: Iterable[str] = (), key: bytes = b"") -> None:
        self._texts = list(texts)
        self._key = key
        self._surrogates: dict[tuple[str, str], str] = {}
        self._folded: str | None = None
        self._by_value: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._numbers: dict[str, Iterator[int]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Vault of {len(self)} values>"

    def mask(self, label: str, value: str, replacement: Replacement = "placeholder") -> str:
        """Return what stands for a value, made on first use."""
        return (self._surrogate if replacement == "surrogate" else self._placeholder)(label, value)

    def _placeholder(self, label: str, value: str) -> str:
        known = self._by_value.get(value)
        if known is not None:
            return known
        if label not in self._numbers:
            self._numbers[label] = filterfalse(self._written(label).__contains__, count(1))
        placeholder = f"<{label}_{next(self._numbers[label])}>"
        self._by_value[value] = placeholder
        self._values[placeholder] = value
        return placeholder

    def _surrogate(self, label: str, value: str) -> str:
        known = self._surrogates.get((label, value))
        if known is not None:
            return known
        self._key = self._key or secrets.token_bytes(32)
        drawn = (surrogate(label, value, self._key, attempt) for attempt in range(_ATTEMPTS))
        made = next((one for one in drawn if self._is_new(one)), None)
        if made is None:  # a form with so few values that the request has them all
            return self._placeholder(label, value)
        self._surrogates[label, value] = made
        self._values[made] = value
        return made

    def _is_new(self, made: str) -> bool:
        return made not in self._values and not any(made in text for text in self._texts)

    @property
    def values(self) -> tuple[str, ...]:
        """Every value that something stands for."""
        return tuple(self._values.values())

    @property
    def surrogates(self) -> tuple[str, ...]:
        """Every surrogate, longest first."""
        return tuple(sorted(self._surrogates.values(), key=len, reverse=True))

    def covers(self, label: str, text: str, start: int, end: int) -> bool:  # noqa: ARG002
        """Whether what a rule found in the answer is (most of) a surrogate (see Excuse)."""
        value = text[start:end]
        known = self._surrogates.values()
        return any(value in one and 2 * len(value) > len(one) > 1 for one in known)

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
_ATTEMPTS = 20


class Unmasker:
    """Puts values back into one channel of an answer, however it is split.

    Holds only what may still become a placeholder of this request: at most the length of the
    longest one, less one character (in JSON: each character may be an escape).

    Args:
        vault: The vault of the request.
        is_json: Whether the text is JSON: placeholders are found through escapes and values are
            escaped.
    """

    __slots__ = ("_surrogates", "_tape", "_vault", "_wanted")

    def __init__(self, vault: Vault, *, is_json: bool = False) -> None:
        self._vault = vault
        self._tape = JsonTape() if is_json else Tape()
        self._surrogates = vault.surrogates
        own = [re.escape(one) for one in self._surrogates]
        self._wanted = re.compile("|".join([_PLACEHOLDER.pattern, *own])) if own else _PLACEHOLDER

    def feed(self, text: str, *, final: bool = False) -> str:
        """Take the next piece; return what is certain."""
        tape, vault = self._tape, self._vault
        tape.push(text, final=final)
        read = tape.text
        cut = len(read)
        last = read.rfind("<")
        if not final and last >= 0 and vault.begins(read[last:]):
            cut = last
        if not final and self._surrogates:
            cut = min(cut, *(_begun(read, one) for one in self._surrogates))
        out: list[str] = []
        done = 0
        for match in self._wanted.finditer(read):
            if match.start() < cut and vault.knows(match[0]):
                cut = max(cut, match.end())
                out.append(tape.written(done, match.start()))
                out.append(tape.replaced(match.start(), match.end(), vault.value))
                done = match.end()
        out.append(tape.written(done, cut))
        tape.drop(cut)
        return "".join(out)


def _begun(text: str, surrogate: str) -> int:
    """Where the end of a text may be the beginning of a surrogate; the text's length if nowhere."""
    for size in range(min(len(surrogate) - 1, len(text)), 0, -1):
        if text.endswith(surrogate[:size]):
            return len(text) - size
    return len(text)
