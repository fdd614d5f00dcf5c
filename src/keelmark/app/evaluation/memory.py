"""What a model has kept of its training data: on texts of one's own, and on the rows of a suite."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from keelmark.app.engines import Person
from keelmark.app.evaluation.run import Done, Order, evaluate_on, plan_of
from keelmark.app.evaluation.targets import opened
from keelmark.app.home import Home
from keelmark.core.errors import UsageError
from keelmark.evaluate.contamination import (
    BEGIN,
    Overlap,
    order_suite,
    recited_suite,
    seen_in,
    shards,
    wording,
)
from keelmark.evaluate.data import find, places, rows
from keelmark.evaluate.memory import halves
from keelmark.evaluate.run import Progress
from keelmark.evaluate.suite import Data, Loaded, Suite, load_suite
from keelmark.evaluate.suites import membership
from keelmark.passport.files import write_whole

_TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
_CONTROLS = ("auroc_plain", "auroc_parody")
"""Measures that need the controls of the texts that come with Keelmark."""
_LINES = 64
"""Lines of a plain text that are looked at together."""


def ask_texts(
    suite: str, texts: Path | None, order: Order, home: Home, person: Person, progress: Progress
) -> Done:
    """Run a suite about memory, on texts of one's own when there are any.

    Raises:
        UsageError: The texts cannot be read, or lack `text` or `member`.
        KeelmarkError: With the sentence that says what is in the way.
    """
    loaded = load_suite(suite)
    if texts is not None:
        texts = texts.resolve()
        data = Data(file=texts.name, licence="your own", source="your own")
        measures = tuple(one for one in loaded.suite.measures if one not in _CONTROLS)
        own = msgspec.structs.replace(loaded.suite, data=data, slices=(), measures=measures)
        _check_labels(texts)
        loaded = Loaded(own, texts.parent, loaded.make)
    return _run(loaded, order, home, person, progress)


def _check_labels(texts: Path) -> None:
    """Make sure before any question that there are texts of both kinds."""
    if len({membership.sample(row, membership.SUITE).target for row in rows(texts)}) < 2:
        raise UsageError(
            f"{texts} needs texts of both kinds: `member` 1 for those that surely were in the "
            "training data, 0 for those that surely were not."
        )


def _run(loaded: Loaded, order: Order, home: Home, person: Person, progress: Progress) -> Done:
    async def run() -> Done:
        planned = plan_of(loaded, order, home.data)
        async with opened(order.wanted, home, person, seed=order.sampling.seed) as target:
            return await evaluate_on(target, None, planned, order, home, progress)

    return uvloop.run(run())


# --- the rows of a suite ---


def words_of(
    reference: str, folder: Path, limit: int = 0
) -> tuple[Suite, Iterable[tuple[str, str]]]:
    """Return a suite, and id and words of its rows, in the order of its file.

    Raises:
        UsageError: There is no such suite, or its data is not here.
    """
    loaded = load_suite(reference)
    suite = loaded.suite
    path, _ = find(suite, suite.data, places(loaded.folder, folder), loaded.folder)
    read = itertools.islice(rows(path, suite.data), limit or None)
    return suite, ((str(row["id"]), wording(suite, row)) for row in read)


def overlap(reference: str, corpus: Sequence[Path], folder: Path) -> Overlap:
    """Look for the rows of a suite in files of a corpus.

    Raises:
        UsageError: The suite, its data or a file cannot be read.
    """
    _, given = words_of(reference, folder)
    return seen_in(given, itertools.chain.from_iterable(map(_texts, _files(corpus))))


def _files(corpus: Iterable[Path]) -> Iterator[Path]:
    for one in corpus:
        if not one.exists():
            raise UsageError(f"{one} is not there; name files or folders of the corpus.")
        yield from sorted(it for it in one.rglob("*") if it.is_file()) if one.is_dir() else [one]


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Place and words of each text of a file: its rows, or its lines with the one before them."""
    if path.name.removesuffix(".gz").endswith(_TABLES):
        for row in rows(path):
            yield f"{path.name}, row {row['id']}", "\n".join(_strings(row))
        return
    try:
        with path.open(encoding="utf-8") as file:
            before = ""
            for number in itertools.count(0, _LINES):
                lines = "".join(itertools.islice(file, _LINES))
                if not lines:
                    return
                yield f"{path.name}, from line {number + 1}", before + lines
                before = " ".join(lines.split()[-64:]) + " "
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read as text ({error}); name UTF-8 text, JSONL, CSV or Parquet."
        ) from None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _strings(one)


def ask_order(
    reference: str, size: int, orders: int, order: Order, home: Home, person: Person,
    progress: Progress,
) -> Done:  # fmt: skip
    """Ask whether a model finds a suite's rows likelier in the order of their file.

    Args:
        reference: The suite.
        size: Rows that are put into one order.
        orders: Other orders of each.
        order: Whom to ask; its `limit` is of rows, the first ones.
        home: The installation.
        person: Who is told.
        progress: Told how far it is.
    """
    suite, given = words_of(reference, home.data, order.sampling.limit)
    texts = [text for _, text in given]
    made = list(shards(texts, size=size, orders=orders, seed=order.sampling.seed))
    if not made:
        raise UsageError(f"{suite.id} has fewer than {size} rows here; choose a smaller --size.")
    path = _made(home.data, f"{suite.id}-order", made)
    return _run(order_suite(suite, path), _whole(order), home, person, progress)


def ask_by_heart(
    reference: str, order: Order, home: Home, person: Person, progress: Progress
) -> Done | None:
    """Ask whether a model knows a suite's rows by heart; None when all of them are too short.

    The arguments are those of `ask_order`.
    """
    suite, given = words_of(reference, home.data, order.sampling.limit)
    given = [(name, text) for name, text in given if halves(text, BEGIN)]
    if not given:
        return None
    path = _made(
        home.data, f"{suite.id}-words", ({"id": name, "text": text} for name, text in given)
    )
    return _run(recited_suite(suite, path), _whole(order), home, person, progress)


def _whole(order: Order) -> Order:
    return msgspec.structs.replace(
        order, sampling=msgspec.structs.replace(order.sampling, limit=0, shots=None)
    )


def _made(folder: Path, name: str, made: Iterable[dict[str, Any]]) -> str:
    """Keep rows that were made of others with the data; return where, from its folder on."""
    text = b"".join(msgspec.json.encode(row) + b"\n" for row in made)
    file = f"made/{name}-{hashlib.sha256(text).hexdigest()[:12]}.jsonl"
    path = folder / "evals" / file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}).") from None
    return file
