"""A declared use in a few questions: what is answered is kept, what is wrong is asked again."""

import io
from pathlib import Path

import pytest
import yaml

from keelmark.cli.main import run
from keelmark.vet.licence.use import QUESTIONS, read_use

GOOD = {"yes-no": "y", "number": "5,000", "words": "DE"}
WORDS = {"domains": "general", "modality": "text"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    return folder


def answer(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_answers_are_kept_and_used(model, tmp_path, monkeypatch, capsys) -> None:
    answer(monkeypatch, [WORDS.get(q.field, GOOD[q.kind]) for q in QUESTIONS])
    kept = tmp_path / "use.yaml"
    assert run(["vet", str(model), "--ask", str(kept)]) in (0, 1, 2)
    shown = capsys.readouterr()
    assert "Licence: " in shown.out
    assert "could not tell" not in shown.out.partition("Licence: ")[2].splitlines()[0]
    assert str(kept) in shown.err
    use = read_use(kept.read_text(), source="kept")
    assert use.commercial is True
    assert use.monthly_users == 5000
    assert use.regions == ("DE",)


def test_nothing_said_is_nothing_assumed(model, tmp_path, monkeypatch, capsys) -> None:
    answer(monkeypatch, [""] * len(QUESTIONS))
    kept = tmp_path / "use.yaml"
    run(["vet", str(model), "--ask", str(kept)])
    assert yaml.safe_load(kept.read_text()) == {}


def test_wrong_answers_are_asked_again(model, tmp_path, monkeypatch, capsys) -> None:
    wrong = {"yes-no": "perhaps", "number": "many", "words": "no such word !"}
    lines = []
    for question in QUESTIONS:
        lines += [wrong[question.kind], WORDS.get(question.field, GOOD[question.kind])]
    answer(monkeypatch, lines)
    kept = tmp_path / "use.yaml"
    run(["vet", str(model), "--ask", str(kept)])
    said = capsys.readouterr().err
    assert "Please answer y or n, not 'perhaps'." in said
    assert "Please answer with a whole number, not 'many'." in said
    assert read_use(kept.read_text(), source="kept").annual_revenue == 5000


def test_a_file_that_is_there_is_left_alone(model, tmp_path, capsys) -> None:
    kept = tmp_path / "use.yaml"
    kept.write_text("commercial: false\n")
    assert run(["vet", str(model), "--ask", str(kept)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert kept.read_text() == "commercial: false\n"


def test_a_person_who_goes_away_leaves_nothing(model, tmp_path, monkeypatch, capsys) -> None:
    answer(monkeypatch, ["y"])
    kept = tmp_path / "use.yaml"
    assert run(["vet", str(model), "--ask", str(kept)]) != 0
    assert not kept.exists()


def test_a_wrong_use_file_is_one_sentence_with_its_line(model, tmp_path, capsys) -> None:
    path = tmp_path / "use.yaml"
    path.write_text("commercial: true\nserve_to: true\n")
    assert run(["vet", str(model), "--use", str(path)]) == 2
    said = capsys.readouterr().err
    assert "use.yaml, line 2" in said
    assert said.count("\n") == 1
