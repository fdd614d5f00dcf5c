"""Requests: the trace as it is stored, its ledger record, and how traces are found again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from keelmark.core import semconv
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.events import REQUEST
from keelmark.core.metering import Usage
from keelmark.core.trace import Content, Trace
from keelmark.core.verdict import Verdict
from keelmark.store.content import Vault, seal_content
from keelmark.store.ledger import Transaction
from keelmark.store.port import Db
from keelmark.store.usage import write_usage

_TRACE = msgspec.json.Decoder(Trace)
_TERMS = {"team": "key_id IN (SELECT id FROM api_keys WHERE team = ?)"}


def write_request(
    transaction: Transaction,
    vault: Vault,
    trace: Trace,
    content: Content | None,
    usage: Sequence[Usage] = (),
) -> int:
    """Write trace, content, usage and ledger record of a request; return the ledger index."""
    seq = transaction.size
    subject = vault.pseudonym(trace.subject or trace.key_id)
    body = msgspec.json.encode(_without_subject(trace, subject))
    digest = ""
    if content is not None:
        place = seq, trace.trace_id, transaction.now
        kept, digest = seal_content(_data_key(transaction, vault, subject), place, content)
        transaction.add("content", kept)
    model = as_filed(trace.model)
    row = (seq, trace.trace_id, trace.started, trace.key_id, subject, model, body)
    transaction.add("traces", row)
    record = _request(trace, subject, trace_digest(body), digest)
    if semconv.ROUTE in trace.attributes:
        record["route"] = {
            "name": trace.attributes[semconv.ROUTE],
            "found": trace.attributes.get(semconv.ROUTE_FOUND),  # None: nothing was looked for
            "unsure": trace.attributes.get(semconv.ROUTE_UNSURE, []),
        }
    if used := write_usage(transaction, seq, subject, usage):
        record["usage"] = used
    return transaction.append(REQUEST, record)


def _data_key(transaction: Transaction, vault: Vault, subject: str) -> bytes:
    key = transaction.keys.get(subject) or vault.data_key(transaction.reading, subject)
    if key is None:
        key = vault.make_data_key(transaction.db, subject)
    transaction.keys[subject] = key
    return key


def as_filed(name: str) -> str:
    """Return a name that a client gave as it stands in a column: PostgreSQL takes no zero bytes."""
    return name.replace("\0", "\ufffd")


def trace_digest(stored: bytes) -> str:
    """Return the digest of a stored trace as the ledger holds it."""
    return "sha256:" + hashlib.sha256(stored).hexdigest()


def _without_subject(trace: Trace, subject: str) -> Trace:
    """Return the trace with the pseudonym wherever the subject's name stood."""
    name = trace.subject
    attributes = trace.attributes
    if name and name != trace.key_id and name in attributes.values():
        attributes = {k: subject if v == name else v for k, v in attributes.items()}
    return msgspec.structs.replace(trace, subject=subject, attributes=attributes)


def _request(trace: Trace, subject: str, digest: str, content: str) -> dict[str, Any]:
    labels: dict[str, int] = {}
    not_examined: list[str] = []
    for verdict in (trace.input, trace.output):
        for label, count in verdict.labels().items() if verdict else ():
            labels[label] = labels.get(label, 0) + count
        for rule in verdict.rules if verdict else ():
            if not rule.outcome.examined and rule.rule not in not_examined:
                not_examined.append(rule.rule)
    return {
        "trace_id": trace.trace_id,
        "trace": digest,
        "operation": trace.operation,
        "key_id": trace.key_id,
        "subject": subject,
        "model": trace.model,
        "model_digest": trace.model_digest,
        "engine": trace.engine,
        "policy_digest": trace.policy_digest,
        "status": trace.status,
        "error": trace.error,
        "outcome": {"input": _outcome(trace.input), "output": _outcome(trace.output)},
        "findings": labels,
        "not_examined": not_examined,
        "coverage": {"input": _coverage(trace.input), "output": _coverage(trace.output)},
        "tokens": {
            "input": trace.attributes.get(semconv.USAGE_INPUT),
            "output": trace.attributes.get(semconv.USAGE_OUTPUT),
        },
        "content": content,
        "ms": trace.timings.get("total"),
    }


def _outcome(verdict: Verdict | None) -> str | None:
    return None if verdict is None else verdict.outcome.value


def _coverage(verdict: Verdict | None) -> float | None:
    return None if verdict is None else verdict.coverage


def list_traces(
    db: Db, limit: int, before: float | None, filters: dict[str, str | None]
) -> Iterator[Trace]:
    """Yield the newest traces first.

    Args:
        db: Any connection.
        limit: At most so many.
        before: Only those that started before this Unix time, seconds.
        filters: Column (key_id, subject, model), or `team`, to the value it must have; None does
            not filter.

    Raises:
        IntegrityError: A stored trace cannot be read.
    """
    wanted = {column: value for column, value in filters.items() if value is not None}
    terms = [_TERMS.get(column, f"{column} = ?") for column in wanted]
    values: list[object] = list(wanted.values())
    if before is not None:
        terms.append("started < ?")
        values.append(before)
    where = f"WHERE {' AND '.join(terms)} " if terms else ""
    query = f"SELECT seq, trace FROM traces {where}ORDER BY started DESC, seq DESC LIMIT ?"  # noqa: S608 columns are ours
    for seq, body in db.execute(query, (*values, limit)):
        yield decode_trace(seq, body)


def traces_after(db: Db, seq: int, model: str, limit: int) -> list[tuple[int, Trace]]:
    """Return traces of a model, oldest first, with their ledger records' numbers.

    Args:
        db: Any connection.
        seq: Only those whose record comes after this one.
        model: The name that was asked for.
        limit: At most so many.

    Raises:
        IntegrityError: A stored trace cannot be read.
    """
    query = "SELECT seq, trace FROM traces WHERE seq > ? AND model = ? ORDER BY seq LIMIT ?"
    rows = db.execute(query, (seq, model, limit)).fetchall()
    return [(number, decode_trace(number, body)) for number, body in rows]


def find_trace(db: Db, prefix: str) -> tuple[int, Trace]:
    """Return the newest trace whose id begins with `prefix`, and its ledger index.

    Raises:
        UsageError: There is none, or several ids begin so.
        IntegrityError: The stored trace cannot be read.
    """
    ids = db.execute(
        "SELECT DISTINCT trace_id FROM traces WHERE trace_id >= ? AND trace_id < ? LIMIT 2",
        (prefix, prefix + "\U0010ffff"),
    ).fetchall()
    if not ids:
        raise UsageError(f"There is no trace {prefix!r}; list them with `keelmark traces`.")
    if len(ids) > 1:
        raise UsageError(f"Several traces begin with {prefix!r}; give more of the id.")
    newest = "SELECT seq, trace FROM traces WHERE trace_id = ? ORDER BY seq DESC LIMIT 1"
    seq, body = db.execute(newest, ids[0]).fetchone()
    return seq, decode_trace(seq, body)


def decode_trace(seq: int, body: bytes) -> Trace:
    """Read a stored trace.

    Raises:
        IntegrityError: It cannot be read.
    """
    try:
        return _TRACE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise IntegrityError(
            f"The trace of ledger record {seq} cannot be read; run `keelmark ledger verify`."
        ) from None
