"""Texts that are to be JSON: read strictly, and freed of what models like to write around it."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import msgspec

from keelmark.core.errors import KeelmarkError

LONGEST = 2 * 1024 * 1024
"""Characters of the longest text that is read."""

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
        raise _broken(text, str(error)) from None
    except ValueError as error:
        said = str(error) if isinstance(error, _TwiceError) else "a number out of range"
        raise NotJsonError(said) from None
    return value


def _broken(text: str, error: str) -> NotJsonError:
    """What a decoder's complaint means: it says "truncated" of some other things too."""
    said = error.removeprefix("JSON is malformed: ")
    if said != error:
        return NotJsonError(said)
    word = text.strip()
    if word.isalpha() and not any(one.startswith(word) for one in _WORDS):
        return NotJsonError("invalid character (byte 0)")
    if _is_whole(text):
        return NotJsonError("half a character")
    return NotJsonError("it ends too early", cut=True)


def tidied(text: str) -> Tidied | None:
    """Return the JSON document in a text without what stands around it.

    None when the text is nothing but a document, or it cannot be said which one is meant.
    """
    fences = list(_FENCE.finditer(text))
    if len(fences) == 2:
        inside = text[fences[0].end() : fences[1].start()].strip()
        if inside[:1] in ("{", "[") and _is_whole(inside):
            return Tidied(inside, "a Markdown fence")
    document = _only_document(text)
    if document in ("", text.strip()):
        return None
    return Tidied(document, "text around the JSON")


def _only_document(text: str) -> str:
    """The object or list in a text; "" when there is none, or any other bracket beside it.

    A bracket that opens nothing that is whole may be the document that was meant, cut or broken.
    """
    opening = _OPENING.search(text)
    if opening is None:
        return ""
    try:
        _, end = _python.raw_decode(text, opening.start())
    except (ValueError, RecursionError):
        return ""
    return "" if _OPENING.search(text, end) else text[opening.start() : end]


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
