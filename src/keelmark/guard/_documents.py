"""Texts that are to be JSON: read strictly, and freed of what models like to write around it."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import msgspec

from keelmark.core.errors import KeelmarkError

LONGEST = 2 * 1024 * 1024
"""Characters of the longest text that is read."""

_MOST_TRIES = 16
_FENCE = re.compile(r"^[ \t]*```[ \t]*[A-Za-z0-9]{0,16}[ \t]*$", re.MULTILINE)
_OPENING = re.compile(r"[{\[]")
_WORDS = ("true", "false", "null")
_python = json.JSONDecoder()


class UnreadableError(KeelmarkError):
    """A text that cannot be read for its size or depth: nobody knows whether it is JSON."""


class NotJsonError(KeelmarkError):
    """A text that is no JSON document.

    Args:
        message: What is wrong with it, one phrase without the text.
        cut: Whether it is one as far as it goes, and ends too early.
    """

    def __init__(self, message: str, *, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut


class Tidied(NamedTuple):
    """The one document in a text, and what stood around it."""

    text: str
    off: str


def read(text: str) -> Any:
    """Return the value of a JSON document.

    Raises:
        NotJsonError: It is none: not RFC 8259, a name given twice, or a number out of range.
        UnreadableError: It is too long or too deep to say.
    """
    if len(text) > LONGEST:
        raise UnreadableError(f"The text is longer than {LONGEST} characters.")
    try:
        value = msgspec.json.decode(text.encode())
        if '"' in text:
            json.loads(text, object_pairs_hook=_once)
    except UnicodeEncodeError:
        raise NotJsonError("half a character") from None
    except RecursionError:
        raise UnreadableError("The text is nested too deeply.") from None
    except msgspec.ValidationError:
        raise NotJsonError("a number out of range") from None
    except msgspec.DecodeError as error:
        said = str(error).removeprefix("JSON is malformed: ")
        if said != str(error):
            raise NotJsonError(said) from None
        word = text.strip()
        if word.isalpha() and not any(one.startswith(word) for one in _WORDS):
            raise NotJsonError("invalid character (byte 0)") from None
        if _is_whole(text):
            raise NotJsonError("half a character") from None
        raise NotJsonError("it ends too early", cut=True) from None
    except ValueError as error:
        said = str(error) if isinstance(error, _TwiceError) else "a number out of range"
        raise NotJsonError(said) from None
    return value


def tidied(text: str) -> Tidied | None:
    """Return the JSON document in a text without what stands around it.

    None when the text is nothing but a document, or it cannot be said which one is meant.
    """
    fences = list(_FENCE.finditer(text))
    if len(fences) == 2:
        inside = text[fences[0].end() : fences[1].start()].strip()
        if inside[:1] in ("{", "[") and _is_whole(inside):
            return Tidied(inside, "a Markdown fence")
    found = _documents(text)
    if len(found) != 1 or found[0] == text.strip():
        return None
    return Tidied(found[0], "text around the JSON")


def _documents(text: str) -> list[str]:
    """The objects and lists that stand in a text side by side; as many as can be tried."""
    found: list[str] = []
    at = 0
    for _ in range(_MOST_TRIES):
        opening = _OPENING.search(text, at)
        if opening is None:
            return found
        at = opening.start()
        try:
            _, end = _python.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
        else:
            found.append(text[at:end])
            at = end
    return []  # too many to be sure


class _TwiceError(ValueError):
    """A name stands twice in one object: readers differ in which value they take."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > len({name for name, _ in pairs}):
        raise _TwiceError("a name given twice")


def _is_whole(text: str) -> bool:
    try:
        _python.decode(text)
    except (ValueError, RecursionError):
        return False
    return True
