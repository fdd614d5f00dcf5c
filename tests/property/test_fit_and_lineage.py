"""Whatever stands in somebody's configuration or header, the surveys answer and never fail."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.passport.manifest import Manifest
from keelmark.vet.fit.cache import CACHE_TYPES, ENGINES, Demand, cache
from keelmark.vet.fit.from_config import shape_from_config
from keelmark.vet.fit.from_gguf import ARCHITECTURES, shape_from_gguf
from keelmark.vet.fit.shape import UnknownShapeError
from keelmark.vet.machine import Machine
from keelmark.vet.survey import Asked, Subject, Whole
from keelmark.vet.surveys import fit, lineage

_CONFIG = ARCHITECTURES["config"]
_GGUF = ARCHITECTURES["gguf"]
TYPES = [
    name
    for kind in ("plain", "latent", "encoder", "sliding", "hybrid")
    for name in _CONFIG[kind].split()
] + list(_CONFIG["inside"])
KINDS = [
    name
    for kind in ("plain", "encoder", "hybrid", "recurrent", "both", "interval")
    for name in _GGUF[kind].split()
] + list(_GGUF["sliding"])
_FIELDS = """
hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim v_head_dim
intermediate_size sliding_window sliding_window_pattern layer_types hybrid_layer_pattern
max_position_embeddings rope_scaling kv_lora_rank qk_rope_head_dim full_attention_interval
linear_attn_config attn_layer_period attn_layer_offset num_kv_shared_layers mamba_d_state
hybrid_override_pattern conv_L_cache num_experts num_experts_per_tok vocab_size
global_head_dim attention_other_setting quantization_config attn_config text_config
"""
FIELDS = _FIELDS.split()
_KEYS = """
block_count embedding_length context_length feed_forward_length expert_count
attention.head_count attention.head_count_kv attention.key_length attention.value_length
attention.key_length_mla attention.value_length_mla attention.sliding_window
attention.sliding_window_pattern attention.shared_kv_layers attention.key_length_swa
full_attention_interval ssm.conv_kernel ssm.inner_size ssm.state_size ssm.group_count
shortconv.l_cache wkv.head_size kda.head_dim nextn_predict_layers
"""
KEYS = _KEYS.split()

sizes = st.integers(-2, 300) | st.sampled_from([0, 1, 2**31, 2**63, 2**80])
plain: st.SearchStrategy[Any] = (
    sizes | st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8)
)
words = st.sampled_from(["full_attention", "sliding_attention", "linear_attention", "mamba", "*"])
values = st.recursive(
    plain | st.lists(sizes, max_size=6) | st.lists(words, max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner),
    max_leaves=6,
)
USUAL = {"num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4}
USUAL_KEYS = {"block_count": 4, "embedding_length": 64, "attention.head_count": 4}
configs = st.dictionaries(st.sampled_from(FIELDS), values, max_size=14).map(lambda d: USUAL | d)
headers = st.dictionaries(st.sampled_from(KEYS), values, max_size=14).map(lambda d: USUAL_KEYS | d)


@given(st.sampled_from(TYPES), configs, st.sampled_from(ENGINES), st.sampled_from([*CACHE_TYPES]))
@settings(max_examples=150, deadline=None)
def test_configurations(name: str, config: dict[str, Any], engine: str, kind: str) -> None:
    try:
        shape = shape_from_config({"model_type": name, **config})
    except UnknownShapeError:
        return
    one = cache(shape, Demand(engine=engine, context=1000, cache_type=kind))
    more = cache(shape, Demand(engine=engine, context=5000, cache_type=kind))
    assert 0 <= one.total <= more.total


@given(st.sampled_from(KINDS), headers)
@settings(max_examples=150, deadline=None)
def test_headers(name: str, header: dict[str, Any]) -> None:
    metadata = {f"{name}.{key}": value for key, value in header.items()}
    try:
        shape = shape_from_gguf({"general.architecture": name, **metadata})
    except UnknownShapeError:
        return
    assert cache(shape, Demand()).total >= 0


@given(
    st.sampled_from([*TYPES, *KINDS]),
    configs,
    headers,
    st.dictionaries(st.text(), values) | st.none(),
)
@settings(max_examples=100, deadline=None)
def test_surveys(name: str, config: Any, header: Any, card: Any) -> None:
    metadata = {
        "general.architecture": name,
        "general.base_model.count": header.get("block_count"),
        **{f"{name}.{key}": value for key, value in header.items()},
    }
    facts: dict[str, dict[str, Any]] = {
        "config.json": {"json": {"model_type": name, **config}},
        "m.gguf": {"gguf": {"metadata": metadata, "tensors": [["a", "F16", [2, 3]]]}},
        "README.md": {"card": {"base_model": config.get("layer_types"), **(card or {})}},
        "x/adapter_config.json": {"json": header},
        "x/model.safetensors": {"safetensors": {"tensors": [["b", "BF16", [4]]]}},
    }
    nothing: Any = None
    asked = Asked(use=card, parent=Whole(nothing, {"config.json": facts["config.json"]}))
    manifest = Manifest(name="m", entries=())
    subject = Subject(manifest, facts, (), asked, Machine(memory=2**34), nothing)
    for survey in (fit.SURVEY, lineage.SURVEY):
        section, findings, _ = survey.run(subject)
        assert section.answer
        assert json.dumps(section.data)
        assert all(finding.message.isprintable() for finding in findings)
