"""What a process makes of a batch: findings without their texts, and the rows cleaned."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from time import thread_time
from typing import Any, Literal, NamedTuple

import msgspec

from keelmark.app.batch.columns import Parquet
from keelmark.app.batch.formats import Batch, Format, JsonLines, Row, Table, Text
from keelmark.app.batch.tally import Problem, Tally
from keelmark.app.batch.twins import signature
from keelmark.app.batch.values import changed, chosen, general, heading
from keelmark.app.replay import surroundings
from keelmark.core.errors import CouldNotCheckError
from keelmark.core.findings import TextFinding
from keelmark.core.outcome import Outcome
from keelmark.core.policy import Policy, Replacement, Rule
from keelmark.guard import Guard, Result
from keelmark.guard.standins import Mask
from keelmark.guard.vault import Vault
from keelmark.observe.show import clean

FORMATS: dict[str, Format] = {
    "jsonl": JsonLines(),
    "csv": Table(),
    "parquet": Parquet(),
    "text": Text(),
}
PATIENCE_MS = 60_000
"""Milliseconds that each rule has for a text, at least: nobody waits for a batch."""
_SHORT, _MOST_PLAIN = 64, 20_000
_LETTERS = str.maketrans("0123456789abcdef", "BCDFGHJKLMNPQRST")
_PURPOSE = b"keelmark pseudonym 1\n"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with every row.

    Attributes:
        policy: The policy.
        key: Secret of the installation, for exceptions that name a value by its keyed hash.
        stage: Stage that the texts are judged as.
        fields: Fields to read; all when empty.
        write: How copies are written; "" for none.
        secret: Key under which the same value gets the same placeholder; b"" numbers the values
            of each row.
        listed: Whether to list every finding.
        compare: Whether rows are to be compared with each other.
        samples: Most samples of one kind in one place.
    """

    policy: Policy
    key: bytes = b""
    stage: str = "input"
    fields: tuple[str, ...] = ()
    write: Literal["", "masked", "redacted"] = ""
    secret: bytes = b""
    listed: bool = False
    compare: bool = False
    samples: int = 3

    def open(self) -> Callable[[Any], Piece]:
        """Return what reads the batch of a task."""
        worker = Worker(self)
        return lambda task: worker.read(task.source.kind, task.source.shown, task.batch)


class Mark(NamedTuple):
    """What is known of one row that could be read.

    Attributes:
        row: Its number.
        clear: Whether all of it was checked.
        blocked: The rules that block it.
        flagged: The rules that flag it.
        signature: What it is compared by; b"" when it is not.
    """

    row: int
    clear: bool
    blocked: tuple[str, ...] = ()
    flagged: tuple[str, ...] = ()
    signature: bytes = b""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch.

    Attributes:
        tally: What was found and what could not be checked.
        marks: One for each row that could be read.
        pieces: The rows as they are to be written, as the format wants them.
        findings: Every finding as a line of JSON, without texts.
        seen: The fields asked for that there were.
    """

    tally: Tally
    marks: list[Mark]
    pieces: list[bytes]
    findings: bytes
    seen: frozenset[str]


def softened(policy: Policy, write: str = "") -> Policy:
    """Return the policy as it is applied to data: what it stops is taken out, and time is ample."""
    action: Literal["mask", "redact"] = "mask" if write == "masked" else "redact"

    def soft(rule: Rule) -> Rule:
        return msgspec.structs.replace(
            rule,
            action="flag" if rule.action == "flag" else action,
            timeout_ms=max(rule.timeout_ms, PATIENCE_MS),
        )

    rules = tuple(soft(rule) for rule in policy.guard.enforced)
    return msgspec.structs.replace(
        policy, guard=msgspec.structs.replace(policy.guard, rules=rules, mode="enforce")
    )


class Worker:
    """Reads batches under one plan.

    Args:
        plan: What is to be done.

    Raises:
        UsageError: The policy asks for what does not exist.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._guard = Guard(softened(plan.policy, plan.write), key=plan.key)
        self._acts = {rule.id: rule.action for rule in plan.policy.guard.enforced}
        self._plain: set[tuple[str, str]] = set()  # short texts in which nothing was found

    def judge(self, text: str, mask: Mask | None = None, before: str = "") -> Result | None:
        """Judge one text, behind the name of its field; None when short and known to be clean."""
        if (before, text) in self._plain:
            return None
        began = thread_time()
        result = self._guard.check(text, stage=self.plan.stage, mask=mask, before=before)
        if _late(result) and 2000 * (thread_time() - began) < PATIENCE_MS:
            # The process was held up (a machine that slept), so no rule was slow.
            result = self._guard.check(text, stage=self.plan.stage, mask=mask, before=before)
        if len(text) <= _SHORT and not result.findings and not _unchecked(result):
            if len(self._plain) >= _MOST_PLAIN:
                self._plain.clear()
            self._plain.add((before, text))
        return result

    def read(self, kind: str, file: str, batch: Batch) -> Piece:
        """Read one batch of a file; what goes wrong with it is a problem of that batch.

        Args:
            kind: Its format.
            file: What the file is called.
            batch: The batch.
        """
        try:
            return self._read(FORMATS[kind], file, batch)
        except Exception as error:  # boundary: one batch that cannot be read stops no other
            tally = Tally()
            why = f"this row and those near it could not be read ({type(error).__name__})"
            tally.wrong(Problem(file=file, row=batch.first, why=why))
            return Piece(tally=tally, marks=[], pieces=[], findings=b"", seen=frozenset())

    def _read(self, form: Format, file: str, batch: Batch) -> Piece:
        tally, marks, listed, seen = Tally(), list[Mark](), list[bytes](), set[str]()
        rows: list[tuple[Row, Any]] = []
        for row in form.rows(batch):
            tally.rows += row.number > 0
            if row.wrong:
                tally.wrong(Problem(file=file, row=row.number, why=row.wrong))
                continue
            reader = _Reader(self, form, file, row, tally)
            value = reader.read()
            rows.append((row, value))
            marks.append(self._mark(reader, value))
            seen |= reader.seen
            if self.plan.listed:
                listed += reader.listed()
        write = bool(self.plan.write)
        return Piece(
            tally=tally,
            marks=marks,
            pieces=form.written(batch, rows, self.plan.fields) if write else [],
            findings=b"".join(listed),
            seen=frozenset(seen),
        )

    def _mark(self, reader: _Reader, value: Any) -> Mark:
        rules = sorted({found.rule for _, found, _ in reader.found})
        blocked = tuple(rule for rule in rules if self._acts[rule] == "block")
        flagged = tuple(rule for rule in rules if self._acts[rule] == "flag")
        row, compared = reader.row, b""
        if self.plan.compare and row.number > 0:
            texts: list[str] = []
            changed(value, lambda path, text: _kept(texts, path, text, self.plan), _same)
            compared = signature("\n".join(texts))
        return Mark(row.number, reader.clear, blocked, flagged, compared)

    def mask(self, texts: list[str]) -> Mask | None:
        """Return what makes the placeholders and surrogates of one row."""
        if self.plan.write != "masked":
            return None
        vault = Vault(texts, self.plan.secret)

        def consistent(label: str, value: str, wanted: Replacement) -> str:
            surrogate = wanted == "surrogate"
            return vault.mask(label, value, wanted) if surrogate else self._name(label, value)

        return consistent if self.plan.secret else vault.mask

    def _name(self, label: str, value: str) -> str:
        said = _PURPOSE + value.encode("utf-8", "surrogatepass")
        name = hmac.digest(self.plan.secret, said, "sha256").hex()[:14].translate(_LETTERS)
        return f"<{label}_{name}>"


class _Reader:
    """Reads one row."""

    def __init__(self, worker: Worker, form: Format, file: str, row: Row, tally: Tally) -> None:
        self.row = row
        self.clear = True
        self.found: list[tuple[str, TextFinding, int]] = []
        self.seen: set[str] = set()
        self._worker, self._form, self._file, self._tally = worker, form, file, tally
        self._mask: Mask | None = None

    def read(self) -> Any:
        """Return the row's value, cleaned."""
        texts: list[str] = []
        plan = self._worker.plan
        try:
            if plan.write == "masked":
                changed(self.row.value, lambda path, text: _kept(texts, path, text, plan), _same)
            self._mask = self._worker.mask(texts)
            return changed(self.row.value, self._text, self._name)
        except CouldNotCheckError as error:
            self._wrong("", error.message)
        except RecursionError:
            self._wrong("", "it is nested too deeply")
        return self.row.value

    def _text(self, path: str, text: str) -> str:
        fields = self._worker.plan.fields
        if path and fields:
            if not chosen(path, fields):
                return text
            self.seen.update(one for one in fields if chosen(path, (one,)))
        self._tally.texts += 1
        self._tally.characters += len(text)
        before = heading(path) if self.row.number else ""
        result = self._worker.judge(text, self._mask, before) if text else None
        if result is None:
            return text
        self._note(path, text, result)
        return result.text if result.findings else text

    def _name(self, path: str, name: str) -> tuple[str, str]:
        inner = f"{path}.{name}" if path else name
        if not chosen(inner, self._worker.plan.fields):
            return name, name
        result = self._worker.judge(name, self._mask)
        if result is None or not (result.findings or _unchecked(result)):
            return name, name
        shown = result.text or "?"
        if not self._form.names_are_data:
            return shown, name
        self._note(f"{path}.{shown}" if path else shown, name, result)
        return shown, shown

    def _note(self, path: str, text: str, result: Result) -> None:
        """Write down what was found in a text, and what could not be checked."""
        for why in _unchecked(result):
            self._wrong(path, why)
        field, most = general(path), self._worker.plan.samples
        rows = set()
        for one in result.findings:
            row = self.row.number
            if self._form.by_line:
                row += text.count("\n", 0, one.start)
            self.found.append((path, one, row))
            place = self._tally.place(self._file, field, one)
            place.count += 1
            place.rows += (key := (one.label, one.rule, row)) not in rows
            rows.add(key)
            if len(place.samples) < most:
                around = surroundings(text, one, result.findings)
                place.samples.append((row, clean(" ".join(around.split()))))

    def _wrong(self, path: str, why: str) -> None:
        self.clear = False
        self._tally.wrong(Problem(file=self._file, row=self.row.number, field=path, why=why))

    def listed(self) -> list[bytes]:
        """Return every finding as a line of JSON."""
        return [
            msgspec.json.encode(
                {
                    "file": self._file,
                    "row": row,
                    "field": clean(path),
                    "label": one.label,
                    "rule": one.rule,
                    "score": round(one.score, 4),
                    "start": one.start,
                    "end": one.end,
                }
            )
            + b"\n"
            for path, one, row in self.found
        ]


def _kept(texts: list[str], path: str, text: str, plan: Plan) -> str:
    if chosen(path, plan.fields) or not path:
        texts.append(text)
    return text


def _same(_path: str, name: str) -> tuple[str, str]:
    return name, name


def _late(result: Result) -> bool:
    return any(one.outcome is Outcome.TIMEOUT for one in result.verdict.rules)


def _unchecked(result: Result) -> Sequence[str]:
    """Why a text was not, or not wholly, examined."""
    lost = [
        f"rule {one.rule!r} could not examine it: {one.reason or one.outcome}"
        for one in result.verdict.rules
        if not one.outcome.examined
    ]
    if not lost and result.verdict.coverage < 1:
        return ["a part of it was not examined: it is encoded, and too long to decode"]
    return lost
