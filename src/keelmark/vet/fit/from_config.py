"""From a `config.json` to the shape of the model.

Source: the configuration classes of transformers, and what vLLM and llama.cpp make of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keelmark.vet.fit.from_gguf import ARCHITECTURES
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
from keelmark.vet.fit.states import state_of

_TABLE = ARCHITECTURES["config"]
_WIDE = frozenset(_TABLE["wide"]["names"].split())
_KINDS = {
    name: kind
    for kind in ("plain", "latent", "encoder", "sliding", "hybrid")
    for name in _TABLE[kind].split()
}
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_transformer_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "num_query_heads")
KEPT_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "num_attention_groups")
HIDDEN = ("hidden_size", "n_embd", "d_model", "model_dim", "dim")
INNER = ("intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim", "d_ff", "inner_hidden_size")
_CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "n_ctx",
    "max_sequence_length",
    "model_max_length",
    "max_context_length",
)
_EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts", "n_experts")
_USED = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "top_k_experts")
_FULL = {"full_attention", "attention", "global", "global_attention", "hybrid_full", "*"}
_SLIDING = {"sliding_attention", "chunked_attention", "local", "local_attention", "sliding"}
_STATE = {"linear_attention", "mamba", "mamba2", "conv", "recurrent", "linear", "M", "kda"}
_NOTHING = {"mlp", "moe", "-", "E"}


def language_part(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the model type of the language model and its settings, defaults filled in.

    Raises:
        UnknownShapeError: There is no model type.
    """
    name = config.get("model_type")
    inside: Any = config
    for step in _TABLE["inside"].get(name, "").split(".") if isinstance(name, str) else ():
        inside = inside.get(step) if isinstance(inside, Mapping) else None
    values, defaults = dict(config), dict(_TABLE["default"])
    if isinstance(inside, Mapping):
        values |= inside
        name = inside.get("model_type") or {"gemma3": "gemma3_text"}.get(str(name), name)
        for kind, more in _TABLE["inside_default"].items():
            defaults[kind] = {**more, **defaults.get(kind, {})}
    if not isinstance(name, str) or not name:
        raise UnknownShapeError("config.json gives no model_type")
    name = name.lower() if name.lower() in _KINDS else name
    given = {key: value for key, value in values.items() if value is not None}
    usual: dict[str, Any] = defaults.get(name) or defaults.get(f"{name}_text") or {}
    return name, {**usual, **given}


def shape_from_config(config: Mapping[str, Any]) -> Shape:
    """Return the shape that a configuration describes.

    Raises:
        UnknownShapeError: The architecture is not known, or the configuration does not say enough.
    """
    name, own = language_part(config)
    if own.get("is_encoder_decoder") is True:
        raise UnknownShapeError(f"{name!r} has an encoder and a decoder, which is not known here")
    if name not in _KINDS:
        raise UnknownShapeError(f"the architecture {name[:60]!r} is not known here")
    attention = own.get("attn_config")
    if isinstance(attention, Mapping):  # MPT and DBRX keep it one level down
        own["num_key_value_heads"] = attention.get("kv_n_heads")
    count = layer_count(own, *LAYERS)
    layers = _layers(name, own, count)
    experts = own.get("ffn_config")
    mixture = {**own, **experts} if isinstance(experts, Mapping) else own
    return Shape(
        architecture=name,
        source="config.json",
        layers=tuple(layers),
        context=_context(own),
        hidden=needed(own, *HIDDEN),
        inner=_inner(own),
        vocabulary=number(own, "vocab_size", "padded_vocab_size") or 0,
        experts=number(mixture, *_EXPERTS) or 0,
        experts_used=number(mixture, *_USED, "moe_top_k") or 0,
        ring=name not in _WIDE,
    )


def _layers(name: str, own: dict[str, Any], count: int) -> list[Layer]:
    kind = _KINDS[name]
    if kind == "encoder":
        return [Layer()] * count
    if own.get("use_cla") is True:
        raise UnknownShapeError("layers share keys with each other (use_cla), not known here")
    if kind == "latent":
        # LongCat-Flash has two attentions in each layer.
        indexed = number(own, "index_head_dim") or 0
        latent = needed(own, "kv_lora_rank") + needed(own, "qk_rope_head_dim")
        return [Layer(latent, indexed=indexed)] * (count * 2 if name == "longcat_flash" else count)
    kinds = _kinds(name, own, count)
    keys, values = _widths(own, count, kinds)
    window = number(own, "sliding_window", "attention_chunk_size", "sliding_window_size") or 0
    if "sliding" in kinds and not window:
        raise UnknownShapeError("layers slide, but no window is given")
    full, sliding, state = (kinds.count(one) for one in ("full", "sliding", "state"))
    if full + sliding + state == 0 and "both" not in kinds:
        raise UnknownShapeError("no layer keeps anything")
    kept = state_of(name, own) if {"state", "both"} & set(kinds) else 0
    layers = [
        _layer(one, key, value, window, kept)
        for one, key, value in zip(kinds, keys, values, strict=True)
    ]
    shared = number(own, "num_kv_shared_layers") or 0
    layers[count - shared :] = [Layer()] * min(shared, count)
    return layers


def _layer(kind: str, key: int, value: int, window: int, state: int) -> Layer:
    if kind == "none":
        return Layer()
    if kind == "state":
        return Layer(state=state)
    return Layer(
        key, value, window if kind == "sliding" else 0, state=state if kind == "both" else 0
    )


def _kinds(name: str, own: Mapping[str, Any], count: int) -> list[str]:
    """Return full, sliding, state, both or none for each layer."""
    if name in ("mamba", "mamba2", "falcon_mamba"):
        return ["state"] * count
    if name == "falcon_h1":
        return ["both"] * count
    if isinstance(own.get("block_configs"), list):
        return [_planned(block) for block in _blocks(own, count)]
    for key in ("layer_types", "layers_block_type"):
        if isinstance(own.get(key), list):
            return _named(own[key], count)
    if isinstance(pattern := own.get("hybrid_override_pattern"), str):
        return _named(pattern, count)
    if _KINDS[name] == "hybrid":
        return _mixed(name, own, count)
    if _KINDS[name] == "sliding":
        return _sliding(name, own, count)
    return _uniform(name, own, count)


def _named(types: Sequence[Any], count: int) -> list[str]:
    if len(types) < count:
        raise UnknownShapeError(f"the kinds of {len(types)} layers are given, of {count}")
    said = {
        **dict.fromkeys(_FULL, "full"),
        **dict.fromkeys(_SLIDING, "sliding"),
        **dict.fromkeys(_STATE, "state"),
        **dict.fromkeys(_NOTHING, "none"),
    }
    found = [said.get(one) if isinstance(one, str) else None for one in types[:count]]
    if None in found:
        unknown = types[found.index(None)]
        raise UnknownShapeError(f"layers of the kind {str(unknown)[:40]!r} are not known here")
    return [one for one in found if one]


def _mixed(name: str, own: Mapping[str, Any], count: int) -> list[str]:
    """Read the settings by which hybrids say which of their layers keep tokens."""
    full: set[int] | None = None
    linear = own.get("linear_attn_config")
    if isinstance(linear, Mapping) and isinstance(linear.get("full_attn_layers"), list):
        full = {layer - 1 for layer in linear["full_attn_layers"] if isinstance(layer, int)}
    types = numbers(own, "attn_type_list", count)  # MiniMax
    if types is not None:
        return ["full" if kind else "state" for kind in types]
    for key in ("attn_layer_indices", "full_attn_idxs"):
        if isinstance(own.get(key), list):
            full = {layer for layer in own[key] if isinstance(layer, int)}
    if full is not None:
        return ["full" if layer in full else "state" for layer in range(count)]
    if period := number(own, "full_attention_interval"):
        return ["state" if off else "full" for off in periodic(count, period)]
    if period := number(own, "attn_layer_period"):
        offset = number(own, "attn_layer_offset") or 0
        return ["full" if layer % period == offset else "state" for layer in range(count)]
    raise UnknownShapeError(f"which layers of {name!r} keep tokens is not given")


def _sliding(name: str, own: Mapping[str, Any], count: int) -> list[str]:
    listed = numbers(own, "hybrid_layer_pattern", count)  # 1 slides (MiMo-V2)
    if listed is not None:
        return ["sliding" if flag else "full" for flag in listed]
    listed = numbers(own, "sliding_window_layout", count)  # SmallThinker
    if listed is not None:
        return ["sliding" if flag else "full" for flag in listed]
    if not number(own, "sliding_window", "attention_chunk_size"):
        return ["full"] * count
    pattern = own.get("sliding_window_pattern", own.get("_sliding_window_pattern"))
    pattern = own.get("global_attn_every_n_layers", pattern)
    if isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"}:
        letters = (pattern * count)[:count]
        return ["sliding" if letter == "L" else "full" for letter in letters]
    if not isinstance(pattern, int) or pattern < 1:
        raise UnknownShapeError(f"which layers of {name!r} slide is not given")
    return ["sliding" if flag else "full" for flag in periodic(count, pattern)]


def _uniform(name: str, own: Mapping[str, Any], count: int) -> list[str]:
    """Return one kind for all layers, but for the first few of Qwen's that a setting exempts."""
    if not number(own, "sliding_window") or own.get("use_sliding_window") is False:
        return ["full"] * count
    if name.startswith("qwen"):
        if own.get("use_sliding_window") is not True:
            return ["full"] * count
        first = number(own, "max_window_layers") or 0
        return ["full" if layer < first else "sliding" for layer in range(count)]
    return ["sliding"] * count


def _widths(
    own: Mapping[str, Any], count: int, kinds: Sequence[str]
) -> tuple[list[int], list[int]]:
    """Return the elements of key and value that each layer keeps for each token, if it does."""
    if not set(kinds) & {"full", "sliding", "both"}:
        return [0] * count, [0] * count
    if own.get("kv_lora_rank") and own.get("qk_rope_head_dim"):  # Kimi Linear's full layers
        latent = needed(own, "kv_lora_rank") + needed(own, "qk_rope_head_dim")
        return [latent] * count, [0] * count
    listed = numbers(own, "num_attention_heads", count) or numbers(own, "num_query_heads", count)
    heads = max(listed) if listed else needed(own, *HEADS)
    if not heads:
        raise UnknownShapeError("num_attention_heads are all zero")
    head = number(own, "head_dim", "kv_channels", "attention_head_dim")
    head = head or needed(own, *HIDDEN) // heads
    value = number(own, "v_head_dim") or head
    kept = _kept_heads(own, count, heads)
    keys = [one * head for one in kept]
    values = [one * value for one in kept]
    for layer, kind in enumerate(kinds):
        special = _special(own, kind, head, value)
        if special:
            keys[layer], values[layer] = special
    return keys, values


def _kept_heads(own: Mapping[str, Any], count: int, heads: int) -> list[int]:
    if isinstance(own.get("block_configs"), list):
        groups = [number(block, "n_heads_in_group") or 1 for block in _blocks(own, count)]
        return [heads // group for group in groups]
    for key in (*KEPT_HEADS, "num_key_value_heads_per_layer"):
        listed = numbers(own, key, count)
        if listed is not None:
            return listed
    if own.get("new_decoder_architecture") is not True and own.get("multi_query") is True:
        return [1] * count
    if own.get("multi_query_attention") is True:
        return [needed(own, "multi_query_group_num")] * count
    return [number(own, *KEPT_HEADS) or heads] * count


def _special(own: Mapping[str, Any], kind: str, head: int, value: int) -> tuple[int, int] | None:
    """Return the widths of layers that differ from the others (Gemma 4, MiMo-V2, Step 3.5)."""
    if kind == "full" and (wide := number(own, "global_head_dim")):
        width = wide * (number(own, "num_global_key_value_heads", "num_key_value_heads") or 0)
        return width, width
    if kind != "sliding":
        return None
    other = own.get("attention_other_setting")
    if isinstance(other, Mapping) and (kept := number(other, "num_attention_groups")):
        return kept * head, kept * value
    if kept := number(own, "swa_num_key_value_heads"):
        head, value = number(own, "swa_head_dim") or head, number(own, "swa_v_head_dim") or value
        return kept * head, kept * value
    return None


def _blocks(own: Mapping[str, Any], count: int) -> list[Mapping[str, Any]]:
    """Return the plan of each layer's attention (Nemotron NAS)."""
    plans = [
        block.get("attention") if isinstance(block, Mapping) else None
        for block in own["block_configs"][:count]
    ]
    sound = [plan for plan in plans if isinstance(plan, Mapping)]
    if len(sound) != count:
        raise UnknownShapeError(f"block_configs does not plan {count} layers")
    return sound


def _planned(attention: Mapping[str, Any]) -> str:
    return "none" if attention.get("no_op") or attention.get("replace_with_linear") else "full"


def _context(own: Mapping[str, Any]) -> int:
    """Return the longest context; a stretched one where only the original is given."""
    base = number(own, *_CONTEXT) or 0
    for key in ("rope_scaling", "rope_parameters"):
        scaling = own.get(key)
        if not isinstance(scaling, Mapping):
            continue
        factor = scaling.get("factor")
        kind = scaling.get("rope_type") or scaling.get("type")
        original = number(scaling, "original_max_position_embeddings")
        if kind == "yarn" and original == base and isinstance(factor, int | float):
            return int(base * max(1.0, min(float(factor), 1024.0)))
    return base


def _inner(own: Mapping[str, Any]) -> int:
    listed = own.get("intermediate_size")
    sizes = [one for one in listed if isinstance(one, int)] if isinstance(listed, list) else []
    dense = max(sizes, default=number(own, *INNER) or 0)
    expert = number(own, "moe_intermediate_size") or 0
    return max(dense, expert * (number(own, *_USED) or 0))
