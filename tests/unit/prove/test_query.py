from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.errors import UsageError
from keelmark.core.events import FIELDS, KINDS
from keelmark.prove.framework import (
    framework_ids,
    framework_schema,
    load_framework,
    parse_framework,
)
from keelmark.prove.query import Bounds, Condition, Expect, field, holds, meets

DOCUMENT = {"status": 200, "outcome": {"input": "allow"}, "tags": ["a", "b"], "none": None}

HEAD = """\
id: x
title: T
edition: E
source: S
about: A
controls:
  - id: C1
    title: T
    risk: R
    answer: A
    evidence:
      - id: q
        says: S
        kind: request
"""


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (("status", "is", 200), True),
        (("status", "is", 201), False),
        (("status", "is-not", 201), True),
        (("status", "below", 400), True),
        (("status", "below", 200), False),
        (("status", "at-least", 200), True),
        (("status", "in", [200, 201]), True),
        (("status", "not-in", [200]), False),
        (("outcome.input", "is", "allow"), True),
        (("tags", "has", "a"), True),
        (("tags", "has", "c"), False),
        (("tags", "lacks", "c"), True),
        (("tags", "exists", True), True),
        (("gone", "exists", True), False),
        (("gone", "exists", False), True),
        (("none", "exists", False), True),
        (("gone", "is", 1), None),
        (("gone", "is-not", 1), None),
        (("gone", "lacks", "a"), None),
        (("none", "is", None), None),
        (("outcome.input.deeper", "is", 1), None),
        (("tags", "below", 3), None),
        (("status", "has", "a"), None),
    ],
)
def test_conditions_have_three_answers(condition: Condition, expected: bool | None) -> None:
    assert holds(DOCUMENT, (condition,)) is expected


def test_together_one_false_is_false_and_one_unknown_is_unknown() -> None:
    yes, no, unknown = ("status", "is", 200), ("status", "is", 1), ("gone", "is", 1)
    assert holds(DOCUMENT, ()) is True
    assert holds(DOCUMENT, (yes, unknown)) is None
    assert holds(DOCUMENT, (unknown, no)) is False


@settings(max_examples=200, deadline=None)
@given(
    asked=st.integers(1, 50),
    data=st.data(),
    limit=st.floats(0, 1),
    low=st.booleans(),
    share=st.booleans(),
)
def test_what_is_unknown_never_helps(
    asked: int, data: st.DataObject, limit: float, low: bool, share: bool
) -> None:
    holding = data.draw(st.integers(0, asked))
    unknown = data.draw(st.integers(0, asked - holding))
    number = limit if share else round(limit * asked)
    bounds = Bounds(at_least=number) if low else Bounds(at_most=number)
    expect = Expect(share=bounds) if share else Expect(count=bounds)
    told = meets(expect, holding=holding, unknown=unknown, asked=asked)
    really = [
        meets(expect, holding=holding + n, unknown=0, asked=asked) for n in range(unknown + 1)
    ]
    assert told == all(really)


def test_fields_are_dotted_paths() -> None:
    assert field(DOCUMENT, "outcome.input") == "allow"
    assert field(DOCUMENT, "outcome.output") is None
    assert field(DOCUMENT, "status.x") is None


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ("        knd: request\n", 15, "no field `knd`"),
        ("        where: [[status, under, 400]]\n", 15, "cannot be 'under'"),
        ("        where: [[stats, below, 400]]\n", 12, "`stats` is not a field of request"),
        ("        where: [[status, below, high]]\n", 12, "cannot be compared"),
        ("        where: [[status, in, 200]]\n", 12, "cannot be compared"),
        ("        where: [[status, below]]\n", 15, "length 3"),
        ("        that: [[tagz.input, has, a]]\n", 12, "`tagz.input` is not a field"),
        ("        fresh_of: vettd.time\n", 12, "not a field"),
        ("        show: [trace_id, nothing]\n", 12, "not a field"),
        ("        within: 0\n", 15, ">= 1"),
        ("        take: newest\n", 15, "cannot be 'newest'"),
        ("        per: engine\n", 12, "`take: latest`"),
        ("        expect: {share: {at_least: 1}}\n", 12, "needs a `gap` and a `mend`"),
        ("        expect: {}\n", 15, "either a `count` or a `share`"),
        ("        expect: {share: {}}\n", 15, "`at_least` or `at_most`"),
        ("        otherwise: fine\n", 15, "cannot be 'fine'"),
        ("      - id: q\n        says: S\n        kind: request\n", 7, "called 'q'"),
        ("  - {id: C2, title: T, risk: R, answer: A, evidence: []}\n", 15, "length >= 1"),
    ],
)
def test_mistakes_in_a_framework_name_the_line(lines: str, line: int, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_framework(HEAD + lines, source="x.yaml")
    assert caught.value.message.startswith(f"x.yaml, line {line}: ")
    assert words in caught.value.message


def test_an_unknown_kind_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"line 12: `requests` is no kind .*model\.vetted"):
        parse_framework(HEAD.replace("kind: request", "kind: requests"), source="x.yaml")


def test_a_small_framework_reads() -> None:
    framework = parse_framework(HEAD + "        within: 3\n", source="x.yaml")
    assert framework.controls[0].evidence[0].within == 3


def test_every_kind_has_its_fields() -> None:
    assert FIELDS.keys() == KINDS


def test_unknown_framework_is_named() -> None:
    with pytest.raises(UsageError, match="owasp-llm"):
        load_framework("owasp")
    with pytest.raises(UsageError):
        load_framework("../frameworks/owasp-llm")


def test_schema_is_a_json_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema: dict[str, Any] = framework_schema()
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", framework_ids())
def test_every_framework_is_whole(name: str) -> None:
    framework = load_framework(name)
    assert framework.id == name
    for control in framework.controls:
        assert any(query.expect for query in control.evidence), control.id
        assert control.risk.count(". ") >= 1, f"{control.id}: two sentences"
        words = [control.risk, control.answer, *control.manual]
        words += [text for limit in control.limits for text in (limit.what, limit.how)]
        words += [query.says for query in control.evidence]
        words += [text for q in control.evidence if q.expect for text in (q.gap, q.mend)]
        for text in words:
            assert text.endswith("."), text
            assert "complian" not in text.lower()


def test_owasp_has_its_ten() -> None:
    framework = load_framework("owasp-llm")
    assert [c.id for c in framework.controls] == [f"LLM{n:02}" for n in range(1, 11)]
