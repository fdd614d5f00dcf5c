"""Memory for weights and context, against figures that others published and an engine printed."""

from typing import Any

import pytest

from keelmark.vet.fit.cache import CACHE_TYPES, Cache, Demand, cache
from keelmark.vet.fit.from_config import shape_from_config
from keelmark.vet.fit.from_gguf import shape_from_gguf
from keelmark.vet.fit.shape import Layer, Shape, UnknownShapeError

GIB, MIB = 1 << 30, 1 << 20

# Each configuration is the published config.json as far as it bears on memory. Gemma 3 and the
# Qwens: hidden size, layers, heads and head size stand in the features of base models of the
# provenance kit (Apache-2.0) too; windows, periods and the widths of DeepSeek, GLM and Kimi are
# those of the publishers' config.json, quoted in many public repositories.
GEMMA3_27B = {
    "model_type": "gemma3",
    "text_config": {
        "model_type": "gemma3_text",
        "hidden_size": 5376,
        "num_hidden_layers": 62,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "head_dim": 128,
        "intermediate_size": 21504,
        "sliding_window": 1024,
    },
}
QWEN35_27B = {
    "model_type": "qwen3_5",
    "text_config": {
        "model_type": "qwen3_5_text",
        "hidden_size": 5120,
        "num_hidden_layers": 64,
        "num_attention_heads": 24,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "intermediate_size": 17408,
        "max_position_embeddings": 262144,
        "full_attention_interval": 4,
        "linear_num_value_heads": 48,
        "linear_num_key_heads": 16,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
    },
}
DEEPSEEK_V31 = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "max_position_embeddings": 163840,
    "num_nextn_predict_layers": 1,
}
GLM5 = {
    "model_type": "glm_moe_dsa",
    "hidden_size": 6144,
    "num_hidden_layers": 78,
    "num_attention_heads": 64,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "index_head_dim": 128,
    "max_position_embeddings": 202752,
}
KIMI_K25 = {
    "model_type": "kimi_k25",
    "text_config": {
        "model_type": "kimi_k2",
        "hidden_size": 7168,
        "num_hidden_layers": 61,
        "num_attention_heads": 64,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "max_position_embeddings": 262144,
    },
}
QWEN3_06B = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(GEMMA3_27B, 10.41, id="Gemma-3 27B"),
        pytest.param(QWEN35_27B, 16.00, id="Qwen3.5-27B"),
        pytest.param(DEEPSEEK_V31, 10.72, id="DeepSeek-V3.1"),
        pytest.param(GLM5, 17.18, id="GLM-5"),
        pytest.param(KIMI_K25, 17.16, id="Kimi-K2.5"),
        pytest.param(QWEN3_06B, 4.38, id="Qwen3-0.6B"),
    ],
)
def test_published_figures(config: dict[str, Any], expected: float) -> None:
    """GiB of keys and values in f16 at the full native context (unsloth pull request 4757)."""
    shape = shape_from_config(config)
    kept = cache(shape, Demand(context=shape.context))
    assert kept.tokens / GIB == pytest.approx(expected, rel=0.05)


LLAMA2_7B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
MISTRAL_7B = {**LLAMA2_7B, "model_type": "mistral", "num_key_value_heads": 8}
JAMBA = {
    "model_type": "jamba",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "attn_layer_period": 8,
    "attn_layer_offset": 4,
    "mamba_d_state": 16,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
}


@pytest.mark.parametrize(("config", "gib"), [(LLAMA2_7B, 128), (MISTRAL_7B, 32), (JAMBA, 4)])
def test_figures_of_the_jamba_paper(config: dict[str, Any], gib: int) -> None:
    """Context of 256K tokens in 16 bits (Lieber et al. 2024, table 1)."""
    assert cache(shape_from_config(config), Demand(context=262144)).tokens == gib * GIB


def _gguf(name: str, values: dict[str, Any]) -> Shape:
    metadata = {f"{name}.{key}": value for key, value in values.items()}
    return shape_from_gguf({"general.architecture": name, **metadata})


def test_gguf_of_the_same_models() -> None:
    """The keys that llama.cpp's converter writes for them lead to the same figures."""
    gemma = _gguf(
        "gemma3",
        {
            "block_count": 62,
            "embedding_length": 5376,
            "context_length": 131072,
            "attention.head_count": 32,
            "attention.head_count_kv": 16,
            "attention.key_length": 128,
            "attention.value_length": 128,
            "attention.sliding_window": 1024,
        },
    )
    assert gemma.layers == shape_from_config(GEMMA3_27B).layers
    latent = _gguf(
        "glm-dsa",
        {
            "block_count": 79,
            "nextn_predict_layers": 1,
            "embedding_length": 6144,
            "context_length": 202752,
            "attention.head_count": 64,
            "attention.head_count_kv": 1,
            "attention.key_length": 576,
            "attention.value_length": 512,
            "attention.key_length_mla": 256,
            "attention.value_length_mla": 256,
            "attention.indexer.key_length": 128,
        },
    )
    assert latent.layers == shape_from_config(GLM5).layers
    hybrid = _gguf(
        "qwen35",
        {
            "block_count": 64,
            "embedding_length": 5120,
            "attention.head_count": 24,
            "attention.head_count_kv": 4,
            "attention.key_length": 256,
            "attention.value_length": 256,
            "full_attention_interval": 4,
            "ssm.conv_kernel": 4,
            "ssm.inner_size": 6144,
            "ssm.state_size": 128,
            "ssm.group_count": 16,
            "ssm.time_step_rank": 48,
        },
    )
    assert hybrid.layers == shape_from_config(QWEN35_27B).layers


def test_state_of_linear_attention_as_llama_cpp_printed_it() -> None:
    """llama.cpp's log for Qwen3.6-27B, of the same build: 598.50 MiB for four sequences."""
    kept = cache(shape_from_config(QWEN35_27B), Demand(context=262144 // 4, requests=4))
    assert kept.states / MIB == 598.5
    assert kept.tokens / MIB == 16384


def test_kimi_k3_keeps_a_list_of_heads() -> None:
    """93 blocks, of which 24 keep a latent; 443.11 MiB of states (unsloth pull request 7616)."""
    heads = [1 if layer % 4 == 3 else 0 for layer in range(92)] + [1]
    shape = _gguf(
        "kimi-linear",
        {
            "block_count": 93,
            "embedding_length": 7168,
            "attention.head_count": 96,
            "attention.head_count_kv": heads,
            "attention.key_length": 576,
            "attention.key_length_mla": 192,
            "attention.value_length_mla": 128,
            "ssm.conv_kernel": 4,
            "kda.head_dim": 128,
        },
    )
    kept = cache(shape, Demand(context=1 << 20))
    assert sum(1 for layer in shape.layers if layer.key) == 24
    assert kept.states / MIB == pytest.approx(443.11, rel=0.001)
    assert kept.tokens / GIB == pytest.approx(27.0, rel=0.01)


def test_engines_differ_for_sliding_layers() -> None:
    shape = shape_from_config(GEMMA3_27B)
    llama = cache(shape, Demand(context=131072))
    vllm = cache(shape, Demand(engine="vLLM", context=131072))
    assert vllm.tokens == 62 * 131072 * 2 * 16 * 128 * 2
    assert llama.tokens == (10 * 131072 + 52 * 1536) * 2 * 16 * 128 * 2


def test_slots_share_windows_and_multiply_context() -> None:
    shape = Shape("x", "a test", (Layer(64, 64), Layer(64, 64, window=1024), Layer(state=10)))
    one, four = (cache(shape, Demand(context=8192, requests=n)) for n in (1, 4))
    assert one.tokens == (8192 + 1536) * 256
    assert four.tokens == (4 * 8192 + 4608) * 256
    assert (one.states, four.states) == (40, 160)


@pytest.mark.parametrize(("kind", "bits"), [("f16", 16), ("q8_0", 8.5), ("q4_0", 4.5), ("fp8", 8)])
def test_cache_types(kind: str, bits: float) -> None:
    shape = Shape("x", "a test", (Layer(128, 128),))
    assert cache(shape, Demand(context=256, cache_type=kind)).total == 256 * 256 * bits / 8
    assert kind in CACHE_TYPES


def test_window_that_llama_cpp_does_not_use() -> None:
    config = {
        "model_type": "mistral",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "sliding_window": 4096,
        "max_position_embeddings": 32768,
    }
    shape = shape_from_config(config)
    whole = 32 * 32768 * 2 * 8 * 128 * 2
    assert cache(shape, Demand(context=32768)).tokens == whole
    assert cache(shape, Demand(engine="vLLM", context=32768)).tokens < whole / 7


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        pytest.param(
            {"model_type": "gpt2", "n_layer": 2, "n_head": 12, "n_embd": 768, "n_positions": 1024},
            [Layer(768, 768)] * 2,
            id="old names",
        ),
        pytest.param(
            {
                "model_type": "falcon",
                "num_hidden_layers": 1,
                "num_attention_heads": 71,
                "hidden_size": 4544,
                "multi_query": True,
            },
            [Layer(64, 64)],
            id="one head for all",
        ),
        pytest.param(
            {
                "model_type": "chatglm",
                "num_layers": 1,
                "num_attention_heads": 32,
                "hidden_size": 4096,
                "kv_channels": 128,
                "multi_query_attention": True,
                "multi_query_group_num": 2,
            },
            [Layer(256, 256)],
            id="groups",
        ),
        pytest.param(
            {
                "model_type": "mpt",
                "n_layers": 1,
                "n_heads": 32,
                "d_model": 4096,
                "attn_config": {"kv_n_heads": 8},
            },
            [Layer(1024, 1024)],
            id="one level down",
        ),
        pytest.param(
            {
                "model_type": "qwen2",
                "num_hidden_layers": 1,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "hidden_size": 256,
                "sliding_window": 32768,
                "use_sliding_window": False,
            },
            [Layer(128, 128)],
            id="a window that is off",
        ),
        pytest.param(
            {
                "model_type": "gpt_oss",
                "num_hidden_layers": 2,
                "num_attention_heads": 64,
                "num_key_value_heads": 8,
                "head_dim": 64,
                "hidden_size": 2880,
                "sliding_window": 128,
                "layer_types": ["sliding_attention", "full_attention"],
            },
            [Layer(512, 512, window=128), Layer(512, 512)],
            id="a list of kinds",
        ),
        pytest.param(
            {
                "model_type": "gemma4",
                "text_config": {
                    "model_type": "gemma4_text",
                    "num_hidden_layers": 3,
                    "num_attention_heads": 8,
                    "num_key_value_heads": 1,
                    "head_dim": 256,
                    "global_head_dim": 512,
                    "hidden_size": 1536,
                    "sliding_window": 512,
                    "num_kv_shared_layers": 1,
                    "layer_types": ["sliding_attention", "full_attention", "full_attention"],
                },
            },
            [Layer(256, 256, window=512), Layer(512, 512), Layer()],
            id="wider full layers and shared ones",
        ),
        pytest.param(
            {
                "model_type": "mimo_v2_flash",
                "num_hidden_layers": 2,
                "num_attention_heads": 64,
                "num_key_value_heads": 4,
                "head_dim": 192,
                "v_head_dim": 128,
                "swa_num_key_value_heads": 8,
                "hidden_size": 4096,
                "sliding_window": 128,
                "hybrid_layer_pattern": [0, 1],
            },
            [Layer(768, 512), Layer(1536, 1024, window=128)],
            id="other heads in sliding layers",
        ),
        pytest.param(
            {
                "model_type": "nemotron_h",
                "num_hidden_layers": 3,
                "num_attention_heads": 40,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "hidden_size": 4480,
                "hybrid_override_pattern": "M-*",
                "mamba_num_heads": 128,
                "mamba_head_dim": 80,
                "ssm_state_size": 128,
                "n_groups": 8,
                "conv_kernel": 4,
            },
            [Layer(state=10240 * 128 + 3 * (10240 + 2048)), Layer(), Layer(1024, 1024)],
            id="letters",
        ),
        pytest.param(
            {
                "model_type": "llava",
                "text_config": {"model_type": "llama", "max_position_embeddings": 4096},
            },
            [Layer(4096, 4096)] * 32,
            id="a part that says only what differs",
        ),
        pytest.param(
            {
                "model_type": "qwen3_omni_moe",
                "thinker_config": {
                    "text_config": {
                        "model_type": "qwen3_moe",
                        "hidden_size": 2048,
                        "num_hidden_layers": 1,
                        "num_attention_heads": 32,
                        "num_key_value_heads": 4,
                        "head_dim": 128,
                    }
                },
            },
            [Layer(512, 512)],
            id="a part of a part",
        ),
        pytest.param(
            {
                "model_type": "nemotron-nas",
                "hidden_size": 8192,
                "num_hidden_layers": 3,
                "num_attention_heads": 64,
                "num_key_value_heads": None,
                "block_configs": [
                    {"attention": {"n_heads_in_group": 8, "no_op": False}},
                    {"attention": {"n_heads_in_group": None, "no_op": True}},
                    {"attention": {"n_heads_in_group": 16, "replace_with_linear": False}},
                ],
            },
            [Layer(1024, 1024), Layer(), Layer(512, 512)],
            id="a plan for each layer",
        ),
        pytest.param(
            {
                "model_type": "minimax",
                "hidden_size": 6144,
                "num_hidden_layers": 2,
                "num_attention_heads": 64,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "attn_type_list": [0, 1],
            },
            [Layer(state=64 * 128 * 128), Layer(1024, 1024)],
            id="a list of numbers",
        ),
        pytest.param(
            {
                "model_type": "openelm",
                "model_dim": 1280,
                "num_transformer_layers": 2,
                "head_dim": 64,
                "num_query_heads": [12, 16],
                "num_kv_heads": [3, 4],
                "max_context_length": 2048,
            },
            [Layer(192, 192), Layer(256, 256)],
            id="heads for each layer",
        ),
        pytest.param(
            {"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 768},
            [Layer()] * 2,
            id="no cache at all",
        ),
    ],
)
def test_configurations(config: dict[str, Any], layers: list[Layer]) -> None:
    assert list(shape_from_config(config).layers) == layers


def test_a_long_list_that_was_left_out_is_read_from_the_projections() -> None:
    metadata = {
        "general.architecture": "deci",
        "deci.block_count": 2,
        "deci.embedding_length": 512,
        "deci.attention.head_count": 8,
        "deci.attention.head_count_kv": {"length": 2, "type": "i32"},
    }
    tensors = [
        ("blk.0.attn_k.weight", "F16", [512, 128]),
        ("blk.0.attn_v.weight", "F16", [512, 128]),
    ]
    assert shape_from_gguf(metadata, tensors).layers == (Layer(128, 128), Layer())
    with pytest.raises(UnknownShapeError):
        shape_from_gguf(metadata)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model_type": "an-architecture-of-tomorrow", "num_hidden_layers": 2},
        {"model_type": "t5", "is_encoder_decoder": True, "num_layers": 2},
        {"model_type": "llama"},
        {"model_type": "llama", "num_hidden_layers": 10**9, "hidden_size": 1},
        {"model_type": "llama", "num_hidden_layers": "32", "hidden_size": []},
        {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": True},
        {"model_type": ["llama"]},
        {"model_type": "gemma4_text", "num_hidden_layers": 2, "hidden_size": 8},
        {"model_type": "gpt_oss", "num_hidden_layers": 2, "layer_types": ["new_attention"] * 2},
        {"model_type": "hunyuan", "num_hidden_layers": 2, "use_cla": True},
        {"model_type": "nemotron-nas", "num_hidden_layers": 2, "block_configs": [1, 2]},
        {"model_type": "qwen3_next", "num_hidden_layers": 4, "num_attention_heads": 4},
    ],
)
def test_what_is_not_known_is_said(config: dict[str, Any]) -> None:
    with pytest.raises(UnknownShapeError):
        shape_from_config(config)


def test_cache_adds_up() -> None:
    assert Cache(1, 2, 3).total == 6
