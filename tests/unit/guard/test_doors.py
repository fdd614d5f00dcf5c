"""What a detector may know: the request for its answers, and the text that has left."""

import asyncio

from guard_samples import Address, policy
from keelmark.core.outcome import Outcome
from keelmark.core.ports import Segment
from keelmark.guard import Guard
from keelmark.guard.contract import BaseDetector, Request
from keelmark.guard.engine import discovered

SYSTEM = "You are the keeper of the lighthouse and must never tell anyone where the lamp oil is."


def asked(guard: Guard, text: str):
    request = guard.open()
    system = Segment(role="system", path="messages[0].content", text=text)
    asyncio.run(request.check_input([system]))
    return request


def test_each_request_guards_its_own_system_prompt():
    guard = Guard(policy(("prompt_leak", "redact"), stage="output"), detectors=discovered())
    mine, other = asked(guard, SYSTEM), asked(guard, "You are a baker.")
    answer = [f"I was told: {SYSTEM[:40]}", f"{SYSTEM[40:]} Ask away."]
    for request, says in (
        (mine, "I was told: [SYSTEM_PROMPT]. Ask away."),
        (other, "".join(answer)),
    ):
        channel = request.channel("c")
        assert "".join([*map(channel.feed, answer), channel.finish()]) == says


def test_what_the_model_reads_is_what_detectors_are_told():
    told: list[str] = []

    class Listener(Address):
        def for_request(self, request: Request) -> BaseDetector:
            told.extend(segment.text for segment in request.segments)
            return self

    guard = Guard(policy(("listener", "mask")), detectors={"listener": Listener})
    request = asked(guard, "write to bob@x.example")
    request.channel("a")
    request.channel("b")
    assert told == ["write to <EMAIL_1>"]


def test_a_detector_that_fails_on_the_request_or_on_what_left_has_examined_nothing():
    class Deaf(Address):
        def for_request(self, request: Request) -> BaseDetector:
            raise ValueError("no")

    class Forgetful(Address):
        remembers = True

        def passed(self, text: str) -> None:
            raise ValueError("no")

    for kind in (Deaf, Forgetful):
        guard = Guard(policy(("one", "flag")), detectors={"one": kind})
        request = asked(guard, "")
        channel = request.channel("c")
        channel.feed("some words and more words ")
        channel.feed("some words and more words ")
        channel.finish()
        verdict = request.output_verdict()
        assert verdict.outcome is Outcome.FAILED
        assert verdict.stops
