"""Topics: words that come together, at the same place however a text is cut."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_samples import told
from keelmark.core.errors import UsageError
from keelmark.guard.contract import last_token
from keelmark.guard.detectors.topics import Detector

WORDS = {"loan": 1, "interest rate": 2, "mortgage": 2, "river bank": -3, "贷款": 2}


def detector(**more: object) -> Detector:
    return Detector(msgspec.convert({"words": WORDS, **more}, Detector.Config))


def found(text: str, **more: object) -> int:
    return len(list(detector(**more).find(text)))


def test_enough_has_to_come_together() -> None:
    assert found("A mortgage is a loan.") == 1
    assert found("Loans, loans and more loans.") == 0
    assert found("A mortgage is a loan.", enough=3.5) == 0
    far = " and".join([""] * 40)
    assert found(f"A mortgage {far} is a loan.", within=50) == 1
    assert found(f"A mortgage {far} is a loan.", within=20) == 0


def test_phrases_forms_and_scripts_without_spaces() -> None:
    assert found("INTEREST-RATES for loans?") == 1
    assert found("我要贷款 and a loan.") == 1
    assert found("Interest in a rate, and a loan.") == 0


def test_words_may_speak_against_it() -> None:
    assert found("By the river bank, a mortgage on loan.") == 0


def test_it_is_said_once() -> None:
    assert found(20 * "A mortgage is a loan. ") == 1


@pytest.mark.parametrize("word", ["", "?!", "a b c d e", "a" * 65])
def test_what_cannot_be_looked_for_is_said(word: str) -> None:
    with pytest.raises(UsageError, match="cannot be looked for"):
        Detector(msgspec.convert({"words": {word: 1}}, Detector.Config))


PARTS = [*WORDS, " ", "-", "s", "and", "x" * 70, "贷", "interest", "loan. "]


@settings(max_examples=150, deadline=None)
@given(text=st.lists(st.sampled_from(PARTS), max_size=9).map("".join), data=st.data())
def test_the_place_is_the_same_however_it_is_cut(text: str, data: st.DataObject) -> None:
    one = detector()
    whole = list(one.for_text().find(text))
    for start in data.draw(st.lists(st.integers(0, len(text)), max_size=5)):
        informed = told(one, text, start)
        assert list(informed.find(text, start)) == [h for h in whole if h.start >= start]
        for end in (start + 7, start + 30):
            if informed.quiet(text[:end], start):
                settled = range(start, last_token(text[:end], start))
                assert not [hit for hit in whole if hit.start in settled]
