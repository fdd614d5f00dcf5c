"""Exceptions, scope and shadow keep the law of streams: any split gives the same."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from guard_samples import SAMPLES
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.scope import Origin, RuleException, Scope
from keelmark.guard import Guard

WORDS = ["bob@x.example", "eve@y.example", "1234 5678", "open sesame", "open  sesame", "plain", "é"]


def exception(**fields):
    base = {"id": "e", "reason": "r", "author": "a", "expires": "2999-01-01"}
    return RuleException(**{**base, **fields})


RULES = (
    Rule(id="address", detector="address", action="redact"),
    Rule(id="digits", detector="digits", action="redact", scope=Scope(keys=("k",))),
)
EXCEPTIONS = (exception(rule="address", pattern="*@x.example"),)
SHADOW = (
    Rule(id="stop", detector="phrase", action="block", mode="shadow"),
    Rule(id="slow", detector="unseen", action="mask", mode="shadow"),
)


def guard(rules):
    policy = Policy(guard=GuardRules(rules=rules, exceptions=EXCEPTIONS))
    return Guard(policy, detectors=SAMPLES)


PLAIN, SHADOWED = guard(RULES), guard(RULES + SHADOW)


def said(verdict):
    return (
        verdict.outcome,
        verdict.coverage,
        [(f.rule, f.label, f.start, f.end, f.path) for f in verdict.findings],
        [(r.rule, r.outcome, r.reason) for r in verdict.rules],
    )


def answer(judge, pieces, key):
    request = judge.open(Origin(key=key))
    channel = request.channel("c")
    out = "".join([channel.feed(piece) for piece in pieces]) + channel.finish()
    return out, request.output_verdict()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    st.lists(st.integers(0, 200), max_size=12),
    st.sampled_from(["k", "other"]),
)
def test_any_split_gives_the_same_and_a_shadow_changes_nothing(text, cuts, key):
    edges = [0, *sorted({min(cut, len(text)) for cut in cuts}), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    whole, verdict = answer(PLAIN, [text], key)
    for judge in (PLAIN, SHADOWED):
        out, now = answer(judge, pieces, key)
        assert (out, said(now)) == (whole, said(verdict))
    (shadow,) = now.shadow
    (alone,) = answer(SHADOWED, [text], key)[1].shadow
    assert said(shadow) == said(alone)
    assert shadow.stops is ("sesame" in text)
    assert "bob@x.example" in whole or "bob" not in text
    assert "eve" not in whole
    assert ("5678" in whole) is (key == "other" and "5678" in text)
