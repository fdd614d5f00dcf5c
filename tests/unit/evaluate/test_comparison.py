"""May B take the place of A: pairs, tests, gates, the sentence, and what machines read of it."""

import json
from random import Random
from xml.etree import ElementTree as ET

import msgspec
import pytest

from evaluated import SAMPLING, SPENT, SUITE, make_run, rows
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.gates import Gate, Gates
from keelmark.evaluate.ci import gate_sarif, junit, markdown
from keelmark.evaluate.comparison import direction, pair, read_run, run_folders
from keelmark.evaluate.decision import decide, decision_text
from keelmark.evaluate.gating import overall, rule
from keelmark.evaluate.ranking import rank, ranking_text

NONE = Gates()


def right(n: int, of: int, seed: int = 1) -> list[float]:
    """So many right answers, in any order."""
    scores = [1.0] * n + [0.0] * (of - n)
    Random(seed).shuffle(scores)
    return scores


def some_run(folder, scores, **more):
    return read_run(make_run(folder, rows(scores), **more))


def changed(scores: list[float], fall: int, rise: int = 0) -> list[float]:
    """The same answers, but so many that were right are wrong, and so many of the others right."""
    down = [n for n, one in enumerate(scores) if one][:fall]
    up = [n for n, one in enumerate(scores) if not one][:rise]
    return [0.0 if n in down else 1.0 if n in up else one for n, one in enumerate(scores)]


def decided(tmp_path, a, b, gates=NONE, **more):
    sides = some_run(tmp_path / "a", a), some_run(tmp_path / "b", b, model="other", **more)
    return decide([sides[0]], [[sides[1]]], gates)[0]


def test_much_worse_may_not_replace(tmp_path):
    a = right(300, 500)
    found = decided(tmp_path, a, changed(a, 60, 5))
    assert (found.may_replace, found.exit_code) == ("no", 1)
    assert found.sentence.startswith("other may not replace model: tiny acc (at most 0.02 worse")
    [change] = [one for one in found.suites[0].changes if one.measure == "acc"]
    assert (change.gained, change.lost, change.pairs, change.found) == (5, 60, 500, "worse")
    assert change.difference == pytest.approx(-0.11)
    assert change.low < -0.11 < change.high < -0.02


def test_the_same_may_replace(tmp_path):
    a = right(300, 500)
    found = decided(tmp_path, a, changed(a, 1, 2))
    assert (found.may_replace, found.exit_code) == ("yes", 0)
    assert "every demand is met" in found.sentence


def test_too_few_samples_cannot_tell_and_say_how_many_would(tmp_path):
    a = right(60, 100)
    found = decided(tmp_path, a, changed(a, 5, 5))
    assert (found.may_replace, found.exit_code) == ("could not tell", 2)
    assert found.sentence.startswith("It cannot be told whether other may replace model: tiny acc")
    assert "would tell" in found.sentence


def test_a_slice_that_got_worse_is_found_and_named(tmp_path):
    a = [1.0, 0.0] * 50 + [1.0, 1.0] * 50  # subject b: the odd ones
    b = [1.0, 1.0] * 50 + [1.0, 0.0] * 50
    b[1::2] = [0.0] * 100
    found = decided(tmp_path, a, b, Gates(drop=0.9))
    worse = {one.value for one in found.suites[0].slices if one.found == "worse"}
    assert worse == {"b"}
    assert "look at what got worse: tiny b" in found.sentence
    assert "1 of 2 slices got worse" in decision_text(found)


def test_unscored_pairs_are_left_out_and_counted(tmp_path):
    a = right(300, 500)
    b = [None if n < 4 else one for n, one in enumerate(a)]
    [change, _] = decided(tmp_path, a, b).suites[0].changes
    assert (change.pairs, change.unpaired, change.difference) == (496, 4, 0)


def test_many_unscored_samples_cannot_tell(tmp_path):
    a = right(300, 500)
    found = decided(tmp_path, a, [None if n < 50 else one for n, one in enumerate(a)])
    assert found.may_replace == "could not tell"
    assert "50 of 500 samples could not be scored" in found.sentence


def test_an_incomplete_run_cannot_tell(tmp_path):
    a = right(300, 500)
    found = decided(tmp_path, a, a, missing=7)
    assert found.may_replace == "could not tell"
    assert "7 of 507 samples were not asked" in decision_text(found)


def test_lower_is_better_where_the_suite_says_so(tmp_path):
    suite = msgspec.structs.replace(SUITE, higher_is_better=False)
    a = right(100, 500)
    sides = [
        some_run(tmp_path / name, scores, suite=suite, model=name)
        for name, scores in (("a", a), ("b", changed(a, 0, 80)), ("c", changed(a, 80)))
    ]
    worse, better = decide([sides[0]], [[sides[1]], [sides[2]]], NONE)
    assert (worse.may_replace, better.may_replace) == ("no", "yes")
    assert direction("ece", SUITE) == -1


def test_only_runs_of_the_same_are_compared(tmp_path):
    a = some_run(tmp_path / "a", right(5, 10))
    other = msgspec.structs.replace(SUITE, version="2-A")
    with pytest.raises(UsageError, match="versions 1-A and 2-A of tiny"):
        pair(a, some_run(tmp_path / "b", right(5, 10), suite=other))
    other = msgspec.structs.replace(SUITE, id="another")
    with pytest.raises(UsageError, match="nothing to compare: A has run tiny, and B another"):
        decide([a], [[some_run(tmp_path / "c", right(5, 10), suite=other)]], NONE)
    with pytest.raises(UsageError, match="are both of tiny"):
        decide([a, some_run(tmp_path / "d", [1.0])], [[a]], NONE)
    strangers = [msgspec.structs.replace(one, id=f"other {one.id}") for one in rows([1.0, 0.0])]
    with pytest.raises(UsageError, match="no sample in common"):
        pair(a, read_run(make_run(tmp_path / "e", strangers)))


def test_what_else_differs_is_said(tmp_path):
    a = some_run(tmp_path / "a", right(5, 10))
    sampling = msgspec.structs.replace(SAMPLING, shots=5)
    b = some_run(tmp_path / "b", right(4, 8), model="b", sampling=sampling)
    assert pair(a, b).notes == (
        "8 of 10 samples are in both runs; the others are left out.",
        "They were asked with different `shots`.",
    )


def test_runs_are_found_and_checked(tmp_path):
    path = make_run(tmp_path / "runs", rows([1.0]))
    assert run_folders(path) == run_folders(tmp_path / "runs") == [path]
    with pytest.raises(UsageError, match="is no folder of a run"):
        run_folders(tmp_path)
    broken = json.loads((path / "result.json").read_text())
    (path / "result.json").write_text(json.dumps({**broken, "manifest": "sha256:0"}))
    with pytest.raises(IntegrityError, match="are of different runs"):
        read_run(path)


# --- gates ---


@pytest.mark.parametrize(
    ("gate", "answer"),
    [
        ({"at_least": 0.5}, "pass"),
        ({"at_least": 0.6}, "could not tell"),
        ({"at_least": 0.6, "by": "value"}, "pass"),
        ({"at_least": 0.7}, "fail"),
        ({"at_most": 0.7}, "pass"),
        ({"at_most": 0.5}, "fail"),
        ({"at_least": 0.5, "at_most": 0.6}, "could not tell"),
        ({"measure": "ece", "at_most": 0.1}, "could not tell"),
        ({"drop": 0.1}, "pass"),  # without a baseline there is nothing to drop from
        ({"at_least": 0.5, "slices": {"subject": "*"}}, "pass"),
        ({"at_least": 0.5, "slices": {"subject": "nobody"}}, "could not tell"),
        ({"at_least": 0.5, "slices": {"subjct": "*"}}, "could not tell"),
        ({"suite": "unheard_of", "at_least": 0}, "could not tell"),
    ],
)
def test_gates(tmp_path, gate, answer):
    run = some_run(tmp_path, [1.0, 1.0, 1.0, 0.0, 0.0] * 100)
    found = rule(Gates(require=(Gate(**{"suite": "tiny", **gate}),)), [run])
    assert overall(found) == answer
    assert all(one.reason.endswith(".") for one in found)


def test_nothing_is_no_pass():
    assert overall([]) == "could not tell"


@pytest.fixture
def three(tmp_path):
    """One demand that is met, one that is not, one that cannot be told."""
    a = right(300, 500)
    sides = some_run(tmp_path / "a", a), some_run(tmp_path / "b", changed(a, 80), model="b<&>\x01")
    gates = Gates(
        require=(
            Gate(suite="tiny", at_least=0.3),
            Gate(suite="tiny", at_least=0.9, reason="Because | we say so."),
            Gate(suite="tiny", at_least=0.44, drop=0.5),
        )
    )
    [decision] = decide([sides[0]], [[sides[1]]], gates)
    assert [one.answer for one in decision.rulings] == [
        "pass", "pass", "fail", "could not tell", "pass",
    ]  # fmt: skip
    return decision


def test_junit(three):
    suites = ET.fromstring(junit(three.rulings))
    [suite] = suites
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "1", "1")
    [failure] = suite.iter("failure")
    assert "Because | we say so." in failure.text
    assert len({case.get("name") for case in suite}) == 5


def test_sarif(three):
    log = json.loads(gate_sarif(three.rulings, "ci/my policy.yaml", {1: 7}))
    [run] = log["runs"]
    [result] = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "ci/my%20policy.yaml"
    assert place["region"] == {"startLine": 7}
    assert [one["id"] for one in run["tool"]["driver"]["rules"]] == [result["ruleId"]]
    [invocation] = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert len(invocation["toolExecutionNotifications"]) == 1


def test_markdown(three):
    lines = markdown(three.rulings, [three.sentence]).splitlines()
    assert lines[0].startswith("**b\\<&\\>")
    assert [line.count("|") - line.count("\\|") for line in lines[2:]] == [4] * 7


# --- which of three ---


def test_the_best_is_first_and_what_is_beaten_is_said(tmp_path):
    cheap = msgspec.structs.replace(SPENT, seconds=5.0)
    sides = [
        [some_run(tmp_path / "a", right(50, 100), model="a")],
        [some_run(tmp_path / "b", right(60, 100), model="b", spent=cheap)],
        [some_run(tmp_path / "c", right(70, 100), model="c")],
    ]
    ranks = rank(sides)
    assert [one.asked.split()[0] for one in ranks] == ["c", "b", "a"]
    assert [len(one.beaten) for one in ranks] == [0, 0, 2]
    assert "another is as good and costs no more" in ranking_text(ranks).splitlines()[-1]


def test_what_a_right_answer_costs_and_unlike_energy_is_not_compared(tmp_path):
    spent = [
        msgspec.structs.replace(
            SPENT, more={"joules": 50.0, "energy": source, "cost": 0.01, "currency": "EUR"}
        )
        for source in ("measured", "default")
    ]
    sides = [
        [some_run(tmp_path / name, right(50, 100), model=name, spent=one)]
        for name, one in zip("ab", spent, strict=True)
    ]
    ranks = rank(sides)
    assert ranks[0].success["EUR a right answer"] == pytest.approx(0.01 / 100 / 0.5)
    assert "joules" not in ranking_text(ranks)
    assert "0.0002 EUR" in ranking_text(ranks)


def test_a_suite_without_a_baseline_is_held_against_its_own_limits(tmp_path):
    a = some_run(tmp_path / "a", [1.0] * 300)
    b = some_run(tmp_path / "b", [1.0] * 300, model="b")
    new = msgspec.structs.replace(SUITE, id="new")
    also = some_run(tmp_path / "c", [0.0] * 300, suite=new, model="b")
    gates = Gates(require=(Gate(suite="new", at_least=0.5),))
    [found] = decide([a], [[b, also]], gates)
    assert "new acc (at least 0.5): 0.0000" in found.sentence
    [found] = decide([a, also], [[b]], NONE)
    assert "new acc (to be asked of both): It was run on the baseline alone" in found.sentence
