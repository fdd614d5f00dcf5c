"""Every row of the table of numbers: random valid ones are found, near misses are not."""

import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from keelmark.guard._identifiers import Kind, kinds, rows
from keelmark.guard.contract import Hit
from keelmark.guard.detectors.personal_data import Detector
from keelmark.guard.normalise import fold

from .shapes import written

KNOWN = [
    line.split(" ", 1)
    for line in Path(__file__)
    .with_name("known_numbers.txt")
    .read_text(encoding="utf-8")
    .splitlines()
    if line and line[0] != "#"
]
TABLE = [
    pytest.param(row, kind, id=f"{row['label']}-{i}")
    for i, (row, kind) in enumerate(zip(rows(), kinds(), strict=True))
]
each = pytest.mark.parametrize(("row", "kind"), TABLE)
each_checked = pytest.mark.parametrize(
    ("row", "kind"), [one for one in TABLE if one.values[1].checked]
)
each_telling = pytest.mark.parametrize(
    ("row", "kind"), [one for one in TABLE if one.values[1].plain]
)
detector = Detector()


def samples(row: dict[str, Any], kind: Kind, count: int, shape: str = "pattern") -> list[str]:
    """Random numbers of the row's shape whose check digits hold."""
    return list(_samples(row[shape], kind)[:count])


@cache
def _samples(shape: str, kind: Kind, count: int = 5) -> list[str]:
    chance = random.Random(kind.label)
    found: list[str] = []
    for _ in range(40_000):
        number = written(shape, chance)
        if kind.pattern.fullmatch(number) and kind.holds(number):
            found.append(number)
            if len(found) == count:
                return found
    raise AssertionError(f"too few numbers of {kind.label}")


def name(row: dict[str, Any]) -> str:
    own = [word for word in row["context"] if word[0] != "@"]
    return fold(own[0] if own else "national id" if "@id" in row["context"] else "tax id")


def at(hits: list[Hit], text: str, number: str) -> list[str]:
    begin = text.index(number)
    return [h.label for h in hits if (h.start, h.end) == (begin, begin + len(number))]


def test_the_table_is_wide() -> None:
    countries = {row["country"] for row in rows()} - {""}
    checked = {row["country"] for row, kind in zip(rows(), kinds(), strict=True) if kind.checked}
    assert len(countries) >= 60
    assert len(checked - {""}) >= 50
    assert len({row["label"] for row in rows()}) >= 130


@each
def test_a_number_after_its_name(row: dict[str, Any], kind: Kind) -> None:
    for number in samples(row, kind, 5):
        word = name(row)
        for text in (
            f"{word}: {number}",
            f"{word.upper()} {number}, thanks",
            f'{{"{word.replace(" ", "_")}": "{number}"}}',
            f"My {word} is {number}.",
        ):
            assert at(list(detector.find(text)), text, number) == [kind.label], text


@each
def test_small_letters(row: dict[str, Any], kind: Kind) -> None:
    tight = [n for n in samples(row, kind, 5) if not re.search(r"[ (]", n)]
    for number in tight:
        text = f"{name(row).lower()} {number.lower()}"
        assert at(list(detector.find(text)), text, number.lower()) == [kind.label], text


@each_telling
def test_telling_shapes_need_no_name(row: dict[str, Any], kind: Kind) -> None:
    for number in samples(row, kind, 5, "plain"):
        text = f"It was {number}, as far as I know."
        assert at(list(detector.find(text)), text, number), text


@each
def test_without_a_name_nothing_is_said(row: dict[str, Any], kind: Kind) -> None:
    """Digits alone are nobody's number, whatever their check digits."""
    plain = [n for n in samples(row, kind, 5) if n.isdigit() and len(n) < 13]
    for number in plain:
        assert list(detector.find(f"The value is {number} here.")) == []


@each_checked
def test_one_wrong_digit(row: dict[str, Any], kind: Kind) -> None:
    """Check digits catch most single errors; some numbers have digits that they do not cover."""
    caught = tried = 0
    for number in samples(row, kind, 2):
        for place in (i for i, c in enumerate(number) if c.isdigit()):
            for digit in "0123456789".replace(number[place], ""):
                wrong = f"{number[:place]}{digit}{number[place + 1 :]}"
                tried += 1
                caught += not (kind.pattern.fullmatch(wrong) and kind.holds(wrong))
    assert caught >= 0.55 * tried


LOOSE = {kind.label for kind in kinds() if not kind.checked}


@pytest.mark.parametrize(
    ("row", "kind"),
    [one for one in TABLE if one.values[1].checked and one.values[1].label not in LOOSE],
)
def test_a_near_miss_is_not_found(row: dict[str, Any], kind: Kind) -> None:
    alike = [other for other in kinds() if other.label == kind.label]
    chance = random.Random(row["label"])
    missed = 0
    for _ in range(60):
        number = written(row["pattern"], chance)
        if any(k.pattern.fullmatch(number) and k.holds(number) for k in alike):
            continue
        text = f"{name(row)}: {number}"
        missed += 1
        assert kind.label not in at(list(detector.find(text)), text, number)
    assert missed > 10


@pytest.mark.parametrize(("label", "number"), KNOWN)
def test_numbers_known_to_be_valid(label: str, number: str) -> None:
    ways = [kind for kind in kinds() if kind.label == label and kind.pattern.fullmatch(number)]
    assert any(kind.holds(number) for kind in ways)


def test_the_nearest_word_says_what_it_is() -> None:
    text = "passport, order number 123456789"
    assert list(detector.find(text)) == []
    text = "MRN 00482913, account number 12345678"
    assert [hit.label for hit in detector.find(text)] == ["MEDICAL_RECORD", "ACCOUNT_NUMBER"]
