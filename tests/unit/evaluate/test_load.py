"""Latency against load: what is counted, and what counts from when."""

import asyncio
import json

import pytest

from evaluation_parts import called
from keelmark.evaluate import client
from keelmark.evaluate.load import Shot, Times, closed, level, open_, prompts, times
from keelmark.serve.fake import FakeEngine, Script


def test_a_closed_loop_never_has_more_on_the_way():
    at_work, most = 0, 0

    async def ask(number, due):
        nonlocal at_work, most
        assert due is None
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        return Shot(state="answered", seconds=1.0, text=str(number))

    shots, _ = asyncio.run(closed(ask, 3, 10))
    assert most == 3
    assert [shot.text for shot in shots] == [str(n) for n in range(10)]


def test_an_open_loop_does_not_wait_for_answers():
    started, over = [], asyncio.Event()

    async def ask(number, due):
        started.append(due)
        if len(started) == 5:
            over.set()
        await over.wait()  # none is answered before the last has come
        return Shot(state="answered", seconds=1.0)

    shots, _ = asyncio.run(open_(ask, 1000.0, 5))
    assert len(shots) == 5
    assert started == sorted(started)


def test_times_by_the_nearest_rank():
    assert times([]) == Times(None, None, None)
    assert times([3.0]) == Times(3.0, 3.0, 3.0)
    assert times([float(n) for n in range(1, 201)]) == Times(100.0, 190.0, 198.0)


def test_a_level_counts_what_was_answered():
    shots = [
        Shot(state="answered", seconds=1.0, first=0.5, tokens=4, text="a"),
        Shot(state="answered", seconds=3.0, first=0.7, tokens=6, text="b"),
        Shot(state="refused", seconds=0.1),
        Shot(state="failed", seconds=9.0),
    ]
    alone = [Shot(state="answered", seconds=1.0, text=text) for text in ("a", "x", "c", "d")]
    found = level("open", 2.0, shots, 4.0, alone)
    assert (found.answered, found.refused, found.failed) == (2, 1, 1)
    assert (found.per_second, found.tokens_per_second) == (0.5, 2.5)
    assert (found.whole.p50, found.whole.p99) == (1.0, 3.0)
    assert found.same == 0.5
    assert level("closed", 1, [], 1.0).same is None


def test_prompts_differ():
    assert len(set(prompts(500))) == 500
    assert prompts(3, 1) == prompts(3, 1) != prompts(3, 2)


def test_a_curve_from_the_command_line(tmp_path, capsys):
    words = ("load", "--data", tmp_path / "data", "--requests", 4, "--at-a-time", "1,2")
    kept = tmp_path / "load.json"
    assert called(FakeEngine(), *words, "--per-second", 400, "--out", kept, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads(kept.read_text())
    assert [(one["loop"], one["load"]) for one in said["levels"]] == [
        ("closed", 1), ("closed", 2), ("open", 400),
    ]  # fmt: skip
    assert all(one["answered"] == 4 and one["same"] in (None, 1.0) for one in said["levels"])
    assert said["levels"][0]["joules_per_token"] is None, "it runs elsewhere"
    assert called(FakeEngine(), *words, "--per-second", "none") == 0
    assert "2 at a time" in capsys.readouterr().out


def test_a_service_that_does_not_stream(tmp_path, capsys):
    words = ("load", "--data", tmp_path / "data", "--requests", 2, "--at-a-time", "1")
    assert called(FakeEngine(Script(fault="error", status=500)), *words) == 2
    assert "gave no streamed answer (failed)" in capsys.readouterr().err


EVENT = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'


@pytest.mark.parametrize(
    ("sent", "answered"),
    [(EVENT * 1000, 0), (EVENT + b"data: " + b"[" * 3000 + b"\n\ndata: [DONE]\n\n", 4)],
)
def test_streams_without_end_and_without_sense(tmp_path, capsys, monkeypatch, sent, answered):
    words = ("load", "--data", tmp_path, "--requests", 4, "--at-a-time", "2", "--per-second")
    engine = FakeEngine(lambda _: Script(raw=sent) if len(engine.received) > 2 else Script())
    monkeypatch.setattr(client, "_LONGEST_ANSWER", 16384)
    assert called(engine, *words, "none", "--json") == (0 if answered else 1)
    (level,) = json.loads(capsys.readouterr().out)["levels"]
    assert (level["answered"], level["failed"]) == (answered, 4 - answered)


@pytest.mark.parametrize("text", ["0", "a", "1,,2", "1.5", "-1"])
def test_levels_that_are_none(tmp_path, capsys, text):
    assert called(FakeEngine(), "load", "--data", tmp_path, "--at-a-time", text) == 2
    assert "whole numbers from 1 to 10,000" in capsys.readouterr().err
