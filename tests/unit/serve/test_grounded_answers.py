"""Answers from documents through the gateway: what leaves, and what is told of it."""

import json

import pytest

from gateway_parts import events, run, stack, text_of
from keelmark.core.policy import GuardRules, Policy, Repair, Rule
from keelmark.guard import Guard
from keelmark.serve.fake import Script

SOURCE = "Acme was founded in Berlin on 12 March 1998 by Ada Long. It has 1,200 employees."
ANSWER = "Hello! Acme has 1,200 employees. It was founded in 1997. Ada Long founded it."
LEFT = "Hello! Acme has 1,200 employees. [contradicted] Ada Long founded it."
COUNTS = "supported=2, contradicted=1, unsupported=0, unchecked=0"
ASKED = f"<document>{SOURCE}</document> What is Acme?"
FULL = {"x-keelmark-grounding": "full"}
SCRIPT = Script(pieces=tuple(ANSWER[at : at + 3] for at in range(0, len(ANSWER), 3)))
TOOL_RESULT = [
    {"role": "user", "content": "What is Acme?"},
    {
        "role": "assistant",
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "1", "content": SOURCE},
]


def guard(action="redact", marker="[contradicted]", **more):
    rule = Rule(
        id="ground",
        detector="grounding",
        action=action,
        marker=marker,
        stage="output",
        config={"encoder": "off"},
        **more,
    )
    return Guard(Policy(guard=GuardRules(rules=(rule,))))


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": [{"role": "user", "content": ASKED}]},
        {"messages": TOOL_RESULT},
        {"messages": TOOL_RESULT[:1], "documents": [{"title": "Acme", "text": SOURCE}]},
        {"messages": TOOL_RESULT[:1], "search_results": [SOURCE]},
    ],
    ids=["marked", "tool", "documents", "search_results"],
)
def test_a_whole_answer_is_judged_by_what_the_request_brings(asked):
    async def scene():
        async with stack(SCRIPT, guard=guard()) as s:
            body = {"model": "fake", **asked}
            status, answer, headers = await s.post("/v1/chat/completions", body)
            assert status == 200, answer
            assert answer["choices"][0]["message"]["content"] == LEFT
            assert headers["x-keelmark-grounding"] == COUNTS
            assert "keelmark" not in answer
            said = s.traces[0].output.sentences
            assert [one.verdict for one in said][2] == "contradicted"
            assert ANSWER[said[2].start : said[2].end] == "It was founded in 1997."

    run(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_in_json_is_judged_and_stays_json(stream):
    answer = '{"founded": {"year": 1997, "city": "Berlin"}, "staff": "1,200 employees"}'
    script = Script(pieces=tuple(answer[at : at + 3] for at in range(0, len(answer), 3)))

    async def scene():
        async with stack(script, guard=guard(marker="removed")) as s:
            form = {"response_format": {"type": "json_object"}, "stream": stream}
            _, answered, _ = await s.chat(ASKED, **form)
            if stream:
                counts = b": x-keelmark-grounding: supported=2, contradicted=1"
                assert counts in answered
                parts = [one for one in answered.split(b"\n\n") if not one.startswith(b": ")]
                said = text_of(events(b"\n\n".join(parts)))
            else:
                said = answered["choices"][0]["message"]["content"]
            assert json.loads(said) == {
                "founded": {"year": "removed", "city": "Berlin"},
                "staff": "1,200 employees",
            }

    run(scene)


def test_a_stream_tells_the_counts_before_its_end():
    async def scene():
        async with stack(SCRIPT, guard=guard()) as s:
            _, raw, headers = await s.chat(ASKED, stream=True)
            assert "x-keelmark-grounding" not in headers
            comment = f": x-keelmark-grounding: {COUNTS}\n\n".encode()
            assert comment in raw
            assert raw.endswith(b"data: [DONE]\n\n")
            assert text_of(events(raw.replace(comment, b""))) == LEFT

    run(scene)


def test_who_asks_gets_every_sentence():
    async def scene():
        async with stack(SCRIPT, guard=guard()) as s:
            body = {"model": "fake", "messages": [{"role": "user", "content": ASKED}]}
            _, answer, _ = await s.post("/v1/chat/completions", body, **FULL)
            told = answer["keelmark"]["grounding"]
            assert told["summary"] == COUNTS
            wrong = told["sentences"][2]
            assert (wrong["verdict"], wrong["tier"]) == ("contradicted", 1)
            source = wrong["source"]
            assert source["path"] == "messages[0].content"
            assert ASKED[source["start"] : source["end"]].startswith("Acme was founded")
            _, raw, _ = await s.post("/v1/chat/completions", {**body, "stream": True}, **FULL)
            lines = [line for line in raw.split(b"\n\n") if b"keelmark.grounding" in line]
            assert len(lines) == 1
            event = json.loads(lines[0].removeprefix(b"data: "))
            assert event["choices"] == []
            assert event["keelmark"]["grounding"]["sentences"] == told["sentences"]

    run(scene)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/completions", {"prompt": ASKED}, lambda a: a["choices"][0]["text"]),
        ("/v1/responses", {"input": ASKED}, lambda a: a["output"][0]["content"][0]["text"]),
        (
            "/v1/messages",
            {"max_tokens": 99, "messages": [{"role": "user", "content": ASKED}]},
            lambda a: a["content"][0]["text"],
        ),
    ],
    ids=["completions", "responses", "messages"],
)
def test_other_protocols_are_judged_alike(path, body, said):
    async def scene():
        async with stack(SCRIPT, guard=guard()) as s:
            _, answer, headers = await s.post(path, {"model": "fake", **body}, **FULL)
            assert said(answer) == LEFT
            assert headers["x-keelmark-grounding"] == COUNTS
            assert answer["keelmark"]["grounding"]["summary"] == COUNTS
            _, raw, _ = await s.post(path, {"model": "fake", "stream": True, **body})
            assert COUNTS.encode() in raw
            assert b"1997" not in raw

    run(scene)


def test_a_rule_that_blocks_ends_the_answer():
    async def scene():
        async with stack(SCRIPT, guard=guard("block")) as s:
            _, answer, headers = await s.chat(ASKED)
            choice = answer["choices"][0]
            assert choice["message"]["content"] == "Hello! Acme has 1,200 employees. "
            assert choice["finish_reason"] == "content_filter"
            assert headers["x-keelmark-grounding"].startswith("supported=1, contradicted=1")

    run(scene)


def test_nothing_is_told_of_an_answer_without_sources():
    async def scene():
        async with stack(SCRIPT, guard=guard()) as s:
            _, answer, headers = await s.chat("What is Acme?")
            assert answer["choices"][0]["message"]["content"] == ANSWER
            assert "x-keelmark-grounding" not in headers

    run(scene)


def scripts(*others, bodies=None):
    """The answer, then other sentences, in their order."""
    left = [SCRIPT, *(Script(pieces=(one,)) for one in others)]

    def script(body):
        if bodies is not None:
            bodies.append(body)
        return left.pop(0)

    return script


@pytest.mark.parametrize("stream", [False, True])
def test_a_sentence_is_asked_for_again_and_judged_again(stream):
    better, bodies = "It was founded in 1998.", []

    async def scene():
        script = scripts("It was founded in 1996.", better, bodies=bodies)
        async with stack(script, guard=guard(repair=Repair(attempts=2))) as s:
            _, answer, _ = await s.chat(ASKED, stream=stream)
            if stream:
                _, _, rest = answer.partition(b": x-keelmark-grounding")
                said = text_of(events(answer[: -len(rest)].rpartition(b": ")[0] + b"data: [DONE]"))
            else:
                said = answer["choices"][0]["message"]["content"]
            assert said == ANSWER.replace("It was founded in 1997.", better)
            trace = s.traces[0]
            assert trace.attributes["keelmark.repair.attempts"] == 2
            assert trace.output.sentences[2].reason.endswith("so it was asked for again")
            asked = bodies[-1]["messages"]
            assert asked[-2] == {"role": "assistant", "content": "It was founded in 1997."}
            assert "a number that no source has" in asked[-1]["content"]

    run(scene)


def test_a_sentence_that_stays_wrong_is_left_to_the_rule():
    async def scene():
        script = scripts("It was founded in 1996.", "Bob Stone founded it.")
        async with stack(script, guard=guard(repair=Repair(attempts=2))) as s:
            _, answer, _ = await s.chat(ASKED)
            assert answer["choices"][0]["message"]["content"] == LEFT

    run(scene)


def test_an_engine_that_fails_leaves_it_to_the_rule():
    async def scene():
        left = [SCRIPT]
        script = lambda _body: left.pop(0) if left else Script(fault="error")  # noqa: E731
        async with stack(script, guard=guard(repair=Repair(attempts=1))) as s:
            _, answer, _ = await s.chat(ASKED)
            assert answer["choices"][0]["message"]["content"] == LEFT

    run(scene)


UNSURE = {"encoder": "off", "unsure": True}


def unsure(mode="enforce"):
    rule = Rule(
        mode=mode,
        id="unsure",
        detector="grounding",
        labels=("UNCERTAIN",),
        action="annotate",
        stage="output",
        config=UNSURE,
    )
    return Guard(Policy(guard=GuardRules(rules=(rule,))))


class Told:
    """An engine that gives the log-probabilities of its tokens when it is asked for them."""

    def __init__(self, *tokens):
        self.tokens = tokens
        self.bodies = []

    def __call__(self, body):
        self.bodies.append(body)
        entries = [{"token": text, "logprob": number} for text, number in self.tokens]
        message = {"role": "assistant", "content": "".join(text for text, _ in self.tokens)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": entries, "refusal": None}
        answer = {"id": "a", "object": "chat.completion", "model": "fake", "choices": [choice]}
        return Script(raw=json.dumps(answer).encode())


TOLD = (("Bern", -0.1), (" is a city.", -0.1), (" It", -1.0), (" has nine rivers.", -2.5))


def test_without_sources_the_models_own_doubt_is_shown():
    async def scene():
        engine = Told(*TOLD)
        async with stack(engine, guard=unsure()) as s:
            _, answer, headers = await s.chat("What is Bern?")
            choice = answer["choices"][0]
            assert choice["message"]["content"].endswith("It has nine rivers. [uncertain]")
            assert "Bern is a city. It" in choice["message"]["content"]
            assert "logprobs" not in choice, "the client has not asked for them"
            assert engine.bodies[0]["logprobs"] is True
            assert headers["x-keelmark-grounding"].endswith("unchecked=1, uncertain=1")

    run(scene)


def test_a_rule_in_shadow_sees_the_models_doubt_too():
    async def scene():
        engine = Told(*TOLD)
        async with stack(engine, guard=unsure("shadow")) as s:
            _, answer, _ = await s.chat("What is Bern?")
            assert answer["choices"][0]["message"]["content"] == "".join(t for t, _ in TOLD)
            said = s.traces[0].output.shadow[0].sentences
            assert [one.verdict for one in said] == ["unchecked", "uncertain"]

    run(scene)


def test_nobody_is_asked_for_probabilities_where_there_are_sources():
    async def scene():
        engine = Told(*TOLD)
        async with stack(engine, guard=unsure()) as s:
            _, answer, _ = await s.chat(f"<document>{SOURCE}</document> What is Bern?")
            assert "logprobs" not in engine.bodies[0]
            assert "[uncertain]" not in answer["choices"][0]["message"]["content"]

    run(scene)


def test_who_asks_for_probabilities_keeps_them():
    async def scene():
        async with stack(Told(*TOLD), guard=unsure()) as s:
            _, answer, _ = await s.chat("What is Bern?", logprobs=True)
            choice = answer["choices"][0]
            assert choice["logprobs"]["content"][0]["logprob"] == -0.1
            assert choice["message"]["content"].endswith("[uncertain]")

    run(scene)
