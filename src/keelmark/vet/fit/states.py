"""How large the state of a recurrent layer is, from a `config.json`.

Source: the cache shapes of transformers' model classes; llama.cpp lays out the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keelmark.vet.fit.shape import UnknownShapeError, needed, number


def state_of(name: str, own: Mapping[str, Any]) -> int:
    """Return the elements that a recurrent layer keeps for each sequence.

    Raises:
        UnknownShapeError: The settings are missing, or the kind is not known.
    """
    if number(own, "linear_num_value_heads"):
        return _delta(own)
    linear = own.get("linear_attn_config")
    if isinstance(linear, Mapping):
        heads, head = needed(linear, "num_heads"), needed(linear, "head_dim")
        reach = needed(linear, "short_conv_kernel_size") - 1
        return heads * head * head + 3 * reach * heads * head
    if isinstance(own.get("attn_type_list"), list):  # MiniMax: heads of key by value
        return needed(own, "num_attention_heads") * needed(own, "head_dim") ** 2
    if number(own, "conv_L_cache"):
        return (needed(own, "conv_L_cache") - 1) * needed(own, "hidden_size")
    if number(own, "mamba_d_ssm", "mamba_num_heads", "num_heads", "mamba_n_heads"):
        return _mamba2(own)
    if number(own, "mamba_d_state", "state_size", "ssm_state_size"):
        width = needed(own, "hidden_size", "d_model")
        inner = number(own, "intermediate_size") if "mamba" in name else None
        inner = inner or width * (number(own, "mamba_expand", "expand") or 2)
        reach = (number(own, "mamba_d_conv", "conv_kernel") or 4) - 1
        return inner * (needed(own, "mamba_d_state", "state_size", "ssm_state_size") + reach)
    raise UnknownShapeError(f"how much the recurrent layers of {name!r} keep is not given")


def _delta(own: Mapping[str, Any]) -> int:
    """Gated delta nets (Qwen3-Next, Qwen3.5)."""
    heads, key_heads = needed(own, "linear_num_value_heads"), needed(own, "linear_num_key_heads")
    key, value = needed(own, "linear_key_head_dim"), needed(own, "linear_value_head_dim")
    reach = (number(own, "linear_conv_kernel_dim") or 4) - 1
    return heads * key * value + reach * (2 * key_heads * key + heads * value)


def _mamba2(own: Mapping[str, Any]) -> int:
    heads = needed(own, "mamba_num_heads", "mamba_n_heads", "num_heads")
    head = number(own, "mamba_head_dim", "mamba_d_head", "head_dim")
    inner = number(own, "mamba_d_ssm") or heads * (head or 64)
    state = needed(own, "ssm_state_size", "mamba_d_state", "state_size")
    groups = number(own, "n_groups", "mamba_n_groups") or 1
    reach = (number(own, "conv_kernel", "mamba_d_conv") or 4) - 1
    return inner * state + reach * (inner + 2 * groups * state)
