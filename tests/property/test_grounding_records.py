"""However an answer in JSON is split, its values are judged the same, and it stays JSON."""

import asyncio
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.guard import Guard

SOURCE = "Acme was founded in Berlin on 12 March 1998 by Ada Long. It has 1,200 employees."
REQUEST = (Segment(role="retrieved", path="documents[0]", text=SOURCE),)
RULE = {
    "id": "ground", "detector": "grounding", "stage": "output", "timeout_ms": 600_000,
    "config": {"encoder": "off"},
}  # fmt: skip
GUARDS = {
    action: Guard(
        Policy(
            guard=GuardRules(
                rules=(
                    Rule(**RULE, action=action, marker="(withheld)"),
                    Rule(id="pii", detector="personal_data", action="redact", timeout_ms=600_000),
                )
            )
        )
    )
    for action in ("flag", "annotate", "redact")
}
FRAGMENTS = (
    *('{"founded": ', "1997", "1998", ", ", ': "', '"employees": 1,300', '"by": "Bob Stone"', "["),
    *("]", "}", '"', "\\", '\\"', "\\n", "\\u00e9", "Acme was founded in 1997. ", "null", "\n"),
    *('"founded": "1997"', "```json\n", "```", "x" * 40, "word " * 30, "bob@x.example", "1 ", "{"),
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([1998, 1997, 1200, 0.5])
    | st.sampled_from(
        ["Bob Stone", "Ada Long", 'He said "no", and left.', "Acme was founded in 1997. It sank.",
         "a\\b", "line\nline", "é", "bob@x.example", "", "It has 1,300 employees, {so} to say."]
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["founded", "by", "a b", 'q"k', "employees"]), inner, max_size=3
    ),
    max_leaves=8,
)  # fmt: skip
fields = st.dictionaries(
    st.sampled_from(["founded", "by", "staff"]), values, min_size=1, max_size=3
)
records = fields | st.lists(fields, min_size=1, max_size=3)


def leaves(judge: Guard, parts: list[str], *, is_json: bool) -> tuple[str, object]:
    request = judge.open()
    asyncio.run(request.check_input(REQUEST))
    channel = request.channel("choices[0].content", is_json=is_json)
    out = "".join([*(channel.feed(part) for part in parts), channel.finish()])
    verdict = request.output_verdict()
    assert verdict.outcome.examined
    return out, (verdict.findings, verdict.sentences, verdict.outcome)


@pytest.mark.parametrize("is_json", [False, True])
@pytest.mark.parametrize("action", GUARDS)
@settings(max_examples=60, deadline=None)
@given(
    text=st.lists(st.sampled_from(FRAGMENTS), max_size=16).map("".join),
    cuts=st.lists(st.integers(0, 10**6), max_size=6),
    begins=st.booleans(),
)
def test_any_split_gives_the_same(
    action: str, text: str, cuts: list[int], *, is_json: bool, begins: bool
) -> None:
    text = f'{{"by": {text}' if begins else text
    judge = GUARDS[action]
    whole = leaves(judge, [text], is_json=is_json)
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    parts = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert leaves(judge, parts, is_json=is_json) == whole
    assert leaves(judge, list(text), is_json=is_json) == whole


@pytest.mark.parametrize("is_json", [False, True])
@pytest.mark.parametrize("action", ["annotate", "redact"])
@settings(max_examples=150, deadline=None)
@given(value=records, spaced=st.booleans(), ascii_only=st.booleans())
def test_what_leaves_is_json_of_the_same_shape(
    action: str, value: Any, *, spaced: bool, ascii_only: bool, is_json: bool
) -> None:
    text = json.dumps(value, indent=2 if spaced else None, ensure_ascii=ascii_only)
    out, _ = leaves(GUARDS[action], list(text), is_json=is_json)
    assert shape(json.loads(out)) == shape(value)


def shape(value: Any) -> Any:
    """The fields and items of a record, without what they say."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else None


@settings(max_examples=150, deadline=None)
@given(value=records, ascii_only=st.booleans())
def test_the_map_points_to_what_is_written(value: Any, *, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    for is_json in (False, True):
        _, (_, sentences, _) = leaves(GUARDS["flag"], [text], is_json=is_json)
        for one in sentences:
            assert 0 <= one.start <= one.end <= len(text)
            assert text[one.start : one.end].strip()
            assert text[one.start - 1] in ' ["' or text[one.start - 2 : one.start] == "\\n"
