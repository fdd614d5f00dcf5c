"""Small ledgers that tests are built on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from keelmark.core.events import Record
from keelmark.prove.report import LedgerState

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MODEL = "sha256:" + "aa" * 32
POLICY = "sha256:" + "bb" * 32
PASSPORT = "sha256:" + "cc" * 32


def ago(days: float) -> str:
    """RFC 3339 time so many days before NOW."""
    moment = NOW - timedelta(days=days)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Book:
    """Writes records one after the other."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, kind: str, days: float, **body: Any) -> Book:
        seq = len(self.records)
        self.records.append(Record(seq=seq, time=ago(days), kind=kind, body=body))
        return self

    def state(self, **changes: Any) -> LedgerState:
        fields = {"verdict": "verified", "records": len(self.records), "root": "cm9vdA=="}
        return LedgerState(**{**fields, **changes})

    def policy(self, days: float, *tags: str, **changes: Any) -> Book:
        """A policy with one rule for each `tag[@stage]`, all of them acting and fail-closed."""
        rules, detectors = [], {}
        for tag in tags:
            name, _, stage = tag.partition("@")
            detector = f"d-{name}"
            rules.append(
                {
                    "id": f"r-{name}",
                    "stage": stage or "both",
                    "detector": detector,
                    "action": "block",
                    "fail": "closed",
                    "threshold": 0.5,
                }
            )
            detectors[detector] = {
                "version": "1",
                "tags": [f"owasp:{name}"],
                "labels": [name.upper()],
            }
        body = {
            "policy_digest": POLICY,
            "rules": rules,
            "detectors": detectors,
            "admission": {},
            "retention": {"content": "encrypted", "days": 30},
            "limits": {"request_bytes": 8388608, "request_seconds": 600.0, "concurrent": 512},
        }
        return self.add("policy.loaded", days, **{**body, **changes})

    def vetted(self, days: float, **changes: Any) -> Book:
        body = {
            "digest": MODEL,
            "name": "smol",
            "verdict": "pass",
            "reason": "",
            "findings": {},
            "rules": [],
            "coverage": {"files": 1, "checked": 1, "not_checked": 0},
            "checks": {"gguf": "1"},
            "rule_pack": "sha256:rules",
            "answers": {"licence": "allowed if"},
            "policy_digest": POLICY,
        }
        return self.add("model.vetted", days, **{**body, **changes})

    def passport(self, days: float, **changes: Any) -> Book:
        body = {
            "digest": MODEL,
            "passport": PASSPORT,
            "signer": "key",
            "policy_digest": POLICY,
            "verdict": "pass",
            "not_before": ago(days),
            "not_after": ago(days - 90),
        }
        return self.add("passport.issued", days, **{**body, **changes})

    def loaded(self, days: float, **changes: Any) -> Book:
        body = {
            "digest": MODEL,
            "engine": "llama",
            "passport": PASSPORT,
            "load_mode": "sealed",
            "policy_digest": POLICY,
        }
        return self.add("model.loaded", days, **{**body, **changes})

    def evaluated(self, days: float, *tags: str, **changes: Any) -> Book:
        """A complete run of a suite with these tags (`llm01`) on the model."""
        body = {
            "run": f"suite-{len(self.records)}",
            "suite": "suite",
            "tags": [f"owasp:{tag}" for tag in tags],
            "how": "served",
            "model": "smol",
            "model_digest": MODEL,
            "state": "complete",
            "primary": "acc",
            "metrics": {"acc": {"value": 0.5, "n": 100, "unscored": 0}},
            "needed": 100,
        }
        return self.add("evaluation.finished", days, **{**body, **changes})

    def request(self, days: float, **changes: Any) -> Book:
        seq = len(self.records)
        body = {
            "trace_id": f"{seq:032x}",
            "trace": "sha256:" + "dd" * 32,
            "operation": "chat",
            "key_id": "key_1",
            "subject": "s",
            "model": "smol",
            "model_digest": MODEL,
            "engine": "llama",
            "policy_digest": POLICY,
            "status": 200,
            "error": "",
            "outcome": {"input": "allow", "output": "allow"},
            "findings": {},
            "not_examined": [],
            "coverage": {"input": 1.0, "output": 1.0},
            "tokens": {"input": 12, "output": 40},
            "content": "",
            "ms": 20.0,
        }
        return self.add("request", days, **{**body, **changes})


def good_book() -> Book:
    """A service as it should be: vetted, admitted, loaded, guarded and used."""
    book = Book()
    book.add("service.started", 10, version="0.1.0", bind="127.0.0.1:8080", policy_digest=POLICY)
    book.policy(10, "llm01@input", "llm02").vetted(10).passport(10).loaded(9.9)
    book.evaluated(9, "llm01").evaluated(9, "llm02")
    for n in range(20):
        book.request(5 - n / 10)
    blocked = {"input": "block", "output": ""}
    book.request(2, status=400, error="content_filter", outcome=blocked, findings={"LLM01": 1})
    book.request(2, outcome={"input": "redact", "output": "allow"}, findings={"LLM02": 2})
    book.request(1, status=429, error="rate_limit", outcome={"input": "", "output": ""})
    return book
