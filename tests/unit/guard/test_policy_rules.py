"""What a rule is for (stage, scope, operating point), what it does not count, and shadow."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from guard_samples import SAMPLES, Address
from keelmark.core.errors import UsageError
from keelmark.core.outcome import Outcome
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.core.scope import Origin, RuleException, Scope
from keelmark.guard import Guard
from keelmark.guard.excuses import ExceptionInForce, value_hash

ADDRESS = Rule(id="address", detector="address", action="redact")
TEXT = "write to bob@x.example"
KEY = b"k" * 32


def rule(**fields):
    return Rule(**{"id": "address", "detector": "address", "action": "redact", **fields})


def guard(*rules, exceptions=(), mode="enforce", **more):
    policy = Policy(guard=GuardRules(rules=rules, exceptions=exceptions, mode=mode))
    return Guard(policy, detectors=SAMPLES, **more)


def exception(**fields):
    base = {
        "id": "e",
        "rule": "address",
        "reason": "ours",
        "author": "ada",
        "expires": "2999-01-01",
    }
    return RuleException(**{**base, **fields})


@pytest.mark.parametrize(
    ("stage", "role", "counts"),
    [
        ("tool_call", "", {"tool_call"}),
        ("tool_result", "", {"tool_result"}),
        ("retrieved", "", {"retrieved"}),
        ("input", "", {"input", "tool_result", "retrieved"}),
        ("output", "", {"output", "tool_call"}),
        ("both", "", {"input", "output", "tool_call", "tool_result", "retrieved"}),
        ("input", "tool", {"tool_result"}),
    ],
)
def test_stages(stage, role, counts):
    judge = guard(rule(stage=stage, roles=(role,) if role else ()))
    every = ("input", "output", "tool_call", "tool_result", "retrieved")
    assert {one for one in every if judge.check(TEXT, stage=one).findings} == counts


def test_a_rule_for_tool_calls_reads_their_arguments_only():
    request = guard(rule(stage="tool_call", action="block")).open()
    content = request.channel("choices[0].content")
    call = request.channel("choices[0].tool_calls[0].function.arguments", is_json=True)
    assert content.feed(TEXT) + content.finish() == TEXT
    call.feed('{"to": "bob@x.example"}')
    call.finish()
    assert (content.blocked, call.blocked) == (False, True)


def test_a_role_that_is_not_known_is_read_by_every_rule():
    request = guard(rule(stage="retrieved")).open()
    result = asyncio.run(request.check_input([Segment(role="new", path="x", text=TEXT)]))
    assert result.texts == ("write to [EMAIL]",)


ORIGIN = Origin("key_1", "support bot", "tiny", "llama", "chat", "support")


@pytest.mark.parametrize(
    ("scope", "applies"),
    [
        (Scope(keys=("key_1",)), True),
        (Scope(keys=("support*",)), True),
        (Scope(keys=("other",)), False),
        (Scope(models=("tiny", "big"), operations=("chat",)), True),
        (Scope(models=("tiny",), operations=("embeddings",)), False),
        (Scope(engines=("ll?ma",)), True),
        (Scope(teams=("sup*",)), True),
        (Scope(teams=("sales",)), False),
        (Scope(teams=("sup*",), operations=("embeddings",)), False),
        (Scope(teams=("[s]upport",)), False),
    ],
)
def test_scope(scope, applies):
    judge = guard(rule(scope=scope))
    assert bool(judge.check(TEXT, origin=ORIGIN).findings) is applies
    assert judge.check(TEXT).findings, "what is not known of a request is in the scope of a rule"
    request = judge.open(ORIGIN)
    channel = request.channel("c")
    assert (channel.feed(TEXT) + channel.finish() == TEXT) is not applies
    assert [r.rule for r in request.output_verdict().rules] == ["address"] * applies
    assert judge.describe()["rules"][0]["scope"]


def test_a_key_of_no_team_is_in_none():
    judge = guard(rule(scope=Scope(teams=("*",))))
    assert not judge.check(TEXT, origin=Origin(key="key_1")).findings
    assert judge.check(TEXT, origin=Origin(model="tiny")).findings, "which key it is is not known"
    assert judge.check(TEXT, origin=Origin(team="any")).findings


def test_rules_of_other_requests_are_not_mixed_up():
    judge = guard(
        rule(id="a", scope=Scope(keys=("a",))),
        rule(id="b", action="block", scope=Scope(keys=("b",))),
    )
    for _ in range(2):
        assert judge.check(TEXT, origin=Origin(key="a")).text == "write to [EMAIL]"
        assert judge.check(TEXT, origin=Origin(key="b")).verdict.stops
        assert judge.check(TEXT, origin=Origin(key="c")).text == TEXT


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"labels": ("EMAIL",)}, "bob@x.example eve@y.example"),
        ({"pattern": "*@x.example"}, "bob@x.example [EMAIL]"),
        ({"pattern": "BOB@X.*"}, "bob@x.example [EMAIL]"),
        ({"pattern": "x.example"}, "[EMAIL] [EMAIL]"),
        ({"value": value_hash("Bob@X.example", KEY)}, "bob@x.example [EMAIL]"),
        ({"value": value_hash("bob@x.example", b"another")}, "[EMAIL] [EMAIL]"),
        ({"labels": ("EMAIL",), "expires": "2020-01-01"}, "[EMAIL] [EMAIL]"),
        ({"labels": ("EMAIL",), "rule": "*"}, "bob@x.example eve@y.example"),
        ({"labels": ("EMAIL",), "scope": Scope(keys=("key_1",))}, "bob@x.example eve@y.example"),
        ({"labels": ("EMAIL",), "scope": Scope(keys=("key_2",))}, "[EMAIL] [EMAIL]"),
        ({"labels": ("EMAIL",), "scope": Scope(teams=("support",))}, "bob@x.example eve@y.example"),
    ],
)
def test_exceptions(fields, text):
    judge = guard(ADDRESS, exceptions=(exception(**fields),), key=KEY)
    result = judge.check("bob@x.example eve@y.example", origin=ORIGIN)
    assert result.text == text
    applied = "exception 'e' applied" in result.verdict.rules[0].reason
    assert applied is ("@" in text)
    request = judge.open(ORIGIN)
    channel = request.channel("c")
    assert "".join(map(channel.feed, "bob@x.example eve@y.example")) + channel.finish() == text


def test_an_exception_with_a_scope_does_not_hold_where_nothing_is_known():
    scoped = exception(labels=("EMAIL",), scope=Scope(keys=("key_1",)))
    assert guard(ADDRESS, exceptions=(scoped,)).check(TEXT).findings


def test_an_exception_is_for_its_rule_only():
    judge = guard(
        ADDRESS, rule(id="more", action="block"), exceptions=(exception(labels=("EMAIL",)),)
    )
    verdict = judge.check(TEXT).verdict
    assert verdict.stops
    assert [(r.rule, r.outcome) for r in verdict.rules] == [
        ("address", Outcome.ALLOW),
        ("more", Outcome.BLOCK),
    ]


def test_an_exception_ends_while_the_service_runs():
    day = datetime.now(UTC).date()
    now = [time.time()]
    excuse = ExceptionInForce(exception(labels=("EMAIL",), expires=str(day)), clock=lambda: now[0])
    assert excuse.covers("EMAIL", "a@b.c", 0, 5)
    now[0] = datetime.combine(day + timedelta(1), datetime.min.time(), UTC).timestamp()
    assert not excuse.covers("EMAIL", "a@b.c", 0, 5)


@pytest.mark.timeout(30)
def test_a_hostile_pattern_comes_to_an_end():
    excuse = ExceptionInForce(exception(pattern="*a" * 40 + "b"))
    assert not excuse.covers("EMAIL", "a" * 1024, 0, 1024)


def test_an_exception_for_a_label_that_nobody_gives_is_refused():
    with pytest.raises(UsageError, match=r"label .EMIAL., .*did you mean .EMAIL."):
        guard(ADDRESS, exceptions=(exception(labels=("EMIAL",)),))


class Pointed(Address):
    points: ClassVar = {"sharp": 0.95, "keen": 0.2}


def test_operating_points():
    def judge(point):
        policy = Policy(guard=GuardRules(rules=(rule(threshold=point),)))
        return Guard(policy, detectors={"address": Pointed}).check(TEXT)

    assert judge("keen").findings
    assert not judge("sharp").findings
    assert judge("sharp").verdict.rules[0].threshold == 0.95
    with pytest.raises(UsageError, match=r"operating point 'blunt'.* it has: sharp, keen"):
        judge("blunt")


@pytest.mark.parametrize("how", ["rule", "policy", "second"])
def test_a_shadow_records_and_changes_nothing(how):
    block = rule(action="block", mode="shadow" if how == "rule" else "enforce")
    if how == "second":
        second = Policy(name="second", guard=GuardRules(rules=(block,)))
        judge, digest = guard(shadow=second), second.digest
    else:
        judge = guard(block, mode="shadow" if how == "policy" else "enforce")
        digest = judge.policy_digest
    result = judge.check(TEXT)
    assert (result.text, result.verdict.outcome, result.findings) == (TEXT, Outcome.ALLOW, ())
    (shadow,) = result.verdict.shadow
    assert (shadow.outcome, shadow.stops, shadow.policy_digest) == (Outcome.BLOCK, True, digest)
    assert shadow.findings[0].label == "EMAIL"
    told = judge.describe()
    assert (told["rules"], told["shadow"][0]["id"]) == ([], "address")


def test_a_shadow_reads_along_in_a_request():
    judge = guard(ADDRESS, rule(id="stop", action="block", mode="shadow"))
    request = judge.open()
    segments = [Segment(role="user", path="p", text=TEXT)]
    result = asyncio.run(request.check_input(segments))
    assert (result.texts, result.verdict.outcome) == (("write to [EMAIL]",), Outcome.REDACT)
    assert result.verdict.shadow[0].stops
    channel = request.channel("c")
    out = "".join(channel.feed(character) for character in TEXT + " now") + channel.finish()
    assert (out, channel.blocked) == ("write to [EMAIL] now", False)
    verdict = request.output_verdict()
    assert (verdict.outcome, verdict.stops) == (Outcome.REDACT, False)
    assert [f.path for f in verdict.shadow[0].findings] == ["c"]
    assert verdict.shadow[0].stops


def test_a_shadow_that_fails_stops_nothing():
    judge = guard(Rule(id="x", detector="broken", action="block", mode="shadow"))
    result = judge.check(TEXT)
    assert (result.text, result.verdict.outcome) == (TEXT, Outcome.ALLOW)
    assert result.verdict.shadow[0].outcome == Outcome.FAILED
