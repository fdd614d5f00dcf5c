"""Files that are numbers because a model says so, and what must not pass as such."""

from pathlib import Path

import pytest

from corpus.families.onnx_files import graph, onnx, tensor
from keelmark.vet import vet

UNKNOWN = b"\xb7" * 32


def _model(folder: Path, data: bytes, location: str = "beside.bin") -> Path:
    entries = {"location": location, "offset": "0", "length": "32"}
    (folder / "model.onnx").write_bytes(onnx(graph(tensors=[tensor(entries)])))
    (folder / "beside.bin").write_bytes(data)
    return folder


@pytest.mark.parametrize("padding", [0, 65_535])
def test_a_file_that_tensors_fill_to_its_end_is_numbers(tmp_path: Path, padding: int):
    report = vet(_model(tmp_path, UNKNOWN + bytes(padding)))
    assert (report.verdict, report.coverage.not_checked) == ("pass", ())


def test_more_than_the_tensors_need_is_not_explained_by_them(tmp_path: Path):
    report = vet(_model(tmp_path, UNKNOWN * 3000))
    assert report.verdict == "incomplete"
    assert [gap.path for gap in report.coverage.not_checked] == ["beside.bin"]


def test_a_file_that_nobody_points_to_is_unknown(tmp_path: Path):
    report = vet(_model(tmp_path, UNKNOWN, location="elsewhere.bin"))
    assert [gap.path for gap in report.coverage.not_checked] == ["beside.bin"]


def test_a_name_alone_explains_nothing(tmp_path: Path):
    (tmp_path / "model.onnx_data").write_bytes(UNKNOWN)
    assert vet(tmp_path).verdict == "incomplete"


def test_what_else_is_in_such_a_file_still_counts(tmp_path: Path):
    call = b"cposix\nsystem\n(S'id'\ntR.".ljust(32, b"\0")
    assert vet(_model(tmp_path, call)).verdict == "fail"


def test_what_no_tensor_fills_is_not_explained(tmp_path: Path):
    entries = {"location": "beside.bin", "offset": "70000", "length": "32"}
    (tmp_path / "model.onnx").write_bytes(onnx(graph(tensors=[tensor(entries)])))
    (tmp_path / "beside.bin").write_bytes(UNKNOWN.ljust(70_000, b"\xb7") + UNKNOWN)
    assert vet(tmp_path).verdict == "incomplete"


def test_a_script_is_no_numbers_whoever_points_to_it(tmp_path: Path):
    report = vet(_model(tmp_path, b"#!/bin/sh\necho all is well, go on\n"[:32]))
    assert [gap.path for gap in report.coverage.not_checked] == ["beside.bin"]
