"""What the weights weigh: from tensor tables to bytes, parameters and what one token reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from keelmark.vet.fit.cache import TABLES
from keelmark.vet.fit.shape import Shape

_BLOCK: dict[str, list[int]] = TABLES["block"]
_BITS: dict[str, int] = TABLES["bits"]
MIXTURES: dict[str, float] = TABLES["mixture"]
"""Kind of quantisation to bits for each weight, best first."""

_EXPERT = re.compile(r"_exps\.|\.experts\.|\.experts_|block_sparse_moe\.|\.switch_mlp\.")
_SHARED = re.compile(r"shared|shexp")
_INPUT = re.compile(
    r"(^|\.)(token_embd|embed_tokens|wte|word_embeddings|embed_in|tok_embeddings)\."
)
_OUTPUT = re.compile(r"(^|\.)(output|lm_head|embed_out|output_layer)\.weight$")
_PER_LAYER = re.compile(r"per_layer_token_embd|embed_tokens_per_layer")
_UNPACKED = {None, "fp8", "fbgemm_fp8", "finegrained_fp8"}


class Weights(NamedTuple):
    """What a model's tensors amount to.

    Attributes:
        bytes: In memory, as stored.
        parameters: Numbers in all tensors; 0 when they are packed in a way not known here.
        active: Bytes that must be read for one token; for a mixture of experts only those at work.
        unknown: Number types that are not known, whose tensors are left out.
    """

    bytes: int
    parameters: int
    active: int
    unknown: tuple[str, ...] = ()

    @property
    def bits(self) -> float:
        """Bits for each parameter; 0 when not known."""
        return 8 * self.bytes / self.parameters if self.parameters else 0.0


def tensor_size(kind: str, dimensions: Sequence[int]) -> int | None:
    """Return the bytes of a tensor, or None for a number type that is not known."""
    count = prod(dimensions)
    if kind in _BLOCK:
        elements, size = _BLOCK[kind]
        return -(-count // elements) * size
    if kind in _BITS:
        return -(-count * _BITS[kind] // 8)
    return None


def weigh(tensors: Iterable[Any], shape: Shape | None, packing: str | None = None) -> Weights:
    """Add up a tensor table.

    Args:
        tensors: Name, number type, dimensions of each.
        shape: For the experts at work.
        packing: `quant_method` of the configuration; None when nothing is packed.
    """
    whole = parameters = experts = lookup = tied = 0
    has_output = False
    unknown = set()
    for name, kind, dimensions in _sound(tensors):
        size = tensor_size(kind, dimensions)
        if size is None:
            unknown.add(kind)
            continue
        whole += size
        parameters += prod(dimensions)
        has_output = has_output or bool(_OUTPUT.search(name))
        if _PER_LAYER.search(name):
            lookup += size  # one row for each token
        elif _INPUT.search(name):
            lookup += size
            tied = size
        elif _EXPERT.search(name) and not _SHARED.search(name):
            experts += size
    idle = 0
    if shape and shape.experts and 0 < shape.experts_used <= shape.experts:
        idle = experts * (shape.experts - shape.experts_used) // shape.experts
    if not has_output and lookup:
        lookup -= tied  # the same rows, all of them, make the output
    known = packing in _UNPACKED and not unknown
    return Weights(whole, parameters if known else 0, whole - lookup - idle, tuple(sorted(unknown)))


def _sound(tensors: Iterable[Any]) -> Iterable[tuple[str, str, list[int]]]:
    for tensor in tensors:
        if len(tensor) == 3 and isinstance(tensor[2], list | tuple):
            name, kind, dimensions = tensor
            if all(isinstance(size, int) and 0 <= size < 1 << 48 for size in dimensions):
                yield str(name), str(kind), list(dimensions)


def packing_of(config: Mapping[str, Any]) -> str | None:
    """Return how a configuration says that its weights are packed, or None."""
    quantised = config.get("quantization_config")
    if not isinstance(quantised, Mapping):
        return None
    method = quantised.get("quant_method")
    return str(method) if method else "unknown"
