"""The survey: what it says of files, of this machine and of others."""

import json
from pathlib import Path
from typing import Any

import pytest

from corpus.families.safetensors_files import safetensors
from keelmark.core.vetting import Section
from keelmark.passport.manifest import Manifest, ManifestEntry
from keelmark.vet import look
from keelmark.vet.fit.cache import TABLES
from keelmark.vet.fit.demand import ACCELERATORS
from keelmark.vet.fit.parts import parts
from keelmark.vet.fit.shape import Shape
from keelmark.vet.fit.weights import weigh
from keelmark.vet.gguf_header import BLOCKS, TYPES
from keelmark.vet.machine import Accelerator, Machine
from keelmark.vet.survey import Asked, Facts, Serving, Subject
from keelmark.vet.surveys.fit import SURVEY

GIB = 1 << 30
LARGE = Machine(memory=32 * GIB)
USUAL = Serving()
LLAMA_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "vocab_size": 128256,
}
LLAMA_8B_TENSORS = [
    ["model.embed_tokens.weight", "BF16", [128256, 4096]],
    ["lm_head.weight", "BF16", [128256, 4096]],
    ["model.layers.all", "BF16", [6979588096]],
]


def _survey(
    facts: Facts, machine: Machine = LARGE, serving: Serving = USUAL, entries: Any = ()
) -> Section:
    manifest = Manifest(name="m", entries=entries)
    today: Any = None
    asked = Asked(serving=serving)
    section, findings, _ = SURVEY.run(Subject(manifest, facts, (), asked, machine, today))
    assert findings == ()
    json.dumps(section.data)
    return section


def _facts() -> dict[str, dict[str, Any]]:
    return {
        "config.json": {"json": LLAMA_8B},
        "model.safetensors": {"safetensors": {"metadata": {}, "tensors": LLAMA_8B_TENSORS}},
    }


def test_a_model_and_three_machines() -> None:
    large = _survey(_facts())
    assert large.answer == "fits"
    [model] = large.data["models"]
    assert model["weights"]["parameters"] == 8030261248
    assert model["cache"]["llama.cpp"]["8192"]["tokens"] == GIB
    assert model["cache"]["vLLM"]["131072"]["tokens"] == 16 * GIB
    small = _survey(_facts(), Machine(memory=8 * GIB))
    assert small.answer == "does not fit"
    lines = {line.what: line.answer for line in small.lines}
    # 7.2 GiB are free; a GiB of context and 0.5 of buffers leave room for 6.0 bits, not for 6.6.
    assert lines["quantisation of this model for this machine"] == "Q5_1"
    tight = _survey(_facts(), Machine(memory=int(17.6 * GIB)))
    assert tight.answer == "fits with less context"
    card = Machine(4 * GIB, (Accelerator("NVIDIA L4", 24 * GIB),))
    lines = {line.what: line.answer for line in _survey(_facts(), card).lines}
    assert lines["this machine, accelerator NVIDIA L4"] == "fits"
    assert lines["this machine, main memory"] == "does not fit"


def test_speed_is_bandwidth_over_what_a_token_reads() -> None:
    [model] = _survey(_facts()).data["models"]
    speeds = {one["name"]: one["tokens_per_second_at_most"] for one in model["accelerators"]}
    read = 2 * (8030261248 - 128256 * 4096)
    assert speeds["NVIDIA H100 SXM"] == pytest.approx(3350e9 / read, abs=0.1)


def test_only_experts_at_work_are_read() -> None:
    shape = Shape("x", "a test", (), experts=8, experts_used=2)
    tensors = [
        ["blk.0.ffn_up_exps.weight", "F16", [1000, 8]],
        ["blk.0.ffn_up_shexp.weight", "F16", [1000]],
        ["token_embd.weight", "F16", [500]],
    ]
    weights = weigh(tensors, shape)
    assert weights.bytes == 2 * 9500
    assert weights.active == 2 * (2000 + 1000 + 500)
    untied = weigh([*tensors, ["output.weight", "F16", [500]]], shape)
    assert untied.active == weights.active


def test_packed_numbers_are_not_counted_as_parameters() -> None:
    config = {**LLAMA_8B, "quantization_config": {"quant_method": "awq", "bits": 4}}
    facts = _facts() | {"config.json": {"json": config}}
    [model] = _survey(facts).data["models"]
    assert model["weights"]["parameters"] == 0
    assert "quantisations" not in model


def test_asking_for_more_context() -> None:
    section = _survey(_facts(), serving=Serving(131072, 4, "q8_0"))
    assert section.answer == "fits with less context"
    assert section.data["models"][0]["cache"]["llama.cpp"]["131072"]["tokens"] == 34 * GIB


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, "no GGUF, no safetensors"),
        ({"config.json": {"json": {"model_type": "future"}}}, "'future' is not known"),
        (
            {"model.safetensors": {"safetensors": {"tensors": LLAMA_8B_TENSORS}}},
            "there is no config.json",
        ),
        ({"config.json": {"json": LLAMA_8B}}, "no safetensors or GGUF file"),
        (
            {
                "m-00001-of-00002.gguf": {
                    "gguf": {
                        "metadata": {"general.architecture": "bert", "split.count": 2},
                        "tensors": [],
                    }
                }
            },
            "only 1 of its 2 parts",
        ),
    ],
)
def test_what_could_not_be_told(facts: Facts, reason: str) -> None:
    section = _survey(facts)
    assert section.answer == "could not tell"
    assert any(reason in gap for gap in section.unanswered)
    assert not section.required


def test_pickled_weights_count_by_their_size() -> None:
    entries = tuple(
        ManifestEntry(path=path, size=size, sha256="0" * 64)
        for path, size in (("pytorch_model.bin", 14 * GIB), ("other/x.bin", GIB))
    )
    section = _survey({"config.json": {"json": LLAMA_8B}}, entries=entries)
    assert section.answer == "fits"
    [model] = section.data["models"]
    assert model["weights"]["bytes"] == 14 * GIB
    assert model["weights"]["parameters"] == 0


def test_the_model_is_told_before_its_eyes() -> None:
    eyes = {"gguf": {"metadata": {"general.architecture": "clip"}, "tensors": []}}
    section = _survey({"a-mmproj.gguf": eyes, **_facts()})
    assert section.answer == "fits"
    assert any("'clip'" in gap for gap in section.unanswered)


def test_unknown_machine() -> None:
    section = _survey(_facts(), Machine())
    assert section.answer == "could not tell"
    assert section.data["models"][0]["cache"]["llama.cpp"]["8192"]["tokens"] == GIB


def test_several_models_in_one_folder(tmp_path: Path) -> None:
    header = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    for name in ("text/model.safetensors", "text/consolidated.safetensors", "other/x.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(safetensors(header, bytes(8)))
    (tmp_path / "text" / "config.json").write_text(json.dumps(LLAMA_8B))
    found = {part.path: part for part in parts(look(tmp_path).facts)}
    assert sorted(found) == ["other", "text"]
    assert found["text"].weights.bytes == 8
    assert found["text"].shape is not None
    assert found["other"].shape is None


def test_tables_agree_with_the_reader() -> None:
    sizes = {name: list(BLOCKS[number]) for name, number in TYPES if number in BLOCKS}
    assert sizes == TABLES["block"]
    names = [(vendor, name) for vendor, name, _, _ in ACCELERATORS["device"]]
    assert len(set(names)) == len(names) > 70
    assert all(memory > 0 and speed > 0 for _, _, memory, speed in ACCELERATORS["device"])
