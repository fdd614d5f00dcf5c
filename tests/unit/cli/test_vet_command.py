"""What `keelmark vet` writes and says."""

import json
from pathlib import Path

import pytest

from keelmark.cli.main import run
from keelmark.vet import all_rules


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "odd\u202e.bin").write_bytes(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.")
    return folder


def test_every_form_of_the_report(model: Path, tmp_path: Path, capsys) -> None:
    words = []
    for kind in ("sarif", "bom", "html"):
        words += [f"--{kind}", str(tmp_path / kind)]
    assert run(["vet", str(model), *words, "--json"]) == 1
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["verdict"] == "fail"
    assert shown.err.count("was written to") == 3
    assert json.loads((tmp_path / "sarif").read_text())["version"] == "2.1.0"
    assert json.loads((tmp_path / "bom").read_text())["specVersion"] == "1.6"
    assert run(["vet", str(model), "--bom", str(tmp_path / "m.spdx.json")]) == 1
    assert "spdx.org/rdf/3" in (tmp_path / "m.spdx.json").read_text()
    page = (tmp_path / "html").read_text()
    assert "Failed." in page
    assert "pickle.dangerous_call" in page
    assert "\u202e" not in page
    assert "http" not in page.replace("http-equiv", "").replace("https://", ""), "no other address"
    assert "<script" not in page
    for section in report["sections"].values():
        assert section["title"] in page


def test_every_rule_is_explained(capsys) -> None:
    for name, rule in all_rules().items():
        assert run(["vet", "--explain", name]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"{name}  {rule.title}\n")
        assert rule.why in said
        assert rule.mend in said


def test_a_rule_that_is_not_there_is_told_its_like(capsys) -> None:
    assert run(["vet", "--explain", "pickle.dangerous"]) == 2
    assert "did you mean pickle.dangerous_" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["use", "parent", "project", "advisories", "stack"])
def test_what_is_asked_must_be_there(option: str, model: Path, tmp_path: Path, capsys) -> None:
    assert run(["vet", str(model), f"--{option}", str(tmp_path / "missing")]) == 2
    said = capsys.readouterr().err
    assert "missing" in said
    assert said.count("\n") == 1
