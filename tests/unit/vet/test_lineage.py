"""Known models, declared bases, names of tensors, and a model beside its parent."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from corpus.families import lineage as made
from keelmark.core.vetting import Section
from keelmark.serve.models import LocalModel
from keelmark.vet import look
from keelmark.vet.lineage.compare import CLOSE, FAR, compare, compare_norms, template_difference
from keelmark.vet.lineage.declared import Declared, declared
from keelmark.vet.lineage.judge import contradicted, likeness, opinion
from keelmark.vet.lineage.known import MODELS, SOURCE, Known, lines_of, named
from keelmark.vet.lineage.tensors import common_name, match, table_of
from keelmark.vet.lineage.traits import Facts, Traits, traits_of
from keelmark.vet.machine import Machine
from keelmark.vet.survey import Asked, Subject, Whole
from keelmark.vet.surveys.lineage import SURVEY


def _facts(files: dict[str, bytes], folder: Path) -> Facts:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return look(folder).facts


def _traits(model: Known) -> Traits:
    return Traits(
        path="config.json",
        type=model.type,
        hidden=model.hidden,
        layers=model.layers,
        heads=model.heads,
        kept_heads=model.kept_heads,
        inner=model.inner,
        vocabulary=model.vocabulary,
        tokenizer={
            "size": model.tokens,
            "merges": model.merges,
            "merges_first": model.merges_first,
            "mean_length": model.mean_length,
            "longest": model.longest,
            "single": model.single,
            "spaced": model.spaced,
            "bytes": model.bytes,
        },
    )


def test_the_table_says_where_it_is_from() -> None:
    assert "Apache-2.0" in SOURCE
    assert len(MODELS) == 152
    assert all(model.lines or model.family for model in MODELS)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", {"llama"}),
        ("Meta Llama 3.1 8B", {"llama"}),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", {"deepseek", "qwen"}),
        ("NousResearch/Hermes-2-Pro-Llama-3-8B", {"llama"}),
        ("openai/gpt-oss-20b", {"gpt_oss"}),
        ("ByteDance-Seed/Seed-OSS-36B", set()),
        ("EleutherAI/gpt-neox-20b", {"gpt_neox"}),
        ("Qwen3.5-27B", {"qwen"}),
        ("somebody/philosophy", set()),
        ("", set()),
    ],
)
def test_lines_that_a_name_tells_of(name: str, lines: set[str]) -> None:
    assert lines_of(name) == lines


def test_every_known_model_is_like_itself() -> None:
    for model in MODELS:
        like = likeness(_traits(model), MODELS)
        assert model in like.built_alike or not model.layers or not model.tokens, model
        one = named(f"somebody/{model.name}")
        assert one is not None
        assert one.name == model.name


# Published as made from models of the line on the right; their names do not say so.
MADE_FROM = {
    "NextCoder-7B": "qwen",
    "NextCoder-14B": "qwen",
    "AceReason-Nemotron-7B": "qwen",
    "AceReason-Nemotron-14B": "qwen",
    "Hermes-4-14B": "qwen",
    "NousCoder-14B": "qwen",
    "OmniCoder-9B": "qwen",
    "gpt-neox-20b": "one tokenizer",
    "pythia-1.4b": "one tokenizer",
    "pythia-6.9b": "one tokenizer",
    "RedPajama-INCITE-7B-Base": "one tokenizer",
}


def _origins(model: Known) -> set[str]:
    return {*model.lines, model.family, MADE_FROM.get(model.name, model.family)}


def test_each_known_model_among_the_others() -> None:
    """The figures of docs/explanation/lineage.md."""
    answered = 0
    for model in MODELS:
        like = likeness(_traits(model), [other for other in MODELS if other != model])
        family = like.built_alike or like.family
        answered += bool(family)
        for other in family:
            assert _origins(model) & _origins(other), (model.name, other.name)
    assert answered == 134


def test_no_known_model_contradicts_its_own_name() -> None:
    """Its name as the declared base, all other models at hand to be mistaken for."""
    for model in MODELS:
        traits = _traits(model)
        others = [other for other in MODELS if other != model]
        said = Declared(f"x/{model.name}", "README.md", "base_model")
        view = opinion(said, traits, likeness(traits, others))
        assert view.answer != "contradicts", (model.name, view)


@pytest.mark.parametrize(
    ("base", "answer"),
    [
        ("meta-llama/Llama-3.1-8B", "contradicts"),
        ("google/gemma-2-9b", "contradicts"),
        ("Qwen/Qwen2.5-7B", "agrees"),
        ("Qwen/Qwen2.5-7B-Instruct", "agrees"),
        ("Qwen/Qwen2.5-1.5B-Instruct", "differs in size"),
        ("Qwen/Qwen2.5-Coder-Next", "agrees"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "agrees"),
        ("somebody/a-model-of-mine", "could not check"),
        ("yi-lin/a-model-of-mine", "could not check"),
    ],
)
def test_declared_base_of_a_qwen(base: str, answer: str) -> None:
    model = named("Qwen2.5-7B")
    assert model is not None
    traits = _traits(model)
    view = opinion(Declared(base, "README.md", "base_model"), traits, likeness(traits, MODELS))
    assert view.answer == answer, view


def test_one_of_several_bases_may_fit() -> None:
    """A merge or a model that sees names several; one that fits is enough."""
    model = named("Qwen2.5-7B")
    assert model is not None
    traits = _traits(model)
    like = likeness(traits, MODELS)
    said = [
        Declared(name, "README.md", "base_model")
        for name in ("openai/clip-vit", "google/gemma-2-9b", "Qwen/Qwen2.5-7B")
    ]
    assert contradicted([(one, opinion(one, traits, like)) for one in said]) == []


def test_a_common_architecture_proves_nothing() -> None:
    traits = Traits("config.json", "llama", 3000, 33, 25, 5, 9000, 40000)
    for base in ("Qwen/Qwen2.5-7B", "mistralai/Mistral-7B-v0.1", "microsoft/phi-4"):
        said = Declared(base, "README.md", "base_model")
        assert opinion(said, traits, likeness(traits, MODELS)).answer != "contradicts"


def test_dimensions_that_two_makers_chose() -> None:
    """Mistral 7B and Llama 3.1 8B differ in nothing but the vocabulary."""
    model = named("Mistral-7B-v0.1")
    assert model is not None
    traits = _traits(model)
    said = Declared("meta-llama/Llama-3.1-8B", "README.md", "base_model")
    assert opinion(said, traits, likeness(traits, MODELS)).answer == "contradicts"


def test_a_tokenizer_of_others() -> None:
    model = named("SmolLM2-135M")
    assert model is not None
    traits = _traits(model)
    for base in ("Qwen/Qwen2.5-0.5B", "meta-llama/Llama-3.2-1B"):
        said = Declared(base, "README.md", "base_model")
        assert opinion(said, traits, likeness(traits, MODELS)).answer == "contradicts"


def test_where_bases_are_declared(tmp_path: Path) -> None:
    files = {
        **made.card("maker/base", "finetune"),
        "adapter_config.json": b'{"base_model_name_or_path": "maker/adapted"}',
        "config.json": b'{"model_type": "llama", "_name_or_path": "maker/loaded"}',
        "local/config.json": b'{"model_type": "llama", "_name_or_path": "/home/me/model"}',
        "m.gguf": made.quantised(
            made.ORIGIN,
            **{
                "general.base_model.count": 2,
                "general.base_model.0.repo_url": "https://huggingface.co/maker/named",
                "general.base_model.1.name": "Other 7B",
                "general.base_model.1.organization": "Maker",
            },
        ),
    }
    assert declared(_facts(files, tmp_path)) == [
        Declared("maker/base", "README.md", "base_model", "finetune"),
        Declared("maker/adapted", "adapter_config.json", "base_model_name_or_path", "adapter"),
        Declared("maker/loaded", "config.json", "_name_or_path"),
        Declared("maker/named", "m.gguf", "general.base_model.0"),
        Declared("Maker/Other 7B", "m.gguf", "general.base_model.1"),
    ]


@pytest.mark.parametrize(
    ("name", "common"),
    [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("lm_head.weight", "output.weight"),
        ("model.norm.weight", "output_norm.weight"),
        ("model.layers.31.self_attn.q_proj.weight", "blk.31.attn_q.weight"),
        ("model.layers.3.self_attn.k_proj.bias", "blk.3.attn_k.bias"),
        ("model.language_model.layers.7.mlp.up_proj.weight", "blk.7.ffn_up.weight"),
        ("language_model.model.layers.7.input_layernorm.weight", "blk.7.attn_norm.weight"),
        ("model.layers.2.block_sparse_moe.experts.5.w1.weight", "blk.2.ffn_gate_exps.weight"),
        ("model.layers.2.mlp.experts.60.down_proj.weight", "blk.2.ffn_down_exps.weight"),
        ("gpt_neox.layers.0.attention.query_key_value.weight", "blk.0.attn_qkv.weight"),
        ("transformer.h.11.ln_1.bias", "blk.11.attn_norm.bias"),
        ("model.layers.0.self_attn.sinks", "blk.0.attn_sinks"),
        ("model.layers.0.something.new.weight", "model.layers.0.something.new.weight"),
        ("model.layers.1.post_attention_layernorm.weight", "blk.1.ffn_norm.weight"),
    ],
)
def test_one_name_for_a_tensor(name: str, common: str) -> None:
    assert common_name(name) == common


def test_norms_after_each_part_have_names_of_their_own() -> None:
    name = "model.layers.1.post_attention_layernorm.weight"
    assert common_name(name, after_too=True) == "blk.1.post_attention_norm.weight"


def _compared(child: dict[str, bytes], folder: Path) -> Any:
    ours = _facts(child, folder / "child")
    theirs = _facts(made.PARENT, folder / "parent")
    return compare((traits_of(ours), table_of(ours)), (traits_of(theirs), table_of(theirs)))


def test_a_quantisation_tensor_by_tensor(tmp_path: Path) -> None:
    found = _compared({"m.gguf": made.quantised(made.ORIGIN)}, tmp_path)
    assert found.verdict == "quantised"
    assert len(found.tensors.same) == 29
    assert found.tensors[1:] == ((), (), ())
    assert (found.norms.identical, found.norms.compared) == (7, 7)
    assert found.tokenizer == "same"


@pytest.mark.parametrize(
    ("spread", "verdict"),
    [(0.0001, "derived"), (0.05, "derived"), (0.14, "close"), (0.4, "another training")],
)
def test_distance_of_norms(spread: float, verdict: str, tmp_path: Path) -> None:
    """Noise on norm layers that deviate by 0.2 themselves."""
    chance = Random(5)
    noisy = {
        name: [value + chance.gauss(0, spread) for value in values]
        for name, values in made.ORIGIN.items()
    }
    assert _compared(made.folder(noisy), tmp_path).verdict == verdict


def test_converters_that_add_one(tmp_path: Path) -> None:
    plus = {name: [value + 1 for value in values] for name, values in made.ORIGIN.items()}
    found = _compared({"m.gguf": made.quantised(plus)}, tmp_path)
    assert found.verdict == "quantised"


def test_flat_norms_tell_nothing(tmp_path: Path) -> None:
    flat = {name: [1.0] * made.WIDE for name in made.ORIGIN}
    ours, theirs = (_facts({"m.safetensors": made.hf(flat)}, tmp_path / one) for one in ("a", "b"))
    left, right = table_of(ours), table_of(theirs)
    assert left
    assert right
    assert compare_norms(left, right).compared == 0
    assert compare((None, left), (None, right)).verdict == "same build"


def _renamed(names: dict[str, tuple[str, list[int]]]) -> bytes:
    header, end = {}, 0
    for name, (kind, shape) in names.items():
        size = 4 if kind in ("F32", "I32", "U32") else 2 if kind in ("F16", "BF16") else 1
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    return made.safetensors(header, bytes(end))


def test_packed_weights_have_no_dimensions_to_compare(tmp_path: Path) -> None:
    """AWQ and GPTQ (qweight), bitsandbytes (absmax), MLX (scales beside a packed weight)."""
    start = "model.layers.0.self_attn"
    child = {
        f"{start}.q_proj.qweight": ("I32", [64, 8]),
        f"{start}.q_proj.qzeros": ("I32", [1, 8]),
        f"{start}.q_proj.scales": ("F16", [1, 64]),
        f"{start}.k_proj.weight": ("U8", [2048, 1]),
        f"{start}.k_proj.weight.absmax": ("F32", [64]),
        f"{start}.v_proj.weight": ("U32", [64, 8]),
        f"{start}.v_proj.scales": ("F16", [64, 1]),
    }
    parent = {f"{start}.{one}_proj.weight": ("BF16", [64, 64]) for one in "qkv"}
    ours = table_of(_facts({"m.safetensors": _renamed(child)}, tmp_path / "a"))
    theirs = table_of(_facts({"m.safetensors": _renamed(parent)}, tmp_path / "b"))
    assert ours
    assert theirs
    assert ours.quantised
    found = match(ours, theirs)
    assert len(found.same) == 3
    assert found[1:] == ((), (), ())


def test_what_converters_leave_out(tmp_path: Path) -> None:
    parent = {
        "model.language_model.layers.0.self_attn.q_proj.weight": ("BF16", [64, 64]),
        "model.language_model.layers.1.eh_proj.weight": ("BF16", [64, 128]),
        "model.language_model.layers.1.self_attn.q_proj.weight": ("BF16", [64, 64]),
        "model.vision_tower.blocks.0.attn.qkv.weight": ("BF16", [8, 8]),
        "mtp.fc.weight": ("BF16", [8, 8]),
    }
    tensors = [("blk.0.attn_q.weight", (64, 64), 0, 0)]
    ours = table_of(_facts({"m.gguf": made.gguf(tensors=tensors, data=16384)}, tmp_path / "a"))
    theirs = table_of(_facts({"m.safetensors": _renamed(parent)}, tmp_path / "b"))
    assert ours
    assert theirs
    assert match(ours, theirs) == (("blk.0.attn_q.weight",), (), (), ())


@pytest.mark.parametrize(("wide", "verdict"), [(64, "adapter"), (48, "another")])
def test_an_adapter_beside_its_model(wide: int, verdict: str, tmp_path: Path) -> None:
    start = "base_model.model.model.layers.0.self_attn.q_proj"
    pairs = {
        f"{start}.lora_A.weight": ("F32", [8, wide]),
        f"{start}.lora_B.weight": ("F32", [64, 8]),
    }
    found = _compared({"adapter_model.safetensors": _renamed(pairs)}, tmp_path)
    assert found.verdict == verdict


def test_missing_and_resized_tensors(tmp_path: Path) -> None:
    child = made.folder(made.ORIGIN)
    child["model.safetensors"] = made.hf(
        made.ORIGIN,
        **{"lm_head.weight": (30, made.WIDE), "model.layers.0.self_attn.q_proj.weight": (8, 8)},
    )
    found = _compared(child, tmp_path)
    assert found.tensors.resized == ("blk.0.attn_q.weight",)
    assert found.tensors.extra == ()  # an output of its own is what a tied embedding stands for


def test_parts_of_one_model_belong_together(tmp_path: Path) -> None:
    half = dict(list(made.ORIGIN.items())[:4])
    rest = dict(list(made.ORIGIN.items())[4:])
    files = {
        "model-00001-of-00002.safetensors": made.hf(half),
        "model-00002-of-00002.safetensors": made.hf(rest),
    }
    table = table_of(_facts(files, tmp_path))
    assert table
    assert len(table.norms) == 7
    assert match(table, table).missing == ()


def test_template_difference() -> None:
    assert template_difference("a\r\nb  \n", "a\nb") == []
    lines = template_difference("a\nplanted\nb", "a\nb")
    assert "+planted" in lines


def _section(child: dict[str, bytes], parent: dict[str, bytes] | None, folder: Path) -> Section:
    nothing: Any = None
    whole = Whole(nothing, _facts(parent, folder / "parent")) if parent else None
    facts = _facts(child, folder / "child")
    subject = Subject(nothing, facts, (), Asked(parent=whole), Machine(), nothing)
    section, *_ = SURVEY.run(subject)
    json.dumps(section.data)
    return section


def test_answers(tmp_path: Path) -> None:
    child = {"m.gguf": made.quantised(made.ORIGIN, made.PLANTED)}
    section = _section(child, made.PARENT, tmp_path)
    assert section.answer == "quantisation of parent"
    lines = {line.what: line for line in section.lines}
    assert lines["chat template beside the parent's"].answer == "differs"
    assert "Always prefer" in lines["chat template beside the parent's"].evidence
    assert _section({"a.txt": b"x"}, None, tmp_path / "2").answer == "could not tell"
    says = {**made.card("meta-llama/Llama-3.1-8B"), **made._settings(**made.QWEN_7B)}
    assert _section(says, None, tmp_path / "3").answer == "contradicts itself"
    alone = _section(made._settings(**made.QWEN_7B), None, tmp_path / "4")
    assert alone.answer == "same dimensions"
    assert alone.unanswered


def test_limits_are_ordered() -> None:
    assert 0 < CLOSE < FAR < 2**0.5


@pytest.mark.engine
def test_the_bundled_model(bundled_model: LocalModel) -> None:
    facts = look(bundled_model.path).facts
    traits = traits_of(facts)
    assert traits
    like = likeness(traits, MODELS)
    assert [model.name for model in like.built_alike] == ["SmolLM2-135M"]
    table = table_of(facts)
    assert table
    assert table.quantised
    assert len(table.norms) == 61
    found = compare((traits, table), (traits, table))
    assert found.verdict == "quantised"
