"""What the encoder learns from: one row is a text, or a claim with its source, and what is so.

    python training/encoder/rows.py OUT [--data FOLDER] [--seed N] [--only injection]

writes OUT/<module>.jsonl.gz for each of `injection`, `harm` and `grounding`, and says what is in
it. A row is for validation because of where it comes from, never by lot: what a model makes of a
source that it has not seen is the only figure worth having.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

BUILDERS = ("injection", "harm", "grounding")
HEADS = ("injection", "harm_request", "toxic", "harm_answer", "hazards", "grounding")


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One text to learn from.

    Attributes:
        text: The text; for grounding a claim, for answers the answer.
        y: What is so, by head: 0 or 1; for `grounding` 0 supported, 1 contradicted, 2 unsupported;
            for `hazards` a list of codes. A head that is not named is not taught.
        source: Dataset, or the family of templates that wrote it.
        pair: The source that a claim is held against, or the request that an answer answers.
        split: `train` or `valid`; all rows of a source are in the same.
        weight: How much it counts.
        spans: Places in `text` that its source does not support, code points.
    """

    text: str
    y: dict[str, Any]
    source: str
    pair: str | None = None
    split: str = "train"
    weight: float = 1.0
    spans: tuple[tuple[int, int], ...] = ()


def shared(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the records of a file of the shared data, such as `train/harm/cold.train`."""
    path = data / f"{name}.jsonl.gz"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: name the folder of the public data with --data.")
    with gzip.open(path, "rb") as file:
        for line in file:
            yield msgspec.json.decode(line)


def read(path: Path) -> Iterator[Row]:
    """Yield the rows of a file that `write` wrote."""
    decoder = msgspec.json.Decoder(Row)
    with gzip.open(path, "rb") as file:
        for line in file:
            yield decoder.decode(line)


def write(path: Path, rows: Iterator[Row]) -> Counter[tuple[str, str, str]]:
    """Write rows and count them by split, head and source."""
    counts: Counter[tuple[str, str, str]] = Counter()
    encoder = msgspec.json.Encoder()
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        for row in rows:
            if unknown := set(row.y) - set(HEADS):
                raise SystemExit(f"{row.source}: no head is called {sorted(unknown)}.")
            file.write(encoder.encode(row) + b"\n")
            for head, value in row.y.items():
                counts[row.split, f"{head}={value}" if head != "hazards" else head, row.source] += 1
    return counts


def main() -> None:
    """Build the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=BUILDERS)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in (asked.only,) if asked.only else BUILDERS:
        rows = importlib.import_module(name).rows(asked.data, asked.seed)
        for (split, what, source), count in sorted(
            write(asked.out / f"{name}.jsonl.gz", rows).items()
        ):
            print(f"{split}\t{what}\t{source}\t{count}")


if __name__ == "__main__":
    main()
