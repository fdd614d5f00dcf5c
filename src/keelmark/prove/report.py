"""The report: what compiling a framework against a ledger gives. Plain values, no logic."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Status = Literal["satisfied", "partial", "failing", "stale", "missing", "manual"]
"""What the records say of a control. There is no "compliant": that is for people to judge.

satisfied: every expectation is met by fresh records, and no limit of Keelmark is known.
partial: some are met; the gaps say what is lacking.
failing: a record contradicts the control.
stale: what was shown once is too old to count.
missing: nothing in the ledger answers it.
manual: only a person can answer it.
"""

Result = Literal["met", "unmet", "stale", "none", "noted"]


class LedgerState(msgspec.Struct, frozen=True, kw_only=True):
    """How the ledger was verified before its records were read.

    Attributes:
        verdict: verified, broken, or not checked.
        records: Number of records under the newest checkpoint; later ones are left out.
        root: Merkle root of that checkpoint, as the checkpoint writes it.
        checkpoint: The signed checkpoint itself, as text.
        key: Name or id of the key that signed it.
        checked: When it was verified, RFC 3339, or "".
        problems: What does not verify, one sentence each.
    """

    verdict: Literal["verified", "broken", "not checked"]
    records: int
    root: str = ""
    checkpoint: str = ""
    key: str = ""
    checked: str = ""
    problems: tuple[str, ...] = ()


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was used as evidence.

    Attributes:
        seq: Its index in the ledger.
        time: When it was written.
        kind: Its kind.
        digest: `sha256:<hex>` of the record in canonical JSON.
        supports: Whether it speaks for what is said; None when that cannot be told from it.
        shows: Field to value, as quoted from it.
    """

    seq: int
    time: str
    kind: str
    digest: str
    supports: bool | None
    shows: dict[str, Any]


class EvidenceResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger answered to one query.

    Attributes:
        id: Query id.
        says: What holds when it is met.
        result: met, unmet, stale, none (no such record), or noted (nothing was expected).
        measure: The numbers in words.
        asked: Records that were asked.
        holding: Those that show it.
        unknown: Those that cannot tell.
        first: Time of the oldest record asked, or "".
        last: Time of the newest record asked, or "".
        age_days: Age of the evidence, days, or None without any.
        fresh_days: Oldest age that counts, days, or None when it does not age.
        records: Records cited: the newest that speak against it, then the newest that speak for it.
    """

    id: str
    says: str
    result: Result
    measure: str
    asked: int
    holding: int
    unknown: int
    first: str
    last: str
    age_days: float | None
    fresh_days: int | None
    records: tuple[Citation, ...]


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is lacking.

    Attributes:
        control: Id of the control.
        kind: failing, stale, missing, partial, manual, or limit (Keelmark does not do it).
        what: What is lacking, one sentence.
        how: How to get it.
    """

    control: str
    kind: str
    what: str
    how: str


class ControlResult(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one control.

    Attributes:
        id: Its id in the catalogue.
        title: Short title.
        risk: What can go wrong.
        answer: What Keelmark does about it.
        weight: high, medium or low.
        status: What the records say.
        reason: Why, one sentence.
        evidence: One result per query.
        gaps: What is lacking here.
        manual: What a person has to see to.
    """

    id: str
    title: str
    risk: str
    answer: str
    weight: str
    status: Status
    reason: str
    evidence: tuple[EvidenceResult, ...]
    gaps: tuple[Gap, ...]
    manual: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A framework compiled against a ledger at one moment.

    Attributes:
        framework: Id of the framework.
        title: Its title.
        edition: Edition of the catalogue.
        source: Where the catalogue is published.
        about: What the report is.
        framework_digest: `sha256:<hex>` of the framework as it was used.
        made: The moment the report speaks of, RFC 3339.
        first: Time of the first record read, or "".
        last: Time of the last record read, or "".
        kinds: Kind to the number of records read.
        policy_digest: Policy in force, or "".
        models: Digests of the models in use.
        ledger: How the ledger was verified.
        summary: Status to the number of controls.
        controls: One result per control.
        gaps: Everything that is lacking, gravest first.
        notes: What a reader should know about how the report came about.
    """

    framework: str
    title: str
    edition: str
    source: str
    about: str
    framework_digest: str
    made: str
    first: str
    last: str
    kinds: dict[str, int]
    policy_digest: str
    models: tuple[str, ...]
    ledger: LedgerState
    summary: dict[str, int]
    controls: tuple[ControlResult, ...]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]
