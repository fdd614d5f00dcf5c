"""SentencePiece vocabularies."""

from __future__ import annotations

import struct

from corpus.case import benign, hostile


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def piece(text: str) -> bytes:
    return field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", -1.5) + b"\x18\x01")


VOCABULARY = piece("<unk>") + piece("\u2581a") + field(2, b"\x1a\x01a") + field(3, b"")
benign("sentencepiece-twin", {"tokenizer.model": VOCABULARY})
hostile(
    "sentencepiece-foreign",
    "sentencepiece.foreign_data",
    {"tokenizer.model": VOCABULARY + field(9, b"payload")},
    "incomplete",
)
hostile("sentencepiece-cut", "", {"tokenizer.model": VOCABULARY[:-3]}, "incomplete")
