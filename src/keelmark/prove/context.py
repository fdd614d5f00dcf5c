"""What other records say about a record: the joins that queries may use.

Added to `policy.loaded` and `request`:
    tags: {input, output} to {any, acting, closed}: tags of the detectors whose rules apply in that
        stage under the policy of the record; `acting` rules mask, redact or block (not only flag),
        `closed` rules are acting and stop the text when they fail. "*" stands for any rule at all.

Added to `request`:
    missed: tags of the rules that did not examine the text ("*" for any rule).
    found: tags of the detectors that found something.
    vetted: the newest `model.vetted` of the model that answered, with its `time` and `seq`.

Added to `model.loaded`:
    vetted: the newest `model.vetted` of the same digest, with its `time` and `seq`.
    passport_state: valid, unknown (never issued here), foreign (issued for another model),
        not yet valid, or expired: at the moment of loading.
    evaluated: tag of a suite to the `run` and `time` of the newest run of such a suite on these
        weights that counts: it is complete, and has as many samples as it needed
        (`evaluated.owasp:llm01.time`).
    set_aside: tag of a suite to a newer run that does not count, and why, a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from keelmark.core import events
from keelmark.core.errors import IntegrityError
from keelmark.core.events import Record

IN_USE = "model.in_use"
ADDED: dict[str, frozenset[str]] = {
    events.POLICY_LOADED: frozenset({"tags"}),
    events.REQUEST: frozenset({"tags", "missed", "found", "vetted"}),
    events.MODEL_LOADED: frozenset({"vetted", "passport_state", "evaluated", "set_aside"}),
}
_ANY = "*"
_ACTING = frozenset({"mask", "redact", "block"})


class Context:
    """Everything the records so far say that other records are read by. Fed in ledger order."""

    def __init__(self) -> None:
        self._policies: dict[str, _Policy | None] = {}
        self._vetted: dict[str, dict[str, Any]] = {}
        self._passports: dict[str, Mapping[str, Any]] = {}
        self._evaluated: dict[str, dict[str, dict[str, str]]] = {}
        self._set_aside: dict[str, dict[str, str]] = {}
        self._engines: dict[str, Record] = {}
        self._stopped: set[str] = set()

    def learn(self, record: Record) -> None:
        """Take the next record."""
        body = record.body
        engine = str(body.get("engine", ""))
        if record.kind == events.POLICY_LOADED:
            self._policies[str(body.get("policy_digest"))] = _Policy.told_by(body)
        elif record.kind == events.MODEL_VETTED:
            told = {**body, "time": record.time, "seq": record.seq}
            self._vetted[str(body.get("digest"))] = told
        elif record.kind == events.PASSPORT_ISSUED:
            self._passports[str(body.get("passport"))] = body
        elif record.kind == events.EVALUATION_FINISHED:
            self._learn_run(record)
        elif record.kind == events.MODEL_LOADED:
            self._engines[engine] = record
            self._stopped.discard(engine)
        elif record.kind == events.ENGINE_STARTED:
            self._stopped.discard(engine)
        elif record.kind == events.ENGINE_STOPPED:
            self._stopped.add(engine)
        elif record.kind == events.SERVICE_STARTED:
            for gone in self._stopped:
                self._engines.pop(gone, None)
            self._stopped.clear()

    def _learn_run(self, record: Record) -> None:
        body, run = record.body, {"run": str(record.body.get("run")), "time": record.time}
        weights = str(body.get("model_digest") or "")
        if not weights:
            return
        counted = self._evaluated.setdefault(weights, {})
        set_aside = self._set_aside.setdefault(weights, {})
        why = _why_not(body)
        for tag in map(str, body.get("tags") or ()):
            if why:
                set_aside[tag] = f"{run['run']}, {record.time[:10]}: {why}"
            else:
                counted[tag] = run
                set_aside.pop(tag, None)

    @property
    def in_use(self) -> list[Record]:
        """The last load of every engine that has not been given up."""
        return sorted(self._engines.values(), key=lambda record: record.seq)

    def read(self, record: Record) -> Mapping[str, Any]:
        """Return the body of a record with everything added to it."""
        body = record.body
        if record.kind == events.POLICY_LOADED:
            told = _Policy.told_by(body)
            return {**body, "tags": told and told.tags}
        if record.kind == events.REQUEST:
            vetted = self._vetted.get(str(body.get("model_digest")))
            policy = self._policies.get(str(body.get("policy_digest")))
            return {**body, **(policy.request(body) if policy else {}), "vetted": vetted}
        if record.kind == events.MODEL_LOADED:
            digest = str(body.get("digest"))
            return {
                **body,
                "vetted": self._vetted.get(digest),
                "passport_state": self._passport_state(record),
                "evaluated": self._evaluated.get(digest, {}),
                "set_aside": self._set_aside.get(digest, {}),
            }
        return body

    def _passport_state(self, record: Record) -> str:
        passport = self._passports.get(str(record.body.get("passport")))
        if passport is None:
            return "unknown"
        if passport.get("digest") != record.body.get("digest"):
            return "foreign"
        loaded = moment(record.time, f"Record {record.seq}")
        name = f"The passport of record {record.seq}"
        if loaded < moment(passport.get("not_before"), name):
            return "not yet valid"
        return "valid" if loaded <= moment(passport.get("not_after"), name) else "expired"


def _why_not(body: Mapping[str, Any]) -> str:
    """Why a run is no evidence; "" when it is."""
    if body.get("state") != "complete":
        return "incomplete"
    metrics = body.get("metrics")
    primary = metrics.get(body.get("primary")) if isinstance(metrics, Mapping) else None
    found = primary.get("n") if isinstance(primary, Mapping) else None
    needed = body.get("needed")
    if type(found) is not int or type(needed) is not int:
        return "the record does not say how many samples it had and needed"
    return "" if found >= needed else f"{found} of {needed} samples that it takes"


class _Rule(msgspec.Struct, frozen=True):
    """A rule as `policy.loaded` tells of it."""

    id: str
    stage: str
    detector: str
    action: str
    fail: str


class _Detector(msgspec.Struct, frozen=True):
    """A detector as `policy.loaded` tells of it."""

    tags: tuple[str, ...]
    labels: tuple[str, ...] | None = None


class _Guard(msgspec.Struct, frozen=True):
    """The guard's part of `policy.loaded`."""

    rules: tuple[_Rule, ...]
    detectors: dict[str, _Detector]


class _Policy:
    """The guard rules of one policy, seen from the side of the tags of their detectors."""

    def __init__(self, guard: _Guard) -> None:
        self._of_rule: dict[str, tuple[str, ...]] = {}
        self._by_label: dict[str, set[str]] = {}
        self._labelled = all(d.labels is not None for d in guard.detectors.values())
        self.tags: dict[str, dict[str, list[str]]] = {
            stage: {"any": [], "acting": [], "closed": []} for stage in ("input", "output")
        }
        for rule in guard.rules:
            detector = guard.detectors.get(rule.detector)
            self._add(rule, (*(detector.tags if detector else ()), _ANY))
        for detector in guard.detectors.values():
            for label in detector.labels or ():
                self._by_label.setdefault(label, set()).update(detector.tags)

    @classmethod
    def told_by(cls, body: Mapping[str, Any]) -> _Policy | None:
        """The policy of a `policy.loaded` record, or None when it cannot be told from it."""
        try:
            return cls(msgspec.convert(body, _Guard))
        except msgspec.ValidationError:
            return None

    def _add(self, rule: _Rule, tags: tuple[str, ...]) -> None:
        self._of_rule[rule.id] = tags
        acting = rule.action in _ACTING
        for stage, sets in self.tags.items():
            if rule.stage in (stage, "both"):
                sets["any"] += tags
                sets["acting"] += tags if acting else ()
                sets["closed"] += tags if acting and rule.fail == "closed" else ()

    def request(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What is added to a request that ran under this policy; None where it cannot be told."""
        missed, found = body.get("not_examined"), body.get("findings")
        named = isinstance(found, Mapping) and self._labelled
        return {
            "tags": self.tags,
            "missed": self._missed(missed) if isinstance(missed, list | tuple) else None,
            "found": sorted({t for x in found or () for t in self._by_label.get(x, ())})
            if named
            else None,
        }

    def _missed(self, rules: Sequence[Any]) -> list[str]:
        """Tags of these rules. One that this policy does not know may have been any of them."""
        everything = (*(tag for tags in self._of_rule.values() for tag in tags), _ANY)
        return [tag for rule in rules for tag in self._of_rule.get(str(rule), everything)]


def moment(time: Any, where: str) -> datetime:
    """Return an RFC 3339 time with its zone.

    Args:
        time: The text.
        where: What carries it, for the error message.

    Raises:
        IntegrityError: It cannot be read.
    """
    try:
        read = datetime.fromisoformat(time)
        if read.tzinfo is not None:
            return read
    except (TypeError, ValueError):
        pass
    raise IntegrityError(
        f"{where} carries no readable time ({time!r}); run `keelmark ledger verify`."
    )
