"""What checks hand up of a file, for surveys of the whole."""

import json
from pathlib import Path

from corpus.families.gguf_files import PLAIN, gguf
from corpus.families.safetensors_files import TWO, safetensors
from keelmark.vet import look


def test_facts_of_weights(tmp_path: Path) -> None:
    extra = {"tokenizer.chat_template": PLAIN, "x.long": ["t"] * 65, "x.nan": float("nan")}
    (tmp_path / "m.gguf").write_bytes(gguf(extra))
    header = {"__metadata__": {"format": "pt"}, **TWO}
    (tmp_path / "m.safetensors").write_bytes(safetensors(header, bytes(16)))
    facts = look(tmp_path).facts
    said = facts["m.gguf"]["gguf"]
    assert said["version"] == 3
    assert said["metadata"]["llama.block_count"] == 1
    assert said["metadata"]["tokenizer.ggml.tokens"] == ["<s>", "</s>", "a", "b"]
    assert said["metadata"]["x.long"] == {"length": 65, "type": "STRING"}
    assert said["metadata"]["x.nan"] == "nan"
    assert said["tensors"][1] == ["blk.0.ffn_up.weight", "Q8_0", [32, 64]]
    assert facts["m.gguf"]["template"] == {"tokenizer.chat_template": PLAIN}
    assert facts["m.safetensors"]["safetensors"] == {
        "metadata": {"format": "pt"},
        "tensors": [["a", "F32", [2]], ["b", "F32", [2]]],
    }


def test_facts_of_texts(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\ndate: 2026-01-02\n---\n# Card\n")
    (tmp_path / "LICENSE").write_text("MIT License")
    (tmp_path / "config.json").write_text('{"model_type": "llama", "x": NaN}')
    (tmp_path / "chat_template.jinja").write_text(PLAIN)
    facts = look(tmp_path).facts
    assert facts["README.md"]["card"] == {"license": "mit", "date": "2026-01-02"}
    assert facts["README.md"]["text"].endswith("# Card\n")
    assert facts["LICENSE"]["text"] == "MIT License"
    assert facts["config.json"]["json"] == {"model_type": "llama", "x": "NaN"}
    assert facts["chat_template.jinja"]["template"] == {"": PLAIN}
    assert json.loads(json.dumps(facts, allow_nan=False))


def test_front_matter_that_would_grow_is_not_kept(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    (tmp_path / "README.md").write_text("---\n" + "\n".join(lines) + "\n---\n")
    assert "card" not in look(tmp_path).facts["README.md"]
