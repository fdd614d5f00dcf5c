"""The guard as a library: requests as programs have them, judged as the gateway judges them."""

import asyncio
import copy

import pytest

from guard_samples import SAMPLES
from keelmark import Guard, Origin
from keelmark.core.errors import UsageError
from keelmark.core.outcome import Outcome
from keelmark.core.policy import GuardRules, Limits, Policy, Rule
from keelmark.core.scope import Scope
from keelmark.serve.segments import read_segments

ARGUMENTS = '{"to": "bob@x.example"}'
PARTS = [{"type": "text", "text": "write to bob@"}, {"type": "text", "text": "x.example"}]
CALL = {"id": "1", "type": "function", "function": {"name": "mail", "arguments": ARGUMENTS}}
MESSAGES = [
    {"role": "system", "content": "You help eve@y.example."},
    {"role": "user", "content": PARTS},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "open sesame"},
]
BODY = {"model": "tiny", "messages": MESSAGES[:2], "documents": ["for bob@x.example"]}
MASK = Rule(id="in", detector="address", action="mask", stage="input")
STOP = Rule(id="stop", detector="phrase", action="block", stage="tool_result")
OUT = Rule(id="out", detector="digits", action="redact", stage="output")


def guard(*rules, **options):
    return Guard(Policy(guard=GuardRules(rules=rules)), detectors=SAMPLES, **options)


@pytest.mark.parametrize("given", ["write to bob@x.example", MESSAGES, MESSAGES[:2], BODY])
def test_the_verdict_is_the_gateways(given):
    judge, before = guard(MASK, STOP), copy.deepcopy(given)
    read = judge.open().read(given)
    assert given == before, "what was given stays as it is"
    body = {"messages": given} if isinstance(given, list) else given
    if isinstance(given, str):
        body = {"messages": [{"role": "user", "content": given}]}
    segments = read_segments(copy.deepcopy(body), Limits()).segments
    served = asyncio.run(judge.open().check_input(segments)).verdict
    assert read.verdict.findings == served.findings
    assert read.verdict.stops is served.stops is (given is MESSAGES)


def test_what_comes_back_has_the_form_of_what_was_given():
    judge = guard(MASK)
    assert judge.open().read("to bob@x.example").request == "to <EMAIL_1>"
    messages = judge.open().read(MESSAGES[:3]).request
    assert messages[0]["content"] == "You help <EMAIL_2>."
    assert messages[1]["content"] == [
        {"type": "text", "text": "write to <EMAIL_1>"}, {"type": "text", "text": ""}
    ]  # fmt: skip
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == '{"to": "<EMAIL_1>"}'
    assert judge.open().read(BODY).request["documents"] == ["for <EMAIL_1>"]


def test_what_is_stopped_is_not_given_to_a_model():
    read = guard(STOP).open().read(MESSAGES)
    assert (read.request, read.verdict.stops) == (None, True)


def test_values_come_back_in_the_answer():
    request = guard(MASK, OUT).open()
    request.read("to bob@x.example")
    answer = request.channel("choices[0].content")
    out = "".join(map(answer.feed, "I wrote to <EMAIL_1>, 1234 5678.")) + answer.finish()
    assert out == "I wrote to bob@x.example, [DIGITS]."
    assert request.output_verdict().outcome is Outcome.REDACT


def test_it_works_where_a_loop_is_running():
    async def scene():
        return guard(MASK).open().read("bob@x.example " * 5000)

    assert "@" not in asyncio.run(scene()).request


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"content": "x"}], "Message 0 of the request has no role"),
        ([MESSAGES[0], "text"], "Message 1 of the request has no role"),
        ({"messages": "text"}, "Message 0 of the request has no role"),
        ([{"role": "user", "content": object()}], "This request is no JSON"),
        ([{"role": "user", "content": "\ud800"}], "This request is no JSON"),
    ],
)
def test_what_is_no_request_is_refused_in_one_sentence(given, said):
    with pytest.raises(UsageError, match=said):
        guard(MASK).open().read(given)


def test_what_is_nested_too_deeply_is_refused():
    deep = "x"
    for _ in range(100):
        deep = [deep]
    with pytest.raises(UsageError, match="nested deeper than 64 levels"):
        guard(MASK).open().read([{"role": "user", "content": deep}])


TEAMS = Rule(
    id="digits", detector="digits", action="redact", scope=Scope(teams=("support",), models=("t*",))
)


@pytest.mark.parametrize(
    ("origin", "applies"),
    [
        (Origin(), True),
        (Origin(key="k", team="support", model="tiny"), True),
        (Origin(key="k", team="sales"), False),
        (Origin(key="k"), False),
        (Origin(model="big"), False),
    ],
)
def test_where_a_request_comes_from_counts_alike(origin, applies):
    judge, text = guard(TEAMS), "1234 5678"
    out = "[DIGITS]" if applies else text
    assert judge.check(text, origin=origin).text == out
    stream = judge.stream(origin=origin)
    assert stream.feed(text) + stream.finish() == out
    assert judge.open(origin).read(text).request == out


@pytest.mark.parametrize("stage", ["input", "output", "tool_call", "tool_result", "retrieved"])
def test_a_stream_says_what_a_check_says(stage):
    rules = (
        Rule(id="a", detector="address", action="redact"),
        Rule(id="d", detector="digits", action="block", mode="shadow"),
    )
    judge = guard(*rules, shadow=Policy(guard=GuardRules(rules=(STOP, OUT))))
    text = "bob@x.example 1234 5678 open sesame"
    checked, stream = judge.check(text, stage=stage), judge.stream(stage)
    out = "".join(map(stream.feed, text)) + stream.finish()
    assert out == checked.text

    def said(verdict):
        shadow = [said(one) for one in verdict.shadow]
        found = [(f.rule, f.label, f.start, f.end) for f in verdict.findings]
        return verdict.outcome, verdict.stops, found, verdict.coverage, shadow

    assert said(stream.verdict) == said(checked.verdict)
    assert len(stream.verdict.shadow) == 2
