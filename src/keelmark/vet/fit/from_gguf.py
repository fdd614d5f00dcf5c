"""From the metadata and tensor table of a GGUF file to the shape of the model.

Source: the keys of the GGUF specification and what llama.cpp's loaders make of them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from keelmark.vet.fit.shape import (
    Layer,
    Shape,
    UnknownShapeError,
    layer_count,
    needed,
    number,
    numbers,
    periodic,
)

ARCHITECTURES: dict[str, Any] = tomllib.loads(
    files(__package__).joinpath("architectures.toml").read_text(encoding="utf-8")
)
_TABLE = ARCHITECTURES["gguf"]
_KINDS = {
    name: kind
    for kind in ("plain", "encoder", "hybrid", "recurrent", "both", "interval")
    for name in _TABLE[kind].split()
} | dict.fromkeys([name for name in _TABLE["sliding"] if name != "phi3"], "sliding")
_PROJECTION = re.compile(r"blk\.(\d{1,4})\.attn_(k|v)\.weight")
_INDEXED = ("deepseek32", "glm-dsa")

Tensors = Sequence[tuple[str, str, Sequence[int]]]
"""Name, number type and dimensions."""


def shape_from_gguf(metadata: Mapping[str, Any], tensors: Tensors = ()) -> Shape:
    """Return the shape that a GGUF header describes.

    Args:
        metadata: Keys and values; a list may be left out where it is long.
        tensors: The tensor table, dimensions in ggml's order.

    Raises:
        UnknownShapeError: The architecture is not known, or the header does not say enough.
    """
    name = metadata.get("general.architecture")
    if not isinstance(name, str) or name not in _KINDS:
        raise UnknownShapeError(f"the architecture {str(name)[:60]!r} is not known here")
    start = f"{name}."
    own = {key[len(start) :]: value for key, value in metadata.items() if key.startswith(start)}
    blocks = layer_count(own, "block_count")
    count = blocks - (number(own, "nextn_predict_layers") or 0)
    if count < 1:
        raise UnknownShapeError("more layers for prediction ahead are announced than there are")
    notes = []
    if count < blocks:
        notes.append(f"The last {blocks - count} blocks predict ahead and keep nothing.")
    layers = [Layer()] * count if _KINDS[name] == "encoder" else _layers(name, own, count, tensors)
    return Shape(
        architecture=name,
        source="the GGUF header",
        layers=tuple(layers),
        context=number(own, "context_length") or 0,
        hidden=needed(own, "embedding_length"),
        inner=_inner(own),
        vocabulary=_vocabulary(metadata, own, tensors),
        experts=number(own, "expert_count") or 0,
        experts_used=number(own, "expert_used_count") or 0,
        notes=tuple(notes),
    )


def _layers(name: str, own: Mapping[str, Any], count: int, tensors: Tensors) -> list[Layer]:
    kind = _KINDS[name]
    if kind == "recurrent":
        return [Layer(state=_state(own))] * count
    keys, values = _widths(own, count, tensors)
    if own.get("attention.key_length_mla") and own.get("attention.value_length_mla"):
        values = [0] * count
    windows = _windows(name, own, count)
    keys, values = _narrow(own, windows, keys, values)
    indexed = number(own, "attention.indexer.key_length") or 0 if name in _INDEXED else 0
    layers = [
        Layer(key, value, window, indexed=indexed)
        for key, value, window in zip(keys, values, windows, strict=True)
    ]
    shared = number(own, "attention.shared_kv_layers")
    first = count - shared if shared is not None else _TABLE["shared"].get(name, count)
    layers[first:] = [Layer()] * max(0, count - first)
    if kind == "both":
        return [layer._replace(state=_state(own)) for layer in layers]
    if kind == "interval":
        period = number(own, "full_attention_interval") or 4
        linear = periodic(count, period)
        return [
            Layer(state=_state(own)) if off else on for off, on in zip(linear, layers, strict=True)
        ]
    if kind == "hybrid":
        return [layer if layer.key else Layer(state=_state(own)) for layer in layers]
    return layers


def _widths(own: Mapping[str, Any], count: int, tensors: Tensors) -> tuple[list[int], list[int]]:
    """Return the elements of key and value that each layer keeps for each token."""
    heads = numbers(own, "attention.head_count", count) or [
        number(own, "attention.head_count") or 0
    ]
    widest = max(heads)
    head = number(own, "attention.key_length")
    if head is None:
        if not widest:
            raise UnknownShapeError("attention.head_count is not given")
        head = needed(own, "embedding_length") // widest
    value_head = number(own, "attention.value_length")
    value_head = head if value_head is None else value_head
    kept = numbers(own, "attention.head_count_kv", count)
    if kept is None and isinstance(own.get("attention.head_count_kv"), Mapping):
        return _projected(tensors, count)
    if kept is None:
        kept = [number(own, "attention.head_count_kv") or widest] * count
    return [heads_kept * head for heads_kept in kept], [n * value_head for n in kept]


def _projected(tensors: Tensors, count: int) -> tuple[list[int], list[int]]:
    """Return the widths that the projections have, where the list is too long to be kept."""
    rows: dict[tuple[int, str], int] = {}
    for name, _, dimensions in tensors:
        found = _PROJECTION.fullmatch(name)
        if found and len(dimensions) == 2:
            rows[int(found[1]), found[2]] = dimensions[1]
    if not rows:
        raise UnknownShapeError("attention.head_count_kv is a long list and no projection shows it")
    return (
        [rows.get((layer, "k"), 0) for layer in range(count)],
        [rows.get((layer, "v"), rows.get((layer, "k"), 0)) for layer in range(count)],
    )


def _windows(name: str, own: Mapping[str, Any], count: int) -> list[int]:
    window = number(own, "attention.sliding_window") or _TABLE["window"].get(name, 0)
    if not window or name not in _TABLE["sliding"]:
        return [0] * count
    flags: Sequence[int] | None = numbers(own, "attention.sliding_window_pattern", count)
    if flags is None:
        if isinstance(own.get("attention.sliding_window_pattern"), Mapping):
            raise UnknownShapeError("which layers slide is a list too long to be kept")
        default = _TABLE["sliding"][name]
        period = number(own, "attention.sliding_window_pattern") or default
        if not period:
            raise UnknownShapeError("which layers slide is not given (sliding_window_pattern)")
        flags = periodic(count, period, dense_first=name in _TABLE["first"])
    return [window if flag else 0 for flag in flags]


def _narrow(
    own: Mapping[str, Any], windows: Iterable[int], keys: list[int], values: list[int]
) -> tuple[list[int], list[int]]:
    """Give sliding layers the head sizes that they have of their own (Gemma 4)."""
    full, sliding = number(own, "attention.key_length"), number(own, "attention.key_length_swa")
    if not full or not sliding:
        return keys, values
    scaled = [
        (key // full * sliding, value // full * sliding) if window else (key, value)
        for window, key, value in zip(windows, keys, values, strict=True)
    ]
    return [key for key, _ in scaled], [value for _, value in scaled]


def _state(own: Mapping[str, Any]) -> int:
    """Return the elements of a recurrent layer's state, as llama.cpp lays them out."""
    width = needed(own, "embedding_length")
    if head := number(own, "wkv.head_size"):
        return width * (head + 2)
    if reach := number(own, "shortconv.l_cache"):
        return width * (reach - 1)
    reach = needed(own, "ssm.conv_kernel") - 1
    if head := number(own, "kda.head_dim"):
        heads = numbers(own, "attention.head_count", 1) or [needed(own, "attention.head_count")]
        return 3 * reach * heads[0] * head + head * head * heads[0]
    inner, state = needed(own, "ssm.inner_size"), needed(own, "ssm.state_size")
    groups = number(own, "ssm.group_count") or 0
    return inner * state + reach * (inner + 2 * groups * state)


def _inner(own: Mapping[str, Any]) -> int:
    """Return the width of the feed-forward part at work for one token."""
    width = own.get("feed_forward_length")
    sizes = [item for item in width if isinstance(item, int)] if isinstance(width, list) else []
    dense = max(sizes, default=number(own, "feed_forward_length") or 0)
    expert = number(own, "expert_feed_forward_length") or 0
    return max(dense, expert * (number(own, "expert_used_count") or 0))


def _vocabulary(metadata: Mapping[str, Any], own: Mapping[str, Any], tensors: Tensors) -> int:
    tokens = metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, Mapping) and (length := number(tokens, "length")):
        return length
    rows = [dims[1] for name, _, dims in tensors if name == "token_embd.weight" and len(dims) == 2]
    return number(own, "vocab_size") or (rows[0] if rows else 0)
