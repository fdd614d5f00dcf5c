"""safetensors files."""

from __future__ import annotations

import json
import struct

from corpus.case import benign, hostile


def safetensors(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def weights(header: object, size: int = 16, *, length: int | None = None) -> dict[str, bytes]:
    return {"model.safetensors": safetensors(header, bytes(size), length=length)}


TWO = {"a": tensor(0, 8, [2]), "b": tensor(8, 16, [2])}
benign("safetensors-twin", weights({"__metadata__": {"format": "pt"}, **TWO}))
benign("safetensors-scalar-twin", weights({"s": tensor(0, 4, []), "e": tensor(4, 4, [0, 3])}, 4))
hostile("safetensors-not-json", "safetensors.malformed", weights(b"{not json}"))
hostile("safetensors-list", "safetensors.malformed", weights(b"[1,2,3,4,5]"))
hostile("safetensors-truncated", "safetensors.malformed", weights(TWO, length=5000))
hostile("safetensors-too-short", "safetensors.malformed", {"m.safetensors": b"\1\2"})
hostile("safetensors-huge-header", "safetensors.huge_header", weights(TWO, length=1 << 60))
hostile("safetensors-deep", "safetensors.malformed", weights(b'{"a":' * 100_000))
hostile("safetensors-extra-key", "safetensors.malformed", weights({"a": {**TWO["a"], "x": 1}}, 8))
hostile("safetensors-negative", "safetensors.malformed", weights({"a": tensor(-8, 8, [2])}))
hostile(
    "safetensors-shape-overflow",
    "safetensors.malformed",
    weights({"a": tensor(0, 16, [1 << 40, 1 << 40])}),
)
hostile(
    "safetensors-duplicate-key",
    "safetensors.duplicate_key",
    weights(
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    ),
)
hostile("safetensors-out-of-file", "safetensors.out_of_file", weights({"a": tensor(0, 64, [16])}))
hostile(
    "safetensors-hole",
    "safetensors.layout",
    weights({"a": tensor(0, 4, [1]), "b": tensor(8, 16, [2])}),
)
hostile(
    "safetensors-overlap",
    "safetensors.layout",
    weights({"a": tensor(0, 12, [3]), "b": tensor(8, 16, [2])}),
)
hostile("safetensors-trailing", "safetensors.layout", weights(TWO, 20))
hostile(
    "safetensors-size-mismatch", "safetensors.size_mismatch", weights({"a": tensor(0, 16, [5])})
)
