"""What will load the model, read from this installation and from files."""

import json
from pathlib import Path

import pytest

from keelmark.core.errors import UsageError
from keelmark.vet.vulnerabilities import stack
from keelmark.vet.vulnerabilities.versions import LLAMA_CPP, package


def torch(version: str) -> tuple[object, str]:
    return package("PyPI", "torch"), version


def test_this_installation_has_its_engine_and_needs() -> None:
    found = stack.installed((("xllamacpp", "2026.10.11549"),))
    versions = dict(found.versions)
    assert versions[LLAMA_CPP] == "b11549"
    assert {"keelmark", "jinja2", "uvicorn"} <= {where.name for where in versions}
    assert "pytest" not in {where.name for where in versions}
    assert not found.declared
    assert found.versions == tuple(sorted(found.versions))


@pytest.mark.parametrize(
    ("version", "build"),
    [
        ("2026.10.11549", "b11549"),
        ("2026.10.11549.post1", "b11549"),
        ("0.2.0", ""),
        ("2026.10", ""),
        ("unknown", ""),
    ],
)
def test_the_build_inside_the_engine(version: str, build: str) -> None:
    assert stack.llama_cpp_build(version) == build


REQUIREMENTS = """\
# what serves it
--index-url https://example.com/simple
torch==2.5.1 \\
    --hash=sha256:00 \\
    --hash=sha256:11
Foo.Bar[extra]==1.0 ; python_version > "3"   # a comment
transformers>=4
-r more.txt
git+https://example.com/x.git
pkg:golang/github.com/ollama/ollama@0.17.0
pkg:github/ggml-org/llama.cpp@b7000
"""


def test_requirements(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(REQUIREMENTS)
    found = stack.read(path)
    assert set(found.versions) == {
        torch("2.5.1"),
        (package("PyPI", "foo-bar"), "1.0"),
        (package("Go", "github.com/ollama/ollama"), "0.17.0"),
        (LLAMA_CPP, "b7000"),
    }
    assert len(found.unknown) == 3
    assert found.declared


@pytest.mark.parametrize("name", ["uv.lock", "poetry.lock", "pylock.toml"])
def test_lock_files(name: str, tmp_path: Path) -> None:
    key = "packages" if name == "pylock.toml" else "package"
    path = tmp_path / name
    path.write_text(
        f'[[{key}]]\nname = "torch"\nversion = "2.5.1"\n\n'
        f'[[{key}]]\nname = "mine"\nversion = "1"\nsource = {{ editable = "." }}\n\n'
        f'[[{key}]]\nname = "loose"\n'
    )
    found = stack.read(path)
    assert found.versions == (torch("2.5.1"),)
    assert found.unknown == ("loose is not pinned to one version",)


def test_cyclonedx(tmp_path: Path) -> None:
    path = tmp_path / "bom.json"
    inner = {"type": "library", "name": "x", "version": "1", "purl": "pkg:npm/x@1.2.3"}
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [
            {
                "type": "library",
                "name": "torch",
                "version": "2.5.1",
                "purl": "pkg:pypi/torch",
                "components": [inner],
            },
            {"type": "library", "name": "who", "version": "1"},
            {"type": "machine-learning-model", "name": "m", "version": "1"},
        ],
    }
    path.write_text(json.dumps(bom))
    found = stack.read(path)
    assert set(found.versions) == {torch("2.5.1"), (package("npm", "x"), "1.2.3")}
    assert found.unknown == ("who has no package URL that says what it is",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        '{"bomFormat": "CycloneDX"}',
        '{"bomFormat": "CycloneDX", "components": 7}',
        '{"bomFormat": "CycloneDX", "components": [7]}',
        "[" * 100_000,
        "torch>=2\n",
        "\x00\x01",
        "once upon a time",
        '[[package]]\nname = "x"\n',
    ],
)
def test_what_names_no_stack_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "what.lock"
    path.write_text(text)
    with pytest.raises(UsageError):
        stack.read(path)


def test_a_missing_or_binary_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        stack.read(tmp_path / "nothing.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00" * 10)
    with pytest.raises(UsageError):
        stack.read(tmp_path / "binary")


def test_our_own_lock_file_is_read_whole() -> None:
    found = stack.read(Path(__file__).resolve().parents[3] / "requirements.lock")
    assert found.unknown == ()
    assert "xllamacpp" in {where.name for where, _ in found.versions}
