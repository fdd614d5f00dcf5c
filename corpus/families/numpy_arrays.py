"""NumPy arrays."""

from __future__ import annotations

import pickle
import struct

from corpus.case import benign, hostile
from corpus.families.archives import make_zip
from corpus.families.pickles import CALL, INNER


def npy(kind: str, shape: tuple[int, ...], data: bytes) -> bytes:
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


hostile("numpy-object-os-system", f"numpy.object_array {CALL}", {"a.npy": npy("|O", (1,), INNER)})
hostile("numpy-npz-os-system", CALL, {"a.npz": make_zip({"x.npy": npy("|O", (1,), INNER)})})
hostile("numpy-trailing", "numpy.malformed", {"a.npy": npy("<f4", (2,), bytes(8) + b"more")})
benign("numpy-twin", {"a.npy": npy("<f4", (2, 2), bytes(16))})
benign(
    "numpy-object-twin", {"a.npy": npy("|O", (1,), pickle.dumps([1]))}, rules="numpy.object_array"
)
