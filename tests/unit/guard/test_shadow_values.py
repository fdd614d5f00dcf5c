"""A shadow sees what it would see in force, whatever stands for values in the answer now."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_samples import SAMPLES
from keelmark.core.outcome import Outcome
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.guard import Guard

KEY = bytes(32)
ENTERING = {
    "nothing": (),
    "placeholder": (Rule(id="in", detector="address", action="mask", stage="input"),),
    "surrogate": (
        Rule(
            id="in", detector="address", action="mask", stage="input", replacement="surrogate"
        ),
    ),
    "redact": (Rule(id="in", detector="address", action="redact", stage="input"),),
    "flag": (Rule(id="in", detector="address", action="flag", stage="input"),),
}  # fmt: skip
LEAVING = (
    Rule(id="out", detector="address", action="redact", stage="output"),
    Rule(id="digits", detector="digits", action="flag", stage="output"),
)


def policy(*rules):
    return Policy(guard=GuardRules(rules=rules))


def in_shadow(*rules):
    return tuple(
        Rule(**{**{f: getattr(r, f) for f in r.__struct_fields__}, "mode": "shadow"}) for r in rules
    )


def guard(*rules, shadow=None):
    return Guard(policy(*rules), detectors=SAMPLES, shadow=shadow, key=KEY)


def echoed(judge, text, more="", cuts=()):
    """A model that repeats what it reads, and says more; return what became of its answer."""
    request = judge.open()
    segment = Segment(role="user", path="messages[0].content", text=text)
    said = asyncio.run(request.check_input([segment])).texts[0] + more
    channel = request.channel("choices[0].content")
    edges = [0, *sorted({min(cut, len(said)) for cut in cuts}), len(said)]
    out = "".join([channel.feed(said[a:b]) for a, b in pairwise(edges)]) + channel.finish()
    return out, request.output_verdict()


def told(verdict):
    return verdict.outcome, [(found.rule, found.label) for found in verdict.findings]


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.sampled_from(["bob@x.example", "eve@y.example", "1234 5678", "plain"]), max_size=6
    ).map(" ".join),
    st.sampled_from(["", " see ann@z.example", " 8765 4321"]),
    st.sampled_from(["nothing", "placeholder", "surrogate", "flag"]),
    st.sampled_from(list(ENTERING)),
    st.lists(st.integers(0, 120), max_size=8),
)
def test_a_second_policy_says_what_it_would_say_in_force(text, more, now, then, cuts):
    other = policy(*ENTERING[then], *LEAVING)
    _, verdict = echoed(guard(*ENTERING[now], shadow=other), text, more, cuts)
    _, in_force = echoed(guard(*ENTERING[then], *LEAVING), text, more)
    assert told(verdict.shadow[0]) == told(in_force)


@pytest.mark.parametrize("now", ENTERING)
def test_a_rule_in_shadow_is_judged_beside_those_that_are_in_force(now):
    judge = guard(*ENTERING[now], *in_shadow(*LEAVING))
    for text in ("bob@x.example 1234 5678", "ann@z.example"):
        out, verdict = echoed(judge, text, " eve@y.example")
        _, in_force = echoed(guard(*ENTERING[now], *LEAVING), text, " eve@y.example")
        assert told(verdict.shadow[0]) == told(in_force)
        assert "eve@y.example" in out, "nothing of it is done"


def test_surrogates_do_not_look_like_addresses_that_a_model_made_up():
    judge = guard(*ENTERING["surrogate"], shadow=policy(*ENTERING["placeholder"], *LEAVING))
    out, verdict = echoed(judge, "bob@x.example")
    assert out == "bob@x.example"
    (shadow,) = verdict.shadow
    assert shadow.outcome is Outcome.ALLOW
    assert shadow.rules[0].reason == "a value passed that the model would not have read"


def test_a_value_that_the_shadow_would_have_shown_to_the_model_is_found_in_the_answer():
    judge = guard(*ENTERING["placeholder"], shadow=policy(*LEAVING))
    _, verdict = echoed(judge, "bob@x.example")
    assert [found.rule for found in verdict.shadow[0].findings] == ["out"]
    assert not verdict.findings


def test_the_arguments_of_tools_are_read_alike():
    judge = guard(*ENTERING["surrogate"], shadow=policy(*LEAVING))
    request = judge.open()
    segment = Segment(role="user", path="m", text="write to bob@x.example")
    read = asyncio.run(request.check_input([segment])).texts[0].removeprefix("write to ")
    name = "choices[0].tool_calls[0].function.arguments"
    channel = request.channel(name, is_json=True)
    out = "".join(map(channel.feed, f'{{"to": "{read}"}}')) + channel.finish()
    assert out == '{"to": "bob@x.example"}'
    (found,) = request.output_verdict().shadow[0].findings
    assert (found.rule, found.path) == ("out", name)


def test_what_crosses_from_one_part_of_a_message_to_the_next_is_seen():
    judge = guard(shadow=policy(Rule(id="stop", detector="phrase", action="block")))
    segments = [
        Segment(role="user", path=f"m.content[{n}].text", text=text, part_of="m.content")
        for n, text in enumerate(("please open", "sesame now"))
    ]
    result = asyncio.run(judge.open().check_input(segments))
    assert result.verdict.shadow[0].stops
    assert not result.verdict.stops
