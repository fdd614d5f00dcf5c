"""Numbers in texts: as people write them, and back from any way of writing them."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.figures import figure, figures
from keelmark.evaluate.rulings import ruling

CASES = [
    ("1,234.50", [1234.5]),
    ("$-3", [-3]),
    ("-$3.", [-3]),
    ("−7 apples", [-7]),
    (".5", [0.5]),
    ("3/4 of it", [0.75]),
    ("on 3/4/2020", [3, 4, 2020]),
    ("1.2e3", [1200]),
    ("1e5x", [1]),
    ("٣", [3]),
    ("3-5", [3, 5]),
    ("5 - 3", [5, 3]),
    ("x=-5", [-5]),
    ("x-5", [5]),
    ("H2O and C_6", []),
    ("12kg", [12]),
    ("**18**", [18]),
    ("#### 72", [72]),
    ("1,2,3", [1, 2, 3]),
    ("1,234,5678", [1234, 5678]),
    ("共12个", [12]),
    ("1/0", []),
    ("1.2.3", [1.2, 3]),
    ("US$5, 10%", [5, 10]),
    ("two", []),
    ("9" * 300, []),
]


@pytest.mark.parametrize(("text", "values"), CASES, ids=[text[:20] for text, _ in CASES])
def test_numbers_as_they_are_written(text, values):
    assert [float(one.value) for one in figures(text)] == values


def test_a_comma_before_decimals():
    assert [one.value for one in figures("1.234,5 und 3,14", ",")] == [
        *(Fraction("1234.5"), Fraction("3.14"))
    ]


def test_one_number_or_none():
    assert figure("about 12 eggs") == 12
    assert figure("12 or 13") is None
    assert figure("none") is None


NUMBERS = st.decimals(
    allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9
)
BESIDE = st.sampled_from(["", " ", "= ", "(", "$", "€ ", "**", "\n", "is "])
AFTER = st.sampled_from(["", " ", ".", " kg", ")", "**", "\n", ", he said", "%", "!"])


@settings(max_examples=150, deadline=None)
@given(NUMBERS, st.sampled_from(["{:f}", "{:,f}"]), BESIDE, AFTER)
def test_a_number_comes_back_from_any_way_of_writing_it(number, form, before, after):
    text = before + form.format(number) + after
    assert [one.value for one in figures(text)] == [Fraction(Decimal(number))]


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="0123456789.,-−$/eE xH()٣", max_size=60))
def test_any_text_is_read_and_places_are_right(text):
    end = 0
    for one in figures(text):
        assert end <= one.start < one.end <= len(text)
        assert any(mark.isdigit() for mark in text[one.start : one.end])
        end = one.end


# --- rulings ---

YES_NO = ("yes", "no")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes.", "yes"),
        ("**NO**", "no"),
        ("Verdict: yes", "yes"),
        ("At first I thought yes. Verdict: no", "no"),
        ("Verdict: yes\nVerdict: no", "no"),
        ("My rating is [no].", "no"),
        ("Yes and no.", None),
        ("Nothing is known, yesterday or now.", None),
        ("", None),
        ("I cannot judge this.", None),
    ],
)
def test_a_ruling_is_read_or_it_is_none(text, said):
    assert ruling(text, YES_NO) == said


def test_longer_options_win_and_numbers_stay_whole():
    assert ruling("Verdict: not supported", ("supported", "not supported")) == "not supported"
    assert ruling("not supported", ("supported", "not supported")) == "not supported"
    assert ruling("Rating: 4", ("1", "2", "3", "4", "5")) == "4"
    assert ruling("Rating: 4.5", ("1", "2", "3", "4", "5")) is None
    assert ruling("14", ("1", "4")) is None


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80), st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=5))
def test_a_ruling_is_always_one_of_the_options(text, options):
    said = ruling(text, options)
    assert said is None or said in options


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(YES_NO))
def test_what_stands_behind_the_mark_last_is_the_ruling(text, said):
    assert ruling(f"{text}\nVerdict: {said}", YES_NO) == said
