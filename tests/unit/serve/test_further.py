"""Further calls of an engine: each has a slot, a bill and an end like any other."""

import asyncio
import threading

import pytest

from gateway_parts import events, run, stack, text_of
from keelmark.core.policy import GuardRules, Policy, Repair, Rule
from keelmark.guard import Guard
from keelmark.serve import rewriting
from keelmark.serve.fake import Script
from metering_parts import metered, none_held, quota, scene, tokens, until, used

SOURCE = "Acme was founded in Berlin on 12 March 1998 by Ada Long. It has 1,200 employees."
ASKED = f"<document>{SOURCE}</document> What is Acme?"
ANSWER = ("Acme has 1,200 employees. ", "It was founded ", "in 1997. ", "Ada Long founded it.")
BETTER = Script(pieces=("It was founded in 1998.",))
LEFT = "Acme has 1,200 employees. [no] Ada Long founded it."
MENDED = "Acme has 1,200 employees. It was founded in 1998. Ada Long founded it."


def guard(attempts=1):
    rule = Rule(
        id="ground",
        detector="grounding",
        action="redact",
        marker="[no]",
        stage="output",
        repair=Repair(attempts=attempts),
        config={"encoder": "off"},
    )
    return Guard(Policy(guard=GuardRules(rules=(rule,))))


def scripts(*others, first=None, seen=None):
    """The answer, then others in their order; `seen` is called with each body."""
    left = [first or Script(pieces=ANSWER), *others]

    def script(body):
        if seen is not None:
            seen(body)
        return left.pop(0)

    return script


def said(answer, *, stream):
    if not stream:
        return answer["choices"][0]["message"]["content"]
    return text_of(events(b"\n\n".join(p for p in answer.split(b"\n\n") if p[:1] != b":")))


@pytest.mark.parametrize("stream", [False, True])
def test_it_waits_for_a_slot_and_not_for_its_own(stream):
    active = []

    async def main():
        async with stack(scripts(BETTER, seen=lambda _: active.append(lane())), guard=guard()) as s:
            s.engine.slots = 1
            lane = lambda: s.app.lanes.of(s.engine).active  # noqa: E731
            _, answer, _ = await s.chat(ASKED, stream=stream)
            assert said(answer, stream=stream) == MENDED
            assert active == [1, 1]
            await until(lambda: lane() == 0)

    run(main)


def test_it_is_not_asked_after_the_deadline_of_the_request():
    async def main():
        late = Script(pieces=ANSWER, fault="slow", delay=0.3)
        async with stack(scripts(first=late), guard=guard()) as s:
            body = {"model": "fake", "messages": [{"role": "user", "content": ASKED}]}
            headers = {"x-keelmark-deadline-ms": "200"}
            _, answer, _ = await s.post("/v1/chat/completions", body, **headers)
            assert said(answer, stream=False) == LEFT
            trace = s.traces[0]
            assert trace.attributes["keelmark.repair.answers"] == ["cannot_start_in_time"]
            reason = trace.output.sentences[1].reason
            assert reason.endswith(", and not replaced: cannot_start_in_time")

    run(main)


def test_where_too_many_wait_the_rule_decides_and_the_trace_says_so(monkeypatch):
    monkeypatch.setattr(rewriting, "_SEATS", threading.BoundedSemaphore(1))
    rewriting._SEATS.acquire()

    async def main():
        async with stack(scripts(), guard=guard()) as s:
            _, answer, _ = await s.chat(ASKED)
            assert said(answer, stream=False) == LEFT
            assert len(s.fake.received) == 1
            told = s.traces[0].output.sentences[1].reason
            assert told.endswith("not replaced: too many requests wait for other sentences")

    run(main)


def test_half_a_sentence_takes_no_place():
    async def main():
        half = Script(pieces=("It was founded in",), finish="length")
        async with stack(scripts(half), guard=guard()) as s:
            _, answer, _ = await s.chat(ASKED)
            assert said(answer, stream=False) == LEFT
            assert s.traces[0].output.sentences[1].reason.endswith("instead has no end")

    run(main)


def test_an_answer_has_no_more_than_so_many(monkeypatch):
    monkeypatch.setattr(rewriting, "MOST", 1)

    async def main():
        async with stack(scripts(Script(pieces=("It was 1996.",))), guard=guard(2)) as s:
            _, answer, _ = await s.chat(ASKED)
            assert said(answer, stream=False) == LEFT
            told = s.traces[0].output.sentences[1].reason
            assert told.endswith("too many were asked for in this answer")

    run(main)


def test_who_leaves_ends_it():
    async def main():
        async with stack(scripts(Script(fault="hang", after=0)), guard=guard()) as s:
            body = {"model": "fake", "messages": [{"role": "user", "content": ASKED}]}
            client = asyncio.create_task(s.post("/v1/chat/completions", body))
            await until(lambda: len(s.fake.received) == 2)
            client.cancel()
            await until(lambda: s.traces and s.fake.cancelled == 1)
            assert s.traces[0].error == "client_gone"
            assert s.app.lanes.of(s.engine).active == 0

    run(main)


@pytest.mark.parametrize("stream", [False, True])
def test_its_tokens_are_billed_and_told(tmp_path, stream):
    @scene
    async def main(path):
        parts = {"script": scripts(BETTER), "guard": guard()}
        async with metered(path, quota(tokens(100_000)), **parts) as room:
            more = {"stream_options": {"include_usage": True}} if stream else {}
            _, answer, _ = await room.chat(ASKED, stream=stream, **more)
            (row,) = used(room)
            assert (row.calls, row.input, row.output) == (2, 14, 5)
            attributes = room.store.traces()[0].attributes
            assert attributes["gen_ai.usage.input_tokens"] == 14
            assert attributes["keelmark.usage.how"] == ["engine", "engine"]
            if stream:
                assert b'"completion_tokens":5' in answer
            else:
                assert answer["usage"]["completion_tokens"] == 5
            await none_held(room)

    main(tmp_path)


def test_where_a_budget_has_no_room_it_is_not_asked(tmp_path):
    @scene
    async def main(path):
        parts = {"script": scripts(), "guard": guard()}
        async with metered(path, quota(tokens(1500)), **parts) as room:
            _, answer, _ = await room.chat(ASKED, max_tokens=700)
            assert said(answer, stream=False) == LEFT
            attributes = room.store.traces()[0].attributes
            assert attributes["keelmark.repair.answers"] == ["rate_limit_exceeded"]
            await none_held(room)

    main(tmp_path)
