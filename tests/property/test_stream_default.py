"""The default policy with every installed detector: any split gives the same text and verdict."""

import itertools
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.guard import Guard
from keelmark.guard.engine import discovered

EXAMPLES = [example.text for kind in discovered().values() for example in kind.examples]
texts = st.lists(
    st.one_of(
        st.sampled_from(EXAMPLES),
        st.sampled_from(EXAMPLES).flatmap(
            lambda text: st.integers(0, len(text)).map(lambda cut: text[:cut])
        ),
        st.sampled_from([" ", "\n", "-", "@", ". ", "1234 ", "\u200b", "é", "日本", "<EMAIL_1>"]),
        st.text(max_size=8),
    ),
    max_size=5,
).map("".join)


@cache
def guard() -> Guard:
    return Guard("default")


def judged(parts: list[str], *, is_json: bool) -> object:
    request = guard().open()
    channel = request.channel("c", is_json=is_json)
    out = "".join([*(channel.feed(part) for part in parts), channel.finish()])
    verdict = request.output_verdict()
    found = [(f.rule, f.label, f.start, f.end, f.score) for f in verdict.findings]
    return out, verdict.outcome, verdict.stops, verdict.coverage, found


@settings(max_examples=120, deadline=None)
@given(texts, st.lists(st.integers(0, 3000), max_size=24), st.booleans())
def test_any_split(text: str, cuts: list[int], is_json: bool) -> None:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    parts = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert judged(parts, is_json=is_json) == judged([text], is_json=is_json)


@settings(max_examples=40, deadline=None)
@given(texts)
def test_character_by_character(text: str) -> None:
    assert judged(list(text), is_json=False) == judged([text], is_json=False)
    whole = guard().check(text, stage="output")
    out, outcome, stops, *_ = judged([text], is_json=False)
    assert (whole.verdict.outcome, whole.verdict.stops) == (outcome, stops)
    assert whole.text == ("" if stops else out)
