"""Rows for the heads `harm_request`, `toxic`, `harm_answer` and `hazards`.

`toxic` is what a moderator acts upon: hate, harassment, threats, sexual and graphic content, and
words of self-harm (which want help, not blame). `hazards` are the twelve of MLCommons' AILuminate
standard, in `harm_texts/hazards.toml` with OpenAI's moderation categories.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harm_data
import harm_written
import msgspec
from harm_data import cut
from rows import Row, shared

_SPACE = re.compile(r"\s+")

HAZARDS = {hazard["code"]: hazard for hazard in harm_written.table("hazards")["hazards"]}


def rows(data: Path, seed: int) -> Iterator[Row]:
    """Yield all rows on harm, those for validation first; no text comes twice.

    Args:
        data: The shared data.
        seed: Chooses among rows and words.
    """
    seen: set[tuple[str, str]] = set()
    found = sorted(_all(data, seed), key=lambda row: row.split, reverse=True)
    for row in found:
        pair = cut(row.pair, 60) if row.pair else None
        key = (_key(row.text), _key(pair or ""))
        if not key[0] or key in seen:
            continue
        seen.add(key)
        yield msgspec.structs.replace(row, pair=pair)


def _all(data: Path, seed: int) -> Iterator[Row]:
    return itertools.chain(
        *(take.rows(data, seed) for take in harm_data.TAKES),
        harm_written.requests(seed),
        harm_written.ordinary(seed),
        harm_written.comments(seed, _sentences(data)),
        harm_written.answers(seed),
    )


def _sentences(data: Path) -> list[str]:
    """Return ordinary sentences, from image captions and from an encyclopedia."""
    found = {
        record["source"].rstrip(" .").replace(" ,", ",") + "."
        for file in ("snli_dev_test", "fever_symmetric")
        for record in itertools.islice(shared(data, f"train/grounding/{file}.train"), 900)
    }
    return sorted(found)


def _key(text: str) -> str:
    return _SPACE.sub(" ", text).strip(" .?!").lower()


def sources(data: Path, seed: int = 1) -> list[dict[str, Any]]:
    """List what the rows are made of: dataset, SHA-256, licence and rows used."""
    made = Counter(row.source for row in rows(data, seed))
    licences = _licences(data / "README.md")
    found = []
    for file in sorted({take.file for take in harm_data.TAKES}):
        path = data / f"train/{file}.jsonl.gz"
        names = {take.source for take in harm_data.TAKES if take.file == file}
        found.append(
            {
                "dataset": file.rpartition("/")[2],
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "licence": licences[path.name],
                "rows": sum(made.pop(name, 0) for name in names),
            }
        )
    texts = b"".join(path.read_bytes() for path in sorted(harm_written.TEXTS.glob("*.toml")))
    own = {"dataset": harm_written.TEXTS.name, "sha256": hashlib.sha256(texts).hexdigest()}
    return [*found, own | {"licence": "Apache-2.0", "rows": made.total()}]


def _licences(readme: Path) -> dict[str, str]:
    lines = readme.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if ".jsonl.gz |" in line]
    return {row[1]: row[5] for row in cells}
