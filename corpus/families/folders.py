"""Whole folders, and what cannot be checked."""

from __future__ import annotations

import json

from corpus.case import benign, hostile
from corpus.families.archives import EVIL_ZIP
from corpus.families.gguf_files import PLAIN
from corpus.families.pickles import CALL
from corpus.families.remote_code import config
from corpus.families.safetensors_files import TWO, safetensors
from corpus.families.vocabularies import VOCABULARY

FOLDER = {
    "README.md": b"---\nlicense: apache-2.0\n---\n# Probe\n\nA model card.\n",
    "LICENSE": b"Apache License\nVersion 2.0\n",
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "config.json": config(),
    "generation_config.json": b'{"eos_token_id": 1}',
    "tokenizer_config.json": json.dumps({"chat_template": PLAIN}).encode(),
    "tokenizer.json": b'{"version": "1.0", "model": {"vocab": {"a": 0}}}',
    "special_tokens_map.json": b'{"eos_token": "</s>"}',
    "vocab.txt": b"a\nb\n",
    "tokenizer.model": VOCABULARY,
    ".cache/huggingface/download/config.json.lock": b"",
    "NOTICE.md": b"",
    "merges.txt": "#version: 0.2\nĠ a\n".encode(),
    "model.safetensors": safetensors(TWO, bytes(16)),
}
benign("folder-hf-twin", FOLDER)
hostile("folder-unknown-bin", "", {**FOLDER, "extra.bin": bytes(range(256))}, "incomplete")
hostile("folder-one-evil-file", CALL, {**FOLDER, "optimizer.bin": EVIL_ZIP})
hostile("unknown-format", "", {"model.bin": bytes(range(256)) * 4}, "incomplete")
hostile("onnx-zeros", "onnx.malformed", {"model.onnx": b"\x08\x07\x12\x04test" + bytes(100)})
hostile("hdf5-zeros", "hdf5.malformed", {"model.h5": b"\x89HDF\r\n\x1a\n" + bytes(100)})
hostile("unknown-rknn", "", {"model.rknn": b"RKNN" + bytes(60)}, "incomplete")
hostile("empty-file", "", {"model.bin": b""}, "incomplete")
hostile("empty-safetensors", "safetensors.malformed", {"model.safetensors": b""})
hostile(
    "lfs-pointer",
    "",
    {
        "model.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:"
        + b"0" * 64
        + b"\nsize 9\n"
    },
    "incomplete",
)
for _suffix in (".safetensors", ".gguf", ".onnx", ".h5", ".keras"):
    hostile(
        f"lfs-pointer{_suffix.replace('.', '-')}",
        "",
        {
            f"model{_suffix}": b"version https://git-lfs.github.com/spec/v1\noid sha256:"
            + b"0" * 64
            + b"\nsize 9\n"
        },
        "incomplete",
    )
hostile("json-broken", "", {"config.json": b"{"}, "incomplete")
hostile("json-deep", "", {"tokenizer.json": b"[" * 200_000}, "incomplete")
hostile("text-binary", "", {"README.md": b"text\x00\x01"}, "incomplete")
benign(
    "text-like-code-twin",
    {"README.md": b"compile\nthis\nNot a pickle. import os\n", "a.txt": b"I.\n"},
)
