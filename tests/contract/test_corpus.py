"""What the corpus says of itself."""

from pathlib import Path

import pytest

from corpus import floor
from corpus.advisories import ADVISORIES, table
from corpus.case import Case
from corpus.make import CASES

CORPUS = Path(floor.__file__).parent


def test_every_advisory_has_a_case() -> None:
    assert {case for _, case in ADVISORIES.values()} <= set(CASES)
    assert not any(CASES[case].quiet for _, case in ADVISORIES.values())


def test_readme_lists_every_advisory() -> None:
    text = (CORPUS / "README.md").read_text(encoding="utf-8")
    assert table() in text, "write the output of `python -m corpus.advisories` into the README"


def test_every_case_has_a_floor() -> None:
    mend = "run `UPDATE_FLOOR=1 pytest tests/contract/test_checks.py -k corpus_case`"
    assert set(floor.recorded()) == set(CASES), mend


CAUGHT = Case("x", "fail", (), {}, quiet=False)
TWIN = Case("x-twin", "pass", (), {}, quiet=True)


@pytest.mark.parametrize(
    ("case", "best", "now", "falls"),
    [
        (CAUGHT, ("fail", 2), ("fail", 2), False),
        (CAUGHT, ("fail", 2), ("fail", 1), True),
        (CAUGHT, ("fail", 2), ("incomplete", 9), True),
        (CAUGHT, ("incomplete", 1), ("fail", 1), False),
        (TWIN, ("pass", 0), ("pass", 1), True),
        (TWIN, ("pass", 0), ("incomplete", 0), True),
        (TWIN, ("incomplete", 0), ("pass", 0), False),
    ],
)
def test_floor_rises_and_does_not_fall(
    case: Case,
    best: tuple[str, int],
    now: tuple[str, int],
    falls: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(floor, "PATH", tmp_path / "floor.json")
    monkeypatch.setenv("UPDATE_FLOOR", "1")
    assert not floor.worse(case, floor.Answer(*best))
    assert bool(floor.worse(case, floor.Answer(*now))) == falls
    assert floor.recorded()[case.id] == floor.Answer(*(best if falls else now))
