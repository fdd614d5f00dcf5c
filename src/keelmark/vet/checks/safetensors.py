"""safetensors: the header, read as strictly as the format is defined.

Source: the format section of the safetensors documentation: 8 bytes length, JSON object, data;
no holes, no overlaps, no duplicate names, header at most 100 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.payload import find_payload
from keelmark.vet.sniff import named
from keelmark.vet.tensors import place

MAX_HEADER = 100_000_000
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E5M2FNUZ", "F8_E4M3FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
_LIMIT = 1 << 63
_TAGS = ("owasp:llm03", "cwe:CWE-20")
_FETCH = "Fetch the file again from its publisher and compare the digest."

MALFORMED = Rule(
    "safetensors.malformed",
    "Damaged safetensors header",
    Severity.HIGH,
    "The header is not what the format prescribes; loaders refuse it or read something else.",
    _FETCH,
    _TAGS,
)
HUGE = Rule(
    "safetensors.huge_header",
    "Oversized header",
    Severity.HIGH,
    "Parsing a header of this size exhausts memory; the format allows 100 MB.",
    "Do not load this file.",
    (*_TAGS, "owasp:llm10"),
)
DUPLICATE = Rule(
    "safetensors.duplicate_key",
    "A name appears twice in the header",
    Severity.HIGH,
    "Readers take different ones of the two, so what was checked is not what is loaded.",
    "Do not use this file; ask its publisher for a clean one.",
    _TAGS,
)
OFFSETS = Rule(
    "safetensors.out_of_file",
    "Tensor lies outside the file",
    Severity.HIGH,
    "A loader that trusts the offsets reads foreign memory.",
    _FETCH,
    (*_TAGS, "cwe:CWE-125"),
)
LAYOUT = Rule(
    "safetensors.layout",
    "Tensors overlap or leave gaps",
    Severity.HIGH,
    "Gaps hide bytes (a second file, a payload); overlaps share them.",
    _FETCH,
    _TAGS,
)
SIZE = Rule(
    "safetensors.size_mismatch",
    "Tensor size contradicts its shape",
    Severity.HIGH,
    "A loader that multiplies the shape reads beyond the data it checked.",
    _FETCH,
    (*_TAGS, "cwe:CWE-131"),
)


CODE = Rule(
    "safetensors.code_in_metadata",
    "Code in a description",
    Severity.HIGH,
    "Metadata are words; code there is meant for whoever shows or evaluates them.",
    "Do not use this file; ask its publisher for a clean one.",
    ("owasp:llm03", "cwe:CWE-94"),
)


class _Tensor(NamedTuple):
    name: str
    bits: int
    start: int
    end: int


def _claims(file: File) -> bool:
    length = int.from_bytes(file.head[:8], "little")
    starts = file.head[8:9] == b"{" and length <= max(file.size, MAX_HEADER * 2)
    return named(file, ".safetensors") or (starts and not file.head.startswith(b"GGUF"))


def _run(file: File) -> Result:
    length = int.from_bytes(file.head[:8], "little")
    if file.size < 10:
        return _damaged(file, "the file is too short to hold a header")
    if length > MAX_HEADER:
        message = f"The header claims {length} bytes; the format allows {MAX_HEADER}."
        return Result((HUGE.at(file, "header", message),), "the header is too large to be read")
    if length > file.size - 8:
        return _damaged(file, f"the header claims {length} bytes but the file ends before")
    repeated: list[str] = []
    try:
        header = _parse(file.read(8, length), repeated)
    except (ValueError, RecursionError) as error:
        return _damaged(file, f"the header is not a JSON object ({error})")
    findings = [
        DUPLICATE.at(file, f"key {name}", f"The name {name!r} appears twice in one object.")
        for name in dict.fromkeys(repeated)
    ]
    findings += _check(file, header, file.size - 8 - length)
    broken = any(finding.rule == MALFORMED.id for finding in findings)
    if not findings:
        _place(file, header, 8 + length)
    findings += list(_metadata(file, header))
    reason = "the safetensors header is damaged" if broken else ""
    facts = {} if broken else {"safetensors": _facts(header)}
    return Result(tuple(findings), reason, _templates(file, header), facts)


def _place(file: File, header: dict[str, Any], data: int) -> None:
    place(
        file,
        [
            (name, entry["dtype"], entry["shape"], *(data + at for at in entry["data_offsets"]))
            for name, entry in header.items()
            if name != "__metadata__"
        ],
    )


def _texts(header: dict[str, Any]) -> dict[str, str]:
    metadata = header.get("__metadata__")
    return metadata if isinstance(metadata, dict) and _is_metadata(metadata) else {}


def _metadata(file: File, header: dict[str, Any]) -> Iterator[ArtefactFinding]:
    for key, text in _texts(header).items():
        if payload := find_payload(text) or find_payload(key):
            where, message = f"metadata {key}", f"It contains {payload.what}."
            yield CODE.at(file, where, message, evidence=payload.shown)


def _templates(file: File, header: dict[str, Any]) -> list[File]:
    """Chat templates in the metadata are examined as files of their own."""
    return [
        file.member(f"{key}.jinja", text.encode(errors="replace"))
        for key, text in _texts(header).items()
        if "template" in key.lower() and ("{%" in text or "{{" in text)
    ]


def _facts(header: dict[str, Any]) -> dict[str, object]:
    return {
        "metadata": header.get("__metadata__", {}),
        "tensors": [
            [name, entry["dtype"], entry["shape"]]
            for name, entry in header.items()
            if name != "__metadata__"
        ],
    }


def _damaged(file: File, what: str) -> Result:
    finding = MALFORMED.at(file, "header", f"{what[:1].upper()}{what[1:]}.")
    return Result((finding,), "the safetensors header is damaged")


def _parse(data: bytes, repeated: list[str]) -> dict[str, Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(items)
        if len(value) < len(items):
            names = [name for name, _ in items]
            repeated.extend(name for name in value if names.count(name) > 1)
        return value

    if not data.startswith(b"{"):
        raise ValueError("it does not begin with a brace")
    value: dict[str, Any] = json.loads(data.decode(), object_pairs_hook=pairs)
    return value


def _check(file: File, header: dict[str, Any], data: int) -> Iterator[ArtefactFinding]:
    tensors = []
    for name, entry in header.items():
        where = f"key {name}"
        if name == "__metadata__":
            if not _is_metadata(entry):
                yield MALFORMED.at(file, where, "__metadata__ is not a map from text to text.")
            continue
        tensor, wrong = _tensor(name, entry)
        if tensor is None:
            yield MALFORMED.at(file, where, wrong)
            continue
        tensors.append(tensor)
        if tensor.end > data:
            message = f"Its data ends at {tensor.end}, but there are only {data} bytes."
            yield OFFSETS.at(file, where, message)
        if tensor.bits != (tensor.end - tensor.start) * 8:
            message = (
                f"Its shape needs {tensor.bits} bits, it has {tensor.end - tensor.start} bytes."
            )
            yield SIZE.at(file, where, message)
    at = 0
    for tensor in sorted(tensors, key=lambda t: (t.start, t.end)):
        if tensor.start != at:
            message = f"Its data begins at {tensor.start} where {at} is due."
            yield LAYOUT.at(file, f"key {tensor.name}", message)
        at = max(at, tensor.end)
    if at < data:
        message = f"{data - at} bytes after the last tensor belong to none."
        yield LAYOUT.at(file, f"offset {file.size - data + at}", message)


def _is_metadata(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LIMIT


def _tensor(name: str, entry: object) -> tuple[_Tensor | None, str]:
    """Return the tensor, or None and what is wrong with its entry."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        return None, "It has not exactly dtype, shape and data_offsets."
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or not all(map(_is_size, shape)):
        return None, "Its shape is not a list of sizes."
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        return None, "Its data_offsets are not two sizes."
    if offsets[0] > offsets[1]:
        return None, "Its data ends before it begins."
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in _BITS:
        return None, f"Its dtype {str(entry['dtype'])[:40]!r} is unknown."
    bits = _BITS[entry["dtype"]]
    for size in shape:
        bits *= size
        if bits >= _LIMIT:
            return None, "Its shape overflows 64 bits."
    return _Tensor(name, bits, *offsets), ""


CHECK = Check(
    title="safetensors header",
    version="1",
    tags=_TAGS,
    rules=(MALFORMED, HUGE, DUPLICATE, OFFSETS, LAYOUT, SIZE, CODE),
    examples=(
        "safetensors-not-json",
        "safetensors-huge-header",
        "safetensors-duplicate-key",
        "safetensors-out-of-file",
        "safetensors-hole",
        "safetensors-size-mismatch",
        "safetensors-code-in-metadata",
    ),
    claims=_claims,
    run=_run,
)
