"""Structured answers: reading JSON, tidying it, and what the detector says of it."""

import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.errors import UsageError
from keelmark.core.form import Form
from keelmark.core.policy import GuardRules, Policy, Repair, Rule
from keelmark.guard import Guard
from keelmark.guard._documents import (
    LONGEST,
    NotJsonError,
    UnreadableError,
    read,
    tidied,
)
from keelmark.guard.cases import read_cases, run_cases
from keelmark.guard.contract import Request
from keelmark.guard.detectors.structured_output import Detector, Settings

GOOD = '{"a": 1, "b": ["x", {"c": null}]}'


def why(text):
    with pytest.raises(NotJsonError) as wrong:
        read(text)
    return wrong.value.message, wrong.value.cut


@pytest.mark.parametrize(
    "text",
    [GOOD, "1", "-0.5e-3", '"a"', "null", " [ ] \n", '"\\ud83d\\ude00"', "[" * 50 + "]" * 50],
)
def test_reads_what_is_json(text):
    assert read(text) == json.loads(text)


@pytest.mark.parametrize(
    "text", [GOOD[:at] for at in range(len(GOOD))] + ["tr", "n", '"\\u12', " "]
)
def test_what_ends_too_early_is_cut(text):
    assert why(text) == ("it ends too early", True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "no",
            "Here is the JSON",
            "{'a': 1}",
            '{"a": 1,}',
            "[1 2]",
            "01",
            "+1",
            ".5",
            "1.",
            "NaN",
        ),
        *(
            '{"a": 1} and more',
            '{"a": 1}{"b": 2}',
            "Infinity",
            "// x\n1",
            '"\n"',
            "\ufeff{}",
            "True",
        ),
        *('{"a": 1, "a": 2}', '[{"b": {"a": 1, "\\u0061": 2}}]', "1e400", '"\\ud800"', '"\ud800"'),
    ],
)
def test_what_is_no_json_is_not_cut(text):
    message, cut = why(text)
    assert message
    assert not cut


def test_what_cannot_be_read_is_not_called_clean():
    for text in ("[" * 100_000, '"' + "x" * LONGEST + '"'):
        with pytest.raises(UnreadableError):
            read(text)
        result = Guard(policy("flag", {"schema": True})).check(text, stage="output")
        assert result.verdict.outcome == "failed"
        assert result.verdict.stops


@settings(max_examples=300, deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=30), st.text('{}[]",:0123456789.eE+-truefalsn\\u ', max_size=30)
    )
)
def test_any_text_is_read_as_python_reads_it_or_refused(text):
    with contextlib.suppress(NotJsonError):
        assert read(text) == json.loads(text)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=80))
def test_any_bytes_are_read_tidied_and_judged(data):
    text = data.decode("utf-8", "surrogateescape")
    detector = Detector(Settings(schema=True))
    hits = list(detector.find(text))
    assert len(hits) <= 1
    assert bool(detector.explain(text)) == bool(hits or not text)
    if neat := tidied(text):
        assert neat.text in text
        assert isinstance(json.loads(neat.text), dict | list)


documents = st.recursive(
    st.one_of(st.integers(), st.text(max_size=5), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
).filter(lambda value: isinstance(value, dict | list))
prose = st.text("abc .,:;!?\n-*'", max_size=20)


@settings(max_examples=200, deadline=None)
@given(value=documents, before=prose, after=prose, fence=st.booleans(), indent=st.booleans())
def test_the_one_document_in_a_text_is_found(value, before, after, fence, indent):
    document = json.dumps(value, indent=2 if indent else None)
    text = f"{before}\n```json\n{document}\n```\n{after}" if fence else before + document + after
    neat = tidied(text)
    if text.strip() == document:
        assert neat is None
    else:
        assert neat is not None
        assert json.loads(neat.text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON here",
        "see [1] and {2}",
        'First {"a": 1}, then {"a": 2}.',
        '```json\n{"a": 1}\n```\nor\n```json\n{"a": 2}\n```',
        '{"a": 1',
        '{"a": [1], "b": {"c": 2}',
        GOOD,
        "[" * 100,
        "[" * 100_000,
    ],
)
def test_nothing_is_taken_off_where_it_cannot_be_said_what_is_meant(text):
    assert tidied(text) is None


@pytest.mark.parametrize(
    ("text", "off"),
    [
        ('```\n{"a": 1}\n```', "a Markdown fence"),
        ('Sure!\n```json\n{"a": "```"}\n```\nThat is [1].', "a Markdown fence"),
        ('Here it is: {"a": 1}', "text around the JSON"),
        ('{"a": 1}\n\nI hope this helps.', "text around the JSON"),
        ('```json\n{"a": 1}', "text around the JSON"),
    ],
)
def test_says_what_it_took_off(text, off):
    neat = tidied(text)
    assert neat is not None
    assert neat.off == off
    assert json.loads(neat.text)["a"]


def policy(action, config, **more):
    rule = Rule(id="r", detector="structured_output", action=action, config=config, **more)
    return Policy(guard=GuardRules(rules=(rule,)))


def test_a_whole_text_is_judged_by_the_schema_of_the_policy():
    guard = Guard(policy("block", {"schema": {"type": "object", "required": ["a"]}}))
    assert guard.check(GOOD, stage="output").verdict.outcome == "allow"
    result = guard.check('{"b": 1}', stage="output")
    assert result.verdict.stops
    assert result.findings[0].label == "SCHEMA_MISMATCH"
    assert "required" in result.findings[0].reason
    assert guard.check("a prompt", stage="input").verdict.rules == ()


def test_a_schema_may_come_from_a_file(tmp_path):
    file = tmp_path / "answer.schema.json"
    file.write_text('{"type": "array"}')
    guard = Guard(policy("flag", {"schema": str(file)}))
    assert guard.check("[]", stage="output").verdict.outcome == "allow"
    assert guard.check("{}", stage="output").verdict.outcome == "flag"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        (b"{", "no JSON"),
        (b'{"type": "x"}', "broken at #/type"),
        (b'"' + b"x" * 300_000 + b'"', "longer than 256 KiB"),
    ],
)
def test_a_file_that_is_no_schema_is_refused(tmp_path, content, why):
    file = tmp_path / "answer.schema.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=why):
        Guard(policy("flag", {"schema": str(file)}))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"action": "mask"}, "block or flag"),
        ({"action": "redact"}, "block or flag"),
        ({"stage": "input"}, "output or tool_call"),
        ({"stage": "retrieved"}, "output or tool_call"),
        ({"detector": "secrets", "repair": Repair()}, "structured_output only"),
        ({"config": {"schema": {"$ref": "http://a/b"}}}, "another document"),
        ({"config": {"schema": 5}}, "schema"),
        ({"config": {"shema": {}}}, "shema"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(more, why):
    given = {"id": "r", "detector": "structured_output", "action": "flag", **more}
    with pytest.raises(UsageError, match=why):
        Guard(Policy(guard=GuardRules(rules=(Rule(**given),))))


def test_what_the_policy_and_the_request_demand_both_hold():
    own = Settings(schema={"type": "object", "required": ["a"]})
    asked = Request(form=Form({"required": ["b"]}))
    detector = Detector(own).for_request(asked)
    assert not list(detector.find('{"a": 1, "b": 1}'))
    assert list(detector.find('{"a": 1}'))
    assert list(detector.find('{"b": 1}'))
    calm = Detector(Settings(schema=own.schema, request=False)).for_request(asked)
    assert not list(calm.find('{"a": 1}'))


def test_the_schema_of_the_policy_is_not_for_arguments_of_tools():
    own = Settings(schema={"type": "array"})
    call = Request(form=Form({"type": "object"}, "tool"))
    assert not list(Detector(own).for_request(call).find("{}"))
    free = Detector(Settings(calls=False)).for_request(call)
    assert not list(free.find("no JSON"))


def test_one_request_knows_nothing_of_another():
    detector = Detector()
    first = detector.for_request(Request(form=Form({"type": "object"})))
    second = detector.for_request(Request(form=Form({"type": "array"})))
    assert not list(first.find("{}"))
    assert list(second.find("{}"))
    assert not list(detector.find("{}"))


def test_reasons_and_findings_quote_nothing():
    asked = Request(form=Form({"properties": {"secret-name": {"const": "secret-value"}}}))
    (hit,) = Detector().for_request(asked).find('{"secret-name": "secret-text"}')
    assert "secret" not in hit.reason
    assert "secret" not in hit.label


def test_the_page_about_it_holds(tmp_path):
    page = Path(__file__).parents[4] / "docs" / "how-to" / "structured-output.md"
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    ours, demanded, tests = blocks
    (tmp_path / "structured.yaml").write_text(ours)
    (tmp_path / "structured.test.yaml").write_text(tests)
    cases = read_cases(tmp_path / "structured.test.yaml")
    guard = Guard(tmp_path / cases.policy)
    assert [report.complaints for report in run_cases(guard, cases)] == [()] * len(cases.cases)
    (tmp_path / "tickets.yaml").write_text(f"guard:\n  rules:\n{demanded}")
    tickets = Guard(tmp_path / "tickets.yaml")
    good = '{"title": "It rains in", "severity": "high"}'
    assert not tickets.check(good, stage="output").verdict.stops
    assert tickets.check('{"title": "It rains in"}', stage="output").verdict.stops


def test_cases_of_a_policy_say_what_does_not_fit(tmp_path):
    (tmp_path / "p.test.yaml").write_text(
        """
cases:
  - name: free
    given: {output: no JSON}
    expect: {outcome: allow, text: no JSON}
  - name: not JSON
    given: {output: no JSON, schema: true}
    expect: {outcome: block, labels: [INVALID_JSON], text: ""}
  - name: a call that is cut
    given: {tool_call: '{"a": '}
    expect: {outcome: block, rules: [r], labels: [TRUNCATED_JSON]}
  - name: wrong
    given: {output: "1", schema: {type: string}}
    expect: {outcome: allow}
"""
    )
    reports = run_cases(Guard(policy("block", {})), read_cases(tmp_path / "p.test.yaml"))
    assert [bool(report.complaints) for report in reports] == [False, False, False, True]
