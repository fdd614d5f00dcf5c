"""Characters written as numbers or as signals: code points, bits, Morse code.

Tables of numbers, rules and rows of dots look alike: what is read must look like words.
"""

from __future__ import annotations

import re

from keelmark.guard._spelling import TELLING

_BETWEEN = r"(?:[ \t,;]|\r?\n){1,3}"
# Each pattern begins with what it looks for: that is what makes the search fast.
NUMBERS = re.compile(rf"\d(?<![\w.]\d)\d{{1,5}}(?:{_BETWEEN}\d{{2,6}}){{5,}}(?!\w)")
BITS = re.compile(
    r"[01](?<![^\Wb][01])(?:[01]{7}(?:(?:[ \t,;]|\r?\n){0,3}(?:0b)?[01]{8}){3,}"
    rf"|[01]{{6}}(?:{_BETWEEN}(?:0b)?[01]{{7}}){{3,}})(?!\w)"
)
POINTS = re.compile(r"[Uu]\+[0-9a-fA-F]{4,6}(?:[ \t,;\r\n]{0,3}[Uu]\+[0-9a-fA-F]{4,6}){3,}")
_SIGNAL = "[.·•∙⋅_−–—-]"
MORSE = re.compile(
    rf"{_SIGNAL}(?<![\w.·•∙⋅−–—-].){_SIGNAL}{{0,6}}"
    rf"(?:(?:[ \t]{{1,8}}(?:[/|][ \t]{{0,8}})?|[/|]{{1,2}}|\r?\n){_SIGNAL}{{1,7}}){{5,}}"
    r"(?![\w.·•∙⋅−–—-])"
)
# The tree of the international code: a one and the signals, in binary, say the place.
_TREE = dict(enumerate("  etianmsurwdkgohvf l pjbxcyzq  54 3   2  +    16=/     7   8 90"))
_TREE |= {76: "?", 85: ".", 94: "'", 107: "!", 115: ",", 120: ":"}
_AS_BITS = str.maketrans({**dict.fromkeys(".·•∙⋅", "0"), **dict.fromkeys("_−–—-", "1")})
_LEAST = 4  # different letters, or code points
_WORD_BREAK = re.compile(r"[ \t]*[/|\n\r]+[ \t]*|[ \t]{2,}")


def _wordy(text: str) -> bool:
    """Whether it looks like words: letters with blanks between, or one word of attacks."""
    letters = [char for char in text if char.isalpha()]
    blanks = sum(map(str.isspace, text))
    if 16 * blanks < len(text):
        return text.lower() in TELLING
    return 10 * (len(letters) + blanks) >= 7 * len(text) and len(set(letters)) >= _LEAST


def _character(code: int) -> str:
    """The character, or one that stands for none."""
    char = chr(code) if code < 0x110000 else "\ufffd"
    return char if char.isprintable() or char.isspace() else "\ufffd"


def numbers(run: str) -> str | None:
    """Return decimal or octal code points as text, when it looks like words."""
    found = re.findall(r"\d+", run)
    for base in (10, 8) if not {"8", "9"} & set(run) else (10,):
        reads = {number: _character(int(number, base)) for number in set(found)}
        text = "".join(map(reads.__getitem__, found))
        if _wordy(text):
            return text
    return None


def bits(run: str) -> str | None:
    """Return bytes in binary as text, when it looks like words."""
    digits = run.replace("0b", "")
    size = 7 if re.match("[01]{7}(?![01])", digits) else 8
    raw = bytes(int(byte, 2) for byte in re.findall(f"[01]{{{size}}}", digits))
    text = raw.decode(errors="replace")
    return text if _wordy(text) else None


def points(run: str) -> str | None:
    """Return code points in Unicode's notation as text."""
    found = (_character(int(code, 16)) for code in re.findall(r"\+([0-9a-fA-F]+)", run))
    text = "".join(found).replace("\ufffd", "")
    return text if len(text) >= _LEAST else None


def may_be_morse(text: str) -> bool:
    """Whether a long and a short signal stand together, as in most letters."""
    return not text.isascii() or any(pair in text for pair in (".-", "-.", "._", "_."))


def morse(run: str) -> str | None:
    """Return Morse code as text, when nearly all of it is signs of letters and of several."""
    if " " not in run and "\t" not in run:
        run = run.replace("//", "  ").replace("/", " ")
    words = [word.split() for word in _WORD_BREAK.split(run)]
    signs = [int("1" + sign.translate(_AS_BITS), 2) for word in words for sign in word]
    known = "".join(_TREE.get(sign, " ") for sign in signs)
    if 5 * known.count(" ") > len(known) or len({*filter(str.isalpha, known)}) < _LEAST:
        return None
    read = iter(known)
    return " ".join("".join(next(read) for _ in word) for word in words)
