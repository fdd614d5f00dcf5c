"""Say where the figures of one training lie in the intervals of another's.

    python training/encoder/compare.py STATED THIS

Both are folders that hold the `figures.json` of `evaluate.py`. For each head and source: the area
under the ROC curve where the source has both kinds, else the false alarms or what is found at the
head's operating point; what is stated with its 95 % interval, what this training has, and whether
that lies within, is better, or worse. A longer training should be within or better.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from card import SHOWN

Figures = dict[str, dict[str, dict[str, Any]]]


class Pair(NamedTuple):
    """One figure of both trainings."""

    head: str
    source: str
    measure: str
    stated: float
    interval: tuple[float, float]
    here: float

    @property
    def verdict(self) -> str:
        """Where it lies: within the interval, or better or worse than all of it."""
        low, high = self.interval
        if low <= self.here <= high:
            return "within"
        return "better" if (self.here > high) != self.measure.startswith("false") else "worse"


def pairs(stated: Figures, here: Figures) -> Iterator[Pair]:
    """Yield what both have, a figure for each head and source."""
    for head, sources in stated.items():
        point = SHOWN.get(head, SHOWN[""])[0]
        for source, entry in sources.items():
            other = here.get(head, {}).get(source, {})
            for key in ("auroc", f"false@{point}", f"recall@{point}"):
                if key in entry and key in other:
                    low, high = entry[f"{key}_95"]
                    yield Pair(head, source, key, entry[key], (low, high), other[key])
                    break


def missing(stated: Figures, found: list[Pair]) -> list[str]:
    """Return the sources for which a figure is stated and this training has none."""
    have = {(one.head, one.source) for one in found}
    return [
        f"{h}/{name}" for h, sources in stated.items() for name in sources if (h, name) not in have
    ]


def table(found: list[Pair]) -> Iterator[str]:
    """Yield the lines of the table, and last how many lie where."""
    yield "| head | source | measure | stated | this training | |"
    yield "|---|---|---|---|---|---|"
    for one in found:
        low, high = one.interval
        yield (
            f"| {one.head} | {one.source} | {one.measure} | {one.stated:.3f} "
            f"[{low:.3f}, {high:.3f}] | {one.here:.3f} | {one.verdict} |"
        )
    many = Counter(one.verdict for one in found)
    yield ""
    yield (
        f"Of {len(found)} figures {many['within']} lie within the stated intervals, "
        f"{many['better']} are better, {many['worse']} worse."
    )


def read(folder: Path) -> Figures:
    """Return the figures of a training.

    Raises:
        SystemExit: The folder holds none.
    """
    path = folder / "figures.json"
    if not path.exists():
        raise SystemExit(f"{path} is not there: evaluate.py writes it, `make weights` calls it.")
    made: Figures = json.loads(path.read_text(encoding="utf-8"))
    return made


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stated", type=Path, help="the folder of the weights that are shipped")
    parser.add_argument("this", type=Path, help="the folder of the weights that were made")
    asked = parser.parse_args()
    stated = read(asked.stated)
    found = list(pairs(stated, read(asked.this)))
    print("\n".join(table(found)))
    if lacking := missing(stated, found):
        print(f"Not compared, as this training has no such figure: {', '.join(lacking)}.")


if __name__ == "__main__":
    main()
