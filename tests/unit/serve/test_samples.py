"""Answers without sources are compared with what the model says when it is asked again."""

import json

import pytest

from gateway_parts import events, run, stack, text_of
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard import Guard
from keelmark.serve.fake import Script
from metering_parts import metered, none_held, quota, scene, tokens, until, used
from routing_parts import routed

ANSWER = ("Bern is the capital of Switzerland. ", "It was founded ", "in 1250. ", "Anything else?")
SAMPLES = (
    "Bern is the capital of Switzerland. It was founded in 1191.",
    "Bern, founded in 1191, is the capital of Switzerland.",
)
MARKED = "Bern is the capital of Switzerland. It was founded in 1250. [uncertain] Anything else?"
COUNTS = "supported=0, contradicted=0, unsupported=0, unchecked=0, uncertain=1, consistent=1"
CHAT = ("/v1/chat/completions", {"messages": [{"role": "user", "content": "What is Bern?"}]})
PLAIN = ("/v1/completions", {"prompt": "What is Bern?"})


def guard(timeout_ms=5000, mode="enforce", **config):
    rule = Rule(
        id="ground",
        detector="grounding",
        action="annotate",
        stage="output",
        timeout_ms=timeout_ms,
        mode=mode,
        config={"encoder": "off", "samples": 2, **config},
    )
    return Guard(Policy(guard=GuardRules(rules=(rule,))))


class Scripts:
    """The answer, and to all that is asked at temperature 1 the samples in their turn."""

    def __init__(self, *samples):
        self.samples = samples or tuple(Script(pieces=(one,)) for one in SAMPLES)
        self.bodies = []

    def __call__(self, body):
        if body.get("temperature") != 1.0:
            return Script(pieces=ANSWER)
        self.bodies.append(body)
        return self.samples[(len(self.bodies) - 1) % len(self.samples)]


def said(answer):
    if isinstance(answer, dict):
        choice = answer["choices"][0]
        return choice["message"]["content"] if "message" in choice else choice["text"]
    left = events(b"\n\n".join(p for p in answer.split(b"\n\n") if p[:1] != b":"))
    if left[0]["object"] == "text_completion":
        return "".join(c["text"] for one in left for c in one["choices"])
    return text_of(left)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), [CHAT, PLAIN], ids=["chat", "completions"])
def test_what_it_says_otherwise_when_asked_again_is_uncertain(path, body, stream):
    scripts = Scripts()

    async def main():
        async with stack(scripts, guard=guard()) as s:
            s.engine.slots = 1
            sent = {"model": "fake", "seed": 5, "temperature": 0, "stream": stream, **body}
            status, answer, headers = await s.post(path, sent)
            assert status == 200, answer
            assert said(answer) == MARKED
            if stream:
                assert b": x-keelmark-grounding: " + COUNTS.encode() in answer
            else:
                assert headers["x-keelmark-grounding"] == COUNTS
            trace = s.traces[0]
            assert trace.attributes["keelmark.samples"] == ["answered", "answered"]
            assert [one.by for one in trace.output.sentences][:2] == ["samples", "samples"]
            assert trace.output.sentences[1].source.path.startswith("samples[")
            for asked in scripts.bodies:
                assert asked["max_tokens"] == 512
                assert not {"seed", "stream", "stream_options"} & asked.keys()
            assert s.app.lanes.of(s.engine).active == 0

    run(main)


@pytest.mark.parametrize("late", [Script(fault="hang", after=0), Script(fault="error")])
def test_samples_that_do_not_come_leave_sentences_unchecked(late):
    async def main():
        async with stack(Scripts(late), guard=guard(timeout_ms=100)) as s:
            _, answer, headers = await s.chat("What is Bern?")
            assert said(answer).count("[unchecked]") == 2
            assert headers["x-keelmark-grounding"].startswith("supported=0")
            assert "unchecked=2" in headers["x-keelmark-grounding"]
            await until(lambda: s.app.lanes.of(s.engine).active == 0)
            assert "answered" not in s.traces[0].attributes["keelmark.samples"]

    run(main)


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "user", "content": "<document>Bern.</document> What is Bern?"}]},
        {"response_format": {"type": "json_object"}},
        {"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
    ],
    ids=["sources", "document", "tool"],
)
def test_nobody_is_asked_where_they_would_say_nothing(more):
    scripts = Scripts()

    async def main():
        async with stack(scripts, guard=guard()) as s:
            await s.chat("What is Bern?", **more)
            assert scripts.bodies == []

    run(main)


def test_a_rule_in_shadow_asks_nobody():
    scripts = Scripts()

    async def main():
        async with stack(scripts, guard=guard(mode="shadow")) as s:
            _, answer, _ = await s.chat("What is Bern?")
            assert said(answer) == "".join(ANSWER)
            assert scripts.bodies == []
            shadow = s.traces[0].output.shadow[0]
            assert {one.verdict for one in shadow.sentences} == {"unchecked", "no_claim"}

    run(main)


def test_who_asks_sees_who_decided():
    async def main():
        async with stack(Scripts(), guard=guard()) as s:
            path, body = CHAT
            full = {"x-keelmark-grounding": "full"}
            _, answer, _ = await s.post(path, {"model": "fake", **body}, **full)
            told = answer["keelmark"]["grounding"]["sentences"]
            assert (told[1]["verdict"], told[1]["by"]) == ("uncertain", "samples")
            assert "1191" not in json.dumps(told)

    run(main)


def test_all_that_is_asked_is_billed(tmp_path):
    @scene
    async def main(path):
        parts = {"script": Scripts(), "guard": guard()}
        async with metered(path, quota(tokens(100_000)), **parts) as room:
            _, answer, _ = await room.chat("What is Bern?")
            assert said(answer) == MARKED
            (row,) = used(room)
            assert (row.calls, row.input, row.output) == (3, 21, 6)
            assert answer["usage"]["total_tokens"] == 27
            await none_held(room)

    main(tmp_path)


def test_a_route_does_not_take_the_wait_for_samples_for_a_slow_engine():
    slow = (Script(pieces=(SAMPLES[0],), fault="slow", delay=0.4),)
    routes = """
routes:
  models: {assistant: {fallback: [{engine: local, first_byte_ms: 200}, other]}}
"""

    async def main():
        scripts = {"local": Scripts(*slow), "other": Script()}
        async with routed(routes, scripts, guard=guard()) as s:
            body = {"model": "assistant", "stream": True, **CHAT[1]}
            _, answer, _ = await s.post("/v1/chat/completions", body)
            assert said(answer) == MARKED
            assert s.fakes["other"].received == []

    run(main)
