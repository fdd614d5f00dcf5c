"""Weights with something in them, and weights as training leaves them."""

from __future__ import annotations

import random
import struct

from corpus.case import benign, hostile
from corpus.families.gguf_files import PLAIN, SSTI, TENSORS, gguf
from corpus.families.safetensors_files import safetensors, tensor

ROWS, COLUMNS = 64, 32


def matrix(rows: dict[int, list[float]] | None = None, code: str = "<%df") -> bytes:
    chance = random.Random(3)
    values = [[chance.gauss(0, 0.02) for _ in range(COLUMNS)] for _ in range(ROWS)]
    for number, row in (rows or {}).items():
        values[number] = row
    return b"".join(struct.pack(code % COLUMNS, *row) for row in values)


def model(data: bytes, dtype: str = "F32", metadata: object = None) -> dict[str, bytes]:
    width = {"F32": 4, "F16": 2, "BF16": 2}[dtype]
    header = {"w": tensor(0, len(data), [len(data) // (width * COLUMNS), COLUMNS], dtype)}
    more = {"__metadata__": metadata} if metadata else {}
    return {"model.safetensors": safetensors({**more, **header}, data)}


NAN = [float("nan")] * COLUMNS
hostile("weights-nan", "weights.not_finite", model(matrix({0: NAN})), "pass")
hostile("weights-nan-half", "weights.not_finite", model(matrix({0: NAN}, "<%de"), "F16"), "pass")
words = matrix({0: NAN})
halves = b"".join(words[at + 2 : at + 4] for at in range(0, len(words), 4))
hostile("weights-nan-bf16", "weights.not_finite", model(halves, "BF16"), "pass")
hostile(
    "weights-infinite",
    "weights.not_finite",
    model(matrix({ROWS - 1: [float("inf")] * COLUMNS})),
    "pass",
)
elf = b"\x7fELF\x02\x01\x01" + bytes(121)
hostile("weights-program", "weights.program", model(elf + matrix()))
script = b"#!/bin/sh\n# what follows is no weight at all, but it is carried along with the model\n"
hostile("weights-script", "weights.program", model(script.ljust(128) + matrix()))
hostile("weights-text", "weights.program", model(b"Meet me at noon at the usual place. " * 32))
hostile(
    "weights-padding",
    "weights.padding",
    {
        "model.gguf": gguf(
            tensors=[
                ("token_embd.weight", (32, 1), 0, 0),
                ("a", (20,), 0, 128),
                ("b", (4,), 0, 224),
            ],
            data=208,
        )
        + b"hidden here, bye"
        + bytes(16)
    },
    "pass",
)
hostile(
    "weights-dead-rows",
    "weights.rows",
    model(matrix({1: [0.0] * COLUMNS, 2: [0.0] * COLUMNS})),
    "pass",
)
hostile(
    "weights-repeated-rows",
    "weights.rows",
    model(matrix({1: [0.01] * COLUMNS, 2: [0.01] * COLUMNS})),
    "pass",
)
hostile("weights-outlier", "weights.outlier", model(matrix({5: [90.0] * COLUMNS})), "pass")
benign("weights-twin", model(matrix()))
benign(
    "weights-constant-twin", model(struct.pack("<f", 0.7) * ROWS * COLUMNS), rules="weights.rows"
)
benign(
    "weights-constant-half-twin",
    model(struct.pack("<e", 0.1) * ROWS * COLUMNS, "F16"),
    rules="weights.rows",
)
benign("weights-half-twin", model(matrix(code="<%de"), "F16"))
benign("weights-gguf-twin", {"model.gguf": gguf(tensors=TENSORS)})
hostile(
    "safetensors-code-in-metadata",
    "safetensors.code_in_metadata",
    model(matrix(), metadata={"note": "<script>alert(1)</script>"}),
)
hostile(
    "safetensors-template-in-metadata",
    "chat_template.template_code",
    model(matrix(), metadata={"chat_template": SSTI}),
)
benign("safetensors-template-twin", model(matrix(), metadata={"chat_template": PLAIN}))
