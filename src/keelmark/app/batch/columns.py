"""Parquet, by way of pyarrow: an extra (`pip install "keelmark[parquet]"`)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keelmark.app.batch.formats import Batch, Format, Row
from keelmark.app.batch.values import chosen
from keelmark.core.errors import CouldNotCheckError

_ROWS = 256


class Parquet(Format):
    """Columns of text are read, whole numbers too; batches travel as Arrow streams."""

    suffixes = (".parquet",)

    def batches(self, path: Path) -> Iterator[Batch]:
        """Cut a file at the ends of rows."""
        parquet = _package("pyarrow.parquet")
        size, first = path.stat().st_size, 1
        try:
            with parquet.ParquetFile(path) as file:
                total = max(1, file.metadata.num_rows)
                for batch in file.iter_batches(_ROWS):
                    done = first - 1 + batch.num_rows
                    yield Batch(first, _packed(batch), size * done // total)
                    first += batch.num_rows
                if first == 1:
                    yield Batch(1, _packed(_empty(file.schema_arrow)), size)
        except (_package("pyarrow").ArrowException, OSError) as error:
            said = str(error).splitlines()[0].rstrip(".")
            raise CouldNotCheckError(f"it cannot be read as Parquet ({said})") from None

    def unread(self, path: Path, fields: Sequence[str]) -> list[str]:
        """Name the columns of bytes."""
        try:
            schema = _package("pyarrow.parquet").read_schema(path)
        except (_package("pyarrow").ArrowException, OSError):
            return []  # said when its batches are read
        names = [f.name for f in schema if chosen(f.name, fields) and "bytes" in _kinds(f.type)]
        return [f"column {name!r} holds bytes, which are not read as text" for name in names]

    def rows(self, batch: Batch) -> Iterator[Row]:
        """Read a batch."""
        table = _unpacked(batch.content)
        columns = {
            field.name: table.column(number).to_pylist()
            for number, field in enumerate(table.schema)
            if "text" in _kinds(field.type)
        }
        for number in range(table.num_rows):
            value = {name: values[number] for name, values in columns.items()}
            yield Row(batch.first + number, value)

    def line(self, row: Row, value: Any) -> bytes:
        """Write a row that has changed."""
        raise NotImplementedError  # a row of a Parquet file is written with its batch

    def written(
        self, batch: Batch, rows: Sequence[tuple[Row, Any]], fields: Sequence[str]
    ) -> list[bytes]:
        """Write the columns that have changed; nothing where bytes should have been read."""
        arrow = _package("pyarrow")
        table = _unpacked(batch.content)
        columns = list(table.columns)
        for number, field in enumerate(table.schema):
            kinds = _kinds(field.type)
            if "bytes" in kinds and chosen(field.name, fields):
                columns[number] = arrow.nulls(table.num_rows, field.type)
            elif any(value is not row.value for row, value in rows) and "text" in kinds:
                values = [_fitting(row.value[field.name], value[field.name]) for row, value in rows]
                columns[number] = arrow.array(values, type=field.type)
        return [_packed(arrow.RecordBatch.from_arrays(columns, schema=table.schema))]

    def kept(self, pieces: Sequence[bytes], keep: Sequence[bool]) -> bytes:
        """Leave rows out."""
        if all(keep) or not pieces:
            return b"".join(pieces)
        return _packed(_unpacked(pieces[0]).filter(_package("pyarrow").array(keep)))

    def finish(self, draft: Path, made: Path) -> None:
        """Make a Parquet file of the Arrow streams."""
        arrow, parquet = _package("pyarrow"), _package("pyarrow.parquet")
        with draft.open("rb") as file:
            writer = None
            while file.peek(1):
                batch = arrow.ipc.open_stream(file).read_all()
                writer = writer or parquet.ParquetWriter(made, batch.schema)
                writer.write_table(batch)
            if writer is not None:
                writer.close()


def _package(name: str) -> Any:
    if importlib.util.find_spec("pyarrow") is None:
        raise CouldNotCheckError(
            'Parquet files need one more package: run `pip install "keelmark[parquet]"`'
        )
    return importlib.import_module(name)


def _packed(batch: Any) -> bytes:
    arrow = _package("pyarrow")
    out = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(out, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(out.getvalue())


def _unpacked(data: bytes) -> Any:
    with _package("pyarrow").ipc.open_stream(data) as stream:
        return stream.read_next_batch()


def _empty(schema: Any) -> Any:
    arrow = _package("pyarrow")
    return arrow.RecordBatch.from_arrays([arrow.nulls(0, f.type) for f in schema], schema=schema)


def _kinds(kind: Any) -> set[str]:
    """What a column holds that matters here: text (or whole numbers), bytes."""
    types = _package("pyarrow").types
    if types.is_dictionary(kind):
        return _kinds(kind.value_type)
    if kind.num_fields:
        return set().union(*(_kinds(kind.field(n).type) for n in range(kind.num_fields)))
    if "binary" in str(kind):
        return {"bytes"}
    return {"text"} if "string" in str(kind) or types.is_integer(kind) else set()


def _fitting(old: Any, new: Any) -> Any:
    """The new value, or none where a word would stand in place of a number."""
    if isinstance(old, dict):
        return {name: _fitting(old[name], new[name]) for name in old}
    if isinstance(old, list):
        return [_fitting(one, other) for one, other in zip(old, new, strict=True)]
    if isinstance(old, tuple):
        return tuple(_fitting(one, other) for one, other in zip(old, new, strict=True))
    return new if isinstance(old, str) or old == new else None
