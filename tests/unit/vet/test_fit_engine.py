"""What the fit survey says is what the engine says that it sets aside.

With the bundled model, and with tiny models of other architectures, whose weights are nonsense but
whose memory is laid out as that of the large ones.
"""

import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keelmark.serve.models import LocalModel
from keelmark.vet import look
from keelmark.vet.fit.cache import Demand, cache
from keelmark.vet.fit.parts import parts

pytestmark = pytest.mark.engine

# As the llama engine starts it, but with the log that names its buffers.
_START = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params.kv_unified, params.fit_params, params.warmup, params.verbosity = True, False, False, 4
params.hostnames, params.port = ["127.0.0.1"], 0
xllamacpp.Server(params)
"""
_LAST = "compute buffer size"  # comes after everything that is of interest here
WIDE, INNER = 64, 128
TEXTS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcd"]
Tensors = list[tuple[str, list[int]]]


def _log(model: Path, context: int, requests: int) -> str:
    """Return what the engine says until its memory is set aside; then end it."""
    command = [sys.executable, "-c", _START, str(model), str(context), str(requests)]
    said = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if _LAST in line:
                break
        process.kill()
    return said


def _mib(said: str, what: str) -> float:
    return sum(float(size) for size in re.findall(rf"{what} buffer size = +([\d.]+) MiB", said))


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(item: Any) -> bytes:
    if isinstance(item, str):
        return struct.pack("<I", 8) + _string(item)
    if isinstance(item, float):
        return struct.pack("<If", 6, item)
    if isinstance(item, int):
        return struct.pack("<II", 4, item)
    if isinstance(item[0], str):
        return struct.pack("<IIQ", 9, 8, len(item)) + b"".join(map(_string, item))
    code, form = (6, "f") if isinstance(item[0], float) else (5, "i")
    return struct.pack("<IIQ", 9, code, len(item)) + struct.pack(f"<{len(item)}{form}", *item)


def _write(path: Path, metadata: dict[str, Any], tensors: Tensors) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_string(key) + _value(item) for key, item in metadata.items())
    data = b""
    for name, shape in tensors:
        head += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        count = 1
        for size in shape:
            count *= size
        data += struct.pack("<f", 0.01) * count
        data += bytes(-len(data) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def _metadata(name: str, layers: int, kept: Any = 2, **more: Any) -> dict[str, Any]:
    own = {
        "block_count": layers,
        "context_length": 8192,
        "embedding_length": WIDE,
        "feed_forward_length": INNER,
        "attention.head_count": 4,
        "attention.head_count_kv": kept,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 10000.0,
        "vocab_size": len(TEXTS),
        **{key.replace("__", "."): item for key, item in more.items()},
    }
    return {
        "general.architecture": name,
        **{f"{name}.{key}": item for key, item in own.items()},
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": TEXTS,
        "tokenizer.ggml.scores": [0.0] * len(TEXTS),
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, *[1] * 5],
    }


def _attention(query: int = 128, kept: int = 64) -> Tensors:
    return [
        ("attn_norm", [WIDE]),
        ("attn_q", [WIDE, query]),
        ("attn_k", [WIDE, kept]),
        ("attn_v", [WIDE, kept]),
        ("attn_output", [query, WIDE]),
    ]


_FEED: Tensors = [
    ("ffn_norm", [WIDE]),
    ("ffn_gate", [WIDE, INNER]),
    ("ffn_up", [WIDE, INNER]),
    ("ffn_down", [INNER, WIDE]),
]
_QK: Tensors = [("attn_q_norm", [32]), ("attn_k_norm", [32])]
_POST: Tensors = [("post_attention_norm", [WIDE]), ("post_ffw_norm", [WIDE])]
_HEADS = {"attention__key_length": 32, "attention__value_length": 32}
_LATENT: Tensors = [
    ("attn_norm", [WIDE]),
    ("attn_q_a", [WIDE, 16]),
    ("attn_q_a_norm", [16]),
    ("attn_q_b", [16, 96]),
    ("attn_kv_a_mqa", [WIDE, 40]),
    ("attn_kv_a_norm", [32]),
    ("attn_k_b", [16, 32, 4]),
    ("attn_v_b", [32, 16, 4]),
    ("attn_output", [WIDE, WIDE]),
]
_DELTA: Tensors = [
    ("attn_qkv", [WIDE, 128]),
    ("attn_gate", [WIDE, 64]),
    ("ssm_conv1d", [4, 128]),
    ("ssm_dt.bias", [4]),
    ("ssm_a", [4]),
    ("ssm_beta", [WIDE, 4]),
    ("ssm_alpha", [WIDE, 4]),
    ("ssm_norm", [16]),
    ("ssm_out", [64, WIDE]),
]
_MAMBA: Tensors = [
    ("attn_norm", [WIDE]),
    ("ssm_in", [WIDE, 256]),
    ("ssm_conv1d", [4, 128]),
    ("ssm_conv1d.bias", [128]),
    ("ssm_x", [128, 36]),
    ("ssm_dt", [4, 128]),
    ("ssm_dt.bias", [128]),
    ("ssm_a", [16, 128]),
    ("ssm_d", [128]),
    ("ssm_out", [128, WIDE]),
]


def _qwen35(layer: int) -> Tensors:
    full = [("attn_q", [WIDE, 256]), *_attention()[2:], *_QK]
    mixing = full if layer % 4 == 3 else _DELTA
    return [("attn_norm", [WIDE]), ("post_attention_norm", [WIDE]), *mixing, *_FEED[1:]]


TINY: dict[str, tuple[dict[str, Any], list[Tensors]]] = {
    "qwen3": (_metadata("qwen3", 4, **_HEADS), [[*_attention(), *_QK, *_FEED]] * 4),
    "gemma2": (
        _metadata("gemma2", 5, attention__sliding_window=256, **_HEADS),
        [[*_attention(), *_POST, *_FEED]] * 5,
    ),
    "gemma3": (
        _metadata("gemma3", 8, attention__sliding_window=256, **_HEADS),
        [[*_attention(), *_QK, *_POST, *_FEED]] * 8,
    ),
    "deepseek2": (
        _metadata(
            "deepseek2",
            3,
            1,
            attention__key_length=40,
            attention__value_length=32,
            attention__key_length_mla=24,
            attention__value_length_mla=16,
            attention__kv_lora_rank=32,
            attention__q_lora_rank=16,
            rope__dimension_count=8,
            leading_dense_block_count=3,
            expert_count=2,
            expert_used_count=1,
            expert_shared_count=1,
            expert_feed_forward_length=32,
            expert_weights_scale=1.0,
        ),
        [[*_LATENT, *_FEED]] * 3,
    ),
    "qwen35": (
        _metadata(
            "qwen35",
            4,
            full_attention_interval=4,
            ssm__conv_kernel=4,
            ssm__inner_size=64,
            ssm__state_size=16,
            ssm__group_count=2,
            ssm__time_step_rank=4,
            rope__dimension_sections=[4, 4, 4, 0],
            rope__dimension_count=16,
            **_HEADS,
        ),
        [_qwen35(layer) for layer in range(4)],
    ),
    "mamba": (
        _metadata(
            "mamba",
            2,
            0,
            ssm__conv_kernel=4,
            ssm__inner_size=128,
            ssm__state_size=16,
            ssm__time_step_rank=4,
        ),
        [_MAMBA] * 2,
    ),
}


@pytest.mark.parametrize(("name", "requests"), [("gemma3", 1), *((name, 4) for name in TINY)])
def test_buffers_of_other_architectures(name: str, requests: int, tmp_path: Path) -> None:
    metadata, layers = TINY[name]
    model = tmp_path / "m.gguf"
    tensors = [("token_embd.weight", [WIDE, len(TEXTS)]), ("output_norm.weight", [WIDE])]
    for number, inside in enumerate(layers):
        for part, shape in inside:
            bare = part in {"ssm_a", "ssm_d"} or part.endswith(".bias")
            tensors.append((f"blk.{number}.{part}" + ".weight" * (not bare), shape))
    _write(model, metadata, tensors)
    [part_found] = parts(look(model).facts)
    assert part_found.shape is not None
    ours = cache(part_found.shape, Demand(context=4096, requests=requests))
    said = _log(model, 4096 * requests, requests)
    assert _LAST in said, said
    assert _mib(said, "KV") == pytest.approx(ours.tokens / 2**20, abs=0.011)
    assert _mib(said, "RS") == pytest.approx(ours.states / 2**20, abs=0.006)


def test_buffers_of_the_bundled_model(bundled_model: LocalModel) -> None:
    [part] = parts(look(bundled_model.path).facts)
    assert part.shape is not None
    said = _log(bundled_model.path, 5000, 4)
    ours = cache(part.shape, Demand(context=5000))
    assert _mib(said, "model") == round(part.weights.bytes / 2**20, 2)
    assert _mib(said, "KV") == ours.tokens / 2**20
