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
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from keelmark.core import events
from keelmark.core.errors import IntegrityError
from keelmark.core.events import Record

IN_USE = "model.in_use"
ADDED: dict[str, frozenset[str]] = {
    events.POLICY_LOADED: frozenset({"tags"}),
    events.REQUEST: frozenset({"tags", "missed", "found", "vetted"}),
    events.MODEL_LOADED: frozenset({"vetted", "passport_state"}),
}
_ANY = "*"
_ACTING = frozenset({"mask", "redact", "block"})


class Context:
    """Everything the records so far say that other records are read by. Fed in ledger order."""

    def __init__(self) -> None:
        self._policies: dict[str, _Policy] = {}
        self._vetted: dict[str, dict[str, Any]] = {}
        self._passports: dict[str, Mapping[str, Any]] = {}
        self._engines: dict[str, Record] = {}
        self._stopped: set[str] = set()

    def learn(self, record: Record) -> None:
        """Take the next record."""
        body = record.body
        engine = str(body.get("engine", ""))
        if record.kind == events.POLICY_LOADED:
            self._policies[str(body.get("policy_digest"))] = _Policy(body)
        elif record.kind == events.MODEL_VETTED:
            told = {**body, "time": record.time, "seq": record.seq}
            self._vetted[str(body.get("digest"))] = told
        elif record.kind == events.PASSPORT_ISSUED:
            self._passports[str(body.get("passport"))] = body
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

    @property
    def in_use(self) -> list[Record]:
        """The last load of every engine that has not been given up."""
        return sorted(self._engines.values(), key=lambda record: record.seq)

    def read(self, record: Record) -> Mapping[str, Any]:
        """Return the body of a record with everything added to it."""
        body = record.body
        if record.kind == events.POLICY_LOADED:
            return {**body, "tags": _Policy(body).tags}
        if record.kind == events.REQUEST:
            vetted = self._vetted.get(str(body.get("model_digest")))
            policy = self._policies.get(str(body.get("policy_digest")))
            told = policy.request(body) if policy else {}
            return {**body, **told, "vetted": vetted}
        if record.kind == events.MODEL_LOADED:
            vetted = self._vetted.get(str(body.get("digest")))
            return {**body, "vetted": vetted, "passport_state": self._passport_state(record)}
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


class _Policy:
    """The guard rules of one policy, seen from the side of the tags of their detectors."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._detectors: Mapping[str, Any] = body.get("detectors") or {}
        self._of_rule: dict[str, list[str]] = {}
        self.tags: dict[str, dict[str, list[str]]] = {
            stage: {"any": [], "acting": [], "closed": []} for stage in ("input", "output")
        }
        for rule in body.get("rules") or ():
            self._add(rule)
        self._by_label: dict[str, set[str]] = {}
        self._labelled = all("labels" in d for d in self._detectors.values())
        for detector in self._detectors.values():
            for label in detector.get("labels", ()):
                self._by_label.setdefault(label, set()).update(detector.get("tags", ()))

    def _add(self, rule: Mapping[str, Any]) -> None:
        detector = self._detectors.get(str(rule.get("detector"))) or {}
        tags = [*detector.get("tags", ()), _ANY]
        self._of_rule[str(rule.get("id"))] = tags
        acting = rule.get("action") in _ACTING
        for stage, sets in self.tags.items():
            if rule.get("stage") in (stage, "both"):
                sets["any"] += tags
                sets["acting"] += tags if acting else []
                sets["closed"] += tags if acting and rule.get("fail") == "closed" else []

    def request(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What is added to a request that ran under this policy; None where it cannot be told."""
        missed = body.get("not_examined")
        found = body.get("findings")
        return {
            "tags": self.tags,
            # A rule that this policy does not know missed something nobody can name: all of it.
            "missed": None if missed is None else self._missed(missed),
            "found": None
            if found is None or not self._labelled
            else sorted({tag for label in found for tag in self._by_label.get(label, ())}),
        }

    def _missed(self, rules: list[str]) -> list[str]:
        everything = [tag for tags in self._of_rule.values() for tag in tags] + [_ANY]
        return [tag for rule in rules for tag in self._of_rule.get(rule, everything)]


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
