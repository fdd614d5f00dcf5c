"""The passport: the signed record of what is known of one model.

`Passport.issue` records whatever vetting said, also a failure; only `Passport.verify` decides
whether a model may be served with it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from keelmark.core.canonical import digest as digest_of
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.policy import Admission
from keelmark.core.vetting import VetReport, VetVerdict
from keelmark.passport import dsse
from keelmark.passport.files import escape, printable, read_small, write_whole
from keelmark.passport.keys import SigningKey, TrustedKeys
from keelmark.passport.manifest import Manifest
from keelmark.passport.statement import (
    Predicate,
    Serialization,
    Statement,
    read_statement,
    resources_of,
    subject_of,
    write_statement,
)

_MAX_BYTES = 64 * 1024 * 1024

StatusCode = Literal[
    "ok",
    "flipped",
    "expired",
    "not_yet_valid",
    "foreign",
    "stricter_policy",
    "failed_vetting",
    "broken",
]


class PassportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a model may be served with a passport.

    Attributes:
        valid: Only true when everything holds.
        code: Which condition does not hold; "ok" when all do.
        reason: One sentence: what is wrong and what to do, or why it is valid.
    """

    valid: bool
    code: StatusCode
    reason: str


class Passport(msgspec.Struct, frozen=True, kw_only=True):
    """A signed statement about one model.

    Attributes:
        envelope: The DSSE envelope, JSON, byte for byte as issued.
        statement: What it says; believe it only after `verify`.
    """

    envelope: bytes
    statement: Statement

    @classmethod
    def issue(
        cls,
        report: VetReport,
        manifest: Manifest,
        *,
        signer: SigningKey,
        admission: Admission,
        now: datetime | None = None,
    ) -> Self:
        """Sign what vetting said of a model.

        Args:
            report: The result of vetting.
            manifest: The files that were vetted.
            signer: Key to sign with.
            admission: Policy in force.
            now: Time of issue; the clock's when None.

        Raises:
            IntegrityError: Report and manifest are about different bytes.
            UsageError: The report was made under another policy.
        """
        if report.digest != manifest.digest:
            raise IntegrityError(
                f"{manifest.name} changed between vetting and signing: run `keelmark admit` again."
            )
        if report.policy_digest != digest_of(admission):
            raise UsageError(
                f"{manifest.name} was vetted under another admission policy: "
                "run `keelmark admit` again."
            )
        begin = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
        statement = Statement(
            subject=(subject_of(manifest),),
            predicate=Predicate(
                resources=resources_of(manifest),
                serialization=Serialization(allow_symlinks=manifest.links_followed),
                verdict=report.verdict,
                reason=report.reason,
                findings=report.findings,
                coverage=report.coverage,
                checks=report.checks,
                policy_digest=report.policy_digest,
                not_before=begin,
                not_after=begin + timedelta(days=admission.passport_days),
                keelmark=version("keelmark"),
                sections=report.sections,
            ),
        )
        return cls.from_bytes(dsse.sign(write_statement(statement), signer))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a passport; nothing is verified yet.

        Raises:
            IntegrityError: Damaged, or not a passport.
        """
        payload = dsse.payload_of(dsse.parse(data))
        return cls(envelope=data, statement=read_statement(payload))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a passport file; nothing is verified yet.

        Raises:
            UsageError: The file is missing or cannot be read.
            IntegrityError: Damaged, or not a passport.
        """
        shown = printable(path)
        data = read_small(path, _MAX_BYTES, shown)
        try:
            return cls.from_bytes(data)
        except IntegrityError as error:
            raise IntegrityError(f"{shown}: {error.message}") from None

    def to_bytes(self) -> bytes:
        """Return the envelope, byte for byte."""
        return self.envelope

    def save(self, path: Path | str) -> None:
        """Write the passport to a file, whole or not at all.

        Raises:
            UsageError: The place cannot be written.
        """
        try:
            write_whole(Path(path), self.envelope)
        except OSError as error:
            raise UsageError(
                f"The passport cannot be written to {printable(path)} ({error.strerror}): "
                "check the folder's permissions and the free space."
            ) from None

    @property
    def digest(self) -> str:
        """Digest of the model it is about, `sha256:<hex>`."""
        return self.manifest.digest

    @property
    def manifest(self) -> Manifest:
        """The files it is about."""
        return self.statement.manifest

    @property
    def envelope_digest(self) -> str:
        """`sha256:<hex>` of the envelope: how the ledger names this passport."""
        return "sha256:" + hashlib.sha256(self.envelope).hexdigest()

    @property
    def signers(self) -> tuple[str, ...]:
        """Key ids the envelope claims."""
        return tuple(s.keyid or "" for s in dsse.parse(self.envelope).signatures)

    def verify(
        self,
        *,
        model: Manifest | str,
        admission: Admission,
        trusted: TrustedKeys,
        now: datetime | None = None,
    ) -> PassportStatus:
        """Say whether the model may be served: these bytes, this policy, a trusted key, now.

        Args:
            model: Manifest of the bytes at hand, or the digest of a single file. A folder needs
                its manifest, because the digest says nothing of the names of the files.
            admission: Policy in force.
            trusted: Keys whose signature counts (`keys.load_trusted`).
            now: The clock's time when None.

        Raises:
            UsageError: A digest was given where a manifest is needed.
        """
        try:
            statement = read_statement(dsse.verify(dsse.parse(self.envelope), trusted))
        except dsse.ForeignKeyError as error:
            return _refused("foreign", error.message)
        except IntegrityError as error:
            return _refused("broken", error.message)
        moment = (now or datetime.now(UTC)).astimezone(UTC)
        for refusal in (
            _other_bytes(statement, model),
            _other_policy(statement.predicate, admission, moment),
            _failed(statement.predicate, admission),
            _other_time(statement.predicate, moment),
        ):
            if refusal:
                return refusal
        return PassportStatus(
            valid=True,
            code="ok",
            reason=f"{statement.subject[0].name} is what was vetted, under the current policy, and "
            f"its passport is valid until {_date(statement.predicate.not_after)}.",
        )

    def show(self) -> dict[str, Any]:
        """Return what the passport says, as plain values for JSON; nothing is verified."""
        plain: dict[str, Any] = msgspec.to_builtins(self.statement.predicate)
        resources = plain.pop("resources")
        return {
            "name": self.manifest.name,
            "digest": self.digest,
            "passport": self.envelope_digest,
            "signers": list(self.signers),
            **plain,
            "files": resources,
        }

    def text(self) -> str:
        """Return what the passport says, for people; nothing is verified."""
        said, manifest = self.statement.predicate, self.manifest
        lines = [
            f"model       {manifest.name}",
            f"size        {manifest.size} bytes, files: {len(manifest.entries)}",
            f"digest      {self.digest}",
            f"verdict     {said.verdict}: {said.reason}",
            f"coverage    {said.coverage.checked} of {said.coverage.files} files checked",
            *(f"unchecked   {part.path}: {part.reason}" for part in said.coverage.not_checked),
            *(f"finding     {f.severity} {f.rule} {f.path}: {f.message}" for f in said.findings),
            f"checks      {', '.join(f'{k} {v}' for k, v in sorted(said.checks.items()))}",
            *(f"{n + ' ':<12}{s.answer}: {s.summary}" for n, s in sorted(said.sections.items())),
            f"policy      {said.policy_digest}",
            f"valid       {_date(said.not_before)} to {_date(said.not_after)}",
            f"signed by   {', '.join(self.signers)}",
            f"issued by   keelmark {said.keelmark}",
        ]
        # Names and messages may come from a hostile artefact: no terminal codes from it.
        return "\n".join(escape(line) for line in lines)


def _refused(code: StatusCode, reason: str) -> PassportStatus:
    return PassportStatus(valid=False, code=code, reason=reason)


def _date(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _other_bytes(statement: Statement, model: Manifest | str) -> PassportStatus | None:
    vetted = statement.manifest
    if isinstance(model, Manifest):
        what = vetted.difference(model)
    elif vetted.is_file:
        what = "" if model == vetted.digest else f"{vetted.name} has other content"
    else:
        raise UsageError(
            f"{vetted.name} is a folder, and a digest does not cover the names of its files: "
            "verify its passport against build_manifest(PATH)."
        )
    if not what:
        return None
    found = model.digest if isinstance(model, Manifest) else model
    return _refused(
        "flipped",
        f"This is not what was vetted: {what} (passport for {vetted.digest}, found {found}); "
        "restore the model, or run `keelmark admit PATH` if the change is meant.",
    )


def _other_policy(said: Predicate, admission: Admission, now: datetime) -> PassportStatus | None:
    current = digest_of(admission)
    if said.policy_digest != current:
        return _refused(
            "stricter_policy",
            f"The passport was issued under policy {said.policy_digest}, the current one is "
            f"{current}: run `keelmark admit PATH` again.",
        )
    issued, today = said.not_before.astimezone(UTC).date(), now.date()
    for waiver in admission.waivers:
        if issued.isoformat() <= waiver.expires < today.isoformat():
            return _refused(
                "stricter_policy",
                f"The waiver for {waiver.rule} that the passport may rest on expired on "
                f"{waiver.expires}: renew or remove it, then run `keelmark admit PATH` again.",
            )
    return None


def _failed(said: Predicate, admission: Admission) -> PassportStatus | None:
    accepted = {VetVerdict.PASS} | (
        {VetVerdict.INCOMPLETE} if admission.allow_incomplete else set()
    )
    if said.verdict in accepted:
        return None
    what = "failed" if said.verdict is VetVerdict.FAIL else "could not be fully checked in"
    return _refused(
        "failed_vetting",
        f"The model {what} vetting ({said.reason.rstrip('.')}): use another model, or accept the "
        "risk in the policy's admission part and run `keelmark admit PATH` again.",
    )


def _other_time(said: Predicate, now: datetime) -> PassportStatus | None:
    if now < said.not_before:
        return _refused(
            "not_yet_valid",
            f"The passport is valid only from {_date(said.not_before)}: "
            "check the clock of this machine.",
        )
    if now >= said.not_after:
        return _refused(
            "expired",
            f"The passport expired on {_date(said.not_after)}: run `keelmark admit PATH` again.",
        )
    return None
