"""`keelmark passport export`, `passport verify-summary` and `bom show` as a person uses them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from keelmark.app import EXPORT_FORMS
from keelmark.cli.main import run


class Admitted(NamedTuple):
    """A model that was admitted once for all tests, since the worker takes its time to start."""

    path: Path
    data: tuple[str, ...]


@pytest.fixture(scope="module")
def admitted(tmp_path_factory: pytest.TempPathFactory) -> Admitted:
    root = tmp_path_factory.mktemp("standards") / "tiny"
    root.mkdir()
    (root / "README.md").write_text(
        "---\nlicense: mit\npipeline_tag: text-generation\n---\n# Tiny\n\n## Limitations\n\nMany.\n"
    )
    (root / "config.json").write_text('{"model_type": "llama"}')
    (root / ".gitattributes").write_text("*.bin lfs")
    data = ("--data", str(root.parent / "data"))
    assert run(["admit", str(root), *data]) == 0
    return Admitted(root, data)


@contextmanager
def _altered(file: Path, text: str) -> Iterator[None]:
    before = file.read_bytes()
    file.write_text(text)
    yield
    file.write_bytes(before)


def _run(capfd, *arguments: str | Path) -> tuple[int, str, str]:
    code = run([str(a) for a in arguments])
    out, err = capfd.readouterr()
    return code, out, err


@pytest.mark.parametrize("form", EXPORT_FORMS)
def test_every_form_is_json(admitted, tmp_path, capfd, form):
    file = tmp_path / "out.json"
    export = ("passport", "export", admitted.path, "--format", form, *admitted.data)
    code, _, said = _run(capfd, *export, "--out", file)
    assert (code, said.count("\n")) == (0, 1)
    assert json.loads(file.read_text())


def test_a_bill_knows_what_the_card_says_while_the_files_are_at_hand(admitted, capfd):
    form = ("--format", "cyclonedx-1.7")
    export = ("passport", "export", admitted.path, *form, *admitted.data)
    first = _run(capfd, *export)[1]
    model = json.loads(first)["components"][0]
    assert model["modelCard"]["considerations"]["technicalLimitations"] == ["Many."]
    assert model["licenses"][0]["expression"] == "MIT"
    with _altered(admitted.path / "README.md", "other"):
        code, text, said = _run(capfd, *export)
        assert (code, "README.md has other content" in said) == (0, True)
        assert "Many." not in text
        code, _, said = _run(capfd, *export, "--model", admitted.path)
        assert (code, "is not what the passport is about" in said) == (1, True)


def test_a_bill_beside_the_files(admitted, tmp_path, capfd):
    file = tmp_path / "bom.json"
    export = ("passport", "export", admitted.path, "--format", "spdx", *admitted.data)
    _run(capfd, *export, "--out", file)
    code, out, _ = _run(capfd, "bom", "show", file, "--model", admitted.path)
    assert (code, "3 as the bill says" in out) == (0, True)
    with _altered(admitted.path / "config.json", "{}"):
        code, out, _ = _run(capfd, "bom", "show", file, "--model", admitted.path)
    assert code == 1
    assert "not in it   config.json" in out
    assert "not here    config.json" in out
    code, out, _ = _run(capfd, "bom", "show", file, "--json")
    assert (code, json.loads(out)["form"]) == (0, "SPDX 3.0.1")


def test_a_bill_that_is_none(tmp_path, capfd):
    file = tmp_path / "x.json"
    file.write_text("<bom/>")
    code, out, said = _run(capfd, "bom", "show", file)
    assert (code, out) == (2, "")
    assert "export it as JSON" in said
    assert _run(capfd, "bom", "show", tmp_path / "nowhere")[0] == 2


def test_a_summary(admitted, tmp_path, capfd):
    file = tmp_path / "model.vsa.json"
    export = ("passport", "export", admitted.path, "--format", "vsa", *admitted.data)
    _run(capfd, *export, "--out", file)
    verify = ("passport", "verify-summary", file, *admitted.data)
    assert _run(capfd, *verify, "--model", admitted.path)[:2] == (0, "valid\n")
    assert _run(capfd, *verify, "--level", "SLSA_BUILD_LEVEL_3")[:2] == (1, "invalid\n")
    elsewhere = ("passport", "verify-summary", file, "--data", tmp_path / "elsewhere")
    assert _run(capfd, *elsewhere, "--model", admitted.path)[:2] == (1, "invalid\n")
    with _altered(admitted.path / "config.json", "{}"):
        code, out, _ = _run(capfd, *verify, "--model", admitted.path, "--json")
    assert (code, json.loads(out)["code"]) == (1, "different")
    file.write_text("{")
    assert _run(capfd, *verify)[:2] == (1, "invalid\n")


def test_a_summary_is_only_of_a_passport_that_holds(admitted, tmp_path, capfd):
    policy = tmp_path / "policy.yaml"
    policy.write_text("admission:\n  fail_on: low\n")
    export = ("passport", "export", admitted.path, *admitted.data, "--policy", policy, "--format")
    code, out, said = _run(capfd, *export, "vsa")
    assert (code, out) == (1, "")
    assert "policy" in said
    assert _run(capfd, *export, "oms")[0] == 0


def test_a_signature_of_a_passport(admitted, tmp_path, capfd):
    file = tmp_path / "model.sig"
    export = ("passport", "export", admitted.path, "--format", "oms", *admitted.data)
    _run(capfd, *export, "--out", file)
    verify = ("signature", "verify", admitted.path, "--signature", file, *admitted.data)
    code, out, said = _run(capfd, *verify)
    assert (code, out) == (0, "valid\n")
    assert "not covered: .gitattributes" in said
