"""The folder of a run written as a log of Inspect, one sample after the other."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from keelmark.app.evaluation.evidence import ATTESTATION
from keelmark.app.evaluation.plans import plan_again
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.evaluate.inspect_log import Json, head, sample_log, summary_of
from keelmark.evaluate.journal import AGAIN, REPLIES, Journal
from keelmark.evaluate.manifest import Manifest
from keelmark.evaluate.result import each_score, read_manifest, read_result
from keelmark.evaluate.run import samples


class Exported(NamedTuple):
    """A log that was written.

    Attributes:
        path: Where.
        samples: How many samples it holds.
    """

    path: Path
    samples: int


def export_inspect(folder: Path, path: Path, data: Path, beside: Path | None = None) -> Exported:
    """Write a run as a log of Inspect.

    Args:
        folder: Of the run.
        path: Where to; what ends in `.json` is JSON, in `.eval` a packed log.
        data: The data folder, in which the data of the suite lies.
        beside: Where else it may lie.

    Raises:
        UsageError: The run cannot be read, its data is not here, or nothing can be written.
        IntegrityError: Data, replies or scores are not those of the run.
    """
    writer = _WRITERS.get(path.suffix)
    if writer is None:
        raise UsageError(f"{path} should end in .eval (packed) or .json: Inspect reads these two.")
    manifest, result = read_manifest(folder), read_result(folder)
    ids = [one.id for one in each_score(folder)]
    if len(set(ids)) != len(ids):
        raise UsageError(f"{folder}: two samples have one id, and Inspect tells them apart by it.")
    header = head(manifest, result, ids, _kept(folder))
    with whole(path) as file:
        count = writer(file, header, _samples(manifest, folder, data, beside))
        if count != len(ids):
            raise IntegrityError(
                f"{folder} has {len(ids)} scores and {count} replies: run it again."
            )
    return Exported(path, count)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file to be written that is there whole in the end, or not at all.

    Raises:
        UsageError: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(draft, "xb", opener=_for_owner) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}): choose another place, or free some "
            "space."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _for_owner(path: str, flags: int) -> int:
    """Open a file that nobody else may read: it holds prompts and answers."""
    return os.open(path, flags, 0o600)


def _kept(folder: Path) -> dict[str, Any]:
    """The signed statement, so that the run can be verified where the log is read."""
    path = folder / ATTESTATION
    return {"attestation": path.read_text("utf-8")} if path.exists() else {}


def _samples(manifest: Manifest, folder: Path, data: Path, beside: Path | None) -> Iterator[Json]:
    before = _before(folder)
    asked = samples(plan_again(manifest, data, beside))
    for sample, kept, scored in zip(
        asked, Journal(folder).kept(), each_score(folder), strict=False
    ):
        if not sample.id == kept.id == scored.id:
            raise IntegrityError(
                f"{folder}: {kept.id} was answered and {scored.id} scored where {sample.id} is "
                "due: this is not one run."
            )
        more = {"before": before[sample.id]} if sample.id in before else {}
        yield sample_log(manifest, sample, kept.replies, scored, more)


def _before(folder: Path) -> dict[str, Any]:
    """What samples that were asked again had said first."""
    again = {one["id"] for one in _lines(folder / AGAIN)}
    if not again:
        return {}
    return {one["id"]: one["replies"] for one in _lines(folder / REPLIES) if one["id"] in again}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open("rb") as file:
            yield from map(msgspec.json.decode, file)


# --- the two forms ---

Write = Callable[[BinaryIO, Json, Iterator[Json]], int]


def _as_json(file: BinaryIO, header: Json, made: Iterator[Json]) -> int:
    count = 0
    file.write(msgspec.json.encode(header)[:-1] + b',"samples":[')
    for count, sample in enumerate(made, 1):
        file.write((b",\n" if count > 1 else b"\n") + msgspec.json.encode(sample))
    file.write(b"\n]}\n")
    return count


def _as_eval(file: BinaryIO, header: Json, made: Iterator[Json]) -> int:
    """A zip file: a header, each sample by itself, and what a viewer lists of them.

    It is packed by Deflate, which every reader of Inspect's takes as it takes Zstandard.
    """
    count = 0
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
        tempfile.TemporaryFile() as listed,
    ):
        start = {name: header[name] for name in ("version", "eval", "plan")}
        packed.writestr("_journal/start.json", msgspec.json.encode(start))
        for count, sample in enumerate(made, 1):
            name = f"samples/{sample['id']}_epoch_1.json"
            packed.writestr(name, msgspec.json.encode(sample))
            listed.write((b"," if count > 1 else b"[") + msgspec.json.encode(summary_of(sample)))
        listed.write(b"]" if count else b"[]")
        listed.seek(0)
        with packed.open("summaries.json", "w", force_zip64=True) as member:
            shutil.copyfileobj(listed, member)
        packed.writestr("header.json", msgspec.json.encode(header))
    return count


_WRITERS: dict[str, Write] = {".json": _as_json, ".eval": _as_eval}
