"""One vocabulary, however it is kept, has one digest."""

import json
from pathlib import Path
from typing import Any

from corpus.families.gguf_files import gguf
from corpus.families.lineage import MERGES, TOKENS, tokenizer
from keelmark.vet import look


def _vocabulary(name: str, data: bytes, folder: Path) -> Any:
    (folder / name).write_bytes(data)
    return look(folder / name).facts.get(name, {}).get("vocabulary")


def _gguf(tokens: list[str], **more: object) -> bytes:
    return gguf({"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": MERGES, **more})


def test_gguf_and_json_agree(tmp_path: Path) -> None:
    one = _vocabulary("tokenizer.json", tokenizer(), tmp_path)
    other = _vocabulary("m.gguf", _gguf(TOKENS), tmp_path)
    assert one == other
    assert (one["size"], one["merges"], one["longest"]) == (30, 2, 4)
    assert one["single"] == round(26 / 30, 4)


def test_padding_at_the_end_is_left_out(tmp_path: Path) -> None:
    plain = _vocabulary("a.gguf", _gguf(TOKENS), tmp_path)
    padded = _vocabulary("b.gguf", _gguf([*TOKENS, "[PAD30]", "[PAD31]"]), tmp_path)
    assert plain == padded


def test_added_tokens_count_and_holes_are_named(tmp_path: Path) -> None:
    value = json.loads(tokenizer())
    value["added_tokens"] = [{"id": 32, "content": "<|im_end|>"}]
    added = _vocabulary("tokenizer.json", json.dumps(value).encode(), tmp_path)
    other = [*TOKENS, "[PAD30]", "[PAD31]", "<|im_end|>"]
    assert added == _vocabulary("m.gguf", _gguf(other), tmp_path)


def test_separate_files(tmp_path: Path) -> None:
    numbers = {token: number for number, token in enumerate(TOKENS)}
    words = _vocabulary("vocab.json", json.dumps(numbers).encode(), tmp_path)
    merges = _vocabulary("merges.txt", b"#version: 0.2\nt h\nh e\n", tmp_path)
    assert {**words, **merges} == _vocabulary("tokenizer.json", tokenizer(), tmp_path)


def test_pairs_of_merges_and_unigram(tmp_path: Path) -> None:
    paired = tokenizer(merges=[["t", "h"], ["h", "e"]])
    assert _vocabulary("tokenizer.json", paired, tmp_path)["merges"] == 2
    scores = [[token, -1.0] for token in TOKENS]
    unigram = tokenizer(vocab=scores, merges=None)
    told = _vocabulary("tokenizer.json", unigram, tmp_path)
    assert told["size"] == 30
    assert "merges" not in told


def test_what_is_no_vocabulary(tmp_path: Path) -> None:
    for data in (b"[]", b"{}", b'{"model": 3}', b'{"model": {"vocab": {"a": 9999999999}}}'):
        assert _vocabulary("tokenizer.json", data, tmp_path) is None
    assert _vocabulary("m.gguf", gguf({"tokenizer.ggml.tokens": 3}), tmp_path) is None
