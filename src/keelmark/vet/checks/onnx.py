"""ONNX: a walk over the protocol buffer, all graphs, functions and tensors in it.

Source: onnx.proto (IR version 14), the external data part of the ONNX specification, and what
ONNX Runtime does beyond it (memory addresses as locations, context nodes, Python operators).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.payload import find_payload
from keelmark.vet.protobuf import (
    DATA,
    FIXED,
    INT,
    TEXT,
    Message,
    Span,
    StepsError,
    Wire,
    WireError,
    packed,
    signed,
    walk,
)
from keelmark.vet.sniff import named

_PAIR, _PAIRS = "Pair", {1: TEXT, 2: TEXT}
_SCHEMA: dict[str, dict[int, str]] = {
    "Model": {1: INT, 2: TEXT, 3: TEXT, 4: TEXT, 5: INT, 6: TEXT, 7: "Graph", 8: "Opset"}
    | {14: _PAIR, 20: "Training", 25: "Function", 26: "Configuration"},
    "Graph": {1: "Node", 2: TEXT, 5: "Tensor", 10: TEXT, 11: "Value", 12: "Value", 13: "Value"}
    | {14: "Annotation", 15: "Sparse", 16: _PAIR},
    "Node": {1: TEXT, 2: TEXT, 3: TEXT, 4: TEXT, 5: "Attribute", 6: TEXT, 7: TEXT, 8: TEXT}
    | {9: _PAIR, 10: "NodeConfiguration"},
    "Attribute": {1: TEXT, 2: FIXED, 3: INT, 4: DATA, 5: "Tensor", 6: "Graph", 7: FIXED, 8: INT}
    | {9: DATA, 10: "Tensor", 11: "Graph", 13: TEXT, 14: "Type", 15: "Type", 20: INT, 21: TEXT}
    | {22: "Sparse", 23: "Sparse"},
    "Tensor": {1: INT, 2: INT, 3: "Segment", 4: FIXED, 5: INT, 6: DATA, 7: INT, 8: TEXT, 9: DATA}
    | {10: FIXED, 11: INT, 12: TEXT, 13: "External", 14: INT, 16: _PAIR},
    "External": _PAIRS,
    "Function": {1: TEXT, 2: INT, 3: INT, 4: TEXT, 5: TEXT, 6: TEXT, 7: "Node", 8: TEXT}
    | {9: "Opset", 10: TEXT, 11: "Attribute", 12: "Value", 13: TEXT, 14: _PAIR},
    "Training": {1: "Graph", 2: "Graph", 3: _PAIR, 4: _PAIR},
    "Sparse": {1: "Tensor", 2: "Tensor", 3: INT},
    "Value": {1: TEXT, 2: "Type", 3: TEXT, 4: _PAIR},
    "Type": {1: "TensorType", 4: "Inner", 5: "Map", 6: TEXT, 7: "Opaque", 8: "TensorType"}
    | {9: "Inner"},
    "Inner": {1: "Type"},
    "Map": {1: INT, 2: "Type"},
    "Opaque": _PAIRS,
    "TensorType": {1: INT, 2: "Shape"},
    "Shape": {1: "Dimension"},
    "Dimension": {1: INT, 2: TEXT, 3: TEXT},
    "Opset": {1: TEXT, 2: INT},
    "Segment": {1: INT, 2: INT},
    "Annotation": {1: TEXT, 2: _PAIR},
    _PAIR: _PAIRS,
    "Configuration": {1: TEXT, 2: INT, 3: TEXT},
    "NodeConfiguration": {1: TEXT, 2: "Sharding", 3: INT},
    "Sharding": {1: TEXT, 2: INT, 3: "IntInts", 4: "Sharded"},
    "IntInts": {1: INT, 2: INT},
    "Sharded": {1: INT, 2: "SimpleSharded", 3: INT},
    "SimpleSharded": {1: INT, 2: TEXT, 3: INT},
}
# TensorProto.DataType to bits of one element; 8 is a list of strings.
_BITS = dict(zip(range(1, 29), (32, 8, 8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64), strict=False))
_BITS |= {14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8}
_BITS |= {25: 2, 26: 2, 27: 6, 28: 6}
_STANDARD = {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview"}
_STANDARD |= {"ai.onnx.preview.training", "com.microsoft", "com.microsoft.nchwc"}
_STANDARD |= {"com.ms.internal.nhwc", "org.pytorch.aten"}
_PYTHON = {"PyOp", "PyCustomOp", "PythonOp", "PythonOpGrad"}
_MEMORY = "*/_ORT_MEM_ADDR_/*"
_LEAVES = re.compile(r"\A[/\\~]|\A[A-Za-z]:|://|(?:\A|[/\\])\.\.(?:[/\\]|\Z)|[\0-\x1f]|\A\.?\Z")
_MAX_PLACES = 100_000
_INT63 = (1 << 63) - 1
_TAGS = ("owasp:llm03",)
_FETCH = "Do not use this file; ask its publisher for a clean one."

PATH = Rule(
    "onnx.external_path",
    "Tensor data outside the model's folder",
    Severity.CRITICAL,
    "A loader reads any file that it may read as weights, and a saver overwrites it.",
    _FETCH,
    (
        *_TAGS,
        "cwe:CWE-22",
        "cve:CVE-2022-25882",
        "cve:CVE-2024-27318",
        "cve:CVE-2025-51480",
        "cve:CVE-2026-34447",
    ),
)
BOUNDS = Rule(
    "onnx.bounds",
    "Tensor size or place that cannot be right",
    Severity.HIGH,
    "A loader that multiplies the shape, or believes offset and length, reads beyond the data.",
    _FETCH,
    (*_TAGS, "cwe:CWE-125", "cwe:CWE-190"),
)
PYTHON = Rule(
    "onnx.python_operator",
    "Operator that runs Python",
    Severity.CRITICAL,
    "The runtime calls the named Python while the model runs.",
    "Do not load this model; use one that is made of standard operators.",
    (*_TAGS, "cwe:CWE-94"),
)
CUSTOM = Rule(
    "onnx.custom_operator",
    "Operators whose code is elsewhere",
    Severity.MEDIUM,
    "They need a native library that the loader is asked to load, and that is no part of the file.",
    "Read or build the library yourself, or use a model of standard operators.",
    (*_TAGS, "cwe:CWE-829"),
)
CONTEXT = Rule(
    "onnx.native_context",
    "Compiled code for a device",
    Severity.MEDIUM,
    "A context node hands an opaque compiled blob, or the path of one, to a device driver.",
    "Use the model without compiled context, and compile it yourself.",
    (*_TAGS, "cwe:CWE-829"),
)
CODE = Rule(
    "onnx.code_in_metadata",
    "Code in a description",
    Severity.HIGH,
    "Metadata are words; code there is meant for whoever shows or evaluates them.",
    _FETCH,
    (*_TAGS, "cwe:CWE-94"),
)
FOREIGN = Rule(
    "onnx.foreign_data",
    "Data that is not part of the format",
    Severity.MEDIUM,
    "Loaders skip fields they do not know, so anything can travel in them.",
    "Compare the file with the original publisher's.",
    _TAGS,
)
MALFORMED = Rule(
    "onnx.malformed",
    "Damaged ONNX file",
    Severity.HIGH,
    "It is cut off, has bytes behind its end, or is something else under this name.",
    "Fetch the file again from its publisher and compare the digest.",
    (*_TAGS, "cwe:CWE-20"),
)


class _External(NamedTuple):
    """Where a tensor says its data are, and how many bytes it needs."""

    name: str
    size: int | None
    entries: dict[str, str]


class _Seen:
    """What the walk has gathered; operators are judged at the end, when all functions are known."""

    def __init__(self, file: File, wire: Wire) -> None:
        self.file, self.wire = file, wire
        self.findings: list[ArtefactFinding] = []
        self.graphs = 0
        self.operators: dict[tuple[str, str], str] = {}
        self.functions: set[tuple[str, str]] = set()
        self.external: dict[int, _External] = {}
        self.reasons: list[str] = []
        self.places: dict[str, set[tuple[int, int]]] = {}
        """Other files that hold tensors, and where in them they begin and end."""
        self.count = 0

    def add(self, rule: Rule, where: str, message: str, evidence: str = "") -> None:
        if len(self.findings) < 200:
            self.findings.append(rule.at(self.file, where, message, evidence=evidence))


def _claims(file: File) -> bool:
    return named(file, ".onnx") or _looks_like_onnx(file.head)


def _looks_like_onnx(head: bytes) -> bool:
    """ir_version, then the name of a producer or a graph; a TensorFlow file has a message there."""
    if not re.match(rb"\x08[\x01-\x20](?:\x12.[\x20-\x7e]|\x3a|\x42[\x02-\x60][\x0a\x10])", head):
        return False
    size = head[3]
    return head[2] != 0x12 or (
        size < 0x80 and bool(re.match(rb"[\x20-\x7e]*\Z", head[4 : 4 + size]))
    )


def _run(file: File) -> Result:
    wire = Wire(file)
    seen = _Seen(file, wire)
    try:
        for message in walk(wire, _SCHEMA, "Model", Span(0, file.size)):
            _visit(seen, message)
    except WireError as error:
        seen.add(MALFORMED, "file", f"It is not an ONNX model from start to end: {error}.")
        seen.reasons.append("the protocol buffer is damaged")
    except StepsError as error:
        seen.reasons.append(str(error))
    if not seen.graphs and not seen.reasons:
        seen.add(MALFORMED, "file", "It has no graph.")
        seen.reasons.append("there is no graph in it")
    _external(seen)
    _operators(seen)
    facts = {"onnx": _elsewhere(seen.places)} if seen.places else {}
    return Result(tuple(seen.findings), "; ".join(seen.reasons[:3]), facts=facts)


def _visit(seen: _Seen, message: Message) -> None:
    for number, span in message.unknown:
        where = f"offset {span.start}"
        text = f"{message.type} has the field {number} of {span.size} bytes, which is not ONNX's."
        seen.add(FOREIGN, where, text)
        if len(seen.reasons) < 3:
            seen.reasons.append("it has fields that are not known")
    seen.graphs += message.type == "Graph"
    visitor = _VISITORS.get(message.type)
    if visitor:
        visitor(seen, message)


def _node(seen: _Seen, message: Message) -> None:
    texts = seen.wire.texts
    operator = "".join(texts(message, 4)[-1:])
    domain = "".join(texts(message, 7)[-1:])
    if len(seen.operators) < 10_000:
        seen.operators.setdefault((domain, operator), f"offset {message.span.start}")


def _function(seen: _Seen, message: Message) -> None:
    texts = seen.wire.texts
    seen.functions.add(("".join(texts(message, 10)[-1:]), "".join(texts(message, 1)[-1:])))


def _pair(seen: _Seen, message: Message) -> None:
    key, value = (("".join(seen.wire.texts(message, number)[-1:])) for number in (1, 2))
    if message.type == "External":
        owner = seen.external.get(message.owner_number)
        if owner is not None:
            owner.entries[key] = value
    elif payload := find_payload(value) or find_payload(key):
        where = f"metadata {key[:80]}"
        seen.add(CODE, where, f"It contains {payload.what}.", payload.shown)


def _texts(seen: _Seen, message: Message) -> None:
    for number in (2, 3, 4, 6) if message.type == "Model" else (6,):
        for text in seen.wire.texts(message, number):
            if payload := find_payload(text):
                seen.add(CODE, "description", f"It contains {payload.what}.", payload.shown)


def _tensor(seen: _Seen, message: Message) -> None:
    name = "".join(seen.wire.texts(message, 8)[-1:])[:80]
    where = f"tensor {name}" if name else f"offset {message.span.start}"
    dims = [signed(value) for value in packed(seen.wire, message, 1)]
    kind = (message.numbers.get(2) or [0])[-1]
    bits = _BITS.get(kind)
    count = 1
    for size in dims:
        count *= size
    if any(size < 0 for size in dims) or count * (bits or 8) > _INT63 or len(dims) > 60:
        seen.add(BOUNDS, where, f"Its shape {dims[:8]} is negative or overflows 64 bits.")
        return
    needed = None if not bits else -(-count * bits // 8)
    raw = message.spans.get(9, [])
    if raw and needed is not None and raw[-1].size != needed:
        seen.add(BOUNDS, where, f"Its shape needs {needed} bytes, it has {raw[-1].size}.")
    if (message.numbers.get(14) or [0])[-1] == 1 or 13 in message.spans:
        seen.external[message.number] = _External(where, needed, {})


def _external(seen: _Seen) -> None:
    for name, needed, entries in seen.external.values():
        location = entries.get("location", "")
        if location == _MEMORY:
            seen.add(PATH, name, "Its data are said to be at an address in memory.", location)
        elif _LEAVES.search(location):
            message = f"Its data are said to be in {location[:120]!r}, outside the model's folder."
            seen.add(PATH, name, message, location)
        numbers = [entries.get(key, "0") for key in ("offset", "length")]
        if not all(re.fullmatch(r"\d{1,19}", text) and int(text) <= _INT63 for text in numbers):
            seen.add(BOUNDS, name, f"Offset or length of its data is {numbers}.")
        elif "length" in entries and needed is not None and int(numbers[1]) != needed:
            seen.add(BOUNDS, name, f"Its shape needs {needed} bytes, its length says {numbers[1]}.")
        elif seen.count < _MAX_PLACES:
            size = int(numbers[1]) if "length" in entries else needed or 0
            begin = int(numbers[0])
            seen.places.setdefault(location, set()).add((begin, begin + size))
            seen.count += 1
        else:
            seen.reasons.append(f"it has more than {_MAX_PLACES:,} tensors in other files")


def _elsewhere(places: dict[str, set[tuple[int, int]]]) -> dict[str, dict[str, int]]:
    """How long other files must be, and the longest part of each that no tensor fills."""
    ends, gaps = {}, {}
    for location, spans in sorted(places.items()):
        end = gap = 0
        for begin, stop in sorted(spans):
            gap = max(gap, begin - end)
            end = max(end, stop)
        ends[location], gaps[location] = end, gap
    return {"external": ends, "gaps": gaps}


def _operators(seen: _Seen) -> None:
    custom: dict[str, list[str]] = {}
    for (domain, operator), where in seen.operators.items():
        if operator in _PYTHON:
            seen.add(PYTHON, where, f"The operator {operator} of {domain!r} calls Python.")
        elif operator == "EPContext":
            seen.add(CONTEXT, where, "An EPContext node brings compiled code.")
            seen.reasons.append("compiled code for a device is not examined")
        elif domain not in _STANDARD and (domain, operator) not in seen.functions:
            custom.setdefault(domain, []).append(operator)
    for domain, names in sorted(custom.items()):
        shown = ", ".join(sorted(names)[:8])
        message = f"Operators of {domain[:80]!r} are not defined in the file: {shown}."
        seen.add(CUSTOM, f"domain {domain[:80]}", message)
        seen.reasons.append(f"the code of the operators of {domain[:80]!r} is not in the file")


_VISITORS = {
    "Node": _node,
    "Function": _function,
    "External": _pair,
    _PAIR: _pair,
    "Tensor": _tensor,
    "Model": _texts,
}


def _rules() -> Iterator[Rule]:
    yield from (PATH, BOUNDS, PYTHON, CUSTOM, CONTEXT, CODE, FOREIGN, MALFORMED)


CHECK = Check(
    title="ONNX models",
    version="2",
    tags=PATH.tags,
    rules=tuple(_rules()),
    examples=(
        "onnx-traversal-cve-2022-25882",
        "onnx-absolute-cve-2024-27318",
        "onnx-python-operator",
        "onnx-custom-domain",
        "onnx-size-mismatch",
        "onnx-foreign-field",
        "onnx-truncated",
    ),
    claims=_claims,
    run=_run,
)
