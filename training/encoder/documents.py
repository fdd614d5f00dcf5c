"""Everyday texts from what is installed: documentation, manuals, source code, mails, messages.

A text classifier that has seen only short questions takes every long or formal text for an
attack. What a Debian system and its packages carry is varied, in thirty languages, and its
licences permit this use (`COLLECTIONS` names them). No text is shipped, only what is learnt.
"""

from __future__ import annotations

import ast
import gettext
import gzip
import hashlib
import io
import random
import re
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

ATTACK = re.compile(
    r"(ignore|disregard|forget|override)\W+(\w+\W+){0,4}(instructions?|prompts?|guidelines)"
    r"|jailbreak|prompt.injection|BIG-bench|canary GUID|\bDAN\b",
    re.IGNORECASE,
)
MOST_TOKENS, MOST_CHARACTERS = 240, 1500
SITE = Path(sysconfig.get_paths()["purelib"])
STANDARD = Path(sysconfig.get_paths()["stdlib"])
SHARE = Path("/usr/share")


class Document(NamedTuple):
    """A piece of text, the collection that it is from, and its language where the path tells."""

    text: str
    collection: str
    language: str = ""


class Collection(NamedTuple):
    """Where texts are found, how they are read, how many are wanted, and their licence."""

    paths: Callable[[], Iterator[Path]]
    read: Callable[[Path], str]
    wanted: int
    licence: str


def _plain(path: Path) -> str:
    data = path.read_bytes()[:400_000]
    if path.suffix == ".gz":
        data = gzip.GzipFile(fileobj=io.BytesIO(path.read_bytes())).read(400_000)
    return data.decode("utf-8", "ignore")


def _roff(path: Path) -> str:
    """Return a manual page without its typesetting."""
    kept = []
    for line in _plain(path).splitlines():
        if line.startswith((".SH", ".SS")):
            kept += ["", line[3:].strip().strip('"'), ""]
        elif line.startswith((".B", ".I", ".RB", ".BR", ".IR", ".RI")):
            kept.append(re.sub(r'^\.\w+\s*|"', "", line))
        elif line.startswith((".PP", ".TP", ".IP", ".P", ".LP", ".sp")):
            kept.append("")
        elif not line.startswith((".", "'")):
            kept.append(line)
    text = "\n".join(kept)
    text = re.sub(r"\\f(\[\w*\]|\(\w\w|.)|\\[&%|^,/c]|\\s[+-]?\d", "", text)
    for code, character in (("\\-", "-"), ("\\(aq", "'"), ("\\e", "\\"), ("\\(bu", "*")):
        text = text.replace(code, character)
    return re.sub(r"\\\(\w\w|\\\[[\w:]+\]|\\\*.", " ", text)


def _readme(path: Path) -> str:
    """Return a package's description, without the header of its metadata."""
    return _plain(path).partition("\n\n")[2]


def _docstrings(path: Path) -> str:
    try:
        tree = ast.parse(_plain(path))
    except (SyntaxError, ValueError, RecursionError):
        return ""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return "\n\n\n".join(text for text in found if text)


def _comments(path: Path) -> str:
    lines: list[str] = []
    last = -2
    try:
        for token in tokenize.generate_tokens(io.StringIO(_plain(path)).readline):
            if token.type == tokenize.COMMENT:
                lines += [""] * (token.start[0] > last + 1) + [token.string.lstrip("#: ")]
                last = token.start[0]
    except (tokenize.TokenError, SyntaxError, IndentationError):
        pass
    return "\n".join(lines)


def _messages(path: Path) -> str:
    """Return what a program says in another language, a message a paragraph."""
    try:
        with path.open("rb") as file:
            catalogue = vars(gettext.GNUTranslations(file))["_catalog"]
    except (OSError, ValueError, LookupError):
        return ""
    texts = (value for key, value in catalogue.items() if key and isinstance(value, str))
    return "\n\n".join(text for text in texts if len(text.split()) > 4 or len(text) > 25)


def _below(root: Path, *patterns: str) -> Callable[[], Iterator[Path]]:
    def paths() -> Iterator[Path]:
        return chain.from_iterable(root.glob(pattern) for pattern in patterns)

    return paths


MIXED = "as each package's copyright file says: GPL, LGPL, BSD, MIT and other free licences"
PYTHON = "as each package's metadata says: BSD, MIT, Apache-2.0, PSF and other free licences"
HELD_LANGUAGES = {"th", "tl", "fil", "bn", "ko", "hr", "et"}
LANGUAGE = re.compile(r"/(?:man|locale)/([a-z]{2,3})[_@./]")
LEFT_OUT = ("keelmark", "gcloud")  # our own words; pages that make up most of the manuals
MANUALS = ("man1", "man3", "man5", "man7", "man8")
COLLECTIONS = {
    "debian_documents": Collection(
        _below(SHARE / "doc", "*/README*", "*/NEWS*", "*/*.txt*", "*/*.md*", "*/FAQ*", "*/TODO*"),
        _plain,
        1700,
        MIXED,
    ),
    "debian_copyright": Collection(_below(SHARE / "doc", "*/copyright"), _plain, 450, MIXED),
    "debian_changelogs": Collection(_below(SHARE / "doc", "*/changelog*"), _plain, 750, MIXED),
    "manuals": Collection(_below(SHARE / "man", *(f"{m}/*" for m in MANUALS)), _roff, 1600, MIXED),
    "manuals_translated": Collection(
        _below(SHARE / "man", "[a-z][a-z]*/man*/*"), _roff, 2400, MIXED
    ),
    "messages_translated": Collection(
        _below(SHARE / "locale", "*/LC_MESSAGES/*.mo"), _messages, 3600, MIXED
    ),
    "python_readmes": Collection(_below(SITE, "*.dist-info/METADATA"), _readme, 1200, PYTHON),
    "python_docstrings": Collection(_below(SITE, "**/*.py"), _docstrings, 1100, PYTHON),
    "python_comments": Collection(_below(SITE, "**/*.py"), _comments, 500, PYTHON),
    "python_code": Collection(_below(STANDARD, "*.py", "*/*.py"), _plain, 1200, "PSF-2.0"),
    "node_documents": Collection(
        _below(Path("/usr/lib/node_modules"), "**/*.md"), _plain, 900, "MIT, ISC, BSD"
    ),
}


PIECE = re.compile(r"[a-z]+|[0-9]+|[^\W\d_]+|[\u2500-\u259f]+|\S")


def tokens(text: str) -> int:
    """Estimate the number of the encoder's tokens, rather too high."""
    return sum(map(_tokens_of, PIECE.findall(text.lower())))


@lru_cache(1 << 18)
def _tokens_of(piece: str) -> int:
    if piece.isascii() and len(piece) < 9 and piece.isalpha():
        return 1
    longer = len(piece) // 3 if piece.isascii() else len(piece) * 2 // 3
    return 1 + longer * piece[0].isalnum()  # lines of a frame are one unknown word


def tidy(text: str) -> str:
    """Return text without control characters, runs of blanks and empty lines."""
    text = text.replace("\r", "")
    if not text.replace("\n", "").replace("\t", "").isprintable():
        text = "".join(c for c in text if c in "\n\t" or c.isprintable())
    return re.sub(r"[^\S\n]{3,}", "  ", re.sub(r"\n{3,}", "\n\n", text)).strip()


def _worth(text: str) -> bool:
    letters = sum(c.isalpha() or c.isspace() for c in text)
    return tokens(text) >= 6 and letters >= 0.55 * len(text) and not ATTACK.search(text)


def cut(text: str, most: int) -> str:
    """Return the beginning of a text: whole lines, else whole words, of about so many tokens."""
    lines: list[str] = []
    count = size = 0
    for line in text.split("\n"):
        count, size = count + tokens(line), size + len(line) + 1
        if lines and (count > most or size > MOST_CHARACTERS):
            break
        lines.append(line)
    kept = tidy("\n".join(lines))[:MOST_CHARACTERS]
    while (found := tokens(kept)) > most and len(kept) > 20:
        kept = kept[: int(len(kept) * max(0.5, 0.98 * most / found))].rstrip()
    return kept


def pieces(text: str, rng: random.Random, most: int) -> Iterator[str]:
    """Yield pieces of a text that begin where a paragraph does and are of very unequal length."""
    starts = [0, *(match.end() for match in re.finditer(r"\n\s*\n", text))]
    rng.shuffle(starts)
    for start in starts[:most]:
        wanted = int(8 * (MOST_TOKENS / 8) ** rng.random() ** 0.8)
        piece = cut(tidy(text[start : start + 6000]), wanted)
        if _worth(piece):
            yield piece


def language(path: Path) -> str:
    """Return the language of a manual page or of messages; empty where the path names none."""
    found = LANGUAGE.search(str(path))
    return found[1] if found else ""


def spread(paths: list[Path]) -> list[Path]:
    """Return files of all languages by turns, without the languages that are held back."""
    turns: Counter[str] = Counter()
    order = []
    for path in paths:
        if (told := language(path)) not in HELD_LANGUAGES:
            order.append((turns[told], path))
            turns[told] += 1
    return [path for _, path in sorted(order, key=itemgetter(0))]


def mine(name: str, seed: int) -> Iterator[Document]:
    """Yield the texts of a collection, no two with the same beginning."""
    collection = COLLECTIONS[name]
    rng = random.Random(f"{seed} {name}")
    paths = sorted(
        path
        for path in collection.paths()
        if path.is_file() and not any(name in str(path) for name in LEFT_OUT)
    )
    rng.shuffle(paths)
    paths = spread(paths)
    each = max(1, min(8, -(-2 * collection.wanted // max(1, len(paths)))))
    seen: set[str] = set()
    for path in paths:
        for piece in pieces(collection.read(path), rng, each):
            key = re.sub(r"\W+", "", piece.lower())[:50]
            if key and key not in seen:
                seen.add(key)
                yield Document(piece, name, language(path))
        if len(seen) >= collection.wanted:
            break


def digest(texts: list[str]) -> str:
    """Return the SHA-256 of a list of texts."""
    return hashlib.sha256(msgspec.json.encode(texts)).hexdigest()


def described(name: str, texts: list[str]) -> dict[str, Any]:
    """Describe a collection as it was found here, for the training manifest."""
    return {
        "dataset": name,
        "sha256": digest(texts),
        "licence": COLLECTIONS[name].licence,
        "rows": len(texts),
    }
