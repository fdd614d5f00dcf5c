"""The embedded engine with a reranker: a BERT of one layer, made here; its weights mean nothing."""

import asyncio
import json
import math
import struct
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keelmark.passport.manifest import build_manifest
from keelmark.passport.sealed import seal
from keelmark.serve.engine import Endpoint
from keelmark.serve.engines.llama import LlamaEngine, LlamaOptions

pytestmark = pytest.mark.engine  # llama.cpp runs here, though not with the bundled model

WIDTH, HIDDEN, LONGEST = 32, 64, 64
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("\u2581ships", "\u2581sail", "\u2581bread", "\u2581bakes", "\u2581where", "\u2581who")
BOOL, UINT, FLOAT, TEXT, ARRAY = 7, 4, 6, 8, 9


def text(said: str) -> bytes:
    return struct.pack("<Q", len(said.encode())) + said.encode()


def value(item: Any) -> bytes:
    if isinstance(item, bool):
        return struct.pack("<IB", BOOL, item)
    if isinstance(item, int):
        return struct.pack("<II", UINT, item)
    if isinstance(item, float):
        return struct.pack("<If", FLOAT, item)
    if isinstance(item, str):
        return struct.pack("<I", TEXT) + text(item)
    return struct.pack("<IIQ", ARRAY, TEXT, len(item)) + b"".join(map(text, item))


def tensors() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (WIDTH, len(SPECIAL) + len(WORDS)),
        "token_types.weight": (WIDTH, 2),
        "position_embd.weight": (WIDTH, LONGEST),
        "cls.weight": (WIDTH, WIDTH),
        "cls.bias": (WIDTH,),
        "cls.output.weight": (WIDTH, 1),
        "cls.output.bias": (1,),
    }
    layer = {"attn_q": WIDTH, "attn_k": WIDTH, "attn_v": WIDTH, "attn_output": WIDTH}
    shapes |= {f"blk.0.{name}.weight": (WIDTH, wide) for name, wide in layer.items()}
    shapes |= {f"blk.0.{name}.bias": (wide,) for name, wide in layer.items()}
    for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    shapes |= {"blk.0.ffn_up.weight": (WIDTH, HIDDEN), "blk.0.ffn_up.bias": (HIDDEN,)}
    shapes |= {"blk.0.ffn_down.weight": (HIDDEN, WIDTH), "blk.0.ffn_down.bias": (WIDTH,)}
    return shapes


def reranker() -> bytes:
    """GGUF version 3, aligned to 32 bytes, 32-bit floats."""
    ids = {"unknown": 1, "cls": 2, "seperator": 3, "padding": 0, "mask": 4, "bos": 2, "eos": 3}
    metadata: dict[str, Any] = {
        "general.architecture": "bert",
        "bert.context_length": LONGEST,
        "bert.embedding_length": WIDTH,
        "bert.block_count": 1,
        "bert.feed_forward_length": HIDDEN,
        "bert.attention.head_count": 4,
        "bert.attention.layer_norm_epsilon": 1e-6,
        "bert.attention.causal": False,
        "bert.pooling_type": 4,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": [*SPECIAL, *WORDS],
        "tokenizer.ggml.token_type_count": 2,
        **{f"tokenizer.ggml.{name}_token_id": at for name, at in ids.items()},
    }
    shapes, random = tensors(), np.random.default_rng(7)
    out = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata))
    out += b"".join(text(name) + value(item) for name, item in metadata.items())
    data = b""
    for name, shape in shapes.items():
        out += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        out += struct.pack("<IQ", 0, len(data))
        data += random.normal(0, 0.5, math.prod(shape)).astype("<f4").tobytes()
        data += bytes(-len(data) % 32)
    return out + bytes(-len(out) % 32) + data


def post(endpoint: Endpoint, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        endpoint.base_url + path,
        json.dumps(body).encode(),
        {**endpoint.headers, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_documents_are_ranked(tmp_path: Path) -> None:
    path = tmp_path / "reranker.gguf"
    path.write_bytes(reranker())
    asked = {"query": "who bakes", "documents": ["bread", "ships sail", "bread bakes"]}

    async def scenario() -> Any:
        with seal(path, build_manifest(path), mode="sealed") as model:
            engine = LlamaEngine(
                model, name="ranker", data=tmp_path, options=LlamaOptions(context=256, threads=1)
            )
            await engine.start()
            try:
                assert engine.reranks
                return await asyncio.to_thread(post, engine.endpoint(), "/rerank", asked)
            finally:
                await engine.stop()

    results = asyncio.run(scenario())["results"]
    assert sorted(one["index"] for one in results) == [0, 1, 2]
    scores = {one["relevance_score"] for one in results}
    assert len(scores) == 3
    assert all(math.isfinite(score) for score in scores)
