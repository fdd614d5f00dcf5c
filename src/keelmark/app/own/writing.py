"""A suite with its data, written so that it can be run: whole, checked, or not at all."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from keelmark.core.errors import UsageError
from keelmark.evaluate.samples import sample_of
from keelmark.evaluate.suite import Loaded, load_suite
from keelmark.passport.files import printable, write_whole

_MARK = uuid.UUID("6f1d0f0e-5f0c-4b7e-9d43-1b7a5c1c2a11")
_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_ORDER = (
    *("title", "about", "version", "data", "ask", "scorer", "measures", "primary"),
    *("higher_is_better", "chance", "minimum", "shots", "slices", "cluster", "vary", "tags"),
    *("language", "examples", "canary"),
)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A suite that was made.

    Attributes:
        suite: Its file.
        data: Its data.
        sha256: Of the data.
        rows: Questions in it.
        form: What kind of suite it is.
        scorer: Who scores.
        measures: What is measured; the first one decides.
        columns: Part that a column plays to its name.
        said: Sentences on what was guessed and what was left out.
        left_out: Rows that are not in it, by the reason.
    """

    suite: Path
    data: Path
    sha256: str
    rows: int
    form: str
    scorer: str
    measures: tuple[str, ...]
    columns: dict[str, str] = {}
    said: tuple[str, ...] = ()
    left_out: dict[str, int] = {}


def named(text: str) -> str:
    """Return a name that a suite may have, made of any text."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:64] or "own"


def refuse_taken(folder: Path, name: str) -> None:
    """Say early that something is there already, or that no suite can be called so.

    Raises:
        UsageError: It is so.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"No suite can be called {name!r}: use small letters, digits and `_`, such as "
            f"{named(name)!r}."
        )
    for path in (folder / f"{name}.yaml", folder / f"{name}.jsonl"):
        if path.exists():
            raise UsageError(
                f"{printable(path)} is there already: choose another folder with --out or another "
                "name with --name, or remove it."
            )


def write_suite(
    folder: Path, name: str, rows: Iterable[Mapping[str, Any]], document: Mapping[str, Any]
) -> tuple[Path, Path, str, int]:
    """Write a suite and its data; both are checked to work together first.

    Args:
        folder: Where to; it is made.
        name: Name of the suite.
        rows: Its rows; each has an `id`.
        document: The suite's YAML, but for what is known of the data: `file`, `sha256`, `rows`
            and the canary are put in.

    Returns:
        File of the suite, of the data, the data's SHA-256, and its number of rows.

    Raises:
        UsageError: It cannot be written, or a row cannot be asked.
    """
    refuse_taken(folder, name)
    data, suite = folder / f"{name}.jsonl", folder / f"{name}.yaml"
    lines = list(_lines(rows))
    content = b"".join(lines)
    found = hashlib.sha256(content).hexdigest()
    known = {"file": data.name, "sha256": found, "rows": len(lines)}
    whole = {**document, "data": {**known, **document.get("data", {})}}
    whole["canary"] = f"Do not train on this data. {uuid.uuid5(_MARK, found)}"
    ordered = {key: whole[key] for key in _ORDER if key in whole}
    text = yaml.dump(ordered, sort_keys=False, allow_unicode=True, width=100, Dumper=_Dumper)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(data, content, mode=0o600)  # it may be what people said, from traces
        write_whole(suite, text.encode())
    except OSError as error:
        data.unlink(missing_ok=True)
        raise UsageError(
            f"{printable(folder)} cannot be written to ({error.strerror}); choose another folder "
            "with --out."
        ) from None
    try:
        _check(load_suite(str(suite)), lines)
    except UsageError:
        data.unlink(missing_ok=True)
        suite.unlink(missing_ok=True)
        raise
    return suite, data, found, len(lines)


def _lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _check(loaded: Loaded, lines: Iterable[bytes]) -> None:
    for line in lines:
        sample_of(loaded, json.loads(line))


class _Dumper(yaml.SafeDumper):
    """Texts of several lines are written as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "\n" in text else None
    )


_Dumper.add_representer(str, _text)
