"""How often a rollout goes back for nothing, and how soon for something: by simulation.

    .venv/bin/python bench/rollouts.py

False alarms: whole steps of 2,000 subjects at a share of 50 %, in which both models are alike in
failures (5 %), in what the guard does (10 %) and in their times (log-normal), looked at after each
request. Power: observations of the new model until the roll-back, from 1 % of failures at a share
of 10 %, three steps that compare, an alarm of 1 %.
"""

import math
import random

from keelmark.core import semconv
from keelmark.core.outcome import Outcome
from keelmark.core.rollouts import Evidence, Plan, Rollout
from keelmark.core.sequential import Worse
from keelmark.core.trace import Trace
from keelmark.core.verdict import Verdict

RUNS, SUBJECTS, ALARM = 400, 2000, 0.05
VERDICTS = [Verdict(stage="output", outcome=one) for one in (Outcome.ALLOW, Outcome.FLAG)]


def false_alarm(seed: int) -> bool:
    rng = random.Random(seed)
    plan = Plan(steps=(50, 100), alarm=ALARM, slower=0, worse=0)
    rollout = Rollout(id=f"r{seed}", name="old", to="new", plan=plan, since=0, seq=0)
    evidence = Evidence(rollout)
    for number in range(SUBJECTS):
        failed = rng.random() < 0.05
        trace = Trace(
            trace_id=f"{seed}-{number}",
            started=0,
            subject=str(number),
            engine="llama",
            status=502 if failed else 200,
            timings={"first_token": rng.lognormvariate(4, 0.5), "total": rng.lognormvariate(6, 1)},
            output=VERDICTS[rng.random() < 0.1],
        )
        trace.attributes = {
            semconv.ROLLOUT: rollout.id,
            semconv.ROLLOUT_STEP: 0,
            semconv.ROLLOUT_ARM: rollout.arm(trace),
        }
        evidence.see(trace)
    return bool(evidence.alarm)


def needed(rate: float, rng: random.Random) -> int:
    test, limit = Worse(0.02), math.log(4 * 3 / 0.01)
    while test.peak < limit:
        new = rng.random() < 0.1
        test.see(new=new, bad=rng.random() < (rate if new else 0.01), coin=rng.random())
    return test.new.seen


def main() -> None:
    alarms = sum(false_alarm(seed) for seed in range(RUNS))
    print(f"false alarms: {alarms} of {RUNS} rollouts, at most {ALARM:.0%} are promised")
    rng = random.Random(5)
    for rate in (1.0, 0.5, 0.2, 0.1):
        counts = sorted(needed(rate, rng) for _ in range(101))
        print(f"{rate:.0%} failures: median {counts[50]}, nine of ten within {counts[90]}")


if __name__ == "__main__":
    main()
