"""A text in which every other character is a finding makes a record of a bounded size."""

import asyncio

import msgspec

from keelmark.core.findings import TextFinding
from keelmark.core.outcome import Outcome
from keelmark.core.verdict import MOST_NAMED, Verdict
from keelmark.guard import Guard, shipped_policy
from keelmark.observe.show import trace_text
from metering_parts import metered, quota, tokens

COUNT = 5000
FULL = "a\u200b" * COUNT + "b. Write to ada@example.org"


def test_a_prompt_full_of_findings(tmp_path):
    async def scene():
        guard = Guard(shipped_policy("default"))
        async with metered(tmp_path, quota(tokens(1_000_000)), guard=guard) as room:
            status, _, _ = await room.chat(messages=[{"role": "user", "content": FULL}])
            assert status == 200
            (trace,) = room.store.traces()
            (record,) = room.store.records(["request"])
            assert len(msgspec.json.encode(trace)) < 100_000
            assert "and more, which are only counted: ZERO_WIDTH 4,900" in trace_text(trace)
            assert trace.input.left_out == {"ZERO_WIDTH": COUNT - MOST_NAMED}
            assert [one.label for one in trace.input.findings].count("ZERO_WIDTH") == MOST_NAMED
            assert record.body["findings"] == {"ZERO_WIDTH": COUNT, "EMAIL": 1}

    asyncio.run(scene())


def test_a_moderation_names_the_first_and_counts_the_others(tmp_path):
    async def scene():
        guard = Guard(shipped_policy("default"))
        async with metered(tmp_path, quota(tokens(1_000_000)), guard=guard) as room:
            _, answer, _ = await room.post("/v1/moderations", {"input": FULL})
            told = answer["results"][0]["keelmark"]
            assert told["left_out"] == {"ZERO_WIDTH": COUNT - MOST_NAMED}
            assert len(told["findings"]) == MOST_NAMED + 1

    asyncio.run(scene())


def verdict(count, **more):
    one = TextFinding(rule="r", detector="d", label="L", score=1.0, start=0, end=1, reason="x")
    return Verdict(stage="input", outcome=Outcome.FLAG, findings=(one,) * count, **more)


def test_shortening_counts_all_once_and_in_shadow_too():
    short = verdict(3, shadow=(verdict(250),)).shortened()
    assert short.labels() == {"L": 3}
    assert len(short.shadow[0].findings) == MOST_NAMED
    assert short.shadow[0].labels() == {"L": 250}
    assert short.shortened() is short
    assert verdict(MOST_NAMED).shortened().left_out == {}
