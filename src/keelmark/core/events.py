"""Kinds of ledger records and the fields of their bodies.

Every room that writes to the ledger uses a kind from here, and reports read by kind; so the table
below is the contract between the rooms that act and the room that proves.

service.started: version, bind, policy_digest
policy.loaded: policy_digest, rules [{id, stage, detector, action, fail, threshold}],
    detectors {id: {version, tags, labels}}, admission {..}, retention {..}, limits {..}; where
    there are any: shadow [rules that only record], exceptions [{id, rule, author, expires}],
    quota {..}, routes {..}, cache {..}
policy.changed: policy_digest (in force now), before (the one it takes the place of), name
policy.refused: policy_digest (stays in force), reason
model.vetted: digest, name, verdict, reason, findings {severity: count}, rules [ids found],
    coverage {files, checked, not_checked: counts}, checks {id: version}, rule_pack,
    answers {survey: its answer}, policy_digest
passport.issued: digest, passport (sha256 of the envelope), signer, policy_digest, verdict,
    not_before, not_after (RFC 3339)
model.loaded: digest, engine, passport, load_mode, policy_digest, chat_template (sha256 of one
    that is used instead of the model's own, or "the model's own")
model.refused: digest, engine, reason
model.unloaded: name, digest, engine, reason
model.stopped, model.started: name, reason, who (a key's id, or `cli:` and a user of the machine)
rollout.started: name, rollout (its id), to, plan {steps, seconds, least, alarm, by, slower, worse},
    who, reason
rollout.step: name, rollout, to, share (percent from now on), evidence {arm: counts}, reason
rollout.ended: name, rollout, to, outcome (done, rolled_back, aborted), evidence, who, reason
engine.started, engine.stopped: engine, digest, reason
worker.stopped: worker (its number), reason; another one takes its place
key.created, key.revoked: key_id, name, scopes, expires, team
request: trace_id, trace (sha256 of the stored trace), operation, key_id, subject (pseudonym),
    model, model_digest, engine, policy_digest, status, error, outcome {input, output},
    findings {label: count}, not_examined [rule ids], coverage {input, output},
    tokens {input, output}, content (keyed hash, or ""), ms; where it was metered: usage {money
    (billionths), currency, input, output, cached, priced, how [of each call at an engine]}
usage.lost: hold, trace_id, key_id, subject (pseudonym), team, model, engine, owner (the process
    that ended), usage (as above)
subject.erased: subject (pseudonym)
evaluation.finished: run, manifest (its digest), attestation (sha256 of the envelope), suite,
    tags (of the suite), version, suite_digest, data (sha256), how (served, raw, url), model,
    model_digest, policy_digest, state, reason, primary, metrics {name: {value, low, high, n,
    unscored, how}}, needed (fewest samples for which the primary measure is evidence), counts
"""

from __future__ import annotations

from typing import Any

import msgspec

SERVICE_STARTED = "service.started"
POLICY_LOADED = "policy.loaded"
POLICY_CHANGED = "policy.changed"
POLICY_REFUSED = "policy.refused"
MODEL_VETTED = "model.vetted"
PASSPORT_ISSUED = "passport.issued"
MODEL_LOADED = "model.loaded"
MODEL_REFUSED = "model.refused"
MODEL_UNLOADED = "model.unloaded"
MODEL_STOPPED = "model.stopped"
MODEL_STARTED = "model.started"
ROLLOUT_STARTED = "rollout.started"
ROLLOUT_STEP = "rollout.step"
ROLLOUT_ENDED = "rollout.ended"
ENGINE_STARTED = "engine.started"
ENGINE_STOPPED = "engine.stopped"
WORKER_STOPPED = "worker.stopped"
KEY_CREATED = "key.created"
KEY_REVOKED = "key.revoked"
REQUEST = "request"
USAGE_LOST = "usage.lost"
SUBJECT_ERASED = "subject.erased"
EVALUATION_FINISHED = "evaluation.finished"

FIELDS: dict[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        SERVICE_STARTED: "version bind policy_digest",
        POLICY_LOADED: "policy_digest rules detectors admission retention limits shadow exceptions"
        " quota routes cache",
        POLICY_CHANGED: "policy_digest before name",
        POLICY_REFUSED: "policy_digest reason",
        MODEL_VETTED: "digest name verdict reason findings rules coverage checks rule_pack answers"
        " policy_digest",
        PASSPORT_ISSUED: "digest passport signer policy_digest verdict not_before not_after",
        MODEL_LOADED: "digest engine passport load_mode policy_digest chat_template",
        MODEL_REFUSED: "digest engine reason",
        MODEL_UNLOADED: "name digest engine reason",
        MODEL_STOPPED: "name reason who",
        MODEL_STARTED: "name reason who",
        ROLLOUT_STARTED: "name rollout to plan who reason",
        ROLLOUT_STEP: "name rollout to share evidence reason",
        ROLLOUT_ENDED: "name rollout to outcome evidence who reason",
        ENGINE_STARTED: "engine digest reason",
        ENGINE_STOPPED: "engine digest reason",
        WORKER_STOPPED: "worker reason",
        KEY_CREATED: "key_id name scopes expires team",
        KEY_REVOKED: "key_id name scopes expires team",
        REQUEST: "trace_id trace operation key_id subject model model_digest engine policy_digest"
        " status error outcome findings not_examined coverage tokens content ms usage route",
        USAGE_LOST: "hold trace_id key_id subject team model engine owner usage",
        SUBJECT_ERASED: "subject",
        EVALUATION_FINISHED: "run manifest attestation suite tags version suite_digest data how"
        " model model_digest policy_digest state reason primary metrics needed counts",
    }.items()
}
"""Kind to the first-level fields of its body."""

KINDS = frozenset(FIELDS)


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
