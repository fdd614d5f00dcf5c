"""Suites from traces: right is what people found good, or said instead; none of it personal."""

import asyncio
import json
import stat

import msgspec
import pytest

from keelmark.app.home import Home
from keelmark.app.own import Table, from_traces
from keelmark.cli.main import run
from keelmark.core.errors import UsageError
from keelmark.core.trace import Content, Trace
from keelmark.evaluate.data import rows
from keelmark.evaluate.samples import sample_of
from keelmark.evaluate.suite import load_suite

SYSTEM = {"role": "system", "content": "You are terse."}


def keep(home: Home, number: int, said: str, answer: object, *before: dict[str, str]) -> str:
    """Store a trace; return its id."""
    body = {"model": "m", "messages": [*before, {"role": "user", "content": said}]}
    content = Content(
        prompt=msgspec.json.encode(body),
        answer=msgspec.json.encode([{"index": 0, "content": answer}]),
    )
    trace = Trace(trace_id=f"{number:04x}" * 8, started=1.0, key_id="key_1")
    asyncio.run(home.store.record(trace, content))
    return trace.trace_id


def feedback(path, *given):
    path.write_text("".join(json.dumps(row) + "\n" for row in given), "utf-8")
    return path


def test_good_answers_and_better_ones_are_right(tmp_path):
    with Home.open() as home:
        good = keep(home, 1, "Which harbour is in the north?", "Narvik, by the fjord.", SYSTEM)
        better = keep(home, 2, "Which one is in the south?", "Narvik too.")
        bad = keep(home, 3, "Which one is in the west?", "I like boats.")
        turns = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi"})
        long = keep(home, 4, "And the east?", "None is.", *turns)
        mail = keep(home, 5, "Where do I write to?", "To ada.lovelace@example.org, please.")
        tool = keep(home, 6, "Call the harbour.", None)
        path = feedback(
            tmp_path / "given.jsonl",
            {"trace": good, "good": "yes"},
            {"trace": better[:12], "good": 0, "correction": "Kristiansand, by the sea."},
            {"trace": bad, "good": False},
            {"trace": long, "good": "👍"},
            {"trace": mail, "good": 1},
            {"trace": tool, "good": 1},
            {"trace": "ffff", "good": 1},
        )
        made = from_traces(Table(path=path, folder=tmp_path / "out"), home)
    assert made.left_out == {
        "its conversation has more than one question": 1,
        "the answer was bad, and nobody said what would be good": 1,
        "personal data or a secret is in it, or might be": 1,
        "it was no conversation in text": 1,
        "there is no such trace": 1,
    }
    loaded = load_suite(str(made.suite))
    first, second = (sample_of(loaded, row) for row in rows(made.data))
    assert (first.id, second.id) == (good, better)
    assert (first.target, second.target) == ("Narvik, by the fjord.", "Kristiansand, by the sea.")
    assert [one["role"] for one in first.asks[0].messages] == ["system", "user"]
    assert [one["role"] for one in second.asks[0].messages] == ["user"]
    assert any("unencrypted" in one for one in made.said)
    assert "ada.lovelace" not in made.data.read_text("utf-8")
    assert stat.S_IMODE(made.data.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"good": 1}, "row 1 names no trace"),
        ({"trace": "ab"}, "says neither whether"),
        ({"trace": "ab", "good": "perhaps"}, "has the mark 'perhaps'; write good or bad"),
        ({"trace": "ab", "good": 1}, "Nothing can be made of the 1 trace"),
    ],
)
def test_feedback_that_is_of_no_use(tmp_path, row, said):
    path = feedback(tmp_path / "given.jsonl", row)
    with Home.open() as home, pytest.raises(UsageError) as caught:
        from_traces(Table(path=path, folder=tmp_path / "out"), home)
    assert said in caught.value.message


def test_the_command(tmp_path, capsys):
    with Home.open() as home:
        trace = keep(home, 1, "Which harbour is in the north?", "Narvik, by the fjord.")
    path = tmp_path / "given.csv"
    path.write_text(f"Trace ID,Rating\n{trace},up\n", "utf-8")
    words = ["eval", "make", str(path), "--traces", "--out", str(tmp_path), "--name", "support"]
    assert run(words) == 0
    assert "support.yaml: 1 question" in capsys.readouterr().out
    assert run(["eval", "make", str(tmp_path), "--traces"]) == 2
