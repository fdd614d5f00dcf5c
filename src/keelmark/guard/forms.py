"""The form of answers: judged when they are whole, beside the streams.

What leaves is judged, so the gateway hands over the text it is about to send (values given back,
findings redacted), and the schema is the client's own. The detectors are those that say `whole`.
"""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from keelmark.core.form import AnswerForm, Expected, Fault, Form, Formed, FormError, Holds
from keelmark.core.policy import Rule
from keelmark.guard._documents import tidied
from keelmark.guard._schemas import SchemaError
from keelmark.guard.binding import bound
from keelmark.guard.contract import Request
from keelmark.guard.engine import Engine
from keelmark.guard.run import Probe, Run, Seen

_NO_TOOL = "there is no such tool"


def streamed(plan: tuple[Probe, ...]) -> tuple[Probe, ...]:
    """Return the probes that read an answer while it comes."""
    return _those(plan, whole=False) if any(p.detector.whole for p in plan) else plan


def _those(plan: tuple[Probe, ...], *, whole: bool) -> tuple[Probe, ...]:
    """The probes that judge whole answers, or the others, as a plan of their own."""
    chosen = [probe for probe in plan if probe.detector.whole is whole]
    return tuple(probe._replace(number=number) for number, probe in enumerate(chosen))


def _demanding(plan: tuple[Probe, ...]) -> list[Rule]:
    """The rules of the probes that demand anything."""
    return [rule for p in plan if not p.detector.quiet(" ", 0) for rule in p.rules]


def _holds(rule: Rule) -> bool:
    """Whether a rule may change or stop what it judges."""
    return rule.action == "block" or rule.repair is not None


class _Judged(NamedTuple):
    run: Run
    faults: tuple[Fault, ...]


class Forms:
    """The form of one answer.

    Attributes:
        runs: What became of each text, for the verdict.
        seconds: Time that it took.
    """

    def __init__(self, engine: Engine, policy_digest: str) -> None:
        self.runs: list[Run] = []
        self.seconds = 0.0
        self._engine = engine
        self._digest = policy_digest
        self._form = AnswerForm()
        self._plans: dict[str | None, tuple[Probe, ...]] = {}

    def expect(self, form: AnswerForm, *, strict: bool = True) -> Expected:
        """See RequestGuard.

        Raises:
            FormError: A rule that fails closed cannot check this form, and `strict` is set.
        """
        self._form = form
        forms: list[tuple[str | None, Form | None]] = [(None, form.text), *form.tools.items()]
        self._plans = {name: self._bound(each, name) for name, each in forms}
        for name, each in forms:
            for probe in self._whole(name) if strict and each else ():
                _check(probe, each)
        rules = {name: _demanding(plan) for name, plan in self._plans.items()}
        holding = [name for name, asked in rules.items() if any(map(_holds, asked))]
        holds: Holds = "all" if None in holding else "calls" if holding else "nothing"
        return Expected(judged=any(rules.values()), holds=holds)

    def formed(self, name: str, text: str, tool: str | None = None) -> Formed:
        """See RequestGuard."""
        began = perf_counter()
        plan = self._plan(tool)
        judged, off = self._look(plan, name, text, tool), ""
        rules = [rule for probe in plan for rule in probe.rules]
        wished = {rule.id for rule in rules if rule.repair and rule.repair.tidy}
        if wished.intersection(fault.rule for fault in judged.faults) and (neat := tidied(text)):
            again = self._look(plan, name, neat.text, tool)
            if not again.faults and not again.run.lost:
                judged, text, off = again, neat.text, neat.off
            judged = judged._replace(faults=(*judged.faults, *again.faults))
        self.runs.append(judged.run)
        self.seconds += perf_counter() - began
        verdict = self._engine.verdict("output", [judged.run], self._digest, 0.0)
        ids = tuple(result.rule for result in verdict.rules)
        return Formed(text, judged.faults, off, ids, verdict.reason if verdict.stops else "")

    def _plan(self, tool: str | None) -> tuple[Probe, ...]:
        """The probes for the answer (None), or for the arguments of a tool."""
        if tool not in self._plans:
            self._plans[tool] = self._bound(Form(schema=False, tool=tool or "?"), tool)
        return self._plans[tool]

    def _whole(self, tool: str | None) -> tuple[Probe, ...]:
        plan = self._engine.plan("output", "" if tool is None else "tool_call")
        return _those(plan, whole=True)

    def _bound(self, form: Form | None, tool: str | None) -> tuple[Probe, ...]:
        return bound(self._whole(tool), Request(form=form))

    def _look(self, plan: tuple[Probe, ...], name: str, text: str, tool: str | None) -> _Judged:
        run = Run(plan, name)
        read = text or " "  # so that a text in which there is nothing can be pointed at
        run.read, run.closed = len(read), True
        faults: list[Fault] = []
        for probe in run.live:
            hits, _ = run.look(probe, read, 0, final=True)
            for hit in hits:
                seen = Seen(hit.start, hit.end, hit, probe)
                run.note(seen, hit.start, hit.end)
                told = probe.detector.explain(read) or (hit.reason,)
                if tool is not None and tool not in self._form.tools:
                    told = (_NO_TOOL,)
                faults += (
                    Fault(rule.id, hit.label, told, rule.repair.attempts if rule.repair else 0)
                    for rule in seen.rules()
                )
        run.decided = len(read)
        return _Judged(run, tuple(faults))


def _check(probe: Probe, form: Form | None) -> None:
    """Try a form before anything is asked of the engine.

    Raises:
        FormError: A rule that fails closed cannot check it.
    """
    if not any(rule.on_failure == "closed" for rule in probe.rules):
        return
    try:
        probe.detector.for_request(Request(form=form))
    except SchemaError as error:
        raise FormError(error.message, form.tool if form else "") from None
