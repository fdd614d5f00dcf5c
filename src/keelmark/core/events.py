"""Kinds of ledger records and the fields of their bodies.

Every room that writes to the ledger uses a kind from here, and reports read by kind; so the table
below is the contract between the rooms that act and the room that proves.

service.started: version, bind, policy_digest
policy.loaded: policy_digest, rules [{id, stage, detector, action, fail, threshold}],
    detectors {id: {version, tags}}, admission {..}, retention {..}, limits {..}
model.vetted: digest, name, verdict, reason, findings {severity: count}, rules [ids found],
    coverage {files, checked, not_checked: counts}, checks {id: version}, policy_digest
passport.issued: digest, passport (sha256 of the envelope), signer, policy_digest, verdict,
    not_before, not_after (RFC 3339)
model.loaded: digest, engine, passport, load_mode, policy_digest
model.refused: digest, engine, reason
engine.started, engine.stopped: engine, digest, reason
key.created, key.revoked: key_id, name, scopes, expires
request: trace_id, trace (sha256 of the stored trace), operation, key_id, subject (pseudonym),
    model, model_digest, engine, policy_digest, status, error, outcome {input, output},
    findings {label: count}, not_examined [rule ids], coverage {input, output},
    tokens {input, output}, content (keyed hash, or ""), ms
subject.erased: subject (pseudonym)
"""

from __future__ import annotations

from typing import Any

import msgspec

SERVICE_STARTED = "service.started"
POLICY_LOADED = "policy.loaded"
MODEL_VETTED = "model.vetted"
PASSPORT_ISSUED = "passport.issued"
MODEL_LOADED = "model.loaded"
MODEL_REFUSED = "model.refused"
ENGINE_STARTED = "engine.started"
ENGINE_STOPPED = "engine.stopped"
KEY_CREATED = "key.created"
KEY_REVOKED = "key.revoked"
REQUEST = "request"
SUBJECT_ERASED = "subject.erased"

KINDS = frozenset(
    {
        SERVICE_STARTED,
        POLICY_LOADED,
        MODEL_VETTED,
        PASSPORT_ISSUED,
        MODEL_LOADED,
        MODEL_REFUSED,
        ENGINE_STARTED,
        ENGINE_STOPPED,
        KEY_CREATED,
        KEY_REVOKED,
        REQUEST,
        SUBJECT_ERASED,
    }
)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the ledger.

    Attributes:
        seq: Index, from 0.
        time: RFC 3339, UTC, milliseconds.
        kind: One of `KINDS`.
        body: The fields listed above.
    """

    seq: int
    time: str
    kind: str
    body: dict[str, Any]
