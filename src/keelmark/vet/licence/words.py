"""Texts as words, so that line breaks, case, quotation marks, markup and numbering do not count.

A text is compared word by word, through a hash of 24 bits for each word: a record holds the hashes
of its text in order (its marks), not the text. Whatever is dropped here is dropped on both sides.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

_BYTES = 3
_WORD = re.compile(
    r"\d+(?:[.,]\d+)*%?"
    r"|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]"
    r"|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]+"
)
_HTML = re.compile(
    r"<(?:!doctype|html|head|body|p|div|br|span|li|ul|ol|h[1-6]|table|pre)\b", re.IGNORECASE
)
_UNSEEN = re.compile(
    r"<(script|style)\b[^>]{0,2000}>.{0,200000}?</\1\s*>|<!--.{0,20000}?-->",
    re.IGNORECASE | re.DOTALL,
)
_TAG = re.compile(r"</?[a-z!][^<>]{0,2000}>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,6}|#x[0-9a-f]{1,5}|[a-z]{2,8});", re.IGNORECASE)
_TELLING = re.compile(
    r"(?<![a-z])(?:shall|must|not|only|commercial\w*|prohibit\w*|forbid\w*|except|unless|without|"
    r"revoke\w*|fee|require\w*)(?![a-z])",
    re.IGNORECASE,
)
_LINK = re.compile(r"\]\((?:[^()\s]|\([^()\s]{0,200}\)){1,600}\)")
_PARENS = re.compile(r"\((?:[a-z]|[ivx]{2,5}|\d{1,2})\)", re.IGNORECASE)
_NUMBERING = re.compile(
    r"(?:^|(?<=[.;:,”\"]\s)|(?<=\band\s)|(?<=\bor\s))(?:[\s>#*•·●▪|/\\_-]{0,40})"
    r"(?:\d{1,2}(?:\.\d{1,2}){0,3}|[a-z]|[ivx]{2,5})\\?[.)]\*{0,2}(?=[\s*_])",
    re.IGNORECASE | re.MULTILINE,
)
_CITED = re.compile(
    r"\b(?:sections?|paragraphs?|clauses?|articles?|items?|attachment|exhibit|version|under)$",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"https?://(?:www\.)?|\bwww\.", re.IGNORECASE)
_SAME = {
    "licence": "license", "licences": "licenses", "licenced": "licensed",
    "sublicence": "sublicense",
    "authorised": "authorized", "organisation": "organization", "organisations": "organizations",
    "recognised": "recognized", "favour": "favor", "behaviour": "behavior", "labour": "labor",
    "acknowledgement": "acknowledgment", "judgement": "judgment", "utilise": "utilize",
    "modelling": "modeling", "centre": "center", "whilst": "while",
}  # fmt: skip


class Word(NamedTuple):
    """One word.

    Attributes:
        key: What it is compared by.
        start: Where it begins in the text, in code points.
        end: Where it ends.
    """

    key: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """Return the words of a text; their places are places in the text as given."""
    clean = _blank(text)
    return [Word(_key(match[0]), match.start(), match.end()) for match in _WORD.finditer(clean)]


def mark(key: str) -> int:
    """Return the hash of a word."""
    return _mark(key)


def marks(found: Iterable[Word]) -> list[int]:
    """Return the hashes of words."""
    return [_mark(word.key) for word in found]


def pack(numbers: Sequence[int]) -> str:
    """Write marks as text."""
    return base64.b64encode(b"".join(n.to_bytes(_BYTES, "big") for n in numbers)).decode()


def unpack(text: str) -> list[int]:
    """Read marks from text.

    Raises:
        ValueError: Not what `pack` writes.
    """
    data = base64.b64decode("".join(text.split()), validate=True)
    if len(data) % _BYTES:
        raise ValueError("it does not end with a whole mark")
    return [int.from_bytes(data[at : at + _BYTES], "big") for at in range(0, len(data), _BYTES)]


def words_digest(numbers: Sequence[int]) -> str:
    """Return the SHA-256 over marks, in hex: equal for texts that say the same words."""
    return hashlib.sha256(pack(numbers).encode()).hexdigest()


@lru_cache(maxsize=65536)
def _mark(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=_BYTES).digest(), "big")


def _key(word: str) -> str:
    key = word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()
    if key[0].isdigit():
        return key.replace(",", "")
    return _SAME.get(key, key)


def _blank(text: str) -> str:
    """Blank out markup and numbering; every character keeps its place."""
    if _HTML.search(text):
        for pattern in (_UNSEEN, _TAG, _ENTITY):
            text = pattern.sub(_unless_telling, text)
    text = _LINK.sub(_unless_telling, text)
    for pattern in (_SCHEME, _PARENS):
        text = pattern.sub(_spaces, text)
    return _NUMBERING.sub(_unless_cited, text)


def _unless_telling(match: re.Match[str]) -> str:
    """Keep markup that holds words of terms: who reads the file as it is would see them."""
    return match[0] if _TELLING.search(match[0]) else _spaces(match)


def _unless_cited(match: re.Match[str]) -> str:
    """Keep the number of "see section\\n7." where a line was broken before it."""
    before = match.string[max(0, match.start() - 24) : match.start()].rstrip(" \t\r\n>#*|/;")
    return match[0] if _CITED.search(before) else _spaces(match)


def _spaces(match: re.Match[str]) -> str:
    return "".join("\n" if char == "\n" else " " for char in match[0])
