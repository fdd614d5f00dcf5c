"""GGUF files of a few kilobytes that llama.cpp runs: real tensors of nonsense."""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

WIDE, INNER = 64, 128
TEXTS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcd"]
Tensors = list[tuple[str, list[int]]]

FEED: Tensors = [
    ("ffn_norm", [WIDE]),
    ("ffn_gate", [WIDE, INNER]),
    ("ffn_up", [WIDE, INNER]),
    ("ffn_down", [INNER, WIDE]),
]
_TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def attention(query: int = 128, kept: int = 64) -> Tensors:
    return [
        ("attn_norm", [WIDE]),
        ("attn_q", [WIDE, query]),
        ("attn_k", [WIDE, kept]),
        ("attn_v", [WIDE, kept]),
        ("attn_output", [query, WIDE]),
    ]


def metadata(name: str, layers: int, kept: Any = 2, **more: Any) -> dict[str, Any]:
    """What a header says; `__` in a name stands for a point."""
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


def write(
    path: Path, about: dict[str, Any], layers: list[Tensors], seed: int | None = None
) -> None:
    """Write a model; every number is 0.01, or drawn with a seed."""
    tensors = [("token_embd.weight", [WIDE, len(TEXTS)]), ("output_norm.weight", [WIDE])]
    for number, inside in enumerate(layers):
        for part, shape in inside:
            bare = part in {"ssm_a", "ssm_d"} or part.endswith(".bias")
            tensors.append((f"blk.{number}.{part}" + ".weight" * (not bare), shape))
    drawn = None if seed is None else np.random.default_rng(seed)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(about))
    head += b"".join(_string(key) + _value(item) for key, item in about.items())
    data = b""
    for name, shape in tensors:
        head += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        count = math.prod(shape)
        numbers = np.full(count, 0.01) if drawn is None else drawn.normal(0, 0.5, count)
        data += numbers.astype("<f4").tobytes()
        data += bytes(-len(data) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def tiny_llama(path: Path, seed: int) -> Path:
    """Write a model that answers, with nonsense that is always the same for the same seed."""
    heads = {"attention__key_length": 32, "attention__value_length": 32}
    about = metadata("llama", 2, rope__dimension_count=32, **heads)
    more = {"tokenizer.chat_template": _TEMPLATE}
    write(path, about | more, [[*attention(), *FEED]] * 2, seed)
    return path


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
