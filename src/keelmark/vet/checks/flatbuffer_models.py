"""TensorFlow Lite and ExecuTorch: models as flatbuffers, whose operators are names.

Source: schema.fbs of TensorFlow Lite (version 3), program.fbs and the extended header of
ExecuTorch. Weights are not read.
"""

from __future__ import annotations

import re

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.flatbuffer import FlatBuffer, FlatBufferError
from keelmark.vet.payload import find_payload
from keelmark.vet.sniff import named

_CUSTOM_OPERATOR = 32
_WIDTHS = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 8: 8, 9: 1, 10: 8, 11: 16, 12: 8, 15: 4, 16: 2}
_KNOWN = {"TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram", "RandomUniform", "Mean"}
_FILES = re.compile(
    r"Flex(?:PyFunc\w*|EagerPyFunc|ReadFile|WriteFile|MatchingFiles\w*|SaveDataset\w*|\w*Reader"
    r"\w*|TextLineDataset|TFRecordDataset\w*|CreateSummary\w*|DebugIdentity\w*|SaveV2|RestoreV2|"
    r"DatasetFromGraph|RemoteFusedGraphExecute)\Z"
)
_NAMESPACES = {"aten", "prim", "executorch_prim", "dim_order_ops", "quantized_decomposed", "et_vk"}
_NAMESPACES |= {"llama", "torchao", "cadence", "quantized", "cortex_m"}
_LIMIT = 1 << 62
_TAGS = ("owasp:llm03",)
_FETCH = "Fetch the file again from its publisher and compare the digest."

FILES = Rule(
    "flatbuffer_models.reaches_files",
    "Operator that reaches files or Python",
    Severity.CRITICAL,
    "A TensorFlow operation inside the model reads or writes files while the model runs.",
    "Do not load this model; ask its publisher for one without it.",
    (*_TAGS, "cwe:CWE-73"),
)
CUSTOM = Rule(
    "flatbuffer_models.custom_operator",
    "Operators whose code is elsewhere",
    Severity.LOW,
    "They need native code that is no part of the file.",
    "Read or build that code yourself, or use a model of standard operators.",
    (*_TAGS, "cwe:CWE-829"),
)
BOUNDS = Rule(
    "flatbuffer_models.bounds",
    "Tensor size that cannot be right",
    Severity.HIGH,
    "A loader that multiplies the shape allocates too little or reads beyond the data.",
    _FETCH,
    (*_TAGS, "cve:CVE-2026-42627", "cwe:CWE-190"),
)
CODE = Rule(
    "flatbuffer_models.code_in_metadata",
    "Code in a description",
    Severity.HIGH,
    "Descriptions are words; code there is meant for whoever shows or evaluates them.",
    "Do not use this file; ask its publisher for a clean one.",
    (*_TAGS, "cwe:CWE-94"),
)
MALFORMED = Rule(
    "flatbuffer_models.malformed",
    "Damaged flatbuffer",
    Severity.HIGH,
    "Loaders in C++ follow its offsets; one outside the file reads foreign memory.",
    _FETCH,
    (*_TAGS, "cwe:CWE-125"),
)


def _is_lite(file: File) -> bool:
    return file.head[4:8] == b"TFL3" or named(file, ".tflite", ".lite")


def _is_executorch(file: File) -> bool:
    return (file.head[4:6] == b"ET" and file.head[6:8].isdigit()) or named(file, ".pte")


def _run(file: File) -> Result:
    read = _lite if _is_lite(file) else _executorch
    findings: list[ArtefactFinding] = []
    reasons: list[str] = []
    try:
        read(file, FlatBuffer(file), findings, reasons)
    except FlatBufferError as error:
        findings.append(MALFORMED.at(file, "file", f"It is not sound: {error}."))
        reasons.append("the flatbuffer is damaged")
    return Result(tuple(findings[:200]), "; ".join(list(dict.fromkeys(reasons))[:3]))


def _lite(
    file: File, data: FlatBuffer, findings: list[ArtefactFinding], reasons: list[str]
) -> None:
    if file.head[4:8] != b"TFL3":
        raise FlatBufferError("it does not say that it is TensorFlow Lite")
    root = data.root()
    if data.scalar(root, 0, 4) != 3:
        reasons.append("its version of TensorFlow Lite is not known here")
    for table in data.tables(root, 1):
        wide = data.scalar(table, 3, 4, signed=True)
        code = wide or data.scalar(table, 0, 1, signed=True)
        name = data.text(table, 1)
        if code == _CUSTOM_OPERATOR or name:
            _custom(file, name or "without a name", findings, reasons)
    sizes = [_buffer(file, data, table, findings) for table in data.tables(root, 4)]
    for graph in data.tables(root, 2):
        for tensor in data.tables(graph, 0):
            _tensor(file, data, tensor, sizes, findings)
    described = [data.text(root, 3, 65_536)]
    described += [data.text(table, 0) for table in data.tables(root, 6)]
    for text in described:
        if payload := find_payload(text):
            message = f"It contains {payload.what}."
            findings.append(CODE.at(file, "description", message, evidence=payload.shown))


def _buffer(file: File, data: FlatBuffer, table: int, findings: list[ArtefactFinding]) -> int:
    """Return how many bytes a buffer has; those of very large models follow the flatbuffer."""
    _, count = data.vector(table, 0, 1)
    start, length = data.scalar(table, 1, 8), data.scalar(table, 2, 8)
    if start > 1 and start + length > file.size:
        message = f"A buffer ends at {start + length}, the file at {file.size}."
        findings.append(BOUNDS.at(file, f"offset {table}", message))
    return count or (length if start > 1 else 0)


def _custom(file: File, name: str, findings: list[ArtefactFinding], reasons: list[str]) -> None:
    if _FILES.match(name):
        message = f"The operator {name} reaches files or Python."
        findings.append(FILES.at(file, f"operator {name}", message, evidence=name))
    elif name not in _KNOWN and not name.startswith("Flex"):
        message = f"The operator {name[:80]} is not part of the runtime."
        findings.append(CUSTOM.at(file, f"operator {name[:80]}", message, evidence=name))
        reasons.append(f"the code of the operator {name[:80]} is not in the file")


def _tensor(
    file: File, data: FlatBuffer, tensor: int, sizes: list[int], findings: list[ArtefactFinding]
) -> None:
    start, rank = data.vector(tensor, 0, 4)
    shape = [data.number(start + 4 * n, 4, signed=True) for n in range(min(rank, 64))]
    kind, buffer = data.scalar(tensor, 1, 1), data.scalar(tensor, 2, 4)
    name = data.text(tensor, 3)[:80]
    where = f"tensor {name}" if name else f"offset {tensor}"
    count = 1
    for size in shape:
        count *= size
    if any(size < 0 for size in shape) or count * _WIDTHS.get(kind, 1) > _LIMIT or rank > 64:
        message = f"Its shape {shape[:8]} is negative or overflows."
        findings.append(BOUNDS.at(file, where, message))
    elif buffer >= max(len(sizes), 1):
        findings.append(BOUNDS.at(file, where, f"Its buffer {buffer} does not exist."))
    elif sizes and sizes[buffer] and kind in _WIDTHS and not data.field(tensor, 6):
        needed = count * _WIDTHS[kind]
        if needed != sizes[buffer]:
            message = f"Its shape needs {needed} bytes, its buffer has {sizes[buffer]}."
            findings.append(BOUNDS.at(file, where, message))


def _executorch(
    file: File, data: FlatBuffer, findings: list[ArtefactFinding], reasons: list[str]
) -> None:
    if not file.head[4:6] == b"ET":
        raise FlatBufferError("it does not say that it is ExecuTorch")
    base = 0
    if file.head[8:12] == b"eh00":
        base = data.number(24, 8)
        if data.number(16, 8) > file.size or base > file.size:
            raise FlatBufferError("its header names more bytes than the file has")
    root = data.root()
    start, count = data.vector(root, 4, 4)
    for number in range(count):
        segment = start + 4 * number + data.number(start + 4 * number)
        offset, size = data.scalar(segment, 0, 8), data.scalar(segment, 1, 8)
        if base + offset + size > file.size:
            message = f"A segment ends at {base + offset + size}, the file at {file.size}."
            findings.append(BOUNDS.at(file, f"segment {number}", message))
    for plan in data.tables(root, 1):
        for operator in data.tables(plan, 6):
            name = data.text(operator, 0)
            if name.partition("::")[0] not in _NAMESPACES:
                _custom(file, name, findings, reasons)
        for delegate in data.tables(plan, 7):
            backend = data.text(delegate, 0)[:80]
            reasons.append(f"the part compiled for {backend} is not examined")


CHECK = Check(
    title="TensorFlow Lite and ExecuTorch models",
    version="1",
    tags=(*_TAGS, "cve:CVE-2026-42627"),
    rules=(FILES, CUSTOM, BOUNDS, CODE, MALFORMED),
    examples=("tflite-flex-write-file", "tflite-custom", "tflite-shape", "tflite-truncated"),
    claims=lambda file: _is_lite(file) or _is_executorch(file),
    run=_run,
)
