"""The rows of a suite: found by path, checked by digest, read one after the other."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.lazily import Lazy
from keelmark.evaluate.suite import Data, Suite
from keelmark.evaluate.templates import worked_out

arrow: Any = Lazy("pyarrow")
parquet: Any = Lazy("pyarrow.parquet")

_BLOCK = 1 << 20
_BATCH = 1024
"""Rows of a Parquet file that are in memory at a time."""
_MOST_COLUMN = 64 << 20
PLACE = "KEELMARK_EVALS"
EVALS = "evals"
_SHIPPED = Path(__file__).parent / "rows"
"""Rows that we wrote ourselves."""


def places(own: Path | None, data: Path) -> list[Path]:
    """Return the folders in which data of suites may lie, the first ones first.

    Args:
        own: Folder of a suite of one's own, or None.
        data: The data folder.
    """
    named = os.environ.get(PLACE)
    asked = [Path(one).expanduser() for one in (named or "").split(os.pathsep) if one]
    return [*([own] if own else []), *asked, _SHIPPED, data / EVALS]


def find(
    suite: Suite, data: Data, folders: Sequence[Path], own: Path | None = None
) -> tuple[Path, str]:
    """Return where a file is, and its SHA-256.

    Args:
        suite: Whose data it is, for messages.
        data: What is looked for: its own file first, then what was fetched from a hub.
        folders: Where.
        own: Folder of a suite of one's own, which may be a stranger's: it gets no files but those
            that lie there, or in a folder that the user has named.

    Raises:
        UsageError: It is in none of the folders, or elsewhere.
        IntegrityError: It is another edition than the suite is for.
    """
    given = Path(data.file).expanduser()
    named = [given] if given.is_absolute() else [folder / given for folder in folders if data.file]
    fetched = [folder / data.hub.place for folder in folders] if data.hub else []
    wanted = [(one, data.sha256) for one in named]
    wanted += [(one, data.hub.sha256) for one in fetched if data.hub]
    path, sha256 = next((one for one in wanted if one[0].is_file()), (None, ""))
    if path is None:
        raise UsageError(f"The data of {suite.id} is not here: {_how_to_get(suite, data, folders)}")
    if own is not None and not _vouched(path, own, [one for one in folders if one != own]):
        raise UsageError(
            f"The suite {suite.id} wants {path}, which is not in its folder, and its rows would be "
            f"sent to whom you ask: if you want that, name the file's folder in ${PLACE}."
        )
    found = sha256_of_file(path)
    if sha256 and found != sha256:
        raise IntegrityError(
            f"{path} is another edition than {suite.id} {suite.version} is for (its SHA-256 begins "
            f"with {found[:12]}, not {sha256[:12]}): results would not be comparable."
        )
    return path, found


def _vouched(path: Path, own: Path, named: Sequence[Path]) -> bool:
    """Whether a file is in a suite's folder, links followed, or in one that the user has named."""
    if path.resolve().is_relative_to(own.resolve()):
        return True
    whole = path.absolute()
    return ".." not in whole.parts and any(whole.is_relative_to(one.absolute()) for one in named)


def _how_to_get(suite: Suite, data: Data, folders: Sequence[Path]) -> str:
    fetch = f"fetch it (keelmark eval fetch {suite.id})" if data.hub else ""
    put = f"put {data.file} into {folders[-1]}, or name its folder in ${PLACE}" if data.file else ""
    source = f" It is from {data.source}." if data.source else ""
    return ", or ".join(one for one in (put, fetch) if one) + "." + source


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file. Raises UsageError when it cannot be read."""
    state = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                state.update(block)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from None
    return state.hexdigest()


def rows(path: Path, data: Data | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, each with an `id`: its own, or its number from 0.

    Args:
        path: The file.
        data: What it is the file of: rows of a file that was fetched from a hub get its fields.

    Raises:
        UsageError: It cannot be read on; the message names the row.
    """
    hub = data.hub if data else None
    fields = hub.fields if hub and path.as_posix().endswith(f"/{hub.place}") else {}
    try:
        for number, row in enumerate(_read(path)):
            named = row if row.get("id") not in (None, "") else {**row, "id": str(number)}
            yield {**named, **_fields(fields, row, f"{path}, row {number}")} if fields else named
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read on ({error}); get it again.") from None


def _fields(fields: Mapping[str, str], row: dict[str, Any], where: str) -> dict[str, Any]:
    return {name: worked_out(formula, row, where) for name, formula in fields.items()}


def _read(path: Path) -> Iterator[dict[str, Any]]:
    endings = [one for one in path.suffixes if one != ".gz"]
    ending = endings[-1] if endings else ""
    if ending == ".parquet":
        yield from _parquet(path)
        return
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        if ending in (".csv", ".tsv"):
            yield from _table(file, "\t" if ending == ".tsv" else ",", path)
        else:
            yield from _lines(file, path)


def _lines(file: IO[str], path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise UsageError(f"{path}, line {number} is not JSON; mend it or cut it off.") from None
        if not isinstance(row, dict):
            raise UsageError(f"{path}, line {number} is no object (names with values).")
        yield row


def _table(file: IO[str], delimiter: str, path: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(_MOST_COLUMN)
    reader = csv.DictReader(file, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise UsageError(f"{path}, line {reader.line_num} has not as many fields as names.")
            yield {str(name): value for name, value in row.items()}
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}.") from None


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        broken = arrow.ArrowException
    except ImportError:
        raise UsageError(
            "Parquet needs the extra `parquet`: pip install 'keelmark[parquet]'."
        ) from None
    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(_BATCH):
                yield from batch.to_pylist()
    except (broken, OSError) as error:
        said = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"{path} cannot be read as Parquet ({said}); get it again.") from None
