"""The engine: rules of a policy joined with detectors, and the algebra of what they say."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from keelmark import plugins
from keelmark.core.canonical import canonical
from keelmark.core.errors import UsageError, sentence
from keelmark.core.outcome import OF_ACTION, Outcome, gravest
from keelmark.core.policy import Rule
from keelmark.core.scope import EVERYWHERE, NOWHERE, Origin, RuleException, Scope
from keelmark.core.verdict import RuleResult, Verdict
from keelmark.core.yamlfile import meant
from keelmark.guard._encoder import WHOSE
from keelmark.guard._rules import misplaced, settled
from keelmark.guard.contract import BaseDetector
from keelmark.guard.excuses import ExceptionInForce
from keelmark.guard.run import HEAVY, Loss, Probe, Run
from keelmark.guard.spoken import spoken, unknown_language

ROLES = frozenset({"system", "user", "assistant", "tool", "tool_description", "retrieved", "input"})
STAGES = {
    "input": ("input", ""),
    "output": ("output", ""),
    "tool_call": ("output", "tool_call"),
    "tool_result": ("input", "tool"),
    "retrieved": ("input", "retrieved"),
}
"""Stage of a rule to the stage of a text and its role; "" is any."""
_MOST_PARTS = 256  # engines for scopes that are kept at once
_NOTHING: Counter[str] = Counter()
Detectors = Mapping[str, type[BaseDetector]]


def discovered() -> Detectors:
    """Return every installed detector by its id; only those that are asked for are imported."""
    return plugins.discover("keelmark.guard.detectors", "Detector")


class RuleError(UsageError):
    """A rule or an exception asks for what does not exist.

    Args:
        kind: `rules` or `exceptions`.
        name: Its id.
        message: What is wrong with it.
    """

    def __init__(self, kind: str, name: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name


class _Asked(NamedTuple):
    """What rules have to share to share a probe."""

    detector: bytes
    excuses: tuple[ExceptionInForce, ...]
    languages: tuple[str, ...]


class Engine:
    """Rules and detectors, joined once.

    Args:
        rules: The policy's rules.
        detectors: The detectors to choose from; all that are installed when None.
        exceptions: The policy's exceptions.
        key: Secret of the installation, for exceptions that name a value by its keyed hash.
        cascade: Whether heavy detectors are spared where cheaper ones have stopped a text.

    Raises:
        RuleError: A rule or an exception names a detector, label, role or operating point that
            does not exist, or its configuration does not fit; the message names it.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        detectors: Detectors | None = None,
        *,
        exceptions: Sequence[RuleException] = (),
        key: bytes = b"",
        cascade: bool = False,
    ) -> None:
        self._cascade = cascade
        self._detectors = discovered() if detectors is None else detectors
        self._made: dict[bytes, BaseDetector] = {}
        for rule in rules:
            self._check(rule)
            self._make(rule)
        self._rules = tuple(settled(rule, self._detectors[rule.detector]) for rule in rules)
        self._exceptions = tuple(exceptions)
        self._excuses = {one.id: ExceptionInForce(one, key) for one in exceptions}
        for one in exceptions:
            self._check_exception(one)
        self._plans: dict[tuple[str, str, bool], tuple[Probe, ...]] = {}
        self._scoped = any(r.scope != EVERYWHERE for r in rules) or any(
            one.scope != EVERYWHERE for one in exceptions
        )
        self._parts: dict[tuple[str, ...], Engine] = {}

    def within(self, origin: Origin = NOWHERE) -> Engine:
        """Return the engine with the rules and exceptions that are for a request.

        What is not known of the request is in the scope of every rule and of no exception.
        """
        WHOSE.set(origin.key)
        if not self._scoped:
            return self
        rules = tuple(r for r in self._rules if r.scope.covers(origin, unknown=True))
        excused = tuple(e for e in self._exceptions if e.scope.covers(origin, unknown=False))
        key = (*(rule.id for rule in rules), "", *(one.id for one in excused))
        part = self._parts.get(key)
        if part is None:
            if len(self._parts) >= _MOST_PARTS:
                self._parts.clear()
            part = self._parts[key] = copy.copy(self)
            vars(part).update(_rules=rules, _exceptions=excused, _plans={}, _scoped=False)
        return part

    def of(self, rules: Sequence[Rule]) -> Engine:
        """Return an engine of other rules; what is set alike is the same detector in both.

        Raises:
            RuleError: As the constructor.
        """
        other = Engine(rules, self._detectors)
        own = vars(other)["_made"]
        own |= {key: made for key, made in self._made.items() if key in own}
        return other

    def _check(self, rule: Rule) -> None:
        if said := self._mistake(rule):
            raise RuleError("rules", rule.id, f"Guard rule {rule.id!r} {said}")

    def _mistake(self, rule: Rule) -> str:
        """What a rule asks for that does not exist, as the end of a sentence; "" for nothing."""
        kind = self._detectors.get(rule.detector)
        if kind is None:
            known = ", ".join(self._detectors) or "none"
            wrong = f"asks for detector {rule.detector!r}, which does not exist"
            return f"{wrong}; choose one of: {known}."
        if isinstance(rule.threshold, str) and rule.threshold not in kind.points:
            known = ", ".join(kind.points) or "none; write a number from 0 to 1"
            return (
                f"asks for operating point {rule.threshold!r}, which detector "
                f"{rule.detector!r} does not have; it has: {known}."
            )
        for role in rule.roles:
            if role not in ROLES:
                known = ", ".join(sorted(ROLES))
                return f"names role {role!r}, which does not exist; choose from: {known}."
        return misplaced(rule, kind) or unknown_language(rule.scope.languages)

    def _make(self, rule: Rule) -> None:
        kind = self._detectors[rule.detector]
        try:
            made = kind(msgspec.convert(rule.config, kind.Config))
        except Exception as error:  # boundary: settings are the user's, detectors anybody's
            raise RuleError(
                "rules",
                rule.id,
                f"Guard rule {rule.id!r}: the configuration of detector {rule.detector!r} "
                f"does not fit: {sentence(str(error))}",
            ) from None
        for label in rule.labels:
            if label not in made.labels:
                raise RuleError(
                    "rules",
                    rule.id,
                    f"Guard rule {rule.id!r} names label {label!r}, which detector "
                    f"{rule.detector!r} does not give; {meant(label, made.labels)}",
                )
        self._made.setdefault(_key(rule), made)

    def _check_exception(self, one: RuleException) -> None:
        rules = [rule for rule in self._rules if one.rule in {rule.id, "*"}]
        known = {label for rule in rules for label in self._made[_key(rule)].labels}
        if wrong := unknown_language(one.scope.languages):
            raise RuleError("exceptions", one.id, f"Exception {one.id!r} {wrong}")
        for label in one.labels if rules else ():
            if label not in known:
                raise RuleError(
                    "exceptions",
                    one.id,
                    f"Exception {one.id!r} names label {label!r}, which no detector of its rules "
                    f"gives; {meant(label, known)}",
                )

    def plan(self, stage: str, role: str = "", *, every: bool = False) -> tuple[Probe, ...]:
        """Return the probes for a text.

        Args:
            stage: `input` or `output`.
            role: Role of the text; `tool_call` for what a model writes to a tool. Every rule
                applies to a role that is not known.
            every: Also run the detectors that no rule asks for, for their scores.
        """
        key = (stage, role, every)
        if key not in self._plans:
            self._plans[key] = self._planned(stage, role, every=every)
        return self._plans[key]

    @property
    def plants(self) -> bool:
        """Whether a detector for answers wants a canary in the system prompt."""
        return any(probe.detector.plants() for probe in self.plan("output"))

    def _planned(self, stage: str, role: str, *, every: bool) -> tuple[Probe, ...]:
        asking: dict[_Asked, list[Rule]] = {}
        for rule in self._rules:
            if _applies(rule, stage, role):
                excuses = tuple(
                    self._excuses[one.id] for one in self._exceptions if one.rule in {rule.id, "*"}
                )
                asked = _Asked(_key(rule), excuses, rule.scope.languages)
                asking.setdefault(asked, []).append(rule)
        made = [
            (
                rules[0].detector,
                spoken(self._made[key].for_stage(stage), languages, excuses),
                rules,
                excuses,
            )
            for (key, excuses, languages), rules in asking.items()
        ]
        if every:
            ids = {name for name, *_ in made}
            made += [
                (name, kind().for_stage(stage), [], ())
                for name, kind in self._detectors.items()
                if name not in ids
            ]
        made.sort(key=lambda one: one[1].tier >= HEAVY)
        cascade = self._cascade and not every
        return tuple(
            Probe(
                number,
                name,
                detector,
                tuple(rules),
                min((rule.timeout_ms / 1000 for rule in rules), default=math.inf),
                {},
                excuses,
                cascade and detector.tier >= HEAVY,
            )
            for number, (name, detector, rules, excuses) in enumerate(made)
        )

    def describe(self) -> dict[str, Any]:
        """Return rules and detectors for the record that a policy was loaded."""
        used = sorted({rule.detector for rule in self._rules})
        return {
            "rules": [
                {
                    "id": rule.id,
                    "stage": rule.stage,
                    "detector": rule.detector,
                    "action": rule.action,
                    "fail": rule.on_failure,
                    "threshold": rule.threshold,
                    **({} if rule.scope == EVERYWHERE else {"scope": _told(rule.scope)}),
                }
                for rule in self._rules
            ],
            "detectors": {name: _described(self._detectors[name]) for name in used},
        }

    def verdict(self, stage: str, runs: Sequence[Run], policy_digest: str, ms: float) -> Verdict:
        """Return the verdict over all texts of a stage.

        Args:
            stage: `input` or `output`.
            runs: What became of each text.
            policy_digest: Digest of the policy in force.
            ms: Time of the whole stage, milliseconds.
        """
        asked: dict[str, list[tuple[Run, Probe]]] = {}
        for run in runs:
            for probe in run.plan:
                for rule in probe.rules:
                    asked.setdefault(rule.id, []).append((run, probe))
        findings = tuple(chain.from_iterable(run.findings for run in runs))
        labels: dict[str, Counter[str]] = {}
        for finding in findings:
            labels.setdefault(finding.rule, Counter())[finding.label] += 1
        results, coverage, reason = [], 1.0, ""
        for rule in self._rules:
            if rule.id not in asked:
                continue
            mine = asked[rule.id]
            lost = [run.lost[rule.id] for run, _ in mine if rule.id in run.lost]
            found = labels.get(rule.id, _NOTHING)
            results.append(self._result(rule, found, lost, mine))
            if read := sum([run.read for run, _ in mine]):
                examined = sum([run.examined(probe, rule) for run, probe in mine])
                coverage = min(coverage, examined / read)
            reason = reason or _stop_reason(rule, found, lost)
        return Verdict(
            stage=stage,
            outcome=gravest(*(result.outcome for result in results)),
            findings=findings,
            rules=tuple(results),
            coverage=coverage,
            policy_digest=policy_digest,
            ms=ms,
            stops=bool(reason),
            reason=reason,
            sentences=tuple(chain.from_iterable(run.sentences for run in runs)),
        )

    def _result(
        self,
        rule: Rule,
        labels: Counter[str],
        lost: Sequence[Loss],
        asked: Sequence[tuple[Run, Probe]],
    ) -> RuleResult:
        outcome, reason = Outcome.ALLOW, ""
        excused = [run for run, _ in asked if run.excused]
        if labels or lost or excused:
            found = [f"found {number} {label}" for label, number in sorted(labels.items())]
            found += ["looked no further"] * any(run.enough(probe) for run, probe in asked)
            found += _excused(rule, excused)
            own = [OF_ACTION[rule.action]] if labels else []
            outcome = gravest(*own, *(loss.outcome for loss in lost))
            reason = ", ".join(found + sorted({loss.reason for loss in lost}))
        return RuleResult(
            rule=rule.id,
            detector=rule.detector,
            version=self._detectors[rule.detector].version,
            outcome=outcome,
            threshold=float(rule.threshold),
            ms=1000 * sum([run.spent(probe) for run, probe in asked]),
            reason=reason,
        )


def _applies(rule: Rule, stage: str, role: str) -> bool:
    """Whether a rule is for the texts of a stage and role."""
    if rule.roles and role in ROLES and role not in rule.roles:
        return False
    if rule.stage == "both":
        return True
    wanted, of = STAGES[rule.stage]
    known = role in ROLES or stage == "output"
    return wanted == stage and (not of or role == of or not known)


def _key(rule: Rule) -> bytes:
    """What tells one configured detector from another."""
    return canonical([rule.detector, rule.config])


def _excused(rule: Rule, runs: Sequence[Run]) -> list[str]:
    return sorted({told for run in runs for name, told in run.excused if name == rule.id})


def _described(kind: type[BaseDetector]) -> dict[str, Any]:
    return {"version": kind.version, "tags": list(kind.tags), "labels": list(kind.labels)}


def _told(scope: Scope) -> dict[str, Any]:
    told = msgspec.to_builtins(scope).items()
    return {name: value for name, value in told if value or value is False}


def _stop_reason(rule: Rule, labels: Iterable[str], lost: Sequence[Loss]) -> str:
    """Why a rule stops the text, for the client; "" when it does not."""
    if rule.action == "block" and labels:
        return f"The guard rule {rule.id!r} stopped the text: {', '.join(sorted(labels))}."
    lost = [loss for loss in lost if loss.outcome != Outcome.SKIPPED]  # another rule stops it
    if lost and rule.on_failure == "closed":
        return (
            f"The guard rule {rule.id!r} could not examine the text ({lost[0].outcome}) and is "
            "set to stop what it cannot examine."
        )
    return ""
