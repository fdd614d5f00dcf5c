"""Licences along the line: what bases are published under, and what a label may not say."""

from pathlib import Path

import pytest

from corpus.families import lineage as made
from keelmark.core.findings import Severity
from keelmark.vet import look
from keelmark.vet.licence.conflicts import conflicts
from keelmark.vet.licence.expressions import joined, names_in
from keelmark.vet.lineage.beside import Part
from keelmark.vet.lineage.declared import declared
from keelmark.vet.lineage.inherited import BASES, base_licence, inherited


def test_every_licence_of_a_base_has_a_record() -> None:
    for _, licence in BASES:
        expression = joined([licence]) if licence else None
        if expression is not None:
            assert all(name.records for name in names_in(expression)), licence


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1"),
        ("Meta Llama 3.1 8B", "llama-3.1"),
        ("meta-llama/Meta-Llama-3-8B", "llama-3"),
        ("meta-llama/Llama-2-7b-hf", "llama-2"),
        ("codellama/CodeLlama-7b-hf", "llama-2"),
        ("unsloth/Llama-3.2-1B", "llama-3.2"),
        ("google/gemma-3-4b-it", "gemma"),
        ("google/gemma-4-31b-it", ""),
        ("google/medgemma-4b", ""),
        ("Qwen/Qwen2.5-7B", ""),
        ("Qwen/Qwen2.5-3B-Instruct", "qwen-research"),
        ("Qwen/Qwen2.5-72B-Instruct", "qwen"),
        ("TinyLlama/TinyLlama-1.1B", ""),
        ("openlm-research/open_llama_7b", ""),
        ("mistralai/Mistral-7B-v0.1", ""),
        ("CohereLabs/c4ai-command-r-v01", "cc-by-nc-4.0"),
        ("deepseek-ai/DeepSeek-R1", ""),
        ("huggyllama/llama-30b", ""),
        ("gemma-friends/something", ""),
        ("x/Llama-3.3-70B-Instruct-abliterated", "llama-3.3"),
        ("", ""),
    ],
)
def test_licence_of_a_named_base(name: str, licence: str) -> None:
    assert base_licence(name) == licence


def _part(child: dict[str, bytes], folder: Path, parent: dict[str, bytes] | None = None) -> Part:
    for where, files in (("child", child), ("parent", parent or {})):
        for name, data in files.items():
            (folder / where).mkdir(exist_ok=True)
            (folder / where / name).write_bytes(data)
    ours = look(folder / "child").facts
    return inherited(ours, declared(ours), look(folder / "parent").facts if parent else None)


def test_says_mit_but_parent_is_llama(tmp_path: Path) -> None:
    part = _part(made.card("meta-llama/Llama-3.1-8B", licence="mit"), tmp_path)
    [finding] = part.findings
    assert finding.severity == Severity.MEDIUM
    assert "Llama 3.1" in finding.message
    assert finding.evidence
    assert [line.answer for line in part.lines] == ["conflict"]


def test_a_base_of_two_makers_is_less_certain(tmp_path: Path) -> None:
    """The publisher of a distilled model may have more rights than its name tells."""
    base = "nvidia/Llama-3.1-Nemotron-Nano-8B-v1"
    [finding] = _part(made.card(base, licence="mit"), tmp_path).findings
    assert finding.severity == Severity.LOW


def test_what_is_kept_is_said(tmp_path: Path) -> None:
    part = _part(made.card("meta-llama/Llama-3.1-8B", licence="llama3.1"), tmp_path)
    assert part.findings == []
    assert [line.answer for line in part.lines] == ["kept"]


def test_no_licence_at_all_is_not_clean(tmp_path: Path) -> None:
    part = _part(made.card("meta-llama/Llama-3.1-8B"), tmp_path)
    assert part.findings == []
    assert [line.answer for line in part.lines] == ["could not check"]


def test_the_given_parent_counts(tmp_path: Path) -> None:
    child = {"README.md": b"---\nlicense: mit\n---\n"}
    parent = {"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"}
    [finding] = _part(child, tmp_path, parent).findings
    assert "the given parent" in finding.message
    assert conflicts(["mit"], ["cc-by-nc-4.0"])
