"""Private key blocks: PEM (RFC 7468), OpenSSH, PGP, SSH2 (RFC 4716's private kin) and PuTTY."""

from __future__ import annotations

import re
from collections.abc import Iterator

from keelmark.guard._patterns import every
from keelmark.guard.contract import Hit

BLOCK = 16_384
"""Longest private key block, characters; an RSA key of 16,384 bits takes 12,700."""

# Lines of base64, their ends real or written as \n, then the end marker.
_BREAK = r"(?:\s|\\[nrt])"
_BEGIN = re.compile(
    r"(?:----(?:-BEGIN| BEGIN) (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?(?:-| )----"
    rf"(?:{_BREAK}{{0,6}}"
    rf"(?:[A-Z][A-Za-z]{{1,14}}(?:-[A-Z][A-Za-z]{{1,10}})?: [^\n\\]{{1,100}})){{0,4}}"
    r"|Private-Lines: [0-9]{1,3}(?![0-9]))"
)
_LINES = re.compile(rf"(?:{_BREAK}{{0,6}}+[A-Za-z0-9+/=]{{32,}}+)*+")
_LAST = re.compile(rf"{_BREAK}{{0,6}}+(?!Private-M)[A-Za-z0-9+/=]{{1,63}}+(?=\s|\\|-|\Z)")
_FINISH = re.compile(
    rf"{_BREAK}{{0,6}}+(?:----(?:-END| END) [A-Z0-9 ]{{1,50}}?(?:-| )----"
    r"|Private-MAC: [0-9a-f]{40,64})"
)
_MARK = re.compile(r"----(?:-BEGIN| BEGIN) |Private-Lines: |---- (?:B(?:E(?:G(?:IN?)?)?)?)?\Z")
_OPEN_HEAD = re.compile(
    r"(?:----(?:-BEGIN| BEGIN) [A-Z0-9 ]{0,50}-{0,5}|---- [BEGIN]{0,5}|Private-Lines: [0-9]{0,4})\Z"
)
_OPEN_TAIL = re.compile(
    r"(?:\s|\\[nrt]?){0,7}(?:[A-Za-z0-9+/=]{0,63}(?:\s|\\[nrt]?){0,7}"
    r"(?:-{1,5}(?: ?E(?:N(?:D[A-Z0-9 ]{0,51}-{0,5})?)?| )?|"
    r"Private(?:-(?:M(?:AC?)?)?)?|Private-MAC:(?: [0-9a-f]{0,64})?)?"
    r"|[A-Z][A-Za-z-]{0,27}(?:: ?)?)\Z"
)


def find_private_keys(text: str, start: int) -> Iterator[Hit]:
    """Yield private key blocks; without an end, what there is of one."""
    if _MARK.search(text, start) is None:
        return
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
    marks = _MARK.finditer(text, max(start, size - BLOCK))
    return next((mark.start() for mark in marks if _may_grow(text, mark.start())), size)


def _may_grow(text: str, at: int) -> bool:
    match = _BEGIN.match(text, at)
    if not match:
        return _OPEN_HEAD.match(text, at) is not None
    if match.end() == len(text):
        return True
    lines = _LINES.match(text, match.end(), at + BLOCK)
    return _OPEN_TAIL.match(text, lines.end() if lines else match.end()) is not None
