"""The names detector and the model that it ships."""

import hashlib
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from keelmark.core.errors import UsageError
from keelmark.guard import _names_file
from keelmark.guard.contract import Hit
from keelmark.guard.detectors.names import Detector, Settings
from keelmark.guard.normalise import fold

MODELS = resources.files("keelmark.guard") / "models"


def found(text: str, **settings: tuple[str, ...]) -> list[tuple[str, str]]:
    read = fold(text)
    hits = Detector(Settings(**settings)).find(read)
    return [(read[hit.start : hit.end], hit.label) for hit in hits if hit.score >= 0.5]


def test_card_is_of_the_model_that_is_shipped() -> None:
    card = tomllib.loads((MODELS / "names.toml").read_text(encoding="utf-8"))
    data = (MODELS / "names.bin").read_bytes()
    assert hashlib.sha256(data).hexdigest() == card["sha256"]
    assert len(data) == card["bytes"] < 2_000_000
    assert card["labels"] == list(Detector.labels)
    assert card["data"]


def test_figures_of_the_card_reach_the_goal() -> None:
    card = tomllib.loads((MODELS / "names.toml").read_text(encoding="utf-8"))
    assert card["figures"]["presidio_generated_large"]["ANY"]["f2"] > 0.85
    assert card["figures"]["presidio_generated_large"]["PERSON"]["f2"] > 0.85


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="no names model"):
        _names_file.unpack(b"\0" * 64)


def test_names_join_over_small_words_and_signs() -> None:
    assert ("Pieter de Vries", "PERSON") in found("I spoke to Pieter de Vries today.")
    assert ("Jean-Luc Moreau", "PERSON") in found("Her name is Jean-Luc Moreau.")


def test_an_address_is_one_span() -> None:
    text = "Please send it to 221 Baker Street, London NW1 6XE, thanks."
    assert found(text) == [("221 Baker Street, London NW1 6XE", "ADDRESS")]


def test_only_wanted_labels() -> None:
    text = "Mary Johnson moved to Boston."
    assert found(text, labels=("LOCATION",)) == [("Boston", "LOCATION")]
    with pytest.raises(UsageError, match="no label 'NAME'"):
        Detector(Settings(labels=("NAME",)))


def test_allowed_names_are_dropped() -> None:
    assert found("I asked Mary Johnson.", allow=("mary johnson",)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Upgrade to version 1.2.3.4 on S3, EKS and C4.",
        '{"product_id": 3074185296, "created_at": 1755302400, "units": 12}',
        "git revert a94a8fe5ccb19ba61c4c0873d391e987982fbbd3",
        "In 2023 there were 120 cases, 14 more than in 2022.",
        "Chapter 3: The Return. Section 4.2 covers payment terms.",
        "I need 2 kg of flour, 12 eggs and 200 ml of milk by 5 pm.",
        "Thank you for your order! Please wait for 10 minutes.",
        "How do I activate my new card? What is the fee?",
    ],
)
def test_finds_nothing_in_what_names_nobody(text: str) -> None:
    assert found(text) == []


def test_look_alikes_are_hardly_ever_taken_for_names() -> None:
    """One of them calls somebody by his name."""
    lines = Path(__file__).with_name("look_alikes.txt").read_text(encoding="utf-8").splitlines()
    texts = [line.replace("\\n", "\n") for line in lines if line and line[0] != "#"]
    assert len([text for text in texts if found(text)]) <= 2


@pytest.mark.parametrize(
    "text",
    [
        "def get_node(ctx, buf=None):\n    return printf(buf)",
        "kwargs and lambda in SimpleLazyProvider, see ViewWindow",
        "pods in us-west-2a and eu-central-1b",
        "The Data Protection Act and the Privacy Directive",
    ],
)
def test_words_of_programs_and_laws_are_nobodys(text: str) -> None:
    assert found(text) == []


def test_prose_is_quiet() -> None:
    detector = Detector()
    text = "and so the children went down to the river, where they played until it was dark. "
    assert detector.quiet(text, 0)
    assert not detector.quiet(text + "Then Mary ", 0)


def test_what_may_go_on_is_held_and_no_more() -> None:
    detector = Detector()
    text = "I spoke to Mary Johnson "
    assert detector.open_from(text) == text.index("Mary")
    text += "about it for an hour "
    assert detector.open_from(text) == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "A" * 100_000,
        "John Smith " * 9_000,
        "1 " * 50_000,
        "A1" * 50_000,
        "12 Main Street, " * 6_000,
        ". ," * 33_000,
        "\n" * 100_000,
    ],
    ids=lambda text: repr(text[:8]),
)
@pytest.mark.timeout(30)
def test_hostile_text_comes_to_an_end(text: str) -> None:
    """In linear time that is a part of a second, in quadratic time minutes."""
    assert all(0 <= hit.start < hit.end <= len(text) for hit in Detector().find(text))


def test_hits_keep_the_form_of_the_contract() -> None:
    hits = list(Detector().find("Mary Johnson works at Siemens in Munich."))
    assert all(isinstance(hit, Hit) and 0.5 <= hit.score <= 1 for hit in hits)
    assert [hit.label for hit in hits] == ["PERSON", "ORGANISATION", "LOCATION"]
