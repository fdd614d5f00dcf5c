"""What the fit survey says is what the engine says that it sets aside.

With the bundled model, and with tiny models of other architectures, whose weights are nonsense but
whose memory is laid out as that of the large ones.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keelmark.serve.models import LocalModel
from keelmark.vet import look
from keelmark.vet.fit.cache import Demand, cache
from keelmark.vet.fit.parts import parts
from tiny_gguf import FEED, WIDE, Tensors, attention, metadata, write

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
    full = [("attn_q", [WIDE, 256]), *attention()[2:], *_QK]
    mixing = full if layer % 4 == 3 else _DELTA
    return [("attn_norm", [WIDE]), ("post_attention_norm", [WIDE]), *mixing, *FEED[1:]]


TINY: dict[str, tuple[dict[str, Any], list[Tensors]]] = {
    "qwen3": (metadata("qwen3", 4, **_HEADS), [[*attention(), *_QK, *FEED]] * 4),
    "gemma2": (
        metadata("gemma2", 5, attention__sliding_window=256, **_HEADS),
        [[*attention(), *_POST, *FEED]] * 5,
    ),
    "gemma3": (
        metadata("gemma3", 8, attention__sliding_window=256, **_HEADS),
        [[*attention(), *_QK, *_POST, *FEED]] * 8,
    ),
    "deepseek2": (
        metadata(
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
        [[*_LATENT, *FEED]] * 3,
    ),
    "qwen35": (
        metadata(
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
        metadata(
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
    about, layers = TINY[name]
    model = tmp_path / "m.gguf"
    write(model, about, layers)
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
