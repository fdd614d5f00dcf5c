"""The form of streamed answers does not depend on how the stream was cut."""

import itertools
import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.form import AnswerForm, Form, Formed
from keelmark.core.policy import GuardRules, Policy, Repair, Rule
from keelmark.guard import Guard
from keelmark.serve.forms import asked_form, chunks_in, gathered, question, said_in, tidy

SCHEMA = {"type": "object", "required": ["a"]}
texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(['{"a": 1}', '```json\n{"a": [1, "x"]}\n```', 'Here: {"a": "\\u00e9"}.', "{}"]),
)


def cut(text, places):
    ends = sorted({min(place, len(text)) for place in places} | {0, len(text)})
    return [text[start:end] for start, end in itertools.pairwise(ends)]


def streamed(pieces, index=0):
    return [{"choices": [{"index": index, "delta": {"content": piece}}]} for piece in pieces]


def judged(form, text, tool=None):
    request = GUARD.open()
    assert request.expect(form).judged
    formed = request.formed("c", text, tool)
    verdict = request.output_verdict()
    assert bool(formed.stops) == verdict.stops == bool(formed.faults)
    return formed, [(f.label, f.start, f.end) for f in verdict.findings]


GUARD = Guard(
    Policy(
        guard=GuardRules(
            rules=(
                Rule(
                    id="r", detector="structured_output", action="block", repair=Repair(tidy=True)
                ),
            )
        )
    )
)


@settings(max_examples=150, deadline=None)
@given(text=texts, places=st.lists(st.integers(0, 40), max_size=8))
def test_any_cut_is_gathered_judged_and_tidied_like_the_whole(text, places):
    chunks = [*streamed(cut(text, places)), {"choices": []}]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    (said,) = said_in(gathered(chunks, chat=True))
    assert (said.text, said.calls, said.finish) == (text, (), "stop")
    formed, _ = judged(AnswerForm(Form(SCHEMA)), said.text)
    tidy(chunks, {said.path: formed})
    (left,) = said_in(gathered(chunks, chat=True))
    assert left.text == formed.text
    if not formed.faults:
        assert "a" in json.loads(left.text)


@settings(max_examples=150, deadline=None)
@given(arguments=st.lists(texts, min_size=1, max_size=3), places=st.lists(st.integers(0, 40)))
def test_calls_are_told_apart(arguments, places):
    deltas = []
    for number, text in enumerate(arguments):
        first = {"name": f"tool{number}", "arguments": ""}
        deltas.append({"index": number, "id": f"c{number}", "type": "function", "function": first})
        deltas += (
            {"index": number, "function": {"arguments": piece}} for piece in cut(text, places)
        )
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]} for delta in deltas]
    (said,) = said_in(gathered(chunks, chat=True))
    assert said.text is None
    assert [call.arguments for call in said.calls] == arguments
    assert [call.name for call in said.calls] == [f"tool{n}" for n in range(len(arguments))]
    new = {call.path: Formed(f"<{at}>", tidied="x") for at, call in enumerate(said.calls)}
    tidy(chunks, new)
    (left,) = said_in(gathered(chunks, chat=True))
    wanted = [f"<{at}>" if text else "" for at, text in enumerate(arguments)]
    assert [call.arguments for call in left.calls] == wanted
    messages = question(said, {})
    assert len(messages) == 1 + len(arguments)


@settings(max_examples=200, deadline=None)
@given(text=texts)
def test_what_is_judged_beside_a_stream_is_what_is_said_of_the_text(text):
    guard = Guard(
        Policy(
            guard=GuardRules(
                rules=(
                    Rule(
                        id="r",
                        detector="structured_output",
                        action="flag",
                        config={"schema": SCHEMA},
                    ),
                )
            )
        )
    )
    request = guard.open()
    request.expect(AnswerForm())
    beside = [fault.label for fault in request.formed("c", text).faults]
    result = guard.check(text, stage="output")
    assert result.text == text
    told = [finding.label for finding in result.findings]
    assert told == (beside if text else [])


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["type", "json_schema", "schema", "function", "name", "parameters", "json"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "response_format": st.dictionaries(
            st.sampled_from(["type", "json_schema", "schema"]),
            st.one_of(st.sampled_from(["json_object", "json_schema"]), anything),
        ),
        "tools": st.lists(st.dictionaries(st.just("function"), anything, max_size=1), max_size=3),
        "functions": st.lists(st.dictionaries(st.just("name"), anything), max_size=2),
        "structured_outputs": anything,
        "guided_json": anything,
        "json_schema": anything,
        "format": anything,
    },
)


@settings(max_examples=300, deadline=None)
@given(body=requests)
def test_any_request_asks_for_a_form_or_for_none(body):
    form = asked_form(body)
    assert all(isinstance(name, str) for name in form.tools)
    assert form == asked_form(msgspec.json.decode(msgspec.json.encode(body)))


def test_events_are_read_back():
    events = b'data: {"choices":[]}\n\ndata: {"a":"\\n\\n"}\n\ndata: [DONE]\n\n'
    assert chunks_in(events) == [{"choices": []}, {"a": "\n\n"}]
