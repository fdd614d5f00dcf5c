"""MessagePack, as Flax and spaCy write it."""

from __future__ import annotations

import pickle
import struct

from corpus.case import benign, hostile


def pack(item: object) -> bytes:
    if isinstance(item, dict):
        body = b"".join(pack(key) + pack(value) for key, value in item.items())
        return bytes([0x80 | len(item)]) + body
    if isinstance(item, list):
        return bytes([0x90 | len(item)]) + b"".join(map(pack, item))
    if isinstance(item, str):
        return b"\xd9" + bytes([len(item)]) + item.encode()
    if isinstance(item, bytes):
        return b"\xc6" + struct.pack(">I", len(item)) + item
    if item is None or isinstance(item, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[item]
    if isinstance(item, float):
        return b"\xcb" + struct.pack(">d", item)
    assert isinstance(item, int)
    return bytes([item]) if item < 128 else b"\xce" + struct.pack(">I", item)


def array(dtype: str = "float32", data: bytes = bytes(16)) -> Extension:
    return Extension(pack([[2, 2], dtype, data]))


class Extension(bytes):
    """An extension of type 1."""


def flax(leaf: bytes | object, name: str = "kernel") -> dict[str, bytes]:
    value = (
        b"\xc8" + struct.pack(">Hb", len(leaf), 1) + leaf
        if isinstance(leaf, Extension)
        else pack(leaf)
    )
    return {"flax_model.msgpack": b"\x81" + pack("params") + b"\x81" + pack(name) + value}


benign("msgpack-twin", flax(array()))
benign("msgpack-bfloat-twin", flax(array("bfloat16", bytes(8)), "import os later"))
OBJECT = "msgpack_weights.object"
hostile("msgpack-pickle", OBJECT, flax(pickle.dumps(["a"], 4)))
hostile("msgpack-object-array", OBJECT, flax(array("object")))
hostile("msgpack-program", OBJECT, flax(array(data=b"\x7fELF" + bytes(60))))
hostile("msgpack-code", "msgpack_weights.code", flax(3, "__import__('os').system('true')"))
hostile("msgpack-unknown-extension", "", {"m.msgpack": b"\x91\xd4\x07\x00"}, "incomplete")
MALFORMED = "msgpack_weights.malformed"
hostile("msgpack-bomb", MALFORMED, {"m.msgpack": b"\xdf\xff\xff\xff\xff" + bytes(9)})
hostile("msgpack-deep", MALFORMED, {"m.msgpack": b"\x91" * 5000 + b"\x01"})
hostile("msgpack-truncated", MALFORMED, {"m.msgpack": flax(array())["flax_model.msgpack"][:-3]})
hostile("msgpack-trailing", MALFORMED, {"m.msgpack": pack({"a": 1}) + b"\x7fELF"})
# As spaCy and thinc write them: no ending, and arrays of msgpack-numpy, of which the kind "O" is
# a pickle.
_THINC = {"nodes": [{"index": 0}], "attrs": [{"dropout": 0.1}], "params": [{"W": None}]}
benign("msgpack-bare-twin", {"model": pack(_THINC), "cfg": b'{"moves": null}'})
hostile(
    "msgpack-bare-pickle",
    OBJECT,
    {"model": pack({"nd": True, "kind": "O", "data": pickle.dumps(["a"], 4)})},
)
for _name, _stream in {
    "old": b"cos\nsystem\n(S'true'\ntR.",
    "stack-global": b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "late": b"X" + struct.pack("<I", 5000) + bytes(5000) + b"0cos\nsystem\n(S'true'\ntR.",
}.items():
    _map = {"nd": True, "kind": "O", "data": _stream}
    hostile(f"msgpack-bare-pickle-{_name}", OBJECT, {"model": pack(_map)})
hostile("msgpack-bare-trailing", "", {"model": pack({"a": 1}) + b"more"}, "incomplete")
