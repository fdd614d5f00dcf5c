"""The names model as its file holds it: `guard/models/names.bin` (see `training/names`)."""

from __future__ import annotations

import struct
from functools import cache
from importlib import resources
from typing import NamedTuple

LABELS = ("", "PERSON", "LOCATION", "ORGANISATION", "ADDRESS", "OTHER")
"""What a word can be; OTHER is a name that is none of ours (a product, a language)."""

BITS = 17
MAGIC = b"KMN3"
_HEAD = "<4s3I"


class Model(NamedTuple):
    """The model.

    Attributes:
        scale: Units of weight that multiply the odds by e.
        common: Hashes of everyday words, which are no names in small letters.
        never: Hashes of words that are no names with a capital either.
        lanes: For each of LABELS, a weight for each feature, 128 being none.
    """

    scale: int
    common: frozenset[int]
    never: frozenset[int]
    lanes: tuple[bytes, ...]


@cache
def model() -> Model:
    """Read the model from the package."""
    return unpack(resources.files("keelmark.guard").joinpath("models", "names.bin").read_bytes())


def everyday() -> tuple[frozenset[int], frozenset[int]]:
    """Return the hashes of words that are no names: in small letters, and at all."""
    return model().common, model().never


def pack(model: Model) -> bytes:
    """Write a model as `unpack` reads it."""
    common, never = sorted(model.common), sorted(model.never)
    return b"".join(
        (
            struct.pack(_HEAD, MAGIC, model.scale, len(common), len(never)),
            struct.pack(f"<{len(common)}I", *common),
            struct.pack(f"<{len(never)}I", *never),
            *model.lanes,
        )
    )


def unpack(data: bytes) -> Model:
    """Read a model."""
    size = struct.calcsize(_HEAD)
    if data[:4] != MAGIC or len(data) < size:
        raise ValueError("names.bin is no names model of this version.")
    _, scale, common, never = struct.unpack_from(_HEAD, data)
    words = struct.unpack_from(f"<{common + never}I", data, size)
    size += 4 * len(words)
    lanes = tuple(data[size + (k << BITS) : size + ((k + 1) << BITS)] for k in range(len(LABELS)))
    return Model(scale, frozenset(words[:common]), frozenset(words[common:]), lanes)
