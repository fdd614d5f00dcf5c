"""Norm layers: the small vectors that every training leaves its mark in, and fine-tuning spares.

Handed up as facts to compare a model with its parent: for each one-dimensional tensor of a norm
its mean, deviation, extremes, a few of its values and a digest of all. Read are only these
tensors, of safetensors and GGUF files, in F32, F16 and BF16.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.lazily import Lazy
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.gguf_header import DEFAULT_ALIGNMENT, GGUFError, UnknownVersionError, read_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Lazy("numpy")

_NAME = re.compile(r"norm|(^|\.)ln_?[0-9a-z]*\.", re.IGNORECASE)
_WIDTH = {"F32": 4, "F16": 2, "BF16": 2}
_GGUF_TYPES = {0: "F32", 1: "F16", 30: "BF16"}
_LARGEST = 1 << 18
_MOST = 4096
_IN_ALL = 64 << 20
_MAX_HEADER = 100_000_000
SAMPLES = 32
"""Values of each vector that are handed up, evenly spread."""

NOT_FINITE = Rule(
    "norm_layers.not_finite",
    "Norm layer with values that are no numbers",
    Severity.MEDIUM,
    "One infinite or undefined value in a norm layer makes every output useless; training does "
    "not leave that, damage and tampering do.",
    "Fetch the file again from its publisher and compare the digest.",
    ("owasp:llm03", "owasp:llm04"),
)


class _Vector(NamedTuple):
    name: str
    kind: str
    length: int
    offset: int


def _claims(file: File) -> bool:
    if file.head.startswith(b"GGUF"):
        return True
    length = int.from_bytes(file.head[:8], "little")
    return file.head[8:9] == b"{" and length <= min(file.size, _MAX_HEADER)


def _run(file: File) -> Result:
    """Read the vectors; what is wrong with the file itself is for the checks of its format."""
    try:
        vectors = _of_gguf(file) if file.head.startswith(b"GGUF") else _of_safetensors(file)
        chosen = list(_chosen(vectors, file.size))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Result()
    facts, findings = {}, []
    for vector in chosen:
        values = _values(file, vector)
        finite = bool(np.isfinite(values).all())
        if not finite:
            findings.append(_not_finite(file, vector, values))
        facts[vector.name] = _summary(values) if finite else {"length": len(values)}
    return Result(tuple(findings[:16]), facts={"norms": facts} if facts else {})


def _not_finite(file: File, vector: _Vector, values: NDArray[np.float32]) -> ArtefactFinding:
    count = int((~np.isfinite(values)).sum())
    message = f"{count} of its {len(values)} values are infinite or no numbers."
    return NOT_FINITE.at(file, f"tensor {vector.name}", message)


def _of_gguf(file: File) -> Iterator[_Vector]:
    try:
        header = read_header(file)
    except (GGUFError, UnknownVersionError):
        return
    alignment = header.values.get(b"general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        return
    start = -(-header.end // alignment) * alignment
    for tensor in header.tensors:
        if len(tensor.shape) == 1 and tensor.type in _GGUF_TYPES:
            name = tensor.name.decode(errors="replace")
            yield _Vector(name, _GGUF_TYPES[tensor.type], tensor.shape[0], start + tensor.offset)


def _of_safetensors(file: File) -> Iterator[_Vector]:
    (length,) = struct.unpack("<Q", file.head[:8])
    header = json.loads(file.read(8, length))
    for name, entry in header.items():
        if name != "__metadata__" and len(entry["shape"]) == 1 and entry["dtype"] in _WIDTH:
            offset = 8 + length + entry["data_offsets"][0]
            yield _Vector(name, entry["dtype"], entry["shape"][0], offset)


def _chosen(vectors: Iterator[_Vector], size: int) -> Iterator[_Vector]:
    """Keep what is the vector of a norm, lies within the file and is not too much in all."""
    read = 0
    for number, vector in enumerate(v for v in vectors if _NAME.search(v.name)):
        length = vector.length * _WIDTH[vector.kind]
        if not 0 < vector.length <= _LARGEST or not 0 <= vector.offset <= size - length:
            continue
        read += length
        if number >= _MOST or read > _IN_ALL:
            return
        yield vector


def _values(file: File, vector: _Vector) -> NDArray[np.float32]:
    data = file.read(vector.offset, vector.length * _WIDTH[vector.kind])
    if vector.kind == "F32":
        return np.frombuffer(data, "<f4")
    if vector.kind == "F16":
        return np.frombuffer(data, "<f2").astype(np.float32)
    return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)


def _summary(values: NDArray[np.float32]) -> dict[str, object]:
    """Describe a vector; the digest is of its values as 32-bit numbers, whatever it is kept in."""
    exact = values.astype(np.float64)
    at = np.linspace(0, len(values) - 1, min(SAMPLES, len(values))).astype(int)
    return {
        "length": len(values),
        "mean": _short(exact.mean()),
        "deviation": _short(exact.std()),
        "least": _short(exact.min()),
        "most": _short(exact.max()),
        "values": [float(f"{value:.9g}") for value in exact[at]],
        "sha256": hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()[:32],
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")


CHECK = Check(
    title="Norm layers of safetensors and GGUF files",
    version="1",
    tags=("owasp:llm03", "owasp:llm04"),
    rules=(NOT_FINITE,),
    examples=("norms-not-finite", "norms-gguf-not-finite"),
    claims=_claims,
    run=_run,
)
