"""What an engine sets aside for context: from a shape to bytes.

llama.cpp (`src/llama-kv-cache*.cpp`, `src/llama-memory-recurrent.cpp`): cells padded to 256; a
sliding layer keeps its window for each sequence and one step of input, padded to 256; recurrent
states in 32 bits. vLLM: pages of 16 tokens; every layer that keeps tokens gets pages for the
whole context, sliding ones too, as it does when layers of both kinds must share pages of one
size; recurrent states in 32 bits, the padding of their pages left out.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, NamedTuple

from keelmark.vet.fit.shape import Layer, Shape

TABLES: dict[str, Any] = tomllib.loads(
    files(__package__).joinpath("quants.toml").read_text(encoding="utf-8")
)
CACHE_TYPES: dict[str, list[int]] = TABLES["cache"]
ENGINES = ("llama.cpp", "vLLM")

_PAD = 256
_PAGE = 16
STEP = 512
"""Tokens of input that llama.cpp takes in one step (its default `n_ubatch`)."""


class Demand(NamedTuple):
    """What is asked of an engine.

    Attributes:
        engine: One of `ENGINES`.
        context: Tokens of each request.
        requests: Requests at work together, each with that context.
        cache_type: Number type of the cache, a key of `CACHE_TYPES`.
        step: Tokens of input taken in one step (llama.cpp).
    """

    engine: str = "llama.cpp"
    context: int = 8192
    requests: int = 1
    cache_type: str = "f16"
    step: int = STEP


class Cache(NamedTuple):
    """What an engine sets aside, bytes.

    Attributes:
        tokens: Keys and values.
        states: Recurrent and convolution states.
        indexed: Keys of a sparse attention's indexer.
    """

    tokens: int
    states: int
    indexed: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


def cache(shape: Shape, demand: Demand) -> Cache:
    """Return what the engine sets aside for context."""
    per_layer = _llama if demand.engine == "llama.cpp" else _vllm
    sizes = [per_layer(shape, layer, demand) for layer in shape.layers]
    return Cache(*(sum(column) for column in zip(*sizes, strict=True)))


def _llama(shape: Shape, layer: Layer, demand: Demand) -> Cache:
    cells = _up(demand.context * demand.requests, _PAD)
    kept = cells
    if layer.window and shape.ring:
        kept = _up(min(cells, layer.window * demand.requests + demand.step), _PAD)
    size = _bytes(layer.key, demand.cache_type) + _bytes(layer.value, demand.cache_type)
    index = _bytes(layer.indexed, demand.cache_type)
    return Cache(kept * size, layer.state * 4 * demand.requests, cells * index)


def _vllm(shape: Shape, layer: Layer, demand: Demand) -> Cache:
    context = demand.context
    if layer.window and all(other.window for other in shape.layers if other.key):
        context = min(context, layer.window + _PAGE)  # no other kind to share pages with
    cells = _up(context, _PAGE) * demand.requests
    size = _bytes(layer.key, demand.cache_type) + _bytes(layer.value, demand.cache_type)
    index = layer.indexed + layer.indexed // 32  # 8 bits each, and a scale of 32 for 128
    return Cache(cells * size, layer.state * 4 * demand.requests, cells * index)


def _bytes(elements: int, name: str) -> int:
    """Return the size of a row; a row that does not fill its last block still occupies it."""
    block, size = CACHE_TYPES[name]
    return -(-elements // block) * size


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
