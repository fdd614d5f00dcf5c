"""Verify the ledger of an open store: records, leaf hashes, checkpoints and stored traces."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.events import REQUEST
from keelmark.store.checkpoint import verify_signature
from keelmark.store.ledger import split
from keelmark.store.port import Db, stream
from keelmark.store.traces import as_filed, trace_digest
from keelmark.store.verify_bundle import (
    Checkpoint,
    Findings,
    Key,
    MalformedError,
    Mark,
    Row,
    audit,
    is_signed,
    make_mark,
    make_row,
    parse_checkpoint,
    parse_key,
)


class LedgerProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with the ledger.

    Attributes:
        what: changed, leaf, rewritten, missing, moved, uncovered, checkpoint, signature,
            rollback, trace.
        seq: The record it names (the first of several), or None.
        kind: Kind of that record, or "".
        message: One sentence.
    """

    what: str
    seq: int | None
    kind: str
    message: str


class LedgerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying the ledger came to.

    Attributes:
        ok: Whether nothing is wrong.
        size: Number of records that the newest checkpoint covers.
        root: Root it signs, base64.
        key: Verifier key that it was checked with (C2SP).
        key_given: Whether that key was handed in; otherwise it is the one the store names.
        checkpoints: Number of stored checkpoints whose signature holds.
        traces: Number of stored traces that were held against their record.
        traces_gone: Number of requests whose trace is no longer stored.
        problem_count: Number of problems.
        problems: The first of them.
    """

    ok: bool
    size: int
    root: str
    key: str
    key_given: bool
    checkpoints: int
    traces: int
    traces_gone: int
    problem_count: int
    problems: tuple[LedgerProblem, ...]

    def text(self) -> str:
        """Return the report for a person."""
        lines = [problem.message for problem in self.problems]
        if not self.ok:
            return "\n".join(
                [*lines, f"The ledger does NOT verify: {self.problem_count} problems."]
            )
        whose = "" if self.key_given else " (the key that the store itself names)"
        gone = f", {self.traces_gone} no longer stored" if self.traces_gone else ""
        return (
            f"The ledger verifies: {self.size} records, {self.checkpoints} checkpoints, "
            f"{self.traces} traces{gone}, root {self.root}, signed by {self.key}{whose}."
        )


class _Stored(msgspec.Struct):
    """The part of a trace that is also kept in columns, to be found by."""

    trace_id: str
    started: float
    key_id: str = ""
    subject: str = ""
    model: str = ""


class _Body(msgspec.Struct):
    trace: str = ""


class _Request(msgspec.Struct):
    body: _Body


class _Traces:
    """Counts what became of the stored traces."""

    def __init__(self) -> None:
        self.checked = 0
        self.gone = 0


def saved_checkpoint(note: str, keys: Sequence[Key]) -> Checkpoint:
    """Read a checkpoint that was saved elsewhere.

    Raises:
        UsageError: It is none, or no key of this ledger signed it.
    """
    try:
        point = parse_checkpoint(note)
    except MalformedError as error:
        raise UsageError(
            f"The saved checkpoint cannot be used ({error}): give a file that `keelmark ledger "
            "checkpoint` printed."
        ) from None
    if not is_signed(point, keys, verify_signature):
        raise UsageError("The saved checkpoint is of another ledger: no key of this one signed it.")
    return point


def known_keys(db: Db) -> list[Key]:
    """Return the keys that the store says signed its checkpoints, newest last."""
    rows = db.execute("SELECT key FROM signers ORDER BY id")
    return [parse_key(text) for (text,) in rows]


def add_signer(db: Db, key: Key, *, alone: bool) -> None:
    """Note the key that signs from now on.

    Args:
        db: A connection that is being written.
        key: The key.
        alone: Refuse a key that is not the one that has signed so far. Where many write to one
            ledger, another key is more likely a mistake, after which nobody could verify it.

    Raises:
        UsageError: It is another key, and that is refused.
    """
    known = known_keys(db)
    if key in known:
        return
    if alone and known:
        raise UsageError(
            f"This ledger is signed with the key {known[-1].name}, and this data folder has "
            f"{key.name}: give all that share the database the same keys (the folder `keys` of "
            "the data folder)."
        )
    db.execute("INSERT INTO signers (key) VALUES (?)", (str(key),))


def verify_ledger(db: Db, given: Key | None, against: str | None) -> LedgerReport:
    """Verify everything, in one pass and with little memory.

    Args:
        db: Reader that stays in one transaction meanwhile.
        given: Key that must have signed the newest checkpoint, or None for the store's own.
        against: Text of a signed checkpoint that was saved elsewhere.

    Raises:
        UsageError: `against` is not a checkpoint of this ledger.
    """
    found, traces = Findings(), _Traces()
    try:
        keys = known_keys(db)
    except MalformedError as error:
        keys = []
        found.add("signature", None, "", f"The stored list of keys was changed: {error}.")
    trusted = given or (keys[-1] if keys else None)
    every = [trusted, *keys] if trusted else []
    saved = saved_checkpoint(against, every) if against else None
    marks = _marks(db, every, trusted, found)
    audit(_rows(db, found, traces), marks, saved, found)
    _unrecorded(db, found)
    newest = marks[-1] if marks else Mark(0, b"", None)
    return LedgerReport(
        ok=found.count == 0,
        size=newest.size,
        root=base64.b64encode(newest.root).decode(),
        key=str(trusted) if trusted else "",
        key_given=given is not None,
        checkpoints=len(marks),
        traces=traces.checked,
        traces_gone=traces.gone,
        problem_count=found.count,
        problems=tuple(
            LedgerProblem(what=p.what, seq=p.seq, kind=p.kind, message=p.message)
            for p in found.problems
        ),
    )


def _marks(db: Db, keys: Sequence[Key], trusted: Key | None, found: Findings) -> list[Mark]:
    marks = []
    stored = db.execute("SELECT size, frontier, note FROM checkpoints ORDER BY size").fetchall()
    for index, (size, frontier, note) in enumerate(stored):
        label = f"the checkpoint at size {size}"
        try:
            point = parse_checkpoint(note)
        except MalformedError as error:
            found.add("checkpoint", None, "", f"What is stored as {label} is damaged: {error}.")
            continue
        newest = index == len(stored) - 1
        if not is_signed(point, [trusted] if newest and trusted else keys, verify_signature):
            found.add("signature", None, "", f"The signature of {label} does not hold.")
        elif point.size != size:
            message = f"What is stored as {label} signs {point.size} records."
            found.add("checkpoint", None, "", message)
        else:
            marks.append(make_mark(point, split(frontier), found))
    return marks


def _rows(db: Db, found: Findings, traces: _Traces) -> Iterator[Row]:
    query = (
        "SELECT r.seq, r.kind, r.record, r.leaf, t.trace, t.trace_id, t.started, t.key_id,"
        " t.subject, t.model FROM records r LEFT JOIN traces t ON t.seq = r.seq ORDER BY r.seq"
    )
    for seq, kind, record, leaf, trace, *columns in stream(db, query):
        row = make_row(seq, record, leaf)
        if kind != row.kind and row.kind:
            message = f"Record {seq} ({row.kind}) is filed as {kind!r}: its column was changed."
            found.add("changed", seq, row.kind, message)
        if row.kind == REQUEST and trace is None:
            traces.gone += 1
        elif row.kind == REQUEST:
            traces.checked += 1
            if not _trace_fits(record, trace, columns):
                message = f"The trace of record {seq} ({row.kind}) was changed after being written."
                found.add("trace", seq, row.kind, message)
        yield row


def _trace_fits(record: bytes, trace: bytes, columns: list[object]) -> bool:
    try:
        noted = msgspec.json.decode(record, type=_Request).body.trace
        stored = msgspec.json.decode(trace, type=_Stored)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    filed = [*msgspec.structs.astuple(stored)[:-1], as_filed(stored.model)]
    return noted == trace_digest(trace) and filed == columns


def _unrecorded(db: Db, found: Findings) -> None:
    query = (
        "SELECT t.seq FROM traces t LEFT JOIN records r ON r.seq = t.seq"
        " WHERE r.kind IS NULL OR r.kind <> ? ORDER BY t.seq"
    )
    for (seq,) in stream(db, query, (REQUEST,)):
        found.add("trace", seq, "", f"There is a trace at {seq}, but no record of its request.")
