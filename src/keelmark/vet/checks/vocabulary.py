"""The vocabulary of a tokenizer: what it holds, as digests and figures to compare it by.

Read are `tokenizer.json`, `vocab.json` with `merges.txt`, and the lists in GGUF files. Handed up
are size, digests of tokens and merges, and how the tokens look; never the tokens themselves.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from keelmark.core.findings import Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.gguf_header import STRING, GGUFError, Header, UnknownVersionError, read_header
from keelmark.vet.sniff import is_text

_LARGEST = 64 * 1024 * 1024
_NAMES = ("tokenizer.json", "vocab.json", "merges.txt")
_PAD = re.compile(rb"\[PAD\d+\]")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SPACES = ("▁", "Ġ", " ")
_FIRST = 16384
_FIRST_MERGES = 50
_MOST_IDS = 1 << 24

SHARED_ID = Rule(
    "vocabulary.shared_id",
    "Two tokens with one number",
    Severity.LOW,
    "Which of the two texts a number becomes depends on the reader, so a word can be replaced in "
    "what people see.",
    "Compare the tokenizer with the publisher's.",
    ("owasp:llm03", "owasp:llm04"),
)


def _claims(file: File) -> bool:
    if file.head.startswith(b"GGUF"):
        return True
    return file.name in _NAMES and is_text(file.head, whole=file.size <= len(file.head))


def _run(file: File) -> Result:
    """Read it; what is wrong with the file as such is for the checks of its format."""
    if file.head.startswith(b"GGUF"):
        return _of_gguf(file)
    if file.size > _LARGEST:
        return Result((), f"the vocabulary is larger than {_LARGEST} bytes")
    data = file.all()
    try:
        if file.name == "merges.txt":
            lines = data.decode().splitlines()
            return _result(_merges(line for line in lines if not line.startswith("#version")))
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        return Result((), f"the vocabulary is not JSON ({error})")
    if not isinstance(value, dict):
        return Result()
    return _of_json(file, value)


def _result(facts: dict[str, Any]) -> Result:
    return Result(facts={"vocabulary": facts} if facts else {})


def _of_gguf(file: File) -> Result:
    """Digest the lists as they lie in the file, which is what `_digest` makes of other files."""
    try:
        header = read_header(file)
    except (GGUFError, UnknownVersionError):
        return Result()
    data, count = _list(file, header, b"tokenizer.ggml.tokens")
    tokens = _strings(data, count)
    while tokens and _PAD.fullmatch(tokens[-1]):
        data = data[: -len(tokens.pop()) - 8]
    if not tokens:
        return Result()
    facts = _figures(tokens) | {"sha256": hashlib.sha256(data).hexdigest()}
    merges, count = _list(file, header, b"tokenizer.ggml.merges")
    if count:
        first = b"\n".join(_strings(merges, min(count, _FIRST_MERGES)))
        facts |= {
            "merges": count,
            "merges_sha256": hashlib.sha256(merges).hexdigest(),
            "merges_first": hashlib.sha256(first).hexdigest(),
        }
    return Result(facts={"vocabulary": facts})


def _list(file: File, header: Header, key: bytes) -> tuple[bytes, int]:
    """Return a list of strings as it lies in the file, and how many there are."""
    array = header.arrays.get(key)
    if array is None or array.type != STRING or array.end - array.start > _LARGEST:
        return b"", 0
    return file.read(array.start, array.end - array.start), array.length


def _strings(data: bytes, count: int) -> list[bytes]:
    found, at = [], 0
    for _ in range(count):
        end = at + 8 + int.from_bytes(data[at : at + 8], "little")
        found.append(data[at + 8 : end])
        at = end
    return found


def _of_json(file: File, value: Mapping[str, Any]) -> Result:
    model = value.get("model") if file.name == "tokenizer.json" else {"vocab": value}
    if not isinstance(model, Mapping):
        return Result()
    numbered = list(_numbered(model.get("vocab")))
    added = value.get("added_tokens") if file.name == "tokenizer.json" else None
    numbered += _added(added if isinstance(added, list) else [])
    by_id: dict[int, str] = {}
    shared = ""
    for text, number in numbered:
        if by_id.setdefault(number, text) != text:
            shared = shared or f"Number {number} stands for {by_id[number]!r} and for {text!r}."
    if not by_id or max(by_id) >= _MOST_IDS:
        return Result()
    last = max(by_id)
    if last > 8 * len(by_id) + 1024:  # mostly holes: no vocabulary to compare
        return Result()
    tokens = [by_id.get(n, f"[PAD{n}]").encode(errors="replace") for n in range(last + 1)]
    facts = _figures(tokens) | _merges(_pairs(model.get("merges"))) | {"sha256": _digest(tokens)}
    findings = (SHARED_ID.at(file, "vocab", shared),) if shared else ()
    return Result(findings, facts={"vocabulary": facts})


def _numbered(vocabulary: object) -> Iterable[tuple[str, int]]:
    if isinstance(vocabulary, Mapping):
        for text, number in vocabulary.items():
            if type(number) is int and number >= 0:
                yield str(text), number
    elif isinstance(vocabulary, list):  # Unigram: pairs of text and score
        for number, pair in enumerate(vocabulary):
            if isinstance(pair, list) and pair and isinstance(pair[0], str):
                yield pair[0], number


def _added(tokens: list[Any]) -> Iterable[tuple[str, int]]:
    for token in tokens:
        if isinstance(token, Mapping) and type(token.get("id")) is int and token["id"] >= 0:
            yield str(token.get("content")), token["id"]


def _pairs(merges: object) -> Iterable[str]:
    for merge in merges if isinstance(merges, list) else []:
        yield " ".join(map(str, merge)) if isinstance(merge, list) else str(merge)


def _figures(tokens: Sequence[bytes]) -> dict[str, Any]:
    texts = [token.decode(errors="replace") for token in tokens]
    count = len(texts)
    lengths = [len(text) for text in texts]
    return {
        "size": count,
        "first_sha256": _digest(tokens[:_FIRST]),
        "mean_length": round(sum(lengths) / count, 2),
        "longest": max(lengths),
        "single": round(lengths.count(1) / count, 4),
        "spaced": round(sum(text.startswith(_SPACES) for text in texts) / count, 4),
        "bytes": round(sum(map(bool, map(_BYTE.fullmatch, texts))) / count, 4),
    }


def _merges(merges: Iterable[str]) -> dict[str, Any]:
    kept = [merge for merge in merges if merge]
    if not kept:
        return {}
    first = "\n".join(kept[:_FIRST_MERGES]).encode(errors="replace")
    return {
        "merges": len(kept),
        "merges_sha256": _digest(merge.encode(errors="replace") for merge in kept),
        "merges_first": hashlib.sha256(first).hexdigest(),
    }


def _digest(items: Iterable[bytes]) -> str:
    """Return the digest of a list of texts, each with its length before it."""
    lengths = ((len(item).to_bytes(8, "little"), item) for item in items)
    return hashlib.sha256(b"".join(chain.from_iterable(lengths))).hexdigest()


CHECK = Check(
    title="Vocabularies of tokenizers, to compare them by",
    version="1",
    tags=("owasp:llm03", "owasp:llm04"),
    rules=(SHARED_ID,),
    examples=("vocabulary-shared-id",),
    claims=_claims,
    run=_run,
)
