"""The formats of data: how a file is cut into batches, read into rows and written again.

What cuts runs in one process and does no more than find the borders of rows; what reads and writes
runs in many.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

from keelmark.core.errors import CouldNotCheckError

BATCH = 1 << 18
"""Bytes of a batch, more or less: some tenths of a second of work."""
LONGEST = 64 << 20
"""Bytes of the longest row that is read."""
_DELIMITERS = ",\t;|"


class Batch(NamedTuple):
    """A piece of a file, small enough to be handed to another process.

    Attributes:
        first: Number of its first row.
        content: The rows, as the format wants them.
        position: Bytes of the file, as it lies on the disk, that have been read with it.
    """

    first: int
    content: Any
    position: int


class Row(NamedTuple):
    """One row.

    Attributes:
        number: Its number, from 1; of a text, the line it begins on.
        value: What stands in it: text, numbers, lists and dictionaries.
        raw: The row as it stands.
        wrong: Why it could not be read; "" when it could.
    """

    number: int
    value: Any
    raw: Any = b""
    wrong: str = ""


class Format(ABC):
    """One format of data.

    Attributes:
        suffixes: What names of such files end in.
        by_line: Whether places are told by lines of the text, and not by rows.
        names_are_data: Whether each row names its own fields, so that names are read too.
    """

    suffixes: ClassVar[tuple[str, ...]]
    by_line: ClassVar[bool] = False
    names_are_data: ClassVar[bool] = False

    @abstractmethod
    def batches(self, path: Path) -> Iterator[Batch]:
        """Cut a file, the same way each time.

        Raises:
            CouldNotCheckError: It cannot be read on; the message says why.
            OSError: As the system says.
        """

    @abstractmethod
    def rows(self, batch: Batch) -> Iterator[Row]:
        """Read a batch."""

    @abstractmethod
    def written(
        self, batch: Batch, rows: Sequence[tuple[Row, Any]], fields: Sequence[str]
    ) -> list[bytes]:
        """Write rows and the values they have now: one piece for each row that could be read."""

    def kept(self, pieces: Sequence[bytes], keep: Sequence[bool]) -> bytes:
        """Return the rows that are to stay."""
        return b"".join(compress(pieces, keep))

    def unread(self, path: Path, fields: Sequence[str]) -> list[str]:  # noqa: ARG002
        """Return sentences on what of a file is not read at all."""
        return []

    def finish(self, draft: Path, made: Path) -> None:  # noqa: B027 (most are complete as they are)
        """Make a file, durable or not, of the pieces that were appended to a draft."""


class RowByRow(Format):
    """A format in which a row is written without a look at the others."""

    @abstractmethod
    def line(self, row: Row, value: Any) -> bytes:
        """Write a row that has changed."""

    def written(
        self,
        batch: Batch,  # noqa: ARG002
        rows: Sequence[tuple[Row, Any]],
        fields: Sequence[str],  # noqa: ARG002
    ) -> list[bytes]:
        """See Format."""
        return [self.line(row, value) for row, value in rows]


def opened(path: Path) -> tuple[BinaryIO, BinaryIO]:
    """Open a file; return what to read, unpacked, and the file on the disk."""
    raw = path.open("rb")
    if path.suffix.lower() != ".gz":
        return raw, raw
    return gzip.GzipFile(fileobj=raw), raw  # type: ignore[return-value]


class _Lines(RowByRow):
    """Rows are lines of UTF-8."""

    def batches(self, path: Path) -> Iterator[Batch]:
        """Cut a file at the ends of rows."""
        file, raw = opened(path)
        with raw, file:
            first, size = 1, BATCH
            while chunk := file.read(size):
                if not chunk.endswith(b"\n"):
                    chunk += file.readline(LONGEST)
                yield Batch(first, chunk, raw.tell())
                first += chunk.count(b"\n")
                if not chunk.endswith(b"\n"):
                    while (rest := file.readline(BATCH)) and not rest.endswith(b"\n"):
                        pass  # of a line that is too long: what came of it is a broken row
                    first += 1


class JsonLines(_Lines):
    """One JSON value on each line."""

    suffixes = (".jsonl", ".ndjson")
    names_are_data = True

    def rows(self, batch: Batch) -> Iterator[Row]:
        """Read a batch."""
        lines: list[bytes] = batch.content.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, batch.first):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield _parsed(number, text, line + b"\n")

    def line(self, row: Row, value: Any) -> bytes:
        """Write a row that has changed."""
        if value is row.value:
            return bytes(row.raw)
        return _dumped(value) + b"\n"


def _parsed(number: int, text: bytes, raw: bytes) -> Row:
    try:
        value = json.loads(text.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError:
        return Row(number, None, raw, "it is not UTF-8")
    except _TwiceError as error:
        return Row(number, None, raw, str(error))
    except (ValueError, RecursionError):
        return Row(number, None, raw, "it is not valid JSON")
    return Row(number, value, raw)


class _TwiceError(ValueError):
    """A name stands twice in an object, so that one of its values would go unread."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _TwiceError("a name stands twice in one object")
    return value


def _dumped(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(value).encode()


class Table(RowByRow):
    """CSV and its relatives; the delimiter is the one that stands in the first line most often."""

    suffixes = (".csv", ".tsv")

    def batches(self, path: Path) -> Iterator[Batch]:
        """Cut a file at the ends of rows."""
        file, raw = opened(path)
        with raw, file:
            head = file.peek(1 << 16)[: 1 << 16].partition(b"\n")[0]  # type: ignore[attr-defined]
            counts = {one: head.count(one.encode()) for one in _DELIMITERS}
            style = (max(counts, key=counts.__getitem__), "\r\n" if head[-1:] == b"\r" else "\n")
            text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
            names: list[str] = []
            for first, rows in _table_rows(text, style[0]):
                if not names and rows and rows[0]:
                    names = unlike(rows[0])
                yield Batch(first, (style, names, rows), raw.tell())

    def rows(self, batch: Batch) -> Iterator[Row]:
        """Read a batch."""
        _, names, rows = batch.content
        for number, cells in enumerate(rows, batch.first):
            if cells is None:
                yield Row(number, None, wrong="its quotes or its length are wrong")
            elif not _is_unicode("".join(cells)):
                yield Row(number, None, wrong="it is not UTF-8")
            elif number == 0:
                yield Row(number, dict(enumerate(cells)), (batch.content[0], cells))
            elif len(cells) != len(names):
                wrong = f"it has {len(cells)} cells, and the first row has {len(names)}"
                yield Row(number, None, wrong=wrong)
            else:
                yield Row(number, dict(zip(names, cells, strict=True)), (batch.content[0], cells))

    def line(self, row: Row, value: Any) -> bytes:
        """Write a row that has changed."""
        (delimiter, end), _ = row.raw
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=delimiter, lineterminator=end).writerow(value.values())
        return out.getvalue().encode()


def _table_rows(text: io.TextIOWrapper, delimiter: str) -> Iterator[tuple[int, list[Any]]]:
    """Yield the number of a first row, and rows: lists of cells, or None for a broken one."""
    csv.field_size_limit(LONGEST)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    first, size, rows = 0, 0, list[Any]()
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            rows.append(None)
            continue
        if cells:
            rows.append(cells)
            size += sum(map(len, cells)) + len(cells)
        if size >= BATCH:
            yield first, rows
            first, size, rows = first + len(rows), 0, []
    if rows:
        yield first, rows


def _is_unicode(text: str) -> bool:
    try:
        return bool(text.encode()) or True
    except UnicodeEncodeError:
        return False


def unlike(names: list[str]) -> list[str]:
    """Return names of columns, made unlike each other."""
    out: list[str] = []
    for number, name in enumerate(names, 1):
        out.append(name if name and name not in out else f"{name} column {number}".strip())
    return out


class Text(RowByRow):
    """A document: one text up to some length, then parts that end with a paragraph or a line."""

    suffixes = (".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".log", ".tex", ".html")
    by_line = True

    def batches(self, path: Path) -> Iterator[Batch]:
        """Cut a file at the ends of rows."""
        file, raw = opened(path)
        with raw, file:
            line, held = 1, b""
            while True:
                chunk = file.read(BATCH)
                held += chunk
                if not held:
                    return
                cut = _cut(held) if chunk and len(held) > BATCH else 0 if chunk else len(held)
                if not cut:
                    if len(held) > LONGEST:
                        raise CouldNotCheckError(
                            f"line {line} is longer than {LONGEST >> 20} MB; break it up"
                        )
                    continue
                part, held = held[:cut], held[cut:]
                yield Batch(line, part, raw.tell())
                line += part.count(b"\n")

    def rows(self, batch: Batch) -> Iterator[Row]:
        """Read a batch."""
        try:
            yield Row(batch.first, batch.content.decode(), batch.content)
        except UnicodeDecodeError:
            yield Row(batch.first, None, batch.content, "it is not UTF-8 text")

    def line(self, row: Row, value: Any) -> bytes:  # noqa: ARG002
        """Write a row that has changed."""
        return str(value).encode()


_PARAGRAPH = re.compile(rb".*\n\r?\n", re.DOTALL)


def _cut(held: bytes) -> int:
    """Where to end a part of a long text: after its last paragraph, else after its last line."""
    if found := _PARAGRAPH.match(held):
        return found.end()
    return held.rfind(b"\n") + 1
