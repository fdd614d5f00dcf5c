"""Runs as logs of Inspect, and logs of Inspect as runs."""

import json
import stat
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard
from pyarrow import parquet

from evaluation_parts import CHOICE, WEIGHS, called, own_suite, run_folder, served
from keelmark.app.evaluation.exporting import export_inspect
from keelmark.app.evaluation.importing import import_inspect
from keelmark.app.home import Home
from keelmark.cli.main import run
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.evaluate.inspect_read import number_of
from keelmark.evaluate.result import read_manifest, read_result, read_scores
from keelmark.serve.fake import FakeEngine, Script

WRITTEN = """title: Small
data: {file: rows.jsonl}
ask: {kind: generate, user: "{{ question }}", system: Be short., max_tokens: 8}
scorer: {id: exact}
measures: [exact]
primary: exact
minimum: 5
slices: [answer]
"""
FAILS = Script(fault="error", status=400)


def exported(tmp_path: Path, form: str, text: str = CHOICE, engine: FakeEngine | None = None):
    """Run a suite; return its folder and the log that is written of it."""
    suite, data = own_suite(tmp_path / "suite", text=text), tmp_path / "data"
    called(engine or FakeEngine(WEIGHS), "run", suite, "--data", data)
    folder, log = run_folder(data), tmp_path / f"run{form}"
    assert export_inspect(folder, log, data, suite.parent).samples == 12
    return folder, log


def contents(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name != "sessions.jsonl"}


@pytest.mark.parametrize("form", [".json", ".eval"])
def test_a_run_comes_back_as_it_was_with_its_signature(tmp_path, form):
    folder, log = exported(tmp_path, form)
    before = contents(folder)
    folder.rename(tmp_path / "away")
    with Home.open(tmp_path / "data") as home:
        made = import_inspect(log, home)
    assert (made.own, made.doubt) == (True, "")
    assert made.folder == folder
    assert [stat.S_IMODE(one.stat().st_mode) for one in (log, folder)] == [0o600, 0o700]
    assert contents(folder) == before
    assert run(["eval", "verify", str(folder), "--data", str(tmp_path / "data")]) == 0


def test_what_failed_first_comes_back_too(tmp_path):
    suite, data = own_suite(tmp_path / "suite"), tmp_path / "data"
    broken = {"number 3?"}

    def script(body):
        return FAILS if any(one in str(body.get("prompt")) for one in broken) else WEIGHS

    def act(call):
        assert call("run", suite, "--data", data) == 2
        broken.clear()
        assert call("run", suite, "--data", data) == 0

    served(FakeEngine(script), act)
    folder = run_folder(data)
    before = contents(folder)
    assert "replies-again.jsonl" in before
    log = tmp_path / "run.eval"
    export_inspect(folder, log, data, suite.parent)
    folder.rename(tmp_path / "away")
    with Home.open(data) as home:
        assert import_inspect(log, home).doubt == ""
    assert contents(folder) == before


def test_a_log_that_was_changed_is_not_believed(tmp_path, capsys):
    folder, log = exported(tmp_path, ".json")
    folder.rename(tmp_path / "away")
    told = json.loads(log.read_bytes())
    told["samples"][0]["metadata"]["keelmark"]["scored"]["scores"]["acc"] = (
        1.0 - (told["samples"][0]["metadata"]["keelmark"]["scored"]["scores"]["acc"])
    )
    log.write_text(json.dumps(told))
    assert run(["eval", "import", str(log), "--data", str(tmp_path / "data")]) == 1
    assert "scores.jsonl is not the file that was signed" in capsys.readouterr().err


def test_a_log_has_what_a_viewer_shows(tmp_path):
    folder, log = exported(tmp_path, ".eval", WRITTEN, FakeEngine(Script(pieces=("one",))))
    with zipfile.ZipFile(log) as packed:
        header = json.loads(packed.read("header.json"))
        summaries = json.loads(packed.read("summaries.json"))
        sample = json.loads(packed.read("samples/q3_epoch_1.json"))
        assert json.loads(packed.read("_journal/start.json"))["eval"] == header["eval"]
    assert header["status"] == "success"
    assert header["eval"]["dataset"]["sample_ids"] == [one.id for one in read_scores(folder)]
    (figure,) = header["results"]["scores"]
    assert figure["metrics"]["value"]["value"] == read_result(folder).metrics["exact"].value
    assert [one["role"] for one in sample["messages"]] == ["system", "user", "assistant"]
    assert sample["messages"][1]["content"] == "Which is number 3?"
    assert sample["output"]["completion"] == "one"
    assert sample["scores"]["keelmark"]["value"]["exact"] == 0.0
    assert [one["event"] for one in sample["events"]] == ["model", "score"]
    assert [one["id"] for one in summaries] == header["eval"]["dataset"]["sample_ids"]


def test_choices_are_letters_and_what_was_not_written_is_not_claimed(tmp_path):
    _, log = exported(tmp_path, ".json")
    sample = json.loads(log.read_bytes())["samples"][1]
    assert sample["target"] == "B"
    assert sample["choices"] == [" one", " two"]
    assert sample["output"]["choices"] == []
    assert sample["scores"]["keelmark"]["answer"] in "AB"


def test_an_incomplete_run_is_an_error_there(tmp_path):
    _, log = exported(tmp_path, ".json", WRITTEN, FakeEngine(FAILS))
    told = json.loads(log.read_bytes())
    assert told["status"] == "error"
    assert "failed" in told["error"]["message"]
    assert all(one["error"]["message"] for one in told["samples"])


# --- logs that Inspect wrote ---


def theirs(*samples: dict, **more: object) -> dict:
    spec = {"task": "My Task!", "model": "openai-api/keelmark/small", "task_version": 4}
    spec |= {"created": "2026-11-22T19:05:35+00:00", "dataset": {"name": "questions"}}
    return {"version": 2, "status": "success", "eval": spec, "samples": list(samples), **more}


def sample(number: int, value: object, *, epoch: int = 1, **more: object) -> dict:
    message = {"role": "assistant", "content": "attachment://abc"}
    return {
        "id": number,
        "epoch": epoch,
        "input": "?",
        "target": "!",
        "attachments": {"abc": "a long answer"},
        "output": {"choices": [{"message": message, "stop_reason": "max_tokens"}]},
        "scores": {"match": {"value": value, "explanation": "so"}},
        **more,
    }


def test_the_log_of_another_is_a_run_that_says_so(tmp_path, capsys):
    log, data = tmp_path / "log.json", tmp_path / "data"
    samples = [sample(1, "C"), sample(2, "I"), sample(2, float("nan"), epoch=2)]
    log.write_text(json.dumps(theirs(*samples)))
    assert run(["eval", "import", str(log), "--data", str(data)]) == 0
    assert "Inspect made this run" in capsys.readouterr().out
    folder = run_folder(data)
    manifest, result = read_manifest(folder), read_result(folder)
    assert (manifest.suite.id, manifest.suite.version) == ("my_task", "4-A")
    assert (result.metrics["match"].value, result.metrics["match"].n) == (0.5, 2)
    assert result.metrics["match"].unscored == 1
    scores = read_scores(folder)
    assert [(one.id, one.cluster) for one in scores] == [("1", "1"), ("2", "2"), ("2#2", "2")]
    (first, *_) = (folder / "replies.jsonl").read_text().splitlines()
    assert json.loads(first)["replies"][0]["texts"] == ["a long answer"]
    assert not (folder / "attestation.json").exists()
    assert run(["eval", "import", str(log), "--data", str(data)]) == 2
    assert "is here already" in capsys.readouterr().err


def test_an_error_in_a_sample_leaves_the_run_incomplete(tmp_path):
    log = tmp_path / "log.json"
    failed = sample(2, "I", error={"message": "the tool broke"}, scores={})
    log.write_text(json.dumps(theirs(sample(1, {"a": 1, "b": "I"}), failed)))
    with Home.open(tmp_path / "data") as home:
        made = import_inspect(log, home)
    assert made.result.state == "incomplete"
    assert made.result.metrics["a"].value == 1.0
    assert made.result.metrics["b"].value == 0.0


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *(("C", 1.0), ("I", 0.0), ("P", 0.5), ("N", 0.0), (True, 1.0), ("yes", 1.0)),
        *(("0.25", 0.25), ("inf", None), ("perhaps", None), ([1, 2], None), (None, None)),
    ],
)
def test_values_become_numbers(value, number):
    assert number_of(value) == number


def test_a_log_packed_by_zstandard_is_read(tmp_path):
    """As Inspect packs its logs; `zipfile` writes none, so a stored member is made one."""
    log = tmp_path / "log.eval"
    told = theirs()
    del told["samples"]
    raw = {"header.json": told, "samples/1_epoch_1.json": sample(1, "C")}
    with zipfile.ZipFile(log, "w") as packed:
        for name, one in raw.items():
            data = json.dumps(one).encode()
            info = zipfile.ZipInfo(name)
            packed.writestr(info, zstandard.compress(data))
            info.compress_type, info.file_size = 93, len(data)
            info.CRC = zlib.crc32(data)
    with Home.open(tmp_path / "data") as home:
        assert import_inspect(log, home).result.metrics["match"].value == 1.0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no log", "not JSON"),
        (b"[]", "no object"),
        (b"{}", "says of no task"),
        (b'{"eval": {"task": "a", "model": "b"}}', "Nothing in this log was scored"),
        (b"PK\x03\x04 and no more", "cannot be read as a log"),
        (b'{"metadata": {"keelmark": {"manifest": 1}}}', "damaged"),
        (b'{"eval": {"task": "a", "model": "b"}, "samples": [{}]}', "sample that cannot be read"),
    ],
)
def test_what_is_no_log_is_one_sentence(tmp_path, content, said):
    log = tmp_path / "log"
    log.write_bytes(content)
    with (
        Home.open(tmp_path / "data") as home,
        pytest.raises((UsageError, IntegrityError), match=said),
    ):
        import_inspect(log, home)
    assert not [*(tmp_path / "data" / "runs").glob("*")]


def test_a_run_as_a_table(tmp_path, capsys):
    folder, _ = exported(tmp_path, ".json")
    path, data = tmp_path / "run.parquet", ["--data", str(tmp_path / "data")]
    assert run(["eval", "export", folder.name, "--parquet", str(path), *data]) == 0
    rows = parquet.read_table(path).to_pylist()
    assert [one["id"] for one in rows] == [one.id for one in read_scores(folder)]
    assert [one["score.acc"] for one in rows] == [one.scores["acc"] for one in read_scores(folder)]
    assert all(len(one["weights"]) == 2 and one["state"] == "answered" for one in rows)
    capsys.readouterr()
    assert run(["eval", "export", folder.name, *data]) == 2
    assert "Say what is to be written" in capsys.readouterr().err


def test_an_export_needs_the_data_of_the_run(tmp_path):
    folder, log = exported(tmp_path, ".json")
    rows = tmp_path / "suite" / "rows.jsonl"
    rows.write_text(rows.read_text().replace("number 1?", "number I?"))
    with pytest.raises(IntegrityError, match="not what the run was made on"):
        export_inspect(folder, log, tmp_path / "data", rows.parent)
    with pytest.raises(UsageError, match="is not here"):
        export_inspect(folder, log, tmp_path / "data")
    with pytest.raises(UsageError, match=r"end in .eval"):
        export_inspect(folder, tmp_path / "log.txt", tmp_path / "data")
    assert not [*tmp_path.glob(".run*")]
