"""Parquet: every column that can be read is, and copies have the same types."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keelmark.app import batch
from keelmark.guard import shipped_policy

MAIL, CARD, SSN = "ada@example.org", 4111111111111111, 536228726
BORN = dt.date(1980, 3, 12)


def scan(path: Path, **more) -> batch.Report:
    plan = batch.Plan(policy=shipped_policy(), write="redacted", **more)
    return batch.scan([path], plan, out=path.parent / "out", pool=batch.processes(1))


def cleaned(folder: Path, table: pa.Table, **more) -> tuple[batch.Report, pa.Table]:
    pq.write_table(table, folder / "a.parquet", **more)
    report = scan(folder / "a.parquet")
    return report, pq.ParquetFile(folder / "out" / "a.parquet").read()


TEXTS = {  # a column's type, what is in it, what is in the copy
    "text": (pa.string(), [MAIL, None, "x"], ["[EMAIL]", None, "x"]),
    "large text": (pa.large_string(), [MAIL, None], ["[EMAIL]", None]),
    "view": (pa.string_view(), [MAIL, None], ["[EMAIL]", None]),
    "dictionary": (
        pa.dictionary(pa.int32(), pa.string()),
        [MAIL, "x", None, MAIL],
        ["[EMAIL]", "x", None, "[EMAIL]"],
    ),
    "list": (pa.list_(pa.string()), [[MAIL, None], None, []], [["[EMAIL]", None], None, []]),
    "pairs": (pa.list_(pa.string(), 2), [["x", MAIL]], [["x", "[EMAIL]"]]),
    "struct": (
        pa.struct([("a", pa.string()), ("f", pa.float64()), ("w", pa.timestamp("ms"))]),
        [{"a": MAIL, "f": 1.5, "w": dt.datetime.fromisoformat("2024-05-06T07:08")}, None],
        [{"a": "[EMAIL]", "f": 1.5, "w": dt.datetime.fromisoformat("2024-05-06T07:08")}, None],
    ),
    "map": (pa.map_(pa.string(), pa.string()), [[("k", MAIL)], None], [[("k", "[EMAIL]")], None]),
    "json": (pa.json_(), [f'{{"a": "{MAIL}"}}'], ['{"a": "[EMAIL]"}']),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_in_any_column(tmp_path, name):
    kind, given, wanted = TEXTS[name]
    table = pa.table({"c": pa.array(given, kind), "n": pa.nulls(len(given))})
    report, made = cleaned(tmp_path, table.replace_schema_metadata({"who": "we"}))
    assert report.found == {"EMAIL": sum(str(row).count("EMAIL") for row in wanted)}
    assert made["c"].to_pylist() == wanted
    assert made.schema.equals(pq.read_schema(tmp_path / "a.parquet"), check_metadata=True)


NUMBERS = {
    "whole": (pa.int64(), SSN, 5),
    "unsigned": (pa.uint32(), SSN, 5),
    "with a fraction": (pa.float64(), float(SSN), 1.5),
    "decimal": (pa.decimal128(18, 2), Decimal(SSN), Decimal("0.50")),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_found_is_missing_in_the_copy(tmp_path, name):
    kind, found, other = NUMBERS[name]
    table = pa.table({"ssn": pa.array([found, other, None], kind)})
    report, made = cleaned(tmp_path, table)
    assert report.found == {"US_SSN": 1}
    assert made["ssn"].to_pylist() == [None, other, None]
    assert made.schema.equals(table.schema)


def test_dates_of_birth_and_other_times(tmp_path):
    nano = pa.array([1, 1_700_000_000_123_456_789, None], pa.timestamp("ns", "UTC"))
    born = pa.array([dt.datetime.fromisoformat("1980-03-12"), None, None], pa.timestamp("us"))
    table = pa.table({"date_of_birth": [BORN, None, None], "born": born, "when": nano})
    report, made = cleaned(tmp_path, table)
    assert report.found == {"DATE_OF_BIRTH": 2}
    assert made["date_of_birth"].null_count == made["born"].null_count == 3
    assert made["when"].equals(table["when"]), "to the nanosecond"
    assert made.schema.equals(table.schema)


def test_what_may_not_be_missing_may_be_in_the_copy(tmp_path):
    inner = pa.struct([pa.field("n", pa.int64(), nullable=False)])
    fields = [
        pa.field("n", pa.int64(), nullable=False),
        pa.field("s", pa.list_(pa.field("e", inner, nullable=False)), nullable=False),
        pa.field("t", pa.string(), nullable=False),
    ]
    table = pa.table([[CARD, 7], [[{"n": CARD}], []], [MAIL, "x"]], schema=pa.schema(fields))
    report, made = cleaned(tmp_path, table)
    assert report.exit_code == 1
    assert made.to_pylist() == [
        {"n": None, "s": [{"n": None}], "t": "[EMAIL]"},
        {"n": 7, "s": [], "t": "x"},
    ]
    assert not made.schema.field("t").nullable


def test_two_columns_of_one_name_are_both_read(tmp_path):
    table = pa.Table.from_arrays([pa.array([MAIL]), pa.array(["fine"])], names=["a", "a"])
    report, made = cleaned(tmp_path, table)
    assert report.found == {"EMAIL": 1}
    assert [column.to_pylist() for column in made.columns] == [["[EMAIL]"], ["fine"]]


def test_groups_of_rows(tmp_path, monkeypatch):
    table = pa.table({"t": [f"row {number} {MAIL}" for number in range(900)]})
    monkeypatch.setattr("keelmark.app.batch.columns._GROUP_ROWS", 500)
    report, made = cleaned(tmp_path, table, row_group_size=100)
    assert (report.rows, made.num_rows) == (900, 900)
    assert made["t"][899].as_py() == "row 899 [EMAIL]"
    assert pq.ParquetFile(tmp_path / "out" / "a.parquet").num_row_groups == 2


def test_a_file_that_is_cut_short_or_damaged(tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.parquet"
    table = pa.table({"t": [f"row {number} {MAIL}" for number in range(2000)]})
    pq.write_table(table, path, compression="none", use_dictionary=False, row_group_size=500)
    whole = path.read_bytes()
    for data in (whole[:-20], whole[: len(whole) // 2], whole[:5], whole[:30_000] + whole[30_100:]):
        path.write_bytes(data)
        report = scan(path)
        assert report.exit_code == 2
        assert "cannot be read as Parquet" in report.problems[0].why
        assert not list((tmp_path / "in" / "out").glob("*.parquet"))
        assert not list((tmp_path / "in" / "out").glob(".*"))


def test_a_column_of_bytes_is_said(tmp_path):
    report, made = cleaned(tmp_path, pa.table({"b": [b"x"], "t": [MAIL]}))
    assert [one.why for one in report.problems] == [
        "column 'b' holds bytes, which are not read as text"
    ]
    assert made.to_pylist() == [{"b": None, "t": "[EMAIL]"}]
