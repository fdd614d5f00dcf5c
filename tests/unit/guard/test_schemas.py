"""JSON Schemas of people nobody knows."""

import contextlib
import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.guard._schema_work import Count, TooMuchError
from keelmark.guard._schemas import LONGEST, Schema, SchemaError, schema_of

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"


def fits(schema, value):
    return schema_of(schema).misfits(value) == ()


def said(schema, value):
    return [misfit.said for misfit in schema_of(schema).misfits(value)]


def levels(keyword, number):
    """Every level asks the one below twice."""
    parts = {"d0": {"type": "string"}}
    for at in range(1, number + 1):
        parts[f"d{at}"] = {keyword: [{"$ref": f"#/$defs/d{at - 1}"}] * 2}
    return {"$ref": f"#/$defs/d{number}", "$defs": parts}


def lists(depth, inner=5):
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 3, "3"),
        ({"type": "integer"}, 3.0, 3.5),
        ({"enum": ["a", 1, None]}, None, "b"),
        ({"const": {"a": [1]}}, {"a": [1]}, {"a": [2]}),
        ({"required": ["a"], "type": "object"}, {"a": 0}, {}),
        ({"properties": {"$ref": {"type": "string"}}}, {"$ref": "x"}, {"$ref": 1}),
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a"], ["a", 1]),
        ({"$schema": DRAFT_7, "items": [{"type": "string"}]}, ["a", 1], [1]),
        ({"$schema": DRAFT_2020, "dependentRequired": {"a": ["b"]}}, {"b": 1}, {"a": 1}),
        ({"$schema": DRAFT_7, "dependencies": {"a": ["b"]}}, {"b": 1}, {"a": 1}),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"c": 1}, {"a": 1}),
        (
            {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
            {"a": 1},
            {"b": 1},
        ),
        ({"$ref": "#/definitions/x", "definitions": {"x": {"type": "null"}}}, None, 1),
        ({"$ref": "#here", "$defs": {"x": {"$anchor": "here", "type": "null"}}}, None, 1),
        ({"$id": "http://a/b", "$ref": "http://a/b#/$defs/x", "$defs": {"x": {"const": 1}}}, 1, 2),
        ({"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {"const": 1}}}, 1, 2),
        ({"items": {"$ref": "#"}, "type": "array"}, [[], [[]]], [[], [1]]),
        ({"$dynamicRef": "#n", "$defs": {"a": {"$dynamicAnchor": "n", "type": "null"}}}, None, 1),
        ({"format": "date"}, "2026-02-28", "2026-02-30"),
        ({"format": "email"}, "a@b.example", "a"),
        ({"format": "of our own"}, "a", None),
        ({"pattern": "^[a-z]+$"}, "abc", "aBc"),
        ({"minLength": 2}, "\U0001f600\U0001f600", "\U0001f600"),
        ({"multipleOf": 0.1}, 0.3, 0.35),
        ({"uniqueItems": True}, [1, "1"], [1, 1.0]),
        ({"propertyNames": {"maxLength": 1}}, {"a": 1}, {"ab": 1}),
        ({"not": {"type": "null"}}, 1, None),
        (True, 1, None),
    ],
)
def test_fits(schema, good, bad):
    assert fits(schema, good)
    if bad is not None:
        assert not fits(schema, bad) or schema is True


def test_says_where_and_what():
    schema = {
        "type": "object",
        "properties": {
            "age": {"type": "integer"},
            "home": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/home"}]},
        },
        "required": ["age", "name"],
        "additionalProperties": False,
        "$defs": {"home": {"type": "object", "properties": {"zip": {"type": "string"}}}},
    }
    told = said(schema, {"age": "x", "home": {"zip": 3}, "zap": 1})
    assert '/age: it is not of type "integer"' in told
    assert '/home/zip: it is not of type "string"' in told
    assert any("zap" in line for line in told)
    assert any('"name" is a required property' in line for line in told)


def test_says_no_more_than_a_few_things_and_none_at_length():
    told = said({"items": {"type": "integer"}}, ["x"] * 100)
    assert len(told) == 5
    long = "n" * 5000
    assert all(len(line) <= 300 for line in said({"required": [long]}, {}))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "http://127.0.0.1:1/x"}, "another document"),
        ({"$ref": "file:///etc/hostname"}, "another document"),
        ({"$ref": "other.json"}, "another document"),
        ({"$ref": DRAFT_2020}, "another document"),
        ({"$schema": "http://127.0.0.1:1/draft"}, "draft"),
        ({"$schema": 5}, "draft"),
        ({"properties": {"a": {"$id": "http://a/", "$ref": "#/$defs/x"}}}, "inside"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$ref": "#nowhere"}, "nowhere"),
        ({"$ref": ["#"]}, "no text"),
        ({"$ref": "#"}, "back to itself"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}}, "back to itself"),
        ({"$ref": "#/$defs/a", "$dynamicRef": "#x", "$defs": {"a": {}}}, "two references"),
        ({"pattern": "(?=a)b"}, "linear"),
        ({"pattern": "(a)\\1"}, "linear"),
        ({"pattern": "("}, "linear"),
        ({"pattern": "((a{100}){100}){100}"}, "linear"),
        ({"pattern": "a" * 1001}, "longer than 1000"),
        ({"patternProperties": {"(?!a)": {}}}, "linear"),
        ({"allOf": [{"pattern": f"a{n}"} for n in range(65)]}, "more than 64"),
        ({"type": "strnig"}, "#/type"),
        ({"properties": {"a": {"minimum": "1"}}}, "#/properties/a/minimum"),
        ({"const": "x" * LONGEST}, "KiB"),
        ({"enum": [[n] for n in range(20_001)]}, "parts"),
        ([], "object"),
        ("text", "object"),
        (5, "object"),
        (None, "object"),
        (float("nan"), "object"),
        ({"const": lists(70)}, "deeper than 64"),
        ({1j: 2}, "no JSON"),
        ({"const": "\ud800"}, "no JSON"),
    ],
)
def test_refuses(schema, why):
    with pytest.raises(SchemaError, match=why) as refused:
        schema_of(schema)
    assert refused.value.message.endswith(".")


def test_looks_nothing_up(monkeypatch):
    def refuse(*_args):
        raise AssertionError("a schema must not reach the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for reference in ("https://example.org/x", "//example.org/x", "http://example.org/x#/a"):
        for name in ("$ref", "$dynamicRef", "$recursiveRef", "$schema"):
            with pytest.raises(SchemaError):
                schema_of({name: reference})


@pytest.mark.parametrize("keyword", ["anyOf", "allOf", "oneOf"])
@pytest.mark.parametrize("number", [4, 9, 14, 20, 30])
@pytest.mark.timeout(30)
def test_a_small_schema_that_asks_for_exponential_work(keyword, number):
    schema = schema_of(levels(keyword, number))
    try:
        assert schema.misfits(5)
    except TooMuchError:
        assert number > 14


@pytest.mark.parametrize("depth", [2, 8, 16, 60, 500])
@pytest.mark.timeout(30)
def test_a_small_schema_that_asks_for_exponential_work_on_what_is_nested(depth):
    node = {"type": "array", "items": {"$ref": "#/$defs/n"}}
    schema = schema_of({"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [node, node]}}})
    try:
        assert schema.misfits(lists(depth))
    except TooMuchError:
        assert depth > 8


@pytest.mark.timeout(30)
def test_conditions_upon_conditions():
    schema = {"type": "object"}
    for _ in range(30):
        schema = {"if": schema, "unevaluatedProperties": False}
    with pytest.raises(TooMuchError):
        schema_of(schema).misfits({"a": 1})


@pytest.mark.timeout(30)
@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*b", "(.*a){20}b", "a.*a.*a.*c"])
def test_patterns_take_linear_time(pattern):
    assert not fits({"pattern": pattern}, "a" * 200_000 + "!")


def test_deep_chains_neither_crash_nor_pass_unseen():
    parts = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}]} for n in range(30)}
    parts["d30"] = {"items": {"$ref": "#/$defs/d0"}, "type": ["array", "string"]}
    schema = schema_of({"$ref": "#/$defs/d0", "$defs": parts})
    assert schema.misfits(lists(3))
    for depth in (30, 300, 900):
        with pytest.raises(TooMuchError):
            schema.misfits(lists(depth))
    with pytest.raises(SchemaError, match="chain"):
        schema_of(
            {
                "$ref": "#/$defs/d0",
                "$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(200)}
                | {"d200": {}},
            }
        )


def test_long_answers_are_compared():
    many = [{"a": n, "b": str(n)} for n in range(5000)]
    item = {"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}
    assert fits({"items": item}, many)
    many[-1]["b"] = 1
    assert said({"items": item}, many) == ['/4999/b: it is not of type "string"']


def test_one_schema_is_read_once():
    assert schema_of({"a": 1, "b": 2}) is schema_of({"b": 2, "a": 1})


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
WORDS = [
    *("$ref", "$dynamicRef", "$id", "$schema", "$anchor", "$defs", "$dynamicAnchor", "$vocabulary"),
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"),
    *("properties", "patternProperties", "additionalProperties", "propertyNames", "items"),
    *("prefixItems", "contains", "minContains", "unevaluatedItems", "unevaluatedProperties"),
    *("type", "enum", "const", "format", "pattern", "minimum", "multipleOf", "maxLength"),
    *("required", "uniqueItems", "contentEncoding", "contentMediaType", "contentSchema"),
]
schemas = st.recursive(
    st.one_of(
        st.booleans(),
        values,
        st.sampled_from(
            ["#", "#/$defs/a", "#a", "string", "object", "date", "regex", "^a+$", DRAFT_7]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.just("a")), inner, max_size=4),
    ),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None)
@given(schema=schemas, value=values)
def test_any_schema_is_refused_with_a_sentence_or_compared(schema, value):
    try:
        known = schema_of(schema)
    except SchemaError as error:
        refused = error.message
    else:
        refused = ""
    if refused:
        assert refused.endswith(".")
        return
    try:
        for misfit in known.misfits(value):
            assert misfit.keyword
            assert misfit.said
            assert misfit.depth >= 0
    except TooMuchError:
        return


@settings(max_examples=200, deadline=None)
@given(source=st.binary(max_size=60))
def test_any_bytes_are_refused_with_a_sentence_or_a_schema(source):
    with contextlib.suppress(SchemaError):
        Schema(source)


@settings(max_examples=200, deadline=None)
@given(value=values)
def test_a_schema_made_of_a_value_is_fitted_by_it_alone(value):
    assert fits({"const": value}, json.loads(json.dumps(value)))
    assert not fits({"not": {"const": value}}, value)


def test_the_work_that_is_counted_grows_with_what_looks_at_a_place():
    schema = schema_of(levels("allOf", 5))
    count = Count(schema.in_place, schema.plain)
    assert count.of(schema._root, 1).judge >= 2**5


def test_branches_of_what_is_not_evaluated_are_counted_too():
    inner = {"unevaluatedProperties": {"$ref": "#"}}
    schema = schema_of({"allOf": [inner, inner]})
    value = 1
    for _ in range(60):
        value = {"a": value}
    with pytest.raises(TooMuchError):
        schema.misfits(value)
