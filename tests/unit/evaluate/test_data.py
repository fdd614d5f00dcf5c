"""Rows of data files: one after the other, and one sentence where they cannot be read."""

import gzip
import io

import pyarrow as pa
import pytest
from pyarrow import parquet

from evaluation_parts import CHOICE, WEIGHS, called, own_suite, run_folder
from keelmark.core.errors import UsageError
from keelmark.evaluate.data import rows
from keelmark.evaluate.result import read_result
from keelmark.serve.fake import FakeEngine

OUTSIDE = "which is not in its folder, and its rows would be sent to whom you ask"
ROWS = [{"id": "a", "question": "eins"}, {"id": "b", "question": "zwei\n"}]
LINES = b'{"id": "a", "question": "eins"}\n\n{"id": "b", "question": "zwei\\n"}\n'


def as_parquet() -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", LINES),
        ("rows.jsonl.gz", gzip.compress(LINES, mtime=0)),
        ("rows.csv", b'id,question\na,eins\nb,"zwei\n"\n'),
        ("rows.tsv", b'id\tquestion\na\teins\nb\t"zwei\n"\n'),
        ("rows.parquet", as_parquet()),
    ],
)
def test_every_form_has_the_same_rows(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert list(rows(tmp_path / name)) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.jsonl", b'{"id": 1}\n{"id": 2', "line 2 is not JSON"),
        ("rows.jsonl", b"[1]\n", "line 1 is no object"),
        ("rows.jsonl", b"\xff\xfe", "cannot be read on"),
        ("rows.jsonl", b"[" * 100_000, "line 1 is not JSON"),
        ("rows.jsonl.gz", gzip.compress(LINES * 99, mtime=0)[:-9], "cannot be read on"),
        ("rows.jsonl.gz", b"no gzip", "cannot be read on"),
        ("rows.jsonl.gz", gzip.compress(LINES, mtime=0)[:14] + b"\xff" * 30, "cannot be read on"),
        ("rows.csv", b"id,question\na\n", "as many fields"),
        ("rows.csv", b'id,question\na,"eins\n', "line"),
        ("rows.parquet", as_parquet()[:-7], "cannot be read as Parquet"),
        ("rows.parquet", b"PAR1" + bytes(30) + b"PAR1", "cannot be read as Parquet"),
    ],
)
def test_what_is_broken_is_one_sentence(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=said) as found:
        list(rows(tmp_path / name))
    assert name in found.value.message


def test_data_that_breaks_in_the_middle_is_said_before_anything_is_asked(tmp_path, capsys):
    suite, engine = own_suite(tmp_path / "suite"), FakeEngine(WEIGHS)
    with (tmp_path / "suite" / "rows.jsonl").open("a") as file:
        file.write('{"id": "cut off')
    assert called(engine, "run", suite, "--data", tmp_path / "data") == 2
    assert "line 13 is not JSON" in "".join(capsys.readouterr())
    assert not any("Question:" in str(body.get("prompt")) for body in engine.received)
    folder = tmp_path / "data" / "runs"
    assert not folder.exists() or read_result(run_folder(tmp_path / "data")).state == "incomplete"


def test_a_suite_gets_no_file_outside_its_folder(tmp_path, capsys, monkeypatch):
    """It may be a stranger's, and its rows go to whoever is asked."""
    secret = own_suite(tmp_path / "home").with_name("rows.jsonl")
    engine = FakeEngine(WEIGHS)

    def asked(file: str) -> int:
        suite = own_suite(tmp_path / "theirs", text=CHOICE.replace("rows.jsonl", f'"{file}"'))
        return called(engine, "run", suite, "--data", tmp_path / "data")

    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "link.jsonl").symlink_to(secret)
    for file in (str(secret), "../home/rows.jsonl", "link.jsonl"):
        assert asked(file) == 2
        assert OUTSIDE in capsys.readouterr().err
    assert engine.received == []
    monkeypatch.setenv("KEELMARK_EVALS", str(tmp_path / "elsewhere"))
    assert asked("../home/rows.jsonl") == 2
    monkeypatch.setenv("KEELMARK_EVALS", str(secret.parent))
    assert asked(str(secret)) == 0
    assert asked("rows.jsonl") == 0
