"""What was found where, and what could not be checked: it adds up over batches and files."""

from __future__ import annotations

import msgspec

from keelmark.core.findings import TextFinding

_MOST_PROBLEMS = 1000


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be checked.

    Attributes:
        file: The file.
        row: The row, or the line of a document; 0 for all of the file.
        field: Path in the row; "" for all of it.
        why: Why, without what stands there.
    """

    file: str
    why: str
    row: int = 0
    field: str = ""


class Place(msgspec.Struct, kw_only=True):
    """Findings of one kind in one field of one file.

    Attributes:
        file: The file.
        field: Path in a row, with `[]` for any place in a list; "" for a document.
        label: What was found.
        rule: The rule that asked.
        count: How often.
        rows: In how many rows, or lines.
        samples: Row, and what stands around; everything found in it is replaced by its label.
    """

    file: str
    field: str
    label: str
    rule: str
    count: int = 0
    rows: int = 0
    samples: list[tuple[int, str]] = []


class Tally(msgspec.Struct, kw_only=True):
    """What came of some rows.

    Attributes:
        rows: Rows read, or parts of documents.
        texts: Texts that were checked.
        characters: Their length.
        problems: What could not be checked: the first thousand.
        unchecked: How many problems there were.
        places: What was found where, by its key.
    """

    rows: int = 0
    texts: int = 0
    characters: int = 0
    unchecked: int = 0
    problems: list[Problem] = []
    places: dict[str, Place] = {}

    def place(self, file: str, field: str, found: TextFinding) -> Place:
        """Return where findings of a kind are counted."""
        key = f"{file}\t{field}\t{found.label}\t{found.rule}"
        if key not in self.places:
            self.places[key] = Place(file=file, field=field, label=found.label, rule=found.rule)
        return self.places[key]

    def wrong(self, problem: Problem) -> None:
        """Note something that could not be checked."""
        self.unchecked += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)

    def add(self, other: Tally, samples: int) -> None:
        """Add what came of other rows, which come after these.

        Args:
            other: What came of them.
            samples: Most samples of one kind in one place.
        """
        self.rows += other.rows
        self.texts += other.texts
        self.characters += other.characters
        self.unchecked += other.unchecked
        self.problems += other.problems[: _MOST_PROBLEMS - len(self.problems)]
        for key, place in other.places.items():
            mine = self.places.setdefault(key, place)
            if mine is not place:
                mine.count += place.count
                mine.rows += place.rows
                mine.samples += place.samples[: samples - len(mine.samples)]
