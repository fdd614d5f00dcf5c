"""The texts that the names model is trained on, as far as we make them ourselves."""

from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from scripts import load

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def text() -> ModuleType:
    return load("training/names/text.py")


def test_every_template_can_be_filled(text: ModuleType) -> None:
    writer = text.Writer(Random(1))
    assert len(writer.templates) > 200
    for source, template in writer.templates:
        made = writer.fill(source, template)
        assert "{" not in template.replace("{{", "") or made.text != template
        assert "\x01" not in made.text


def test_marks_stand_where_the_slots_are(text: ModuleType) -> None:
    writer = text.Writer(Random(2))
    made = writer.fill("own-en-0", "Ask {person} of {org}, {address}, on {day} in {place}.")
    assert [label for *_, label in made.spans] == ["PERSON", "ORGANISATION", "ADDRESS", "LOCATION"]
    assert all(made.text[a:b].strip() == made.text[a:b] != "" for a, b, _ in made.spans)


def test_the_same_seed_makes_the_same_text(text: ModuleType) -> None:
    first, second = (text.Writer(Random(3)) for _ in range(2))
    made = [[w.fill(*t) for t in w.templates[:50]] for w in (first, second)]
    assert made[0] == made[1]


@pytest.mark.parametrize("country", ["us", "gb", "de", "fr", "es", "it", "nl", "mixed", "box"])
def test_addresses_have_a_number(text: ModuleType, country: str) -> None:
    writer = text.Writer(Random(4))
    for _ in range(30):
        assert any(c.isdigit() for c in writer.address(country))
