"""Units: the same in a stream as in a whole text, and never longer than promised."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.guard._support import spread
from keelmark.guard._units import READ, WRITTEN, Size, open_from, units

SMALL = Size(6, 20)
texts = st.lists(
    st.sampled_from(["word", ". ", "?", '!" ', "\n", "  ", "。", "x" * 25, "1.5", "...", " a"]),
    max_size=30,
).map("".join)


@settings(max_examples=120, deadline=None)
@given(texts)
def test_units_cover_all_that_is_written_and_keep_their_length(text: str) -> None:
    found = units(text, 0, SMALL)
    at = 0
    for unit in found:
        assert not text[at : unit.start].strip()
        assert unit.start < unit.end <= unit.start + SMALL.most
        assert text[unit.start : unit.end] == text[unit.start : unit.end].strip()
        at = unit.end
    assert not text[at:].strip()


@settings(max_examples=80, deadline=None)
@given(texts)
def test_a_beginning_decides_what_it_says_it_decides(text: str) -> None:
    whole = [(one.start, one.end) for one in units(text, 0, SMALL)]
    for end in range(len(text) + 1):
        limit = open_from(text[:end], 0, SMALL)
        seen = [(one.start, one.end) for one in units(text[:limit], 0, SMALL)]
        assert seen == [span for span in whole if span[0] < limit], (end, limit)


@settings(max_examples=80, deadline=None)
@given(texts)
def test_read_from_a_border_on_nothing_changes(text: str) -> None:
    whole = [(one.start, one.end) for one in units(text, 0, SMALL)]
    for start in range(len(text) + 1):
        if not any(first < start < last for first, last in whole):
            seen = [(one.start, one.end) for one in units(text, start, SMALL)]
            assert seen == [span for span in whole if span[0] >= start], start


@pytest.mark.parametrize("size", [READ, WRITTEN])
def test_a_unit_ends_where_a_sentence_does(size: Size) -> None:
    sentence = "This is a sentence of forty-three letters. "
    text = sentence * 60
    for unit in units(text, 0, size)[:-1]:
        assert text[: unit.end].endswith(".")
        assert size.least <= unit.end - unit.start <= size.least + len(sentence)


@settings(max_examples=120, deadline=None)
@given(st.integers(1, 4000), st.integers(100, 254), st.integers(0, 40))
def test_windows_cover_everything_and_overlap(length: int, room: int, overlap: int) -> None:
    spans = list(spread(length, room, overlap))
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(0 < last - first <= room for first, last in spans)
    assert all(a[1] - b[0] >= overlap for a, b in itertools.pairwise(spans))
