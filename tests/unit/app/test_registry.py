"""A registry of models: results in order, kept, and made again when they must be."""

import json
import os
import pickle
import threading
from pathlib import Path

import pytest

from keelmark import app
from keelmark.app import registry
from keelmark.app.registry import models_in, vet_each
from keelmark.cli.main import run
from keelmark.core.errors import CouldNotCheckError, UsageError
from keelmark.core.findings import Severity
from keelmark.core.policy import Admission
from keelmark.vet import VetLimits
from keelmark.vet.examiner import Examiner

EVIL = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    here = tmp_path / "models"
    (here / "b").mkdir(parents=True)
    (here / "b" / "config.json").write_text("{}")
    (here / "a.pkl").write_bytes(pickle.dumps([1]))
    (here / "c.pkl").write_bytes(EVIL)
    (here / "d.bin").write_bytes(bytes(range(256)))
    (here / ".hidden").write_text("x")
    return here


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_every_model_has_a_line_in_order(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    found = vet_each(folder, out, admission=Admission(), jobs=2)
    verdicts = [(line["path"], line["verdict"]) for line in lines(out)]
    assert verdicts == [
        ("a.pkl", "pass"),
        ("b", "pass"),
        ("c.pkl", "fail"),
        ("d.bin", "incomplete"),
    ]
    assert [name for name, _, _ in found.worst] == ["c.pkl", "d.bin"]
    one = tmp_path / "one.jsonl"
    vet_each(folder, one, admission=Admission(), jobs=1)
    assert one.read_bytes() == out.read_bytes()


def test_only_what_changed_is_done_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    vet_each(folder, out, admission=Admission())
    told: list[str] = []
    (folder / "a.pkl").write_bytes(EVIL)
    (folder / "b" / "more.json").write_text("{}")
    (folder / "d.bin").unlink()
    found = vet_each(folder, out, admission=Admission(), told=lambda *said: told.append(said[2]))
    assert found.kept == 1
    assert told == ["fail  a.pkl", "pass  b"]
    assert [line["path"] for line in lines(out)] == ["a.pkl", "b", "c.pkl"]
    again = vet_each(folder, out, admission=Admission(fail_on=Severity.LOW))
    assert again.kept == 0, "another policy, another answer"


def test_a_run_that_was_cut_off_goes_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    vet_each(folder, out, admission=Admission())
    whole = out.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        out.write_bytes(whole[:cut])
        vet_each(folder, out, admission=Admission())
        assert out.read_bytes() == whole


@pytest.mark.parametrize(
    "text", ["my notes\nof today\n", "my notes", '{"a": 1}\n', "[1]\n", "\xff"]
)
def test_somebody_else_s_file_is_left_alone(folder: Path, tmp_path: Path, text: str) -> None:
    out = tmp_path / "notes.txt"
    out.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"notes\.txt"):
        vet_each(folder, out, admission=Admission())
    assert out.read_bytes() == text.encode("latin-1")


def test_snapshots_of_a_hub_cache_are_models(tmp_path: Path) -> None:
    blobs = tmp_path / "models--org--m" / "blobs"
    snapshot = tmp_path / "models--org--m" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "1").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/1")
    assert list(models_in(tmp_path)) == ["models--org--m/snapshots/abc"]
    out = tmp_path.parent / "hub.jsonl"
    found = vet_each(tmp_path, out, admission=Admission())
    assert found.verdicts == {"pass": 1}


def test_what_cannot_be_read_could_not_be_checked(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "e")
    (folder / "f").mkdir()
    found = vet_each(folder, tmp_path / "r.jsonl", admission=Admission())
    said = {name: (verdict, reason) for name, verdict, reason in found.worst}
    assert said["e"][0] == said["f"][0] == "incomplete"
    assert "pipe" in said["e"][1]
    assert "holds no files" in said["f"][1]


def test_an_error_in_between_ends_all_and_keeps_what_is_done(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"

    def stop(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vet_each(folder, out, admission=Admission(), jobs=2, told=stop)
    assert [line["path"] for line in lines(out)] == ["a.pkl"]
    assert vet_each(folder, out, admission=Admission()).kept == 1


def test_an_examiner_that_was_interrupted_examines_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    fd = os.open(path, os.O_RDONLY)
    try:
        with Examiner(VetLimits()) as examiner:
            assert not examiner.examine("a.txt", fd).unexamined
            thread = threading.Thread(target=examiner.interrupt)
            thread.start()
            thread.join()
            with pytest.raises(CouldNotCheckError, match="was stopped"):
                examiner.examine("a.txt", fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing", "--each", "r"], "not a folder"),
        (["empty", "--each", "r"], "holds no models"),
        (["a.pkl", "--jobs", "2"], "--each"),
        (["models", "--each", "no/such/place"], "cannot be written"),
        (["models", "--each", "r", "--ray=nonsense"], "HOST:PORT"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str],
    said: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run(["vet", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r.jsonl"
    assert run(["vet", str(folder), "--each", str(out)]) == 1
    said = capsys.readouterr().out
    assert "2 of 4 models pass" in said
    assert "fail        c.pkl:" in said
    (folder / "c.pkl").unlink()
    assert run(["vet", str(folder), "--each", str(out), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["verdicts"] == {"pass": 2, "incomplete": 1}


def test_names_are_those_of_the_public_interface() -> None:
    assert app.vet_each is registry.vet_each
