"""Parquet, by way of pyarrow: an extra (`pip install "keelmark[parquet]"`)."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keelmark.app.batch.formats import Batch, Format, Row, unlike
from keelmark.app.batch.values import chosen
from keelmark.core.errors import CouldNotCheckError

_ROWS = 256
_GROUP_ROWS, _GROUP_BYTES = 1 << 16, 64 << 20
_READ = {"text", "number"}


class Parquet(Format):
    """Columns of text are read, numbers and dates too; batches travel as Arrow streams."""

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
            raise CouldNotCheckError(f"it cannot be read as Parquet ({_first(error)})") from None

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
            name: _values(table.column(number))
            for number, name in enumerate(unlike(table.schema.names))
            if _kinds(table.schema.field(number).type) & _READ
        }
        for number in range(table.num_rows):
            value = {name: values[number] for name, values in columns.items()}
            yield Row(batch.first + number, value)

    def written(
        self, batch: Batch, rows: Sequence[tuple[Row, Any]], fields: Sequence[str]
    ) -> list[bytes]:
        """Write the columns that have changed; nothing where bytes should have been read."""
        arrow = _package("pyarrow")
        table = _unpacked(batch.content)
        columns, made = list(table.columns), []
        for number, name in enumerate(unlike(table.schema.names)):
            field = table.schema.field(number)
            kinds = _kinds(field.type)
            made.append(_loose(field) if kinds - {"text"} else field)
            if "bytes" in kinds and chosen(field.name, fields):
                columns[number] = arrow.nulls(table.num_rows, made[-1].type)
            elif kinds & _READ:
                pairs = [(row.value[name], value[name]) for row, value in rows]
                columns[number] = _rewritten(table.column(number), made[-1].type, pairs)
        schema = arrow.schema(made, metadata=table.schema.metadata)
        return [_packed(arrow.RecordBatch.from_arrays(columns, schema=schema))]

    def kept(self, pieces: Sequence[bytes], keep: Sequence[bool]) -> bytes:
        """Leave rows out."""
        if all(keep) or not pieces:
            return b"".join(pieces)
        return _packed(_unpacked(pieces[0]).filter(_package("pyarrow").array(keep)))

    def finish(self, draft: Path, made: Path) -> None:
        """Make a Parquet file of the Arrow streams.

        Raises:
            CouldNotCheckError: Parquet cannot hold what they hold.
        """
        arrow, parquet = _package("pyarrow"), _package("pyarrow.parquet")
        with draft.open("rb") as file, contextlib.ExitStack() as stack:
            writer = None
            try:
                for table in _groups(arrow, file):
                    if writer is None:
                        writer = stack.enter_context(parquet.ParquetWriter(made, table.schema))
                    writer.write_table(table)
            except arrow.ArrowException as error:
                raise CouldNotCheckError(f"its copy cannot be written ({_first(error)})") from None


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


def _first(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _groups(arrow: Any, file: Any) -> Iterator[Any]:
    """Yield the tables of a file of streams, joined to groups of rows as Parquet likes them."""
    batches, size = list[Any](), 0
    while file.peek(1):
        with arrow.ipc.open_stream(file) as stream:
            batches += stream
        size += batches[-1].nbytes
        if size >= _GROUP_BYTES or sum(batch.num_rows for batch in batches) >= _GROUP_ROWS:
            yield arrow.Table.from_batches(batches)
            batches, size = [], 0
    if batches:
        yield arrow.Table.from_batches(batches)


def _values(column: Any) -> list[Any]:
    """Return a column's values; times without what is less than a microsecond."""
    arrow = _package("pyarrow")
    if arrow.types.is_timestamp(column.type):
        column = column.cast(arrow.timestamp("us", column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _rewritten(column: Any, kind: Any, pairs: Sequence[tuple[Any, Any]]) -> Any:
    """Return a column with what has changed; numbers and dates that did are gone."""
    arrow = _package("pyarrow")
    if all(old is new for old, new in pairs):
        return column.cast(kind) if column.type != kind else column
    if not (_kinds(kind) - {"number"} or kind.num_fields):
        same = arrow.array([old is new for old, new in pairs])
        return _package("pyarrow.compute").if_else(same, column, arrow.scalar(None, kind))
    return arrow.array([_fitting(old, new) for old, new in pairs], type=kind)


def _loose(field: Any) -> Any:
    """A field in which numbers, dates and bytes may be missing."""
    arrow, kind = _package("pyarrow"), field.type
    if arrow.types.is_struct(kind):
        kind = arrow.struct([_loose(kind.field(number)) for number in range(kind.num_fields)])
    elif arrow.types.is_list(kind):
        kind = arrow.list_(_loose(kind.value_field))
    elif arrow.types.is_large_list(kind):
        kind = arrow.large_list(_loose(kind.value_field))
    return field.with_type(kind).with_nullable(True)  # noqa: FBT003 (Arrow's way)


def _kinds(kind: Any) -> set[str]:
    """What a column holds that matters here: text, numbers (or dates), bytes."""
    types = _package("pyarrow").types
    if types.is_dictionary(kind):
        return _kinds(kind.value_type)
    if isinstance(kind, _package("pyarrow").BaseExtensionType):
        return set() if kind.extension_name == "arrow.uuid" else _kinds(kind.storage_type)
    if kind.num_fields:
        return set().union(*(_kinds(kind.field(n).type) for n in range(kind.num_fields)))
    if "binary" in str(kind):
        return {"bytes"}
    if "string" in str(kind):
        return {"text"}
    numbers = (types.is_integer, types.is_floating, types.is_decimal)
    dates = (types.is_date, types.is_timestamp)
    return {"number"} if any(one(kind) for one in (*numbers, *dates)) else set()


def _fitting(old: Any, new: Any) -> Any:
    """The new value, or none where a word would stand in place of a number."""
    if isinstance(old, dict):
        return {name: _fitting(old[name], new[name]) for name in old}
    if isinstance(old, list):
        return [_fitting(one, other) for one, other in zip(old, new, strict=True)]
    if isinstance(old, tuple):
        return tuple(_fitting(one, other) for one, other in zip(old, new, strict=True))
    return new if isinstance(old, str) or old is new else None
