"""SentencePiece vocabularies (tokenizer.model): a protocol buffer, walked field by field.

Source: sentencepiece_model.proto (ModelProto) and the protocol buffer wire format. The format
holds texts and numbers only; what counts is that nothing else hides in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from keelmark.core.findings import Severity
from keelmark.vet.contract import Check, File, Result, Rule

MAX_MODEL = 64 * 1024 * 1024
_PIECES, _TRAINER, _NORMALIZER, _SELF_TEST, _DENORMALIZER = 1, 2, 3, 4, 5
_KNOWN = {_PIECES, _TRAINER, _NORMALIZER, _SELF_TEST, _DENORMALIZER}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

FOREIGN = Rule(
    "sentencepiece.foreign_data",
    "Vocabulary with foreign parts",
    Severity.MEDIUM,
    "The format knows five fields; anything else is carried along for somebody to find.",
    "Compare the file with the original publisher's.",
    ("owasp:llm03",),
)


def _claims(file: File) -> bool:
    """Known by its content: the first field is a piece whose first field is its text."""
    head = file.head
    named = file.suffix == ".model" or "sentencepiece" in file.name or file.suffix == ".spm"
    return named and head[:1] == b"\x0a" and head[2:3] == b"\x0a"


def _run(file: File) -> Result:
    if file.size > MAX_MODEL:
        return Result((), f"the vocabulary is larger than {MAX_MODEL} bytes")
    data = file.all()
    findings = []
    try:
        for number, kind, start, end in _fields(data, 0, len(data)):
            if number not in _KNOWN or kind != _BYTES:
                message = f"Field {number} of {end - start} bytes is not part of the format."
                findings.append(FOREIGN.at(file, f"offset {start}", message))
            elif number == _PIECES:
                _piece(data, start, end)
    except ValueError as error:
        return Result(tuple(findings), f"it is not a SentencePiece vocabulary ({error})")
    return Result(tuple(findings), "it has fields that are not known" if findings else "")


def _piece(data: bytes, start: int, end: int) -> None:
    for number, kind, at, stop in _fields(data, start, end):
        if (number, kind) not in {(1, _BYTES), (2, _FIXED32), (3, _VARINT)}:
            raise ValueError(f"a piece at offset {start} has the unknown field {number}")
        if number == 1:
            data[at:stop].decode()


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, start and end of each field."""
    while at < end:
        key, at = _varint(data, at, end)
        kind = key & 7
        if kind == _BYTES:
            size, at = _varint(data, at, end)
        elif kind == _VARINT:
            size = _varint(data, at, end)[1] - at
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} at offset {at}")
        if size > end - at:
            raise ValueError(f"a field at offset {at} runs past its end")
        yield key >> 3, kind, at, at + size
        at += size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number at offset {at} does not end")


CHECK = Check(
    title="SentencePiece vocabularies",
    version="1",
    tags=("owasp:llm03",),
    rules=(FOREIGN,),
    examples=("sentencepiece-foreign",),
    claims=_claims,
    run=_run,
)
