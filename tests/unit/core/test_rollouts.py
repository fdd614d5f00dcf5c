"""Rollouts: who is in which arm, what counts, and when there is an alarm."""

import random

import pytest

from keelmark.core import semconv
from keelmark.core.errors import UsageError
from keelmark.core.outcome import Outcome
from keelmark.core.rollouts import Evidence, Plan, Rollout, check_plan
from keelmark.core.trace import Trace
from keelmark.core.verdict import Verdict

PLAN = Plan(steps=(10, 50, 100), least=10)


def rollout(step=0, **plan):
    wanted = Plan(**{"steps": (10, 50, 100), **plan})
    return Rollout(id="r", name="old", to="new", plan=wanted, since=0.0, seq=0, step=step)


def trace(number, one, *, subject=None, error="", ms=100.0, flagged=False, status=None):
    made = Trace(
        trace_id=f"{number:032x}",
        started=0.0,
        key_id="key",
        subject=subject or f"s{number}",
        model="old",
        engine="llama",
        status=status or (503 if error else 200),
        error=error,
        attributes={},
        timings={"total": ms, "first_token": ms / 2},
        output=Verdict(stage="output", outcome=Outcome.FLAG if flagged else Outcome.ALLOW),
    )
    made.attributes = {
        semconv.ROLLOUT: one.id,
        semconv.ROLLOUT_STEP: one.step,
        semconv.ROLLOUT_ARM: one.arm(made),
    }
    return made


def test_who_is_in_the_new_arm_stays_there_while_it_grows():
    def members(share):
        one = rollout(steps=(share, 100))
        return {n for n in range(2000) if one.arm(trace(n, rollout())) == "new"}

    small, large = members(10), members(50)
    assert small < large
    assert 140 < len(small) < 260
    assert 900 < len(large) < 1100


@pytest.mark.parametrize(
    ("state", "arm"), [("done", "new"), ("rolled_back", "old"), ("aborted", "old")]
)
def test_a_rollout_that_is_over_has_one_arm(state, arm):
    one = Rollout(id="r", name="old", to="new", plan=PLAN, since=0, seq=0, state=state)
    assert {one.arm(trace(n, rollout())) for n in range(50)} == {arm}


def test_by_request_each_one_is_drawn_anew_and_by_subject_none_is():
    by_request = rollout(step=1, by="request")
    arms = {by_request.arm(trace(n, by_request, subject="s")) for n in range(50)}
    assert arms == {"old", "new"}
    by_subject = rollout(step=1)
    assert len({by_subject.arm(trace(n, by_subject, subject="s")) for n in range(50)}) == 1


def test_each_subject_counts_once_in_a_step():
    one, evidence = rollout(step=1), Evidence(rollout(step=1))
    for number in range(30):
        evidence.see(trace(number, one, subject=f"s{number % 3}"))
    assert sum(evidence.counted.values()) == 3


def test_what_is_not_of_this_step_does_not_count():
    evidence = Evidence(rollout(step=1))
    evidence.see(trace(1, rollout(step=0)))
    evidence.see(trace(2, rollout(step=1), error="client_gone", status=499))
    evidence.see(trace(3, rollout(step=1), error="not_recorded"))
    without = trace(4, rollout(step=1))
    without.engine = ""
    evidence.see(without)
    other = trace(5, rollout(step=1))
    other.attributes[semconv.ROLLOUT] = "another"
    evidence.see(other)
    assert evidence.counted == {"old": 0, "new": 0}


def run(count, **worse):
    """The alarm after requests of which those of the new arm are worse in some way."""
    one, rng = rollout(step=1), random.Random(3)
    evidence = Evidence(one)
    for number in range(count):
        made = trace(number, one, ms=100 * rng.lognormvariate(0, 0.3))
        if made.attributes[semconv.ROLLOUT_ARM] == "new" and worse:
            change = {"ms": made.timings["total"] * worse["slower"]} if "slower" in worse else worse
            made = trace(number, one, **change)
        evidence.see(made)
        if evidence.alarm:
            break
    return evidence.alarm


@pytest.mark.parametrize(
    ("worse", "says"),
    [
        ({"error": "engine_gone"}, "failed requests"),
        ({"error": "engine_refused", "status": 400}, "failed requests"),
        ({"flagged": True}, "the guard"),
        ({"slower": 4.0}, "time"),
    ],
)
def test_a_regression_is_found_and_named(worse, says):
    alarm = run(2000, **worse)
    assert says in alarm
    assert "new does worse" in alarm


def test_no_alarm_without_a_regression():
    assert run(2000) == ""


def test_the_summary_has_the_counts():
    one = rollout(step=1)
    evidence = Evidence(one)
    for number in range(100):
        evidence.see(trace(number, one, flagged=number % 2 == 0))
    told = evidence.summary()
    assert told["counted"]["old"] + told["counted"]["new"] == 100
    assert told["guard"]["old"][0] + told["guard"]["new"][0] == 50
    assert told["errors"]["new"] == [0, told["counted"]["new"]]


def test_subjects_that_differ_make_no_alarm():
    """Half of the subjects always fail: whoever counted requests would see one arm do worse."""
    alarms = 0
    for seed in range(60):
        plan = Plan(steps=(50, 100), alarm=0.1)
        one = Rollout(id=f"r{seed}", name="old", to="new", plan=plan, since=0, seq=0)
        evidence = Evidence(one)
        for number in range(400):
            who = number % 8
            bad = "engine_error" if who < 4 else ""
            evidence.see(trace(number, one, subject=f"{seed}-{who}", error=bad))
        alarms += bool(evidence.alarm)
    assert alarms <= 12  # at most 6 of 60 are promised


@pytest.mark.parametrize("steps", [(), (10, 50), (50, 10, 100), (0, 100), (10, 10, 100)])
def test_plans_that_lead_nowhere(steps):
    with pytest.raises(UsageError, match="rise to 100"):
        check_plan(Plan(steps=steps), "a", "b")


def test_no_model_is_rolled_out_to_itself():
    with pytest.raises(UsageError, match="itself"):
        check_plan(PLAN, "a", "a")
