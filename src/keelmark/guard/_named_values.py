"""Values that are called a password or a key: assignments, JSON, YAML, options, sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from keelmark.guard._credentials import Candidate, stands_for_one, trie
from keelmark.guard._patterns import CONTEXT, both_views, entropy, every, lower, table
from keelmark.guard.contract import Hit

_WORDS = both_views(table("secrets")["generic"]["passwords"])
_KEY_WORDS = both_views(table("secrets")["generic"]["keys"])
_STEMS = tuple(dict.fromkeys(word[:5] for word in (*_WORDS, *_KEY_WORDS)))
_GAP = "[ \\t]{0,3}"
_NAMED = re.compile(
    rf"(?<!::)(?P<option>--[a-z-]{{0,20}})?(?:(?P<word>{trie(_WORDS)})|{trie(_KEY_WORDS)})"
    r"[a-z0-9_-]{0,24}\\?[\"'`]?\]?"
    rf"(?:{_GAP}(?::=|=>|[:=]{{1,2}}){_GAP}(?:[|>][+-]?\n[ \t]{{1,16}})?"
    r"|(?P<is> (?:is|ist|lautet|es|est|e|era|was) )|(?(option) {1,3}|(?!)))"
    r"(?P<escape>\\)?(?P<quote>[\"'`])?"
)
_LOGIN = re.compile(
    r"(?:(?:curl[^\n]{0,50}? -u|--user|sshpass -p)(?:=| {1,3})|mysql[^\n]{0,50}? -p)"
    r"(?P<quote>[\"'])?"
    r"(?:[^\s:\"']{1,30}:)?"
)
_BARE = re.compile(r"[!#-&*-+\--:=?-Z^_a-z|~\\/]{4,512}")
_PLAIN = {q: re.compile(rf"(?:[^{q}\\\n]|\\[^\n]){{4,256}}+(?={q})") for q in "\"'`"}
_ESCAPED = {q: re.compile(rf"[^{q}\\\n]{{4,256}}+(?=\\{q})") for q in "\"'`"}
_UNFINISHED = {q: re.compile(rf"(?:[^{q}\\\n]|\\[^\n]){{0,256}}+\\?\Z") for q in "\"'`"}
_CODE = re.compile(
    r"[A-Za-z_][\w.]*[(\[]|.*://|arn:|(?:\.{0,2}/)?(?:[\w.~-]+/){2}|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\Z"
)
# A name of a program with one digit in it: PKCS7PrivateKey, b64encode.
_IDENTIFIER = re.compile(r"[A-Z]?[A-Za-z_]{3,}[0-9]{1,2}[A-Za-z_]*[a-z_]{3}[A-Za-z_]*\Z")
_SHORT_HEX = re.compile(r"[0-9a-f]{,19}\Z", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_READ = 64  # characters that are judged
_TRAILING = ".,;:!?\\"
_LETTER, _DIGIT = re.compile("[A-Za-z]"), re.compile("[0-9]")
_SPACE = re.compile(r"\s")
_ODD = re.compile("[^A-Za-z0-9_. /-]")
_PARTS = re.compile("[-_./:=+]")


def find_named(text: str, low: str, start: int, labels: frozenset[str]) -> Iterator[Candidate]:
    """Yield values that are called a password or a key; see `find_formats`."""
    begin = max(0, start - CONTEXT)
    known: dict[tuple[str, str, bool], bool] = {}
    if any(stem in low for stem in _STEMS):
        for match in every(_NAMED, low, begin):
            label = "PASSWORD" if match.group("word") else "API_KEY"
            if label in labels and start <= match.end() <= match.start() + CONTEXT:
                yield _candidate(text, match, label, known)
    if "PASSWORD" in labels and (" -u" in low or "--user" in low or " -p" in low):
        for match in every(_LOGIN, low, begin):
            if start <= match.end() <= match.start() + CONTEXT:
                yield Candidate(match.end(), 0.7, 1_001, _login(text, match))


def _candidate(
    text: str, match: re.Match[str], label: str, known: dict[tuple[str, str, bool], bool]
) -> Candidate:
    """Return what a match may be; `known` holds which values are one."""
    begin = match.end()
    spoken, escape, quote = match.group("is", "escape", "quote")
    judge, loose = _is_password if label == "PASSWORD" else _is_key, spoken is None

    def decide() -> Hit | None:
        if not quote and _told_short(text, begin, label, loose=loose, known=known) is False:
            return None
        found = _value(text, begin, quote, escaped=escape is not None)
        asked = label, found[:_READ], loose
        if asked not in known:
            known[asked] = judge(found[:_READ], loose=loose)
        if not known[asked]:
            return None
        if not quote and _IDENTIFIER.match(found):
            return None
        reason = f"value that is called a {'password' if label == 'PASSWORD' else 'key'}"
        return Hit(label, 0.7, begin, begin + len(found), reason)

    return Candidate(begin, 0.7, 1_000, decide)


def _told_short(
    text: str, begin: int, label: str, *, loose: bool, known: dict[tuple[str, str, bool], bool]
) -> bool | None:
    """What is known of a bare value by its first characters, without reading on to its end."""
    bare = _BARE.match(text, begin, begin + _READ)
    if not bare or bare.end() < begin + _READ or bare[0][-1] in _TRAILING:
        return None  # it may end here, or lose what trails
    return known.get((label, bare[0], loose))


def _login(text: str, match: re.Match[str]) -> Callable[[], Hit | None]:
    def decide() -> Hit | None:
        found = _value(text, match.end(), match.group("quote"), escaped=False)
        if not _is_password(found[:_READ], loose=True):
            return None
        return Hit("PASSWORD", 0.7, match.end(), match.end() + len(found), "on a command line")

    return decide


def _value(text: str, begin: int, quote: str | None, *, escaped: bool) -> str:
    """What stands there: up to the closing quotation mark, or as far as a bare value goes."""
    if quote and (quoted := (_ESCAPED if escaped else _PLAIN)[quote].match(text, begin)):
        return quoted.group()
    bare = _BARE.match(text, begin)
    return bare.group().rstrip(_TRAILING) if bare else ""


def _is_password(found: str, *, loose: bool) -> bool:
    if len(set(found)) < 4 or len(found) < 6 or _SPACE.search(found):
        return False
    letters, digits = _LETTER.search(found), _DIGIT.search(found)
    if not letters or not (digits or (loose and _ODD.search(found))) or _CODE.match(found):
        return False
    if loose and entropy(found) <= 2.0:
        return False
    return not stands_for_one(found)


def _is_key(found: str, *, loose: bool) -> bool:
    if len(set(found)) < 10 or len(found) < 16 or _SPACE.search(found) or not loose:
        return False
    if _UUID.match(found):
        return not stands_for_one(found)
    if _CODE.match(found) or _SHORT_HEX.match(found) or not _DIGIT.search(found):
        return False
    if not any(
        len(part) >= 8 and _DIGIT.search(part) and _LETTER.search(part)
        for part in _PARTS.split(found)
    ):
        return False
    return entropy(found) >= 3.2 and not stands_for_one(found)


def open_quote(text: str, start: int) -> int:
    """Return where a quoted named value begins that has not ended; the text's length if none."""
    size = len(text)
    low = max(start, size - 600)
    skip = max(0, low - CONTEXT)
    tail = lower(text[skip:])
    for pattern in (_NAMED, _LOGIN) if any(q in tail for q in "\"'`") else ():
        for match in every(pattern, tail):
            begin = skip + match.end()
            quote = match.group("quote")
            if not quote or begin < low or match.end() - match.start() > CONTEXT:
                continue
            if _UNFINISHED[quote].match(text, begin):
                size = min(size, begin)
    return size
