"""TensorFlow Lite and ExecuTorch files, written by a small builder of flatbuffers."""

from __future__ import annotations

import io
import struct
import zipfile

from corpus.case import benign, hostile


class Table(dict[int, object]):
    """Fields by index: bytes are scalars, texts texts, lists of tables or bytes vectors."""


def build(root: Table, identifier: bytes, header: bytes = b"") -> bytes:
    """Lay a root table out after its identifier; everything referred to comes later."""
    out = bytearray(4) + identifier + header
    place = _table(out, root)
    out[0:4] = struct.pack("<I", place)
    return bytes(out)


def _table(out: bytearray, table: Table) -> int:
    out += bytes(-len(out) % 8)
    last = max(table, default=-1)
    sizes = {n: len(v) if isinstance(v, bytes) else 4 for n, v in table.items()}
    offsets, at = {}, 4
    for number, size in sizes.items():
        at += -at % min(size, 8)
        offsets[number] = at
        at += size
    vtable = len(out)
    entries = [offsets.get(number, 0) for number in range(last + 1)]
    out += struct.pack(f"<HH{len(entries)}H", 4 + 2 * len(entries), at, *entries)
    out += bytes(-len(out) % 8)
    start = len(out)
    out += struct.pack("<i", start - vtable) + bytes(at - 4)
    for number, value in table.items():
        if isinstance(value, bytes):
            out[start + offsets[number] : start + offsets[number] + len(value)] = value
            continue
        target = _vector(out, value)
        field = start + offsets[number]
        out[field : field + 4] = struct.pack("<I", target - field)
    return start


def _vector(out: bytearray, value: object) -> int:
    out += bytes(-len(out) % 8)
    place = len(out)
    if isinstance(value, str):
        out += struct.pack("<I", len(value)) + value.encode() + b"\0"
    elif isinstance(value, list) and value and isinstance(value[0], Table):
        out += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for number, item in enumerate(value):
            field = place + 4 + 4 * number
            target = _table(out, item)
            out[field : field + 4] = struct.pack("<I", target - field)
    elif isinstance(value, list):  # numbers of four bytes
        out += struct.pack(f"<I{len(value)}i", len(value), *value)
    else:
        assert isinstance(value, bytearray)
        out += struct.pack("<I", len(value)) + value
    return place


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def lite(
    codes: list[Table] | None = None, shape: list[int] | None = None, note: str = "probe"
) -> bytes:
    codes = codes or [Table({0: b"\x09", 3: u32(9)})]
    tensor = Table({0: shape or [2, 2], 1: b"\0", 2: u32(1), 3: "w"})
    operator = Table({0: u32(0), 1: [0], 2: [0]})
    graph = Table({0: [tensor], 1: [0], 2: [0], 3: [operator], 4: "main"})
    buffers = [Table({}), Table({0: bytearray(16)})]
    return build(Table({0: u32(3), 1: codes, 2: [graph], 3: note, 4: buffers}), b"TFL3")


def custom(name: str) -> bytes:
    return lite([Table({0: b"\x20", 1: name, 3: u32(32)})])


def executorch(
    operator: str = "aten::add", *, delegate: str = "", segment: tuple[int, int] = (0, 0)
) -> bytes:
    plan = Table({0: "forward", 6: [Table({0: operator, 1: "out"})]})
    if delegate:
        plan[7] = [Table({0: delegate})]
    pieces = [Table({0: struct.pack("<Q", segment[0]), 1: struct.pack("<Q", segment[1])})]
    header = b"eh00" + u32(24) + struct.pack("<QQ", 64, 64)
    return build(Table({0: u32(0), 1: [plan], 4: pieces}), b"ET12", header)


WRITE = "flatbuffer_models.reaches_files"
hostile("tflite-flex-write-file", WRITE, {"m.tflite": custom("FlexWriteFile")})
hostile("tflite-flex-py-func", WRITE, {"m.tflite": custom("FlexPyFunc")})
hostile("tflite-renamed", WRITE, {"m.bin": custom("FlexReadFile")})
hostile(
    "tflite-custom",
    "flatbuffer_models.custom_operator",
    {"m.tflite": custom("AttackerOp")},
    "incomplete",
)
hostile("tflite-shape", "flatbuffer_models.bounds", {"m.tflite": lite(shape=[1 << 30, 64])})
hostile(
    "tflite-overflow-cve-2026-42627",
    "flatbuffer_models.bounds",
    {"m.tflite": lite(shape=[1 << 30, 1 << 30, 1 << 30])},
)
hostile("tflite-negative", "flatbuffer_models.bounds", {"m.tflite": lite(shape=[-4, 2])})
hostile(
    "tflite-code",
    "flatbuffer_models.code_in_metadata",
    {"m.tflite": lite(note="<script>fetch('//203.0.113.7')</script>")},
)
hostile("tflite-truncated", "flatbuffer_models.malformed", {"m.tflite": lite()[:150]})
hostile(
    "tflite-root-outside",
    "flatbuffer_models.malformed",
    {"m.tflite": u32(0x7FFFFFFF) + lite()[4:]},
)
hostile("tflite-text", "flatbuffer_models.malformed", {"m.tflite": b"this is no model"})
benign("tflite-twin", {"m.tflite": lite()})
benign("tflite-select-twin", {"m.tflite": custom("FlexErf")})
benign("tflite-detection-twin", {"m.tflite": custom("TFLite_Detection_PostProcess")})
out = io.BytesIO(lite())
with zipfile.ZipFile(out, "a") as archive:
    archive.writestr(zipfile.ZipInfo("labels.txt", (2026, 1, 1, 0, 0, 0)), "cat\ndog\n")
benign("tflite-labels-twin", {"m.tflite": out.getvalue()})
benign("executorch-twin", {"m.pte": executorch()})
hostile(
    "executorch-custom",
    "flatbuffer_models.custom_operator",
    {"m.pte": executorch("attacker::run")},
    "incomplete",
)
hostile("executorch-delegate", "", {"m.pte": executorch(delegate="QnnBackend")}, "incomplete")
hostile(
    "executorch-segment",
    "flatbuffer_models.bounds",
    {"m.pte": executorch(segment=(1 << 40, 16))},
)
hostile("executorch-truncated", "flatbuffer_models.malformed", {"m.pte": executorch()[:90]})
