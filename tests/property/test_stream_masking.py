"""Masking and unmasking: the round trip, split placeholders, typed placeholders, no mixing."""

import asyncio
import itertools
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_samples import SAMPLES, policy
from keelmark.core.policy import Rule
from keelmark.core.ports import InputResult, Segment
from keelmark.guard import Guard, GuardedRequest

GUARD = Guard(
    policy(
        ("address", "mask"),
        ("digits", "mask"),
        Rule(id="digits-out", detector="digits", action="redact", stage="output"),
    ),
    detectors=SAMPLES,
)
FRAGMENTS = (
    *("bob@x.example", "eve@y.example", "1234 5678", "a@b.c", "é@b.c", "\u200b", " ", "\n", "<"),
    *("<EMAIL_1>", "<EMAIL_2>", "<email_1>", "EMAIL 1", "<EMAIL_", "_1>", "1>", "<DIGITS_1>"),
    *("<ＥＭＡＩＬ_1>", "<E M A I L _ 1>", "&lt;EMAIL_1&gt;", "<ЕMAIL_3>", "word", '"', "\\", "é"),
)
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=16).map("".join)
cuts = st.lists(st.integers(0, 600), max_size=20)


def pieces(text: str, at: Sequence[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in at), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def ask(request: GuardedRequest, *said: str, is_json: bool = False) -> InputResult:
    segments = [
        Segment(role="user", path=f"messages[{i}]", text=text, is_json=is_json)
        for i, text in enumerate(said)
    ]
    return asyncio.run(request.check_input(segments))


def answer(request: GuardedRequest, parts: Sequence[str], *, is_json: bool = False) -> str:
    channel = request.channel(f"c{len(request._channels)}", is_json=is_json)
    return "".join([*(channel.feed(part) for part in parts), channel.finish()])


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, min_size=1, max_size=3), cuts)
def test_an_echo_gives_back_what_was_said(said: list[str], at: list[int]) -> None:
    request = GUARD.open()
    masked = ask(request, *said)
    assert not masked.verdict.stops
    for text, sent in zip(said, masked.texts, strict=True):
        assert answer(request, pieces(sent, at)) == text


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(texts, texts, max_size=4), st.booleans(), cuts)
def test_an_echo_in_json_gives_back_the_same_values(
    value: dict[str, str], ascii_only: bool, at: list[int]
) -> None:
    request = GUARD.open()
    masked = ask(request, json.dumps(value, ensure_ascii=ascii_only), is_json=True)
    echo = masked.texts[0].replace("<", "\\u003c").replace(">", "\\u003E")
    assert json.loads(answer(request, pieces(echo, at), is_json=True)) == value
    assert json.loads(answer(request, pieces(masked.texts[0], at), is_json=True)) == value


def test_masked_json_numbers_come_back_as_strings() -> None:
    request = GUARD.open()
    (sent,) = ask(request, '{"n": 12345678, "m": [12345678]}', is_json=True).texts
    assert json.loads(sent) == {"n": "<DIGITS_1>", "m": ["<DIGITS_1>"]}


def test_a_placeholder_split_anywhere_is_put_back() -> None:
    request = GUARD.open()
    ask(request, "I am bob@x.example")
    text = "Dear <EMAIL_1>, <EMAIL_12> <EMAIL_1 > <email_1> <<EMAIL_1>>"
    wanted = "Dear bob@x.example, <EMAIL_12> <EMAIL_1 > <email_1> <bob@x.example>"
    for cut in range(len(text)):
        assert answer(request, [text[:cut], text[cut:]]) == wanted
    assert answer(request, list(text)) == wanted


def test_the_hold_for_a_placeholder_ends_as_soon_as_it_cannot_be_one() -> None:
    request = GUARD.open()
    ask(request, "I am bob@x.example")
    channel = request.channel("c")
    assert channel.feed("see <EMA ") == "see <EMA "
    assert channel.feed("x <EMAI") + channel.feed("L_1> ") == "x bob@x.example "


@pytest.mark.parametrize(
    "typed",
    [
        "<EMAIL_1>",
        "<email_1>",
        "EMAIL 1",
        "<ＥＭＡＩＬ_1>",
        "<\u200bEMAIL_1>",
        "<ЕМАІL_1>",
        "E M A I L _ 1",
        "&lt;EMAIL_1&gt;",
        "%3CEMAIL_1%3E",
        "<EMAIL_٣> <EMAIL_1>",
    ],
)
def test_a_typed_placeholder_is_nobodys(typed: str) -> None:
    request = GUARD.open()
    masked = ask(request, f"What is {typed}?", "I am bob@x.example")
    assert masked.texts[0] == f"What is {typed}?"
    assert masked.texts[1] == "I am <EMAIL_2>"
    assert answer(request, ["It is <EMAIL_1>."]) == "It is <EMAIL_1>."


def test_a_placeholder_typed_in_json_escapes_is_nobodys() -> None:
    request = GUARD.open()
    segments = [
        Segment(role="assistant", path="a", text='{"x": "\\u003cE\\u004dAIL_1>"}', is_json=True),
        Segment(role="user", path="b", text="bob@x.example"),
    ]
    assert asyncio.run(request.check_input(segments)).texts[1] == "<EMAIL_2>"


def test_the_same_value_has_one_placeholder() -> None:
    masked = ask(GUARD.open(), "bob@x.example eve@y.example", "bob@x.example")
    assert masked.texts == ("<EMAIL_1> <EMAIL_2>", "<EMAIL_1>")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_requests_side_by_side_see_nothing_of_each_other(data: st.DataObject) -> None:
    people = ["ann@x.example", "bob@y.example", "cy@z.example"]
    requests = [GUARD.open() for _ in people]
    for request, address in zip(requests, people, strict=True):
        assert ask(request, f"I am {address}").texts == ("I am <EMAIL_1>",)
    text = "You are <EMAIL_1>, not <EMAIL_2>."
    todo = {i: list(pieces(text, data.draw(cuts))) for i in range(len(people))}
    got = dict.fromkeys(todo, "")
    while todo:
        i = data.draw(st.sampled_from(sorted(todo)))
        got[i] += requests[i].channel("c").feed(todo[i].pop(0))
        if not todo[i]:
            got[i] += requests[i].channel("c").finish()
            del todo[i]
    assert got == {i: f"You are {who}, not <EMAIL_2>." for i, who in enumerate(people)}


def test_what_the_user_said_comes_back_and_what_the_model_invents_does_not() -> None:
    request = GUARD.open()
    ask(request, "My number is 1234 5678")
    said = "Yours: <DIGITS_1>, mine: 8765 4321 0000, hers: eve@y.example."
    assert answer(request, list(said)) == "Yours: 1234 5678, mine: [DIGITS], hers: [EMAIL]."


def test_values_are_in_no_representation() -> None:
    request = GUARD.open()
    masked = ask(request, "I am bob@x.example")
    channel = request.channel("c")
    channel.feed("secret <EMAI")
    for thing in (request, request._vault, channel, masked, request.output_verdict()):
        assert "bob@" not in repr(thing)
