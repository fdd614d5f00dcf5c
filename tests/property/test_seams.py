"""However a text is cut into parts, what it says as a whole is judged; the rest is left alone."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_samples import SAMPLES, policy
from keelmark.core.ports import Segment
from keelmark.guard import Guard
from keelmark.guard.seams import _edited

MASKING = Guard(policy(("address", "mask"), ("digits", "redact")), detectors=SAMPLES)
BLOCKING = Guard(policy(("phrase", "block")), detectors=SAMPLES)
FRAGMENTS = ("bob@x.example", "a@b.c", "12345678", "open sesame", " ", "\n", "word", "é", "日本語")
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)
cuts = st.lists(st.integers(0, 200), max_size=12)


def cut(text, places):
    at = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(at)]


def judged(guard, parts):
    segments = [
        Segment(role="user", path=f"m[{number}]", text=part, part_of="m")
        for number, part in enumerate(parts)
    ]
    return asyncio.run(guard.open().check_input(segments))


@settings(max_examples=150, deadline=None)
@given(texts, cuts)
def test_nothing_is_said_by_the_parts_together(text, places):
    together = "".join(judged(MASKING, cut(text, places)).texts)
    again = MASKING.check(together, stage="input")
    assert [f for f in again.findings if "<" not in together[f.start : f.end]] == []


@settings(max_examples=150, deadline=None)
@given(texts, cuts)
def test_a_phrase_stops_the_request_however_it_is_cut(text, places):
    if BLOCKING.check(text).verdict.stops:
        assert judged(BLOCKING, cut(text, places)).verdict.stops


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text("abc \n", max_size=9), max_size=9))
def test_parts_that_say_nothing_stay_as_they_are(parts):
    result = judged(MASKING, parts)
    assert list(result.texts) == parts
    assert (result.verdict.findings, result.verdict.coverage) == ((), 1.0)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text("abcd", max_size=6), min_size=1, max_size=6),
    st.integers(0, 1),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=4),
)
def test_edits_are_made_in_the_joined_text(parts, joint, spans):
    whole = ("|" * joint).join(parts)
    edits, done = [], 0
    for start, size in sorted(spans):
        if done <= start and start + size <= len(whole) and whole[start] != "|":
            edits.append((start, start + size, "<X>"))
            done = start + size
    expected, done = "", 0
    for start, end, put in edits:
        expected += whole[done:start] + put
        done = end
    expected = (expected + whole[done:]).replace("|", "")
    assert "".join(_edited(parts, joint, edits)) == expected
    assert len(_edited(parts, joint, edits)) == len(parts)


@pytest.mark.timeout(60)
def test_many_parts_come_to_an_end():
    """In linear time that is a few seconds, in quadratic time an hour."""
    count = 8_000
    assert len(judged(MASKING, ["some words, and mail a@b.c, " * 2] * count).texts) == count
