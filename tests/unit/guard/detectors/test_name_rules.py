"""Names and addresses by rule alone, without the model."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.guard.contract import LOOK_BEHIND, Hit, last_token
from keelmark.guard.detectors.names import Detector, Settings
from keelmark.guard.normalise import fold

BY_RULE = Detector(Settings(model=False))
LOOK_ALIKES = Path(__file__).with_name("look_alikes.txt").read_text(encoding="utf-8").splitlines()

FOUND = [
    ("My name is Xandor Quillfeather.", [("Xandor Quillfeather", "PERSON")]),
    ("my name is natasha and i need help", [("natasha", "PERSON")]),
    ("Please ask Dr. Brzezinska about it.", [("Brzezinska", "PERSON")]),
    ("Mrs Okonjo called.", [("Okonjo", "PERSON")]),
    ("Sehr geehrte Frau Feldmann, danke.", [("Feldmann", "PERSON")]),
    ("Dear Ottoline,\nthank you.", [("Ottoline", "PERSON")]),
    ("Kind regards,\nYusuf", [("Yusuf", "PERSON")]),
    ("Attn: Vosburgh", [("Vosburgh", "PERSON")]),
    ("Name: Allen Wexcombe", [("Allen Wexcombe", "PERSON")]),
    ("my wife Thandeka is here", [("Thandeka", "PERSON")]),
    ("Ask Michael Strandvik tomorrow.", [("Michael Strandvik", "PERSON")]),
    ("signed by J. Robinson", [("J. Robinson", "PERSON")]),
    ("Quillon said that it works.", [("Quillon", "PERSON")]),
    ("I moved here from Zimbabwe.", [("Zimbabwe", "LOCATION")]),
    ("She lives in Upper Wexcombe now.", [("Upper Wexcombe", "LOCATION")]),
    ("We flew to Rio de Janeiro.", [("Rio de Janeiro", "LOCATION")]),
    ("a flight to papua new guinea", []),
    ("He works for Quillfeather Ltd. now.", [("Quillfeather Ltd", "ORGANISATION")]),
    ("Die Brackwater GmbH liefert.", [("Brackwater GmbH", "ORGANISATION")]),
    ("the University of Wexcombe", [("University of Wexcombe", "ORGANISATION")]),
    ("Send it to 42 Maple Street, Apt. 7, Springfield, IL 62704 please", None),
    ("Ship to 350 5th Avenue, New York, NY 10118.", None),
    ("Ich wohne in der Lindenstraße 17, 50667 Köln.", None),
    ("Le colis part pour 12 rue de la Gare, 75002 Paris.", None),
    ("Vivo en la Calle Mayor 5, 28013 Madrid.", None),
    ("Abito in via Garibaldi 23, 20121 Milano.", None),
    ("Hij woont aan de Keizersgracht 263.", None),
    ("221 Baker Street, London NW1 6XE", None),
    ("P.O. Box 101, Suite 242", None),
    ("Mieszkam przy ul. Karpacka 69.", None),
]
NOTHING = [
    "The Quick Start Guide explains how to install the Package.",
    "Call the Function with 3 Arguments and wait for the Result.",
    "Section 4 Street Works Act applies to 3 roads.",
    "We need 12 places, 3 courts and 4 ways out.",
    "class UserService(BaseService):\n    name = 'User'",
    "kubectl get pods -n kube-system | grep Running",
    "The mark will rise in may, and grace may hope.",
    "Dear customer, dear Sir or Madam,",
    "My name is not important.",
    "I'm Fine. I am Sorry.",
    "From: support\nTo: everybody",
    "Mon, 06 May 2024 12:00:00 GMT",
    "It costs 12 dollars in the Main Building, Room 12.",
    "step 5 drive to the right place",
    "Brigade 12 left, and Blockade 3 began.",
    "Mein Arbeitsplatz 3 ist neben dem Parkplatz 12.",
    "Error 50000 OR 50001 in IN 10000",
]


def found(text: str, detector: Detector = BY_RULE) -> list[tuple[str, str]]:
    read = fold(text)
    return [(read[hit.start : hit.end], hit.label) for hit in detector.find(read)]


@pytest.mark.parametrize(("text", "expected"), [case for case in FOUND if case[1] is not None])
def test_names_by_what_stands_around_them(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == [(fold(name), label) for name, label in expected]


@pytest.mark.parametrize("text", [text for text, expected in FOUND if expected is None])
def test_addresses_by_their_form(text: str) -> None:
    assert [label for _, label in found(text)] == ["ADDRESS"]


@pytest.mark.parametrize("text", NOTHING)
def test_finds_nobody_where_nobody_is(text: str) -> None:
    assert found(text) == []


def test_no_look_alike_is_taken_for_a_name() -> None:
    texts = [line.replace("\\n", "\n") for line in LOOK_ALIKES if line and line[0] != "#"]
    assert [text for text in texts if found(text)] == []


def test_rules_help_the_model() -> None:
    text = "Please ask Dr. Brzezinska, P.O. Box 101, Suite 242."
    assert set(found(text)) <= set(found(text, Detector()))


def test_rules_say_that_they_are_rules() -> None:
    (hit,) = BY_RULE.find("Mrs Okonjo called.")
    assert "rules" in hit.reason


PIECES = [word for text, _ in FOUND for word in text.split(" ")]
GAPS = (" ", " ", " ", "\n", ", ", "-", ".", "  ", "")


@st.composite
def mixtures(draw: st.DrawFn) -> str:
    words = draw(st.lists(st.sampled_from(PIECES), max_size=16))
    return fold("".join(word + draw(st.sampled_from(GAPS)) for word in words))


def before(hits: Iterable[Hit], limit: int) -> list[Hit]:
    return [hit for hit in hits if hit.start < limit]


@settings(max_examples=150, deadline=None)
@given(text=mixtures(), data=st.data())
def test_rules_keep_the_law(text: str, data: st.DataObject) -> None:
    whole = list(BY_RULE.find(text))
    for split in data.draw(st.lists(st.integers(0, len(text)), max_size=8)):
        prefix = text[:split]
        opened = BY_RULE.open_from(prefix)
        assert before(BY_RULE.find(prefix), opened) == before(whole, opened)
        if BY_RULE.quiet(prefix, 0):
            assert not before(whole, last_token(prefix, 0))
        if not any(hit.start < split < hit.end for hit in whole):
            cut = max(0, split - LOOK_BEHIND)
            moved = BY_RULE.find(text[cut:], split - cut)
            assert [hit.start + cut for hit in moved] == [
                h.start for h in whole if h.start >= split
            ]
