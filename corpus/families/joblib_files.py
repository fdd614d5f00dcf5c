"""joblib: arrays between the opcodes, and the codecs it packs files with."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import struct
import zlib

from corpus.case import benign, hostile
from corpus.families.pickles import CALL, INNER, STATE, call, short, stack_global

NUMBERS = struct.pack("<4d", 1.0, 2.0, 3.0, 4.0)


def wrapper(kind: str = "f8", state: bytes = b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\0") -> bytes:
    """An array of four elements as joblib writes it, up to where its bytes follow."""
    dtype = (
        stack_global("numpy.dtype") + short(kind) + b"\x89\x88\x87R(K\3" + short("<") + b"NNN"
        + state + b"tb"
    )  # fmt: skip
    return (
        stack_global("joblib.numpy_pickle.NumpyArrayWrapper") + b")\x81}("
        + short("subclass") + stack_global("numpy.ndarray") + short("shape") + b"K\4\x85"
        + short("order") + short("C") + short("dtype") + dtype + short("allow_mmap") + b"\x88"
        + short("numpy_array_alignment_bytes") + b"K\x10ub"
    )  # fmt: skip


def array(data: bytes, end: bytes = b".") -> bytes:
    return b"\x80\4" + wrapper() + b"\3\xff\xff\xff" + data + end


benign("joblib-array-twin", {"m.joblib": array(NUMBERS)})
hostile(
    "joblib-call-behind-array",
    CALL,
    {"m.joblib": array(NUMBERS, b"0" + call("os.system")[2:])},
)
# Read by joblib the bytes are four numbers; read by pickle alone they are opcodes.
OPCODES = b"0cos\nsystem\n" + short("true") + b"\x85R."
hostile(
    "joblib-array-is-opcodes",
    "pickle.dangerous_global",
    {"m.pkl": b"\x80\4" + wrapper() + OPCODES.ljust(0x31 + 32, b".") + b"."},
)
hostile("joblib-array-too-long", "", {"m.joblib": array(NUMBERS[:8], b"")}, "incomplete")
OBJECTS = b"\x80\4" + wrapper("O8", b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3f")
benign("joblib-objects-twin", {"m.joblib": OBJECTS + pickle.dumps([1, "a", None, 2.0]) + b"."})
hostile("joblib-objects-call", CALL, {"m.joblib": OBJECTS + call("os.system") + b"."})

GOOD = pickle.dumps(STATE)


def zf(data: bytes) -> bytes:
    """The oldest packing of joblib: a mark, the size as text, zlib."""
    return b"ZF" + hex(len(data)).encode().ljust(19) + zlib.compress(data)


CODECS = {
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, lzma.FORMAT_XZ),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zf": zf,
}
for name, pack in CODECS.items():
    hostile(f"joblib-{name}", CALL, {"m.joblib": pack(INNER)})
    benign(f"joblib-{name}-twin", {"m.joblib": pack(GOOD)})
hostile("joblib-lz4", "", {"m.joblib": b"\x04\x22\x4d\x18" + INNER}, "incomplete")
hostile("joblib-zstd", "", {"m.joblib": b"\x28\xb5\x2f\xfd" + INNER}, "incomplete")
hostile("archive-7z", "", {"m.7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(64)}, "incomplete")
hostile(
    "gzip-second-stream",
    CALL,
    {"m.pkl.gz": gzip.compress(INNER[:9], mtime=0) + gzip.compress(INNER[9:], mtime=0)},
)
