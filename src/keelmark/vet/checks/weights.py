"""Indicators of tampered weights in safetensors and GGUF files; indicators, never proof.

Looked at is a sample: rows from the beginning, the middle and the end of every tensor in F32, F16
and BF16, the same ones on every run, a few megabytes in all. Absence of a finding says nothing
about the rest, and each finding says that it comes from a sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.lazily import Lazy
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.payload import executable_kind, find_payload
from keelmark.vet.tensors import Tensor, placed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Lazy("numpy")

SAMPLE = 12 * 1024 * 1024
"""Bytes of tensor data that are looked at in one file."""

_LEAST, _MOST = 4 * 1024, 512 * 1024
_MOST_TENSORS = 20_000
_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}
_FEW_ROWS = 16
_OUTLIER = 40.0
_TEXT = re.compile(rb"[\x20-\x7e\t\r\n]{64,}")
_WORDS = re.compile(rb"(?:[A-Za-z]{2,}[\s,.;:()'\"=_/|-]+){5}")
_LETTERS = 12
"""Numbers that repeat may be printable (0.7 is `333?`), but use few characters."""
_MASK = re.compile(r"mask|\.bias\Z|inv_freq", re.IGNORECASE)
_TAGS = ("owasp:llm03", "owasp:llm04")
_COMPARE = "Compare the file with the original publisher's, tensor by tensor."

NOT_FINITE = Rule(
    "weights.not_finite",
    "Weights that are no numbers",
    Severity.MEDIUM,
    "Undefined values spoil every answer that passes them; training does not leave them.",
    _COMPARE,
    _TAGS,
)
PROGRAM = Rule(
    "weights.program",
    "Program or text in place of weights",
    Severity.HIGH,
    "A tensor that begins like a program, or holds words, is a carrier and no weight.",
    _COMPARE,
    (*_TAGS, "cwe:CWE-506"),
)
PADDING = Rule(
    "weights.padding",
    "Data between tensors",
    Severity.LOW,
    "The bytes that align tensors are zero; anything else is carried along.",
    _COMPARE,
    _TAGS,
)
ROWS = Rule(
    "weights.rows",
    "Dead or repeated rows",
    Severity.INFO,
    "Unused tokens look like this, and so does a part that has been cut out or overwritten.",
    _COMPARE,
    _TAGS,
)
OUTLIER = Rule(
    "weights.outlier",
    "A row far larger than the others",
    Severity.INFO,
    "Quantisation and some training leave such rows; so does an edit to a single fact.",
    _COMPARE,
    _TAGS,
)


class _Seen(NamedTuple):
    """What is told once for each file: the first tensor of each kind, and how many there are."""

    said: dict[str, list[str]]

    def note(self, kind: str, name: str) -> None:
        self.said.setdefault(kind, []).append(name)


def _claims(file: File) -> bool:
    """Weights whose header another check of the same file has read and found sound."""
    return bool(placed(file))


def _run(file: File) -> Result:
    tensors = placed(file)
    findings: list[ArtefactFinding] = []
    seen = _Seen({})
    looked = tensors[:: -(-len(tensors) // _MOST_TENSORS) or 1]
    share = max(_LEAST, min(_MOST, SAMPLE // max(1, len(looked))))
    for tensor in looked:
        findings += _tensor(file, tensor, share, seen)
    findings += _padding(file, tensors)
    findings += _summary(file, seen)
    return Result(tuple(findings[:100]))


def _tensor(file: File, tensor: Tensor, share: int, seen: _Seen) -> Iterator[ArtefactFinding]:
    where = f"tensor {tensor.name[:120]}"
    begins = file.read(tensor.start, min(4096, tensor.end - tensor.start))
    kind = executable_kind(begins)
    words = _words(begins)
    if kind:
        yield PROGRAM.at(file, where, f"It begins like {kind}.")
    elif words and (tensor.dtype in _WIDTHS or find_payload(words[0].decode())):
        shown = words[0][:60].decode()
        yield PROGRAM.at(file, where, "It holds text where numbers belong.", evidence=shown)
    if tensor.dtype not in _WIDTHS or not tensor.row:
        return
    values = _sample(file, tensor, share)
    if not values.size:
        return
    finite = np.isfinite(values)
    if not finite.all() and not _MASK.search(tensor.name):
        undefined = bool(np.isnan(values).any())
        message = f"In a sample of {values.size} values {int((~finite).sum())} are not finite."
        severity = None if undefined else Severity.LOW
        yield NOT_FINITE.at(file, where, message, severity=severity)
    elif len(values) >= _FEW_ROWS and values.shape[1] >= _FEW_ROWS:
        _rows(tensor, values, seen)


def _words(data: bytes) -> re.Match[bytes] | None:
    """Return a stretch of text: printable, of many letters, in words."""
    match = _TEXT.search(data)
    if match is None or len(set(match[0])) < _LETTERS or not _WORDS.search(match[0]):
        return None
    return match


def _sample(file: File, tensor: Tensor, share: int) -> NDArray[np.float32]:
    """Return rows from the beginning, the middle and the end, as many as the share allows."""
    width = _WIDTHS[tensor.dtype] * tensor.row
    many = max(1, min(tensor.rows, share // width))
    if width > share:  # a single row is too long: its beginning
        data = file.read(tensor.start, share)
        return _numbers(data, tensor.dtype, share // _WIDTHS[tensor.dtype])
    piece = max(1, many // 3)
    firsts = sorted({0, max(0, (tensor.rows - piece) // 2), max(0, tensor.rows - piece)})
    data = b"".join(file.read(tensor.start + first * width, piece * width) for first in firsts)
    return _numbers(data, tensor.dtype, tensor.row)


def _numbers(data: bytes, dtype: str, row: int) -> NDArray[np.float32]:
    if dtype == "BF16":
        wide = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        values = wide.view(np.float32)
    else:
        values = np.frombuffer(data, "<f4" if dtype == "F32" else "<f2").astype(np.float32)
    return values[: len(values) // row * row].reshape(-1, row)


def _rows(tensor: Tensor, values: NDArray[np.float32], seen: _Seen) -> None:
    norms = np.linalg.norm(values.astype(np.float64), axis=1)
    alive = norms[norms > 0]
    if len(alive) < len(norms):
        seen.note("dead", tensor.name)
    if len(alive) < 2:
        return
    living = np.ascontiguousarray(values[norms > 0])
    distinct = len(set(map(bytes, living.view(np.uint8).reshape(len(living), -1))))
    if distinct < len(living):
        seen.note("repeated", tensor.name)
    if norms.max() > _OUTLIER * float(np.median(alive)):
        seen.note("outlier", tensor.name)


def _padding(file: File, tensors: list[Tensor]) -> Iterator[ArtefactFinding]:
    """Aligned formats leave up to a few bytes between tensors."""
    at = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.start):
        gap = tensor.start - at if at else 0
        if 0 < gap <= 4096 and file.read(at, gap).strip(b"\0"):
            where = f"offset {at}"
            yield PADDING.at(file, where, f"{gap} bytes before {tensor.name[:80]!r} are not zero.")
            return
        at = max(at, tensor.end)


def _summary(file: File, seen: _Seen) -> Iterator[ArtefactFinding]:
    for kind, rule, what in (
        ("dead", ROWS, "have rows of nothing but zeros"),
        ("repeated", ROWS, "have rows that repeat each other"),
        ("outlier", OUTLIER, "have a row many times as large as the usual one"),
    ):
        names = seen.said.get(kind, [])
        if names:
            message = f"In a sample {len(names)} tensors {what}, first {names[0][:80]!r}."
            yield rule.at(file, f"tensor {names[0][:120]}", message)


CHECK = Check(
    title="Indicators of tampered weights",
    version="1",
    tags=_TAGS,
    rules=(NOT_FINITE, PROGRAM, PADDING, ROWS, OUTLIER),
    examples=(
        "weights-nan",
        "weights-program",
        "weights-text",
        "weights-padding",
        "weights-dead-rows",
        "weights-outlier",
    ),
    claims=_claims,
    run=_run,
)
