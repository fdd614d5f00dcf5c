"""Paired prompts: the set that comes along, the service that is asked, and what is said of it."""

import asyncio
import contextlib
import json
import random
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))
from gateway_parts import listening
from keelmark.app import pairs as paired
from keelmark.app.pairs.ask import judged
from keelmark.app.pairs.compare import fewest
from keelmark.cli.main import run
from keelmark.core.errors import UsageError
from keelmark.core.exact import sign_test
from keelmark.core.outcome import Outcome
from keelmark.guard import Guard
from keelmark.serve.fake import FakeEngine, Script

SHIPPED = paired.load_pairs(None)
OWN = """version: 1
name: small
comparisons:
  - id: gender
    a: {label: woman, who: a woman}
    b: {label: man, who: a man}
templates:
"""
FILTERED = b'{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}'


def own(tmp_path: Path, count: int = 60, head: str = OWN) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(head + "".join(f"  - Question {i} about {{who}}.\n" for i in range(count)))
    return path


def served(script, *words: object) -> int:
    """Run the command against a fake service."""

    async def scene():
        async with listening(FakeEngine(script)) as url:
            return await asyncio.to_thread(run, ["guard", "pairs", "--url", url, *map(str, words)])

    return asyncio.run(scene())


def by(answer_of):
    """A script that answers by the prompt."""
    return lambda body: answer_of(body["messages"][-1]["content"])


def says(text: str) -> Script:
    return Script(pieces=(text,))


class TestShipped:
    def test_has_enough_to_tell(self):
        counts = {}
        for pair in paired.pairs_of(SHIPPED):
            counts[pair.comparison] = counts.get(pair.comparison, 0) + 1
        assert len(SHIPPED.templates) >= 100
        assert len(counts) >= 10
        assert min(counts.values()) >= fewest(0.1)

    def test_pairs_differ_in_one_thing_and_are_whole(self):
        for pair in paired.pairs_of(SHIPPED):
            assert pair.a != pair.b
            assert "{" not in pair.a + pair.b
            assert pair.a[0].isupper()
            assert pair.b[0].isupper()

    def test_every_template_is_used_once_for_a_comparison(self):
        used = [(pair.comparison, pair.template) for pair in paired.pairs_of(SHIPPED)]
        assert len(used) == len(set(used))
        assert {template for _, template in used} == set(SHIPPED.templates)

    @pytest.mark.parametrize("policy", ["default", "strict"])
    def test_our_own_guard_treats_both_alike(self, policy):
        """But for `names`, which is no judgement and does not find every name."""
        guard = Guard(policy)

        def told(prompt: str) -> object:
            verdict = guard.check(prompt).verdict
            found = [(f.rule, f.label) for f in verdict.findings if f.detector != "names"]
            return verdict.outcome is Outcome.BLOCK, sorted(found)

        for pair in paired.pairs_of(SHIPPED):
            assert told(pair.a) == told(pair.b), pair

    def test_no_prompt_is_biased_wording(self):
        for pair in paired.pairs_of(SHIPPED):
            assert judged(pair.a).bias == judged(pair.b).bias == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2", "version"),
        (OWN + "  - No slot here.", "line 8: the template has no slot"),
        (OWN + "  - Of {whom}.", "line 8: no comparison has the slot 'whom'; did you mean 'who'?"),
        (OWN.replace("who: a man", "name: Bob") + "  - Of {who}.", "need the same slots"),
        (OWN.replace("label: man, ", "") + "  - Of {who}.", "need a `label`"),
        (OWN.replace("a man", "a woman") + "  - Of {who}.", "no template has only slots"),
        (OWN.replace("a man", "[]") + "  - Of {who}.", "line"),
        (OWN.replace("comparisons", "comparison") + "  - Of {who}.", "did you mean `comparisons`"),
        ("- [", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_said_with_its_line(tmp_path, text, said):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        paired.load_pairs(path)
    assert said in caught.value.message


def test_values_of_a_list_take_turns(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "version: 1\ncomparisons:\n  - id: n\n    a: {label: a, name: [Ann, Bea]}\n"
        "    b: {label: b, name: [Cem, Dov]}\ntemplates: ['{name} asks.', '{name} waits.']\n"
    )
    got = [(pair.a, pair.b) for pair in paired.pairs_of(paired.load_pairs(path))]
    assert got == [("Ann asks.", "Cem asks."), ("Bea waits.", "Dov waits.")]


def test_alike(tmp_path, capsys):
    code = served(says("Gladly: begin with a book."), own(tmp_path), "--margin", "0.1")
    out = capsys.readouterr().out
    assert code == 0
    assert "ALIKE" in out
    assert "COULD NOT TELL" not in out
    assert "DIFFERS" not in out


def test_refusals_that_differ(tmp_path, capsys):
    def answer(prompt: str) -> Script:
        return says("I can't help with that." if "woman" in prompt else "Begin with a book.")

    assert served(by(answer), own(tmp_path), "--json", "--out", tmp_path / "all.json") == 1
    report = json.loads(capsys.readouterr().out)
    found = {one["measure"]: one for one in report["results"]}
    assert found["refused"]["verdict"] == "differs"
    assert (found["refused"]["in_a"], found["refused"]["in_b"]) == (60, 0)
    assert found["refused"]["corrected"] >= found["refused"]["p"]
    assert found["blocked"]["verdict"] == found["bias"]["verdict"] == "alike"
    rows = json.loads((tmp_path / "all.json").read_text())["pairs"]
    assert len(rows) == 60
    assert rows[0]["a"]["refused"] is True
    assert rows[0]["b"]["text"] == "Begin with a book."


def test_biased_answers_and_lengths_that_differ(tmp_path, capsys):
    def answer(prompt: str) -> Script:
        return says("Women are bad at maths, sorry." if "woman" in prompt else "Yes. " * 9)

    assert served(by(answer), own(tmp_path)) == 1
    out = capsys.readouterr().out
    assert "biased wording  woman 60, man 0 of 60 pairs" in out
    assert "longer answers  woman 0, man 60 of 60 pairs, ratio 0.67" in out
    assert "Question 0 about {who}." in out


def test_blocked_requests_that_differ(tmp_path, capsys):
    def answer(prompt: str) -> Script:
        return Script(raw=FILTERED) if "woman" in prompt else says("Yes.")

    assert served(by(answer), own(tmp_path), "--measure", "blocked", "--measure", "refused") == 1
    out = capsys.readouterr().out
    assert "blocked         woman 60, man 0 of 60 pairs" in out
    assert "refused         none of 60 pairs scored" in out


@pytest.mark.parametrize(
    "broken",
    [
        Script(fault="error", status=500),
        Script(fault="error_as_200"),
        Script(raw=b'{"choices": []}'),
        Script(raw=b'{"choices": [{"message": {"content": null}}]}'),
        Script(raw=b"not JSON"),
        says(" \n"),
    ],
    ids=["500", "error as 200", "no choice", "no content", "no JSON", "blank"],
)
def test_answers_that_failed_are_unscored_and_never_equal(tmp_path, capsys, broken):
    assert served(broken, own(tmp_path, 50)) == 2
    out = capsys.readouterr().out
    assert "100 answers failed" in out
    assert "none of 50 pairs scored" in out
    assert "ALIKE" not in out


def test_one_answer_that_failed_takes_its_pair_out(tmp_path, capsys):
    def answer(prompt: str) -> Script:
        return Script(fault="error") if prompt == "Question 3 about a man." else says("Yes.")

    assert served(by(answer), own(tmp_path), "--json", "--measure", "refused") == 0
    [one] = json.loads(capsys.readouterr().out)["results"]
    assert (one["pairs"], one["unscored"], one["verdict"]) == (59, 1, "alike")


def test_too_few_pairs_tell_nothing(tmp_path, capsys):
    assert served(says("Yes."), own(tmp_path), "--limit", fewest(0.1) - 1) == 2
    assert "It takes at least 42 scored pairs" in capsys.readouterr().out
    assert served(says("Yes."), own(tmp_path), "--limit", fewest(0.1)) == 0


def test_a_busy_service_is_asked_again(tmp_path, capsys):
    seen = []

    def answer(prompt: str) -> Script:
        seen.append(prompt)
        return Script(fault="error", status=429) if len(seen) == 1 else says("Yes.")

    served(by(answer), own(tmp_path, 1), "--json")
    assert json.loads(capsys.readouterr().out)["failed"] == {}
    assert len(seen) == 3


def test_each_prompt_is_asked_once_with_seed_and_temperature(tmp_path):
    engine = FakeEngine(says("Yes."))

    async def scene():
        async with listening(engine) as url:
            words = ["--url", url + "/v1/", "--seed", "7", "--parallel", "9", "--key", "sk-x"]
            await asyncio.to_thread(run, ["guard", "pairs", str(own(tmp_path, 20)), *words])

    asyncio.run(scene())
    prompts = [body["messages"][0]["content"] for body in engine.received]
    assert len(prompts) == len(set(prompts)) == 40
    assert {(body["seed"], body["temperature"], body["model"]) for body in engine.received} == {
        (7, 0, "fake")
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "gendr"], "did you mean 'gender'?"),
        (["--model", "other"], "has no model 'other'; choose from: fake"),
        (["--out", "/nowhere/at/all.json"], "There is no folder /nowhere/at; make it first."),
        (["--measure", "charm"], "charm"),
    ],
)
def test_what_is_wrong_is_said_at_once(capsys, words, said):
    assert served(says("Yes."), *words) == 2
    assert said in capsys.readouterr().err


def test_nobody_answers(capsys):
    assert run(["guard", "pairs", "--url", "http://127.0.0.1:9"]) == 2
    said = capsys.readouterr().err
    assert "Nothing answers at http://127.0.0.1:9/v1 (" in said
    assert "start a service (keelmark up)" in said


@pytest.mark.parametrize(("key", "said"), [("", "asks for a key"), ("sk", "does not accept")])
def test_a_wrong_key(capsys, key, said):
    async def closed(scope, receive, send):
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def scene():
        async with listening(closed) as url:
            words = ["guard", "pairs", "--url", url, "--key", key]
            return await asyncio.to_thread(run, words)

    assert asyncio.run(scene()) == 2
    assert said in capsys.readouterr().err


def test_show_asks_nobody(capsys):
    assert run(["guard", "pairs", "--only", "age", "--limit", "2", "--show"]) == 0
    rows = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["comparison"] for row in rows] == ["age", "age"]
    assert "63-year-old" in rows[0]["a"]


def test_the_numbers_of_the_page_are_those_of_the_set():
    page = (Path(__file__).parents[3] / "docs/how-to/check-for-bias.md").read_text("utf-8")
    asked = list(paired.pairs_of(SHIPPED))
    prompts = {prompt for pair in asked for prompt in (pair.a, pair.b)}
    tests = len(SHIPPED.comparisons) * len(paired.MEASURES)
    certain = next(n for n in range(1, 99) if tests * sign_test(n, 0) < 0.05)
    for said in (
        f"{len(SHIPPED.templates)} templates",
        f"{len(SHIPPED.comparisons)} comparisons",
        f"{len(prompts):,} prompts",
        f"{fewest(0.1)} scored pairs",
        f"all {tests} tests",
        f"at least {certain} pairs",
    ):
        assert said in page


def test_many_answers_that_failed_are_no_likeness(tmp_path, capsys):
    def answer(prompt: str) -> Script:
        return Script(fault="error") if prompt.endswith("5 about a man.") else says("Yes.")

    assert served(by(answer), own(tmp_path), "--json", "--measure", "refused") == 2
    [one] = json.loads(capsys.readouterr().out)["results"]
    assert (one["pairs"], one["unscored"], one["difference"]) == (54, 6, 0)
    assert one["interval"][1] > 0.1


def test_chance_alone_seldom_makes_a_difference(tmp_path):
    """Of runs in which both sides are refused alike often, at most one in twenty differs."""
    read = paired.load_pairs(own(tmp_path))
    asked = list(paired.pairs_of(read))
    chance, wrong = random.Random(7), 0
    for _ in range(300):
        answers = {
            prompt: paired.Answer(
                state="answered",
                text="x " * chance.randint(5, 30),
                refused=chance.random() < 0.3,
                bias=("X",) if chance.random() < 0.1 else (),
            )
            for pair in asked
            for prompt in (pair.a, pair.b)
        }
        results = paired.compare(read, asked, answers, margin=0.1)
        wrong += any(one.verdict == "differs" for one in results)
    assert wrong <= 15


@given(st.text(max_size=60).map(lambda text: OWN + text) | st.text(max_size=80))
@settings(max_examples=80, deadline=None)
def test_any_file_is_read_or_refused(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.yaml"
        path.write_text(text, "utf-8", errors="replace")
        with contextlib.suppress(UsageError):
            assert list(paired.pairs_of(paired.load_pairs(path)))
