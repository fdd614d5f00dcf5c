"""A rollout: one model takes the place of another in steps, and goes back when it does worse.

The models are its two arms. A subject stays in its arm: it is in the new one once its number, which
is a hash, falls below the share of the step. Observations are counted for each subject once in a
step, because those of one subject are alike: if each of its requests counted, an arm could look bad
because of whom chance put into it.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec

from keelmark.core import semconv
from keelmark.core.errors import UsageError
from keelmark.core.outcome import Outcome
from keelmark.core.sequential import Slower, Worse, coin_of
from keelmark.core.trace import Trace

By = Literal["subject", "request"]
State = Literal["running", "done", "rolled_back", "aborted"]
Arm = Literal["old", "new"]

MEASURES = {
    "errors": "failed requests",
    "guard": "answers that the guard flagged, changed or stopped",
    "first_token": "time to the first token",
    "total": "time of the whole answer",
}
_GONE = "client_gone"
_OURS = frozenset({"not_recorded", "internal_error"})


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for.

    Attributes:
        steps: Shares of the new model, percent, rising; the last one is 100.
        seconds: How long each step lasts at least.
        least: Observations of the new model that each step needs at least.
        alarm: Probability with which a model that is no worse is rolled back, at most, over all
            steps and measures together.
        by: What stays in an arm, and is counted once in a step: the subject, or each request.
        slower: By which part of its time the new model may be slower.
        worse: Which part of what goes well now may go wrong besides.
    """

    steps: tuple[Annotated[int, msgspec.Meta(ge=1, le=100)], ...] = (1, 10, 50, 100)
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 600.0
    least: Annotated[int, msgspec.Meta(ge=1)] = 50
    alarm: Annotated[float, msgspec.Meta(gt=0, le=0.5)] = 0.01
    by: By = "subject"
    slower: Annotated[float, msgspec.Meta(ge=0)] = 0.25
    worse: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.02

    @property
    def strength(self) -> float:
        """The evidence at which a model is rolled back: the logarithm of an e-value."""
        compared = sum(share < 100 for share in self.steps)
        return math.log(len(MEASURES) * max(1, compared) / self.alarm)


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout as it stands.

    Attributes:
        id: Its id; part of what subjects are hashed with.
        name: The model whose place is taken; what clients ask for.
        to: The new model.
        plan: What was asked for.
        step: The step it is in, from 0.
        since: When that began, Unix time.
        seq: Number of the newest record then; later requests are counted.
        state: Where it stands.
        reason: Why it stands there.
        who: Who began or ended it.
        version: Grows with each change, so that two processes do not make the same one.
    """

    id: str
    name: str
    to: str
    plan: Plan
    since: float
    seq: int
    step: int = 0
    state: State = "running"
    reason: str = ""
    who: str = ""
    version: int = 0

    @property
    def share(self) -> int:
        """Percent of the subjects that get the new model now."""
        if self.state == "running":
            return self.plan.steps[self.step]
        return 100 if self.state == "done" else 0

    def arm(self, trace: Trace) -> str:
        """Return the model that a request gets."""
        share = self.share
        if share in (0, 100):
            return self.to if share else self.name
        unit = trace.trace_id if self.plan.by == "request" else f"{trace.key_id}/{trace.subject}"
        return self.to if coin_of(f"{self.id}/{unit}") * 100 < share else self.name


def check_plan(plan: Plan, name: str, to: str) -> None:
    """Refuse a plan that leads nowhere.

    Raises:
        UsageError: The shares do not rise to 100, or both models are one.
    """
    if name == to:
        raise UsageError("A model cannot be rolled out to itself: name another one with --to.")
    rises = all(a < b for a, b in zip(plan.steps, plan.steps[1:], strict=False))
    if not plan.steps or not rises or plan.steps[-1] != 100 or plan.steps[0] < 1:
        raise UsageError("Steps are percentages from 1 that rise to 100, such as 1,10,50,100.")


class Evidence:
    """What was seen of both arms in one step.

    Args:
        rollout: The rollout, in that step.

    Attributes:
        read: Number of the last record that was looked at.
    """

    def __init__(self, rollout: Rollout) -> None:
        self.read = rollout.seq
        self.counted: dict[Arm, int] = {"old": 0, "new": 0}
        self._rollout = rollout
        self._met: set[str] = set()
        self._rates = {name: Worse(rollout.plan.worse) for name in ("errors", "guard")}
        self._times = {name: Slower(rollout.plan.slower) for name in ("first_token", "total")}

    def is_of(self, rollout: Rollout) -> bool:
        """Whether this is the evidence of a rollout in the step that it is in."""
        own = self._rollout
        return (own.id, own.step) == (rollout.id, rollout.step)

    def see(self, trace: Trace) -> None:
        """Count a request, if it is one of this step and the first one of its subject."""
        attributes, rollout = trace.attributes, self._rollout
        if (
            attributes.get(semconv.ROLLOUT) != rollout.id
            or attributes.get(semconv.ROLLOUT_STEP) != rollout.step
            or trace.error == _GONE
            or trace.error in _OURS
            or not trace.engine
        ):
            return
        if rollout.plan.by == "subject":
            if trace.subject in self._met:
                return
            self._met.add(trace.subject)
        new = attributes.get(semconv.ROLLOUT_ARM) == rollout.to
        self.counted["new" if new else "old"] += 1
        failed = failed_by_engine(trace)
        self._rates["errors"].see(new=new, bad=failed, coin=coin_of(f"errors/{trace.trace_id}"))
        if failed:
            return
        if trace.output is not None:
            bad = trace.output.stops or trace.output.outcome is not Outcome.ALLOW
            self._rates["guard"].see(new=new, bad=bad, coin=coin_of(f"guard/{trace.trace_id}"))
        if trace.status < 400:
            for name, test in self._times.items():
                if (ms := trace.timings.get(name)) is not None:
                    test.see(new=new, seconds=ms / 1000, coin=0.5)

    @property
    def alarm(self) -> str:
        """Why the new model is to be rolled back; "" when nothing says so."""
        strength = self._rollout.plan.strength
        for name, test in self._tests().items():
            if test.peak > strength:
                return (
                    f"{self._rollout.to} does worse in {MEASURES[name]}: "
                    f"{_told(name, test)} (e-value {math.exp(min(test.peak, 60)):.3g}, limit "
                    f"{math.exp(strength):.3g})."
                )
        return ""

    def summary(self) -> dict[str, Any]:
        """Return the counts, for records and the screen."""
        return {
            "counted": dict(self.counted),
            **{
                name: {
                    "old": [test.old.bad, test.old.seen],
                    "new": [test.new.bad, test.new.seen],
                    "e": round(math.exp(min(test.peak, 60)), 3),
                }
                for name, test in self._tests().items()
            },
        }

    def _tests(self) -> dict[str, Worse]:
        return {**self._rates, **{name: test.worse for name, test in self._times.items()}}


def failed_by_engine(trace: Trace) -> bool:
    """Whether a request failed in a way that its engine may have to do with."""
    return trace.status >= 500 or (trace.error != "" and trace.error.startswith("engine_"))


def _told(name: str, test: Worse) -> str:
    what = "late" if name in ("first_token", "total") else "bad"
    new, old = test.new, test.old
    return f"{new.bad} of {new.seen} {what}, against {old.bad} of {old.seen}"
