"""GGUF: structure by our own bounded reader and by c4nary, chat templates by both engines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.lazily import Lazy
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.gguf_header import (
    BLOCKS,
    DEFAULT_ALIGNMENT,
    INT63,
    TYPE_NAMES,
    GGUFError,
    Header,
    Tensor,
    UnknownVersionError,
    header_facts,
    read_header,
    tensor_bytes,
)
from keelmark.vet.sniff import named
from keelmark.vet.templates import VERSIONS, examine_template, template_rules
from keelmark.vet.tensors import place

if TYPE_CHECKING:
    from c4nary.report import Finding

_parser = Lazy("c4nary.parser")
_metadata_rules = Lazy("c4nary.rules.metadata")
_structure_rules = Lazy("c4nary.rules.structure")
_tokenizer_rules = Lazy("c4nary.rules.tokenizer")

_LOAD = ("owasp:llm03", "cwe:CWE-20")
_OVERFLOW = ("cve:CVE-2026-33298", "cwe:CWE-190", "owasp:llm03")
_BOUNDS = ("cve:CVE-2026-7482", "cwe:CWE-125", "owasp:llm03")
_FETCH = "Fetch the file again from its publisher and compare the digest."
_LARGEST_ALIGNMENT = 1 << 20
_LONGEST_KEY = 65_535
_UINT32 = 4

MALFORMED = Rule(
    "gguf.malformed",
    "Damaged or lying GGUF header",
    Severity.HIGH,
    "Loaders that trust lengths from the header read or allocate out of bounds.",
    _FETCH,
    _BOUNDS,
)
OVERFLOW = Rule(
    "gguf.size_overflow",
    "Tensor size overflows",
    Severity.CRITICAL,
    "A product of dimensions that wraps around 64 bits makes loaders allocate too little and "
    "write beyond it.",
    "Do not load this file; no real model has such a tensor.",
    _OVERFLOW,
)
OUTSIDE = Rule(
    "gguf.out_of_file",
    "Tensor lies outside the file",
    Severity.HIGH,
    "A loader that maps the file reads foreign memory, and may hand it out.",
    _FETCH,
    _BOUNDS,
)
LAYOUT = Rule(
    "gguf.layout",
    "Tensors overlap or leave gaps",
    Severity.HIGH,
    "Loaders demand tensors one after the other; anything else hides bytes or shares them.",
    _FETCH,
    _LOAD,
)
DUPLICATE = Rule(
    "gguf.duplicate",
    "A key or tensor name appears twice",
    Severity.HIGH,
    "A check and a loader may each take another one of the two.",
    "Do not use this file; ask its publisher for a clean one.",
    _LOAD,
)
ALIGNMENT = Rule(
    "gguf.alignment",
    "Impossible alignment",
    Severity.HIGH,
    "The alignment moves all tensors; loaders divide by it.",
    _FETCH,
    _LOAD,
)
TENSOR = Rule(
    "gguf.bad_tensor",
    "Tensor that no loader accepts",
    Severity.HIGH,
    "An unknown type, an empty dimension, a row that does not fill its blocks or an overlong name "
    "takes untested ways through a loader.",
    _FETCH,
    _LOAD,
)
INCONSISTENT = Rule(
    "gguf.inconsistent",
    "Metadata contradicts the tensors",
    Severity.HIGH,
    "Declared sizes that no tensor has mean that the file was altered, or crash loaders.",
    "Compare with the publisher's file.",
    _LOAD,
)
REVIEW = Rule(
    "gguf.review",
    "Metadata deserves a look",
    Severity.MEDIUM,
    "Hidden characters, instructions or contradictions in metadata have no honest use.",
    "Read the named key.",
    ("owasp:llm03",),
)
TRAILING = Rule(
    "gguf.trailing_data",
    "Bytes after the last tensor",
    Severity.MEDIUM,
    "Nothing in the format explains them; they may be a payload or a second file.",
    "Compare with the publisher's file.",
    ("owasp:llm03",),
)
T = template_rules("gguf")

# What c4nary says of structure is told by our own reader, which knows more tensor types; where
# only c4nary complains, that is said as a disagreement. Listings of metadata are no findings.
_OWN = {"STR001", "STR003", "STR004", "STR005", "STR006", "STR007", "STR008", "MET016"}
_LISTING = {"MET003", "MET004", "MET006", "TOK012", "TOK015", "INT006"}
_NOTES = {"MET001", "MET002", "MET005", "MET014", "INT005", "TOK004", "TOK005"}


def _claims(file: File) -> bool:
    return file.head.startswith(b"GGUF") or named(file, ".gguf")


def _run(file: File) -> Result:
    try:
        header = read_header(file)
    except GGUFError as error:
        return Result((MALFORMED.at(file, "header", f"{error}."),), "the GGUF header is damaged")
    except UnknownVersionError as error:
        return Result((), str(error))
    findings = list(_structure(file, header))
    reasons = [f"{f.location}: {f.message}" for f in findings if f.rule == TRAILING.id]
    if not findings:
        _place(file, header)
    if any(tensor.type not in BLOCKS for tensor in header.tensors):
        reasons.append("a tensor has a type that is not known here")
    templates = _templates(header)
    for key, text in templates.items():
        seen, reason = examine_template(T, file, key, text)
        findings += seen
        reasons += [reason] if reason else []
    seen, reason = _second_engine(file, header, {finding.rule for finding in findings})
    findings += seen
    reasons += [reason] if reason else []
    facts: dict[str, object] = {"gguf": header_facts(header)}
    if templates:
        facts["template"] = templates
    return Result(tuple(findings), "; ".join(reasons[:3]), facts=facts)


def _place(file: File, header: Header) -> None:
    alignment = int(header.values.get(b"general.alignment", DEFAULT_ALIGNMENT))
    start = -(-header.end // alignment) * alignment
    entries = [
        (t.name.decode(errors="replace"), TYPE_NAMES[t.type], t.shape, start + t.offset)
        for t in header.tensors
    ]
    sizes = [tensor_bytes(tensor) or 0 for tensor in header.tensors]
    places = [(*entry, entry[3] + size) for entry, size in zip(entries, sizes, strict=True)]
    place(file, places, last=False)


def _templates(header: Header) -> dict[str, str]:
    return {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in sorted(header.values.items())
        if key.startswith(b"tokenizer.chat_template") and isinstance(value, bytes)
    }


def _keys(file: File, header: Header) -> Iterator[ArtefactFinding]:
    for key in dict.fromkeys(header.repeated):
        name = key.decode(errors="replace")
        yield DUPLICATE.at(file, name, f"The metadata key {name!r} is given more than once.")
    for key in header.types:
        if not key or b"\0" in key or len(key) > _LONGEST_KEY:
            message = "It is empty, too long, or has a zero byte, at which loaders stop reading it."
            yield MALFORMED.at(file, key[:80].decode(errors="replace") or "key", message)


def _structure(file: File, header: Header) -> Iterator[ArtefactFinding]:
    yield from _keys(file, header)
    alignment = header.values.get(b"general.alignment", DEFAULT_ALIGNMENT)
    known = header.types.get(b"general.alignment", _UINT32) == _UINT32  # loaders abort at others
    usable = known and isinstance(alignment, int) and 8 <= alignment <= _LARGEST_ALIGNMENT
    if not usable or not isinstance(alignment, int) or alignment & (alignment - 1):
        message = f"general.alignment is {alignment!r}, not a power of two from 8 to 1048576."
        yield ALIGNMENT.at(file, "general.alignment", message)
        return
    start = -(-header.end // alignment) * alignment
    seen: set[bytes] = set()
    expected = 0
    for tensor in header.tensors:
        where = f"tensor {tensor.name[:80].decode(errors='replace')}"
        if tensor.name in seen:
            yield DUPLICATE.at(file, where, "A second tensor has this name.")
        seen.add(tensor.name)
        for rule, message in _tensor(tensor, start, file.size):
            yield rule.at(file, where, message)
        size = tensor_bytes(tensor)
        if size is None or size > INT63:
            return
        if tensor.offset != expected:
            message = f"Its data begins at {tensor.offset} where {expected} is due."
            yield LAYOUT.at(file, where, message)
        if expected > INT63:
            yield OVERFLOW.at(file, where, "All tensors up to here are larger than 63 bits count.")
            return
        expected = max(expected, -(-(tensor.offset + size) // alignment) * alignment)
    if file.size > start + expected:
        message = f"{file.size - start - expected} bytes belong to no tensor."
        yield TRAILING.at(file, f"offset {start + expected}", message)


def _tensor(tensor: Tensor, start: int, file_size: int) -> Iterator[tuple[Rule, str]]:
    if len(tensor.name) >= 64 or b"\0" in tensor.name or not tensor.name:
        yield TENSOR, "Its name is empty, longer than 63 bytes or contains a zero byte."
    if not tensor.shape or 0 in tensor.shape:
        yield TENSOR, f"Its shape {tensor.shape} is empty."
    if tensor.type not in BLOCKS:
        yield TENSOR, f"Its type {tensor.type} is none of ggml's."
        return
    if tensor.shape and tensor.shape[0] % BLOCKS[tensor.type][0]:
        yield TENSOR, f"A row of {tensor.shape[0]} does not fill blocks of its type {tensor.type}."
    count = 1
    for dimension in tensor.shape:
        count *= dimension
    size = tensor_bytes(tensor) or 0
    if max(count, size, start + tensor.offset + size, *tensor.shape, 0) > INT63:
        yield OVERFLOW, f"Its shape {tensor.shape} or offset {tensor.offset} overflows 64 bits."
    elif start + tensor.offset + size > file_size:
        end = start + tensor.offset + size
        yield OUTSIDE, f"Its data would end at {end}, but the file ends at {file_size}."


def _second_engine(file: File, header: Header, own: set[str]) -> tuple[list[ArtefactFinding], str]:
    """Ask c4nary about the same header; keep what it says, and say where only it complains."""
    try:
        model = _parser.parse_gguf_bytes(file.read(0, header.end))
    except _parser.GGUFParseError as error:
        return [], f"c4nary cannot read the header ({error})"
    model = dataclasses.replace(model, file_size=file.size)
    hits = _structure_rules.analyze_structure(model) + _metadata_rules.analyze_metadata(model)
    hits += _tokenizer_rules.analyze_tokenizer(model)
    findings = []
    for hit in hits:
        if hit.rule_id in _LISTING:
            continue
        if hit.rule_id not in _OWN:
            findings.append(_translate(file, hit))
        elif hit.severity != "INFO" and not own:
            message = f"Only c4nary complains: {hit.detail}"
            where = hit.location or "header"
            findings.append(T.disagree.at(file, where, message, evidence=f"c4nary {hit.rule_id}"))
    return findings, ""


def _translate(file: File, hit: Finding) -> ArtefactFinding:
    rule = INCONSISTENT if hit.severity == "FAIL" else REVIEW
    if hit.rule_id.startswith("TPL"):  # a second template, hidden in another key
        rule = T.code if hit.severity == "FAIL" else T.review
    severity = Severity.INFO if hit.rule_id in _NOTES else None
    where = hit.location or "header"
    message = f"{hit.title}: {hit.detail}"
    return rule.at(file, where, message, evidence=f"c4nary {hit.rule_id}", severity=severity)


CHECK = Check(
    title="GGUF structure, metadata and chat template",
    version=f"1 ({VERSIONS})",
    tags=("owasp:llm03", "owasp:llm04", "cve:CVE-2026-33298", "cve:CVE-2026-7482", *T.code.tags),
    rules=(
        MALFORMED,
        OVERFLOW,
        OUTSIDE,
        LAYOUT,
        DUPLICATE,
        ALIGNMENT,
        TENSOR,
        INCONSISTENT,
        REVIEW,
        TRAILING,
        *T,
    ),
    examples=(
        "gguf-truncated",
        "gguf-cve-2026-33298",
        "gguf-out-of-file",
        "gguf-overlap",
        "gguf-duplicate-key",
        "gguf-bad-alignment",
        "gguf-bad-type",
        "gguf-head-count",
        "gguf-hidden-text",
        "gguf-trailing",
        "gguf-ssti",
        "gguf-backdoor",
        "gguf-template-invisible",
        "gguf-template-url",
    ),
    claims=_claims,
    run=_run,
)
