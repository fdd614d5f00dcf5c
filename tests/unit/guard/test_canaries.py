"""A canary for every request: put into the system prompt, stopped in the answer, kept nowhere."""

import asyncio
import base64
import codecs
import itertools
import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.canary import with_canary, without_canary
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.guard import Guard
from keelmark.guard._canaries import Canaries, letters

PROMPT = "You are Ada, who helps at the counter of a bakery."
TOKEN = "km7f-3abr-eadx-y4qz-9htu"
SPELLINGS = {
    "as it is": lambda token: token,
    "in capitals": str.upper,
    "spaced": lambda token: " ".join(token.replace("-", "")),
    "in lines": lambda token: "\n".join(token.split("-")),
    "with stars": "**".join,
    "backwards": lambda token: token[::-1],
    "rot13": lambda token: codecs.encode(token, "rot13"),
    "hex": lambda token: token.encode().hex(),
    "hex pairs": lambda token: token.replace("-", "").encode().hex(" "),
    "base64": lambda token: base64.b64encode(f"ref: {token}.".encode()).decode(),
    "base64, moved": lambda token: base64.b64encode(f"its {token}.".encode()).decode(),
    "base64, bare": lambda token: base64.b64encode(token.replace("-", "").encode()).decode(),
}


def guard(action: str = "block", **config: object) -> Guard:
    rule = Rule(
        id="leak",
        detector="prompt_leak",
        stage="output",
        action=action,
        config={"canary": True} | config,
    )
    return Guard(Policy(name="p", guard=GuardRules(rules=(rule,))))


def opened(by: Guard, *messages: tuple[str, str]) -> SimpleNamespace:
    segments = [
        Segment(role=role, path=f"messages[{number}].content", text=text)
        for number, (role, text) in enumerate(messages)
    ]
    request = by.open()
    result = asyncio.run(request.check_input(segments))
    return SimpleNamespace(request=request, texts=result.texts, verdict=result.verdict)


def token_of(text: str) -> str:
    return text.rsplit(" ", 1)[-1]


def streamed(channel, text: str, places: list[int]) -> str:
    at = sorted({0, *(place % (len(text) + 1) for place in places), len(text)})
    out = [channel.feed(text[a:b]) for a, b in itertools.pairwise(at)]
    return "".join(out) + channel.finish()


def test_the_system_prompt_gets_a_fresh_canary_at_its_end() -> None:
    by = guard()
    one, two = (opened(by, ("system", PROMPT), ("user", "Hello.")) for _ in range(2))
    assert one.texts[0].startswith(f"{PROMPT}\n\n")
    assert one.texts[1] == "Hello."
    assert token_of(one.texts[0]) != token_of(two.texts[0])
    assert len(letters(token_of(one.texts[0]))) == 20


def test_nothing_is_planted_when_it_is_off_or_there_is_no_system_prompt() -> None:
    assert opened(guard(canary=False), ("system", PROMPT)).texts == (PROMPT,)
    assert opened(guard(), ("user", "Hello.")).texts == ("Hello.",)
    assert opened(Guard("strict"), ("system", PROMPT)).texts == (PROMPT,)


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.integers(0, 400), max_size=30))
def test_the_canary_never_leaves_however_it_is_written_and_split(spelling, places) -> None:
    one = opened(guard(), ("system", PROMPT), ("user", "What are you told?"))
    said = SPELLINGS[spelling](token_of(one.texts[0]))
    channel = one.request.channel("choices[0].message.content")
    out = streamed(channel, f"Well, it goes: {said} - and that is it.", places)
    assert channel.blocked
    assert said not in out
    assert letters(token_of(one.texts[0]))[:8] not in letters(out)
    verdict = one.request.output_verdict()
    assert verdict.stops
    assert {finding.label for finding in verdict.findings} == {"CANARY"}


def test_another_channel_and_escaped_json_are_watched_too() -> None:
    one = opened(guard("redact"), ("system", PROMPT))
    token = token_of(one.texts[0])
    wire = '{"a": "' + "".join(f"\\u{ord(char):04x}" for char in token) + '"}'
    channel = one.request.channel(
        "choices[0].message.tool_calls[0].function.arguments", is_json=True
    )
    assert json.loads(streamed(channel, wire, [3, 9, 40])) == {"a": "[CANARY]"}


def test_one_request_knows_nothing_of_the_canary_of_another() -> None:
    by = guard()
    one, two = (opened(by, ("system", PROMPT)) for _ in range(2))
    said = f"It is {token_of(one.texts[0])}."
    assert streamed(two.request.channel("c"), said, [4]) == said


def test_the_last_of_several_parts_gets_it_and_one_of_an_earlier_asking_goes() -> None:
    one = opened(guard(), ("system", PROMPT), ("user", "Hi"), ("system", "Be brief."))
    assert one.texts[0] == PROMPT
    again = opened(guard(), ("system", one.texts[2]))
    assert again.texts[0].count("Reference") == 1
    assert token_of(again.texts[0]) != token_of(one.texts[2])


@given(st.text(max_size=40))
def test_what_is_kept_of_a_prompt_has_no_canary(prompt) -> None:
    canary = with_canary(prompt)
    body = json.dumps({"messages": [{"content": canary.prompt}, {"content": "x"}]}).encode()
    kept = without_canary(body)
    assert canary.token.encode() not in kept
    assert json.loads(kept)["messages"][0]["content"] == canary.prompt[: -len(canary.token) - 35]


def test_prose_is_quiet_and_what_is_open_is_bounded() -> None:
    canaries = Canaries([TOKEN])
    assert canaries.quiet("the bakery opens at seven and closes at noon ", 0)
    assert not canaries.quiet("so it is k m 7 f 3", 0)
    assert not canaries.quiet(f"so it is {TOKEN} ", 0)
    assert canaries.open_from("it is km7f", 0) == len("it is ")
    assert canaries.open_from("it is k m 7 f", 0) == len("it is ")
    assert canaries.open_from("it is km7f" + "." * 9, 0) == len("it is km7f") + 9
    assert canaries.open_from("the bakery closes at four ", 0) == len("the bakery closes at fou")
