"""From a shape and weights to the memory that running needs, and to what that allows."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, NamedTuple

from keelmark.vet.fit.cache import Cache, Demand, cache
from keelmark.vet.fit.shape import Shape
from keelmark.vet.fit.weights import MIXTURES, Weights

ACCELERATORS: dict[str, Any] = tomllib.loads(
    files(__package__).joinpath("accelerators.toml").read_text(encoding="utf-8")
)
MIB, GIB = 1 << 20, 1 << 30
USABLE = 0.9
"""Part of a memory that is taken to be free for a model; also vLLM's default."""

_RUNTIME = {"llama.cpp": 300 * MIB, "vLLM": 1536 * MIB}
_VLLM_BATCH = 8192


class Need(NamedTuple):
    """Memory that running needs, bytes.

    Attributes:
        weights: As stored.
        cache: For context.
        compute: Buffers for the computation and the engine itself; an estimate.
    """

    weights: int
    cache: Cache
    compute: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache.total + self.compute


def need(shape: Shape, weights: int, demand: Demand) -> Need:
    """Return the memory that an engine needs for weights of this size."""
    return Need(weights, cache(shape, demand), compute(shape, demand))


def compute(shape: Shape, demand: Demand) -> int:
    """Estimate the buffers: activations of one step, its mask, logits, and the engine itself.

    Measured on llama.cpp with flash attention: 22.6 MiB beside the engine for SmolLM2 135M at 8,192
    tokens, where this says 21.7.
    """
    step = demand.step if demand.engine == "llama.cpp" else _VLLM_BATCH
    width = 4 if demand.engine == "llama.cpp" else 2
    rows = step * (3 * shape.inner + 4 * shape.hidden) * width
    mask = step * demand.context * demand.requests * 2 if demand.engine == "llama.cpp" else 0
    if any(layer.window for layer in shape.layers):
        mask *= 2
    return rows + mask + 4 * shape.vocabulary * demand.requests + _RUNTIME[demand.engine]


def longest_context(shape: Shape, weights: int, demand: Demand, room: int) -> int:
    """Return the longest context, a multiple of 256, that fits into so many bytes; 0 for none."""
    most = shape.context or 1 << 20
    low, high = 0, -(-most // 256)
    while low < high:
        middle = (low + high + 1) // 2
        asked = demand._replace(context=middle * 256)
        if need(shape, weights, asked).total <= room:
            low = middle
        else:
            high = middle - 1
    return min(low * 256, most)


class Quantised(NamedTuple):
    """A kind of quantisation, and what this model would weigh in it."""

    name: str
    bits: float
    bytes: int


def quantisations(weights: Weights) -> list[Quantised]:
    """Return what the model would weigh in each kind that llama.cpp makes, largest first."""
    return [
        Quantised(name, bits, int(weights.parameters * bits / 8))
        for name, bits in MIXTURES.items()
        if weights.parameters
    ]


def tokens_per_second(weights: Weights, bandwidth: float) -> float:
    """Return the most tokens that one request can get in a second, from bandwidth in GB/s.

    Each token reads all active weights once; computing and the cache only make it slower.
    """
    return bandwidth * 1e9 / weights.active if weights.active else 0.0
