"""Keys and tokens: known formats from a table, private key blocks, named values."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from keelmark.guard._patterns import (
    CONTEXT,
    any_word,
    both_views,
    entropy,
    every,
    every_named,
    follows,
    lower,
    table,
)
from keelmark.guard.contract import Hit

BLOCK = 16_384
"""Longest private key block, characters; an RSA key of 16,384 bits takes 12,700."""

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLACEHOLDER = re.compile(
    r"(?i)x{4,}|\*{3,}|\.{3,}|…|<[^>]*>|\$\{?[a-z_]|\$\(|\{\{|%[a-z_]+%|^%|\byour|[_-]here\b|change[_-]?me"
    r"|change[_-]?it|placeholder|insert[_-]|replace[_-]|dummy|redacted|process\.env|os\.environ"
    r"|getenv|^(?:env|config|settings|self|this|secrets?|vars?|data|local|module)\."
    r"|^(?:none|null|nil|true|false|undefined|required|optional|string|str|password|passwd|pass"
    r"|secret|token|test|example|todo|tbd|n/a|pwd)\W*$"
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


class Format(NamedTuple):
    """One row of the table."""

    label: str
    name: str
    has: tuple[str, ...]
    pattern: str
    group: str
    check: str
    after: tuple[str, ...]
    entropy: float
    score: float


@cache
def formats() -> tuple[Format, ...]:
    """Every format of the table."""
    return tuple(map(_format, table("secrets")["secret"]))


def _format(row: dict[str, Any]) -> Format:
    tail = "" if row.get("open_end") else "(?![A-Za-z0-9])"
    named = "(?P<secret>" in row["pattern"]
    body = f"(?:{row['pattern']})" if named else f"(?P<secret>{row['pattern']})"
    return Format(
        row["label"],
        row["name"],
        tuple(row["has"]),
        f"(?<![A-Za-z0-9]){body}{tail}",
        "secret",
        row.get("check", ""),
        tuple(row.get("after", ())),
        row.get("entropy", 2.5),
        row.get("score", 0.95),
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def find_formats(text: str, start: int) -> Iterator[Hit]:
    """Yield secrets of a known format."""
    for row in formats():
        if not any(literal in text for literal in row.has):
            continue
        for match in every_named(_compiled(row.pattern), text, start, row.group):
            begin, end = match.span(row.group)
            found = match.group(row.group)
            if entropy(found[:256]) < row.entropy or _PLACEHOLDER.search(found[:256]):
                continue
            if row.after and not follows(any_word(row.after), text, begin):
                continue
            score = _CHECKS[row.check](found, row.score)
            if score:
                yield Hit(row.label, score, begin, end, f"{row.name}: its format")


def _crc62(found: str, score: float) -> float:
    """GitHub and npm end their tokens with the CRC-32 of what stands between prefix and it."""
    body = found.partition("_")[2]
    rest, digits = zlib.crc32(body[:-6].encode()), ""
    while rest:
        rest, digit = divmod(rest, 62)
        digits = _BASE62[digit] + digits
    return 1.0 if digits.rjust(6, "0") == body[-6:] else min(score, 0.75)


def _jwt(found: str, score: float) -> float:
    """RFC 7519: the first part is base64url of a JSON object that names an algorithm or type."""
    head = found.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return 0.0
    return score if isinstance(header, dict) and {"alg", "typ", "enc", "kid"} & set(header) else 0.0


def _basic(found: str, score: float) -> float:
    """RFC 7617: base64 of user:password."""
    try:
        plain = base64.b64decode(found + "=" * (-len(found) % 4)).decode("utf-8")
    except (ValueError, binascii.Error):
        return 0.0
    return min(score, 0.9) if ":" in plain and plain.isprintable() else 0.0


def _mixed(found: str, score: float) -> float:
    kinds = (re.search("[a-z]", found), re.search("[A-Z]", found), re.search("[0-9]", found))
    return score if all(kinds) else 0.0


def _digit(found: str, score: float) -> float:
    return score if re.search("[0-9]", found) and re.search("[A-Za-z]", found) else 0.0


def _password(found: str, score: float) -> float:
    return score if len(found) > 3 else 0.0


_CHECKS: dict[str, Callable[[str, float], float]] = {
    "": lambda _, score: score,
    "crc62": _crc62,
    "jwt": _jwt,
    "basic": _basic,
    "mixed": _mixed,
    "digit": _digit,
    "password": _password,
}

# Private key blocks. Lines of base64, their ends real or written as \n, then the end marker.
_BREAK = r"(?:\s|\\[nrt])"
_BEGIN = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_BREAK}{{0,6}}"
    rf"(?:[A-Z][A-Za-z]{{1,14}}(?:-[A-Z][A-Za-z]{{1,10}})?: [^\n\\]{{1,100}})){{0,4}}"
)
_LINES = re.compile(rf"(?:{_BREAK}{{0,6}}+[A-Za-z0-9+/=]{{32,}}+)*+")
_LAST = re.compile(rf"{_BREAK}{{0,6}}+[A-Za-z0-9+/=]{{1,63}}+(?=\s|\\|-|\Z)")
_FINISH = re.compile(rf"{_BREAK}{{0,6}}+-----END [A-Z0-9 ]{{1,50}}-----")
_OPEN_HEAD = re.compile(r"-----BEGIN [A-Z0-9 ]{0,50}-{0,5}\Z")
_OPEN_TAIL = re.compile(
    r"(?:\s|\\[nrt]?){0,7}(?:[A-Za-z0-9+/=]{0,63}(?:\s|\\[nrt]?){0,7}"
    r"(?:-{1,5}(?:E(?:N(?:D[A-Z0-9 ]{0,51}-{0,5})?)?)?)?|[A-Z][A-Za-z-]{0,27}(?:: ?)?)\Z"
)


def find_private_keys(text: str, start: int) -> Iterator[Hit]:
    """Yield private key blocks (RFC 7468, OpenSSH, PGP); without an end, what there is of one."""
    for match in every(_BEGIN, text, start):
        end = _block_end(text, match)
        if end:
            yield Hit("PRIVATE_KEY", 1.0, match.start(), end, "private key block")


def _block_end(text: str, match: re.Match[str]) -> int:
    """Where the block ends; 0 when there is no key in it."""
    limit = match.start() + BLOCK
    lines = _LINES.match(text, match.end(), limit)
    end = lines.end() if lines else match.end()
    last = _LAST.match(text, end, limit)
    finish = _FINISH.match(text, last.end() if last else end, limit)
    if finish:
        return finish.end() if end > match.end() or last else 0
    return end if end > match.end() else 0


def open_block(text: str, start: int) -> int:
    """Return where a private key block begins that may still grow; the text's length if none."""
    size = len(text)
    at = text.rfind("-----BEGIN ", max(start, size - BLOCK))
    while at >= 0:
        if _may_grow(text, at):
            return at
        at = text.rfind("-----BEGIN ", max(start, size - BLOCK), at)
    return size


def _may_grow(text: str, at: int) -> bool:
    match = _BEGIN.match(text, at)
    if not match:
        return _OPEN_HEAD.match(text, at) is not None
    lines = _LINES.match(text, match.end(), at + BLOCK)
    return _OPEN_TAIL.match(text, lines.end() if lines else match.end()) is not None


# Named values: password = …, "api_key": "…", the password is …
_WORDS = both_views(table("secrets")["generic"]["passwords"])
_KEY_WORDS = both_views(table("secrets")["generic"]["keys"])
_STEMS = tuple(dict.fromkeys(word[:5] for word in (*_WORDS, *_KEY_WORDS)))
_NAMED = re.compile(
    f"(?:(?P<word>{'|'.join(map(re.escape, _WORDS))})|{'|'.join(map(re.escape, _KEY_WORDS))})"
    r"[a-z0-9_]{0,24}\\?[\"'`]?\]?"
    r"(?: {0,3}(?::=|=>|[:=]{1,2}) {0,3}|(?P<is> (?:is|ist|lautet|es|est|e|era|was) ))"
    r"\\?(?P<quote>[\"'`])?"
)
_BARE = re.compile(r"[!#-&*-+\--:=?-Z^_a-z|~\\/]{4,512}")
_QUOTED = {q: re.compile(rf"[^{q}\\\n]{{4,256}}(?=\\?{q})") for q in "\"'`"}
_OPEN_QUOTE = re.compile(r"[\"'`][^\n]{0,260}\Z")
_CODE = re.compile(
    r"[A-Za-z_][\w.]*\(|.*://|(?:\.{0,2}/)?(?:[\w.~-]+/){2}|[A-Za-z_]+(?:\.[A-Za-z_]+)+\Z"
)


def find_named(text: str, start: int) -> Iterator[Hit]:
    """Yield values that are called a password or a key and look like one."""
    low = lower(text)
    if not any(stem in low for stem in _STEMS):
        return
    for match in every(_NAMED, low, max(0, start - CONTEXT)):
        begin = match.end()
        if begin < start or begin - match.start() > CONTEXT:
            continue
        quote = match.group("quote")
        value = (_QUOTED[quote].match(text, begin) if quote else None) or _BARE.match(text, begin)
        if not value:
            continue
        found = value.group() if quote else value.group().rstrip(".,;:!?\\")
        password = match.group("word") is not None
        if (_is_password if password else _is_key)(found[:64], loose=match.group("is") is None):
            label = "PASSWORD" if password else "API_KEY"
            reason = f"value that is called a {'password' if password else 'key'}"
            yield Hit(label, 0.7, begin, begin + len(found), reason)


def _is_password(found: str, *, loose: bool) -> bool:
    if len(found) < 6 or _PLACEHOLDER.search(found) or _CODE.match(found) or " " in found:
        return False
    letters, digits = re.search("[A-Za-z]", found), re.search("[0-9]", found)
    odd = re.search("[^A-Za-z0-9_. /-]", found)
    if loose:
        return bool(letters and (digits or odd)) and entropy(found) > 2.0
    return bool(letters and digits)


def _is_key(found: str, *, loose: bool) -> bool:
    if len(found) < 16 or _PLACEHOLDER.search(found) or " " in found or not loose:
        return False
    if _UUID.match(found):
        return True
    if _CODE.match(found) or entropy(found) < 3.2:
        return False
    return any(
        len(part) >= 8 and re.search("[0-9]", part) and re.search("[A-Za-z]", part)
        for part in re.split("[-_./:=+]", found)
    )


def open_quote(text: str, start: int) -> int:
    """Return where a quoted named value begins that has not ended; the text's length if none."""
    size = len(text)
    low = max(start, size - 600)
    opened = size
    for match in every(_NAMED, lower(text), max(0, low - CONTEXT)):
        quote = match.group("quote")
        begin = match.end()
        if quote and begin >= low and begin - match.start() <= CONTEXT:
            inside = text[begin : begin + 258]
            if begin + len(inside) == size and not re.search(rf"[{quote}\n]", inside):
                opened = min(opened, begin)
    return opened
