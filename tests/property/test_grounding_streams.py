"""However an answer is split, its sentences are judged the same and the same leaves."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.grounding import Ground
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.guard import Guard

SOURCE = "Acme was founded in Berlin on 12 March 1998 by Ada Long. It has 1,200 employees."
REQUEST = (
    Segment(role="retrieved", path="documents[0]", text=SOURCE),
    Segment(role="user", path="messages[0].content", text="What is Acme?"),
)
FRAGMENTS = (
    *("Hello! ", "Acme was founded in 1998. ", "It was founded in 1997. ", "It has 1,200 "),
    *("employees. ", "1,300 employees.\n", "- It is in Berlin.\n", "Bob Stone owns it. ", "\n\n"),
    *(
        "```\nAcme = 1997\n```\n",
        "Write to bob@x.example. ",
        "I do not know. ",
        "一九九七年。",
        ".",
    ),
    *(
        "The moon is made of green cheese and silver spoons. ",
        "x" * 40,
        " ",
        "word " * 20,
        "1,",
        "5",
    ),
)
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)


def guard(action: str, marker: str = "") -> Guard:
    rules = (
        Rule(
            id="ground",
            detector="grounding",
            action=action,
            marker=marker,
            stage="output",
            timeout_ms=600_000,
            config={"encoder": "off"},
        ),
        Rule(id="pii", detector="personal_data", action="redact", timeout_ms=600_000),
    )
    return Guard(Policy(guard=GuardRules(rules=rules)))


GUARDS = {
    "flag": guard("flag"),
    "annotate": guard("annotate", " [{label}?]"),
    "redact": guard("redact", "(withheld)"),
    "block": guard("block"),
}


def leaves(judge: Guard, parts: list[str]) -> tuple[str, object]:
    request = judge.open()
    asyncio.run(request.check_input(REQUEST))
    channel = request.channel("choices[0].content")
    out = "".join([*(channel.feed(part) for part in parts), channel.finish()])
    verdict = request.output_verdict()
    assert verdict.outcome.examined
    found = [(f.rule, f.label, f.start, f.end, f.score) for f in verdict.findings]
    return out, (found, verdict.sentences, verdict.outcome)


@pytest.mark.parametrize("action", GUARDS)
@settings(max_examples=40, deadline=None)
@given(text=texts, cuts=st.lists(st.integers(0, 10**6), max_size=8))
def test_any_split_gives_the_same_text_and_map(action: str, text: str, cuts: list[int]) -> None:
    judge = GUARDS[action]
    whole = leaves(judge, [text])
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    assert leaves(judge, [text[a:b] for a, b in itertools.pairwise(edges)]) == whole
    assert leaves(judge, list(text)) == whole


def test_a_sentence_is_held_until_it_is_judged() -> None:
    request = GUARDS["redact"].open()
    asyncio.run(request.check_input(REQUEST))
    channel = request.channel("choices[0].content")
    wrong = "Acme was founded in Berlin in the spring of 1997"
    assert all(channel.feed(one) == "" for one in wrong)
    assert channel.feed(". It has 1,200 employees and ") == "(withheld) "
    assert channel.finish() == "It has 1,200 employees and "


def test_what_each_action_makes_of_a_sentence() -> None:
    text = "It was founded in 1997. Acme has 1,200 employees."
    wrong, right = text[:23], text[23:]
    assert leaves(GUARDS["flag"], [text])[0] == text
    assert leaves(GUARDS["annotate"], [text])[0] == f"{wrong} [contradicted?]{right}"
    assert leaves(GUARDS["redact"], [text])[0] == f"(withheld){right}"
    assert leaves(GUARDS["block"], [text])[0] == ""


def test_the_map_has_every_sentence_that_left_and_the_one_that_stopped_it() -> None:
    text = "Hello! Acme has 1,200 employees. It was founded in 1997. Acme is in Berlin."
    request = GUARDS["block"].open()
    asyncio.run(request.check_input(REQUEST))
    channel = request.channel("choices[0].content")
    assert channel.feed(text) == "Hello! Acme has 1,200 employees. "
    said = request.output_verdict().sentences
    assert [one.verdict for one in said] == [Ground.NO_CLAIM, Ground.SUPPORTED, Ground.CONTRADICTED]
    assert all(one.path == "choices[0].content" for one in said)
    assert [text[one.start : one.end] for one in said][1] == "Acme has 1,200 employees."
    assert said[2].source is not None


@pytest.mark.parametrize(
    "name", ["choices[0].reasoning_content", "choices[0].tool_calls[0].function.arguments"]
)
def test_thoughts_and_calls_of_tools_are_not_judged(name: str) -> None:
    request = GUARDS["block"].open()
    asyncio.run(request.check_input(REQUEST))
    channel = request.channel(name)
    text = "It was founded in 1997. Acme has 9 employees."
    assert channel.feed(text) + channel.finish() == text
    assert request.output_verdict().sentences == ()


def test_a_refusal_is_said_to_the_user_and_judged() -> None:
    request = GUARDS["redact"].open()
    asyncio.run(request.check_input(REQUEST))
    channel = request.channel("choices[0].refusal")
    assert channel.feed("It was founded in 1997.") + channel.finish() == "(withheld)"


def test_without_sources_nothing_is_said() -> None:
    request = GUARDS["block"].open()
    asyncio.run(request.check_input(REQUEST[1:]))
    channel = request.channel("choices[0].content")
    assert channel.feed("It was founded in ") == "It was founded in "
    assert request.output_verdict().sentences == ()
