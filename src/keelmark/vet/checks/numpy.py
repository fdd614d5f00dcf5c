"""NumPy arrays (.npy): header and size; an object array holds a pickle, which is examined too.

Source: the NPY format, versions 1.0 to 3.0 (numpy.lib.format).
"""

from __future__ import annotations

import ast
import math
import re

from keelmark.core.findings import Severity
from keelmark.vet.contract import Check, File, Result, Rule

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 64 * 1024
_OBJECTS, _UNKNOWN = -1, -2
_KIND = re.compile(r"[<>|=]?([?bBiufcmMSaUV])(\d*)(\[\w+\])?")
_TAGS = ("owasp:llm03", "cve:CVE-2019-6446")

MALFORMED = Rule(
    "numpy.malformed",
    "Damaged array header",
    Severity.HIGH,
    "Size and header disagree, or bytes follow that belong to no array.",
    "Fetch the file again from its publisher and compare the digest.",
    ("owasp:llm03",),
)
OBJECTS = Rule(
    "numpy.object_array",
    "Array of Python objects",
    Severity.INFO,
    "Loading it means unpickling; the pickle inside is examined like any other.",
    "Ask for a plain array.",
    _TAGS,
)


def _run(file: File) -> Result:
    wide = file.head[6:7] in (b"\x02", b"\x03")
    start = 12 if wide else 10
    length = int.from_bytes(file.head[8:start], "little")
    if length > _MAX_HEADER or start + length > file.size:
        return _damaged(file, f"The header claims {length} bytes.")
    try:
        header = ast.literal_eval(file.read(start, length).decode("utf-8").strip())
        kind, shape = header["descr"], header["shape"]
        count = math.prod(shape)
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        return _damaged(file, "The header is not a dictionary with descr and shape.")
    data = file.size - start - length
    width = _width(kind)
    if width == _OBJECTS:
        finding = OBJECTS.at(file, "header", "The array holds Python objects.")
        inner = file.member("objects.pkl", file.read(start + length, data))
        return Result((finding,), "", (inner,))
    if width < 0:
        return Result((), "the array is of a type that is not known")
    if width * count != data:
        return _damaged(file, f"{count} numbers of {width} bytes do not fill {data} bytes.")
    return Result()


def _width(kind: object, depth: int = 8) -> int:
    """Return the bytes of one element of a type, `_OBJECTS`, or `_UNKNOWN`."""
    if isinstance(kind, str):
        match = _KIND.fullmatch(kind)
        if not match:
            return _OBJECTS if re.search(r"\bO|\|O", kind) else _UNKNOWN
        return int(match[2] or 1) * (4 if match[1] == "U" else 1)
    if isinstance(kind, tuple) and len(kind) == 2 and depth:
        inner, shape = _width(kind[0], depth - 1), kind[1]
        sizes = shape if isinstance(shape, tuple) else (shape,)
        if inner < 0 or not all(isinstance(size, int) and size >= 0 for size in sizes):
            return inner if inner == _OBJECTS else _UNKNOWN
        return inner * math.prod(sizes)
    if not isinstance(kind, list) or not depth:
        return _UNKNOWN
    widths = [_width(_field(field), depth - 1) for field in kind]
    return _OBJECTS if _OBJECTS in widths else _UNKNOWN if _UNKNOWN in widths else sum(widths)


def _field(field: object) -> object:
    """Return the type of a field of a structured type."""
    if not isinstance(field, tuple) or len(field) not in (2, 3):
        return None
    return field[1] if len(field) == 2 else (field[1], field[2])


def _damaged(file: File, message: str) -> Result:
    return Result((MALFORMED.at(file, "header", message),), "the array header is damaged")


CHECK = Check(
    title="NumPy arrays",
    version="2",
    tags=_TAGS,
    rules=(MALFORMED, OBJECTS),
    examples=("numpy-trailing", "numpy-object-os-system"),
    claims=lambda file: file.head.startswith(_MAGIC),
    run=_run,
)
