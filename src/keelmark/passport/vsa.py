"""Verification summaries (SLSA VSA, predicate v1): a passport for those who read no passports.

A summary says that somebody verified an artefact under a policy, and how it came out. Ours has one
subject for each file, since others look files up by their SHA-256. No level of SLSA is claimed:
vetting looks at what a model is, not at how it was built.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from keelmark.core.canonical import canonical
from keelmark.core.errors import IntegrityError
from keelmark.core.vetting import VetVerdict
from keelmark.passport.dsse import IN_TOTO, Envelope, pae, sign, unbase64
from keelmark.passport.files import escape
from keelmark.passport.keys import SigningKey
from keelmark.passport.manifest import Manifest
from keelmark.passport.oms_keys import PublicKey, hint_of, holds
from keelmark.passport.passport import Passport
from keelmark.passport.statement import STATEMENT_TYPE

PREDICATE = "https://slsa.dev/verification_summary/v1"
LEVEL = "KEELMARK_VETTED"
"""What a summary of ours says of a model that passed; no level of SLSA."""

_UNEVALUATED = "SLSA_BUILD_LEVEL_UNEVALUATED"


class Verifier(msgspec.Struct, frozen=True):
    """Who verified."""

    id: str
    version: dict[str, str] = {}


class Summary(msgspec.Struct, frozen=True, rename="camel"):
    """What a summary says; fields that are not known here are left alone.

    Attributes:
        verifier: Who verified.
        resource_uri: What it was called.
        policy: Under which policy.
        verification_result: How it came out.
        verified_levels: What it was found to be.
        time_verified: When, RFC 3339.
        input_attestations: What it rests on.
        slsa_version: Version of SLSA meant.
    """

    verifier: Verifier
    resource_uri: str
    policy: dict[str, Any]
    verification_result: Literal["PASSED", "FAILED"]
    verified_levels: tuple[str, ...]
    time_verified: str = ""
    input_attestations: tuple[dict[str, Any], ...] = ()
    slsa_version: str = ""


class _Subject(msgspec.Struct):
    digest: dict[str, str]
    name: str = ""


class _Statement(msgspec.Struct, rename="camel"):
    type: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: str
    predicate: msgspec.Raw


class _Bundle(msgspec.Struct, rename="camel"):
    dsse_envelope: Envelope


class SummaryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What came of verifying a summary.

    Attributes:
        outcome: Only "valid" is valid: signed, about these files, and passed.
        code: Why, for machines; "ok" when valid.
        reason: One sentence.
        signer: Key id of who signed; "" unless that is certain.
        summary: What it says; believe it only when valid.
    """

    outcome: Literal["valid", "invalid", "could not check"]
    code: str
    reason: str
    signer: str = ""
    summary: Summary | None = None


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a summary must say, as far as somebody demands it.

    Attributes:
        model: Files that it must be about, each of them.
        verifier: Id of who must have verified.
        resource: What it must be called.
        levels: What it must have been found to be.
    """

    model: Manifest | None = None
    verifier: str = ""
    resource: str = ""
    levels: tuple[str, ...] = ()


def to_vsa(passport: Passport, signer: SigningKey) -> bytes:
    """Return a signed summary (DSSE) of a passport, which must have been verified.

    Args:
        passport: The passport.
        signer: Key to sign with.
    """
    said, manifest = passport.statement.predicate, passport.manifest
    passed = said.verdict is VetVerdict.PASS
    policy = said.policy_digest.removeprefix("sha256:")
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": manifest.name if manifest.is_file else entry.path,
                "digest": {"sha256": entry.sha256},
            }
            for entry in manifest.entries
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "verifier": {
                "id": f"urn:keelmark:key:{signer.key_id}",
                "version": {"keelmark": said.keelmark},
            },
            "timeVerified": _moment(said.not_before),
            "resourceUri": f"urn:keelmark:model:{manifest.digest}",
            "policy": {"uri": f"urn:keelmark:policy:{policy}", "digest": {"sha256": policy}},
            "inputAttestations": [
                {
                    "uri": f"urn:keelmark:passport:{passport.envelope_digest}",
                    "digest": {"sha256": passport.envelope_digest.removeprefix("sha256:")},
                }
            ],
            "verificationResult": "PASSED" if passed else "FAILED",
            "verifiedLevels": [_UNEVALUATED, LEVEL] if passed else ["FAILED"],
            "slsaVersion": "1.0",
        },
    }
    return sign(canonical(statement), signer)


def verify_vsa(data: bytes, keys: Sequence[PublicKey], expected: Expected) -> SummaryStatus:
    """Verify a summary, ours or another's: signature, subject, verifier, result.

    Args:
        data: A DSSE envelope, alone or in a Sigstore bundle.
        keys: Keys whose summaries count.
        expected: What it must say.
    """
    try:
        envelope = _read_envelope(data)
        payload = unbase64(envelope.payload, "payload")
        subjects, summary = _read(payload)
    except IntegrityError as error:
        return SummaryStatus(outcome="invalid", code="malformed", reason=error.message)
    known = SummaryStatus(outcome="invalid", code="ok", reason="", summary=summary)
    wrong = _wrong(summary, subjects, expected)
    if not wrong and not keys:
        return msgspec.structs.replace(
            known,
            outcome="could not check",
            code="could_not_check",
            reason="It says what is expected, but nobody checked who made it: give the verifier's "
            "public key.",
        )
    signer = _signer(envelope, payload, keys) if keys else ""
    if keys and not signer:
        wrong = ("bad_signature", "It is not signed by a key that was given, or was altered")
    if wrong:
        code, why = wrong
        return msgspec.structs.replace(known, code=code, signer=signer, reason=f"{why}.")
    return msgspec.structs.replace(
        known,
        outcome="valid",
        signer=signer,
        reason=f"{escape(summary.verifier.id)} verified these files, and they passed.",
    )


def _wrong(summary: Summary, subjects: set[str], expected: Expected) -> tuple[str, str] | None:
    """What a summary says that is not expected."""
    if expected.model is not None:
        for entry in expected.model.entries:
            if entry.sha256 not in subjects:
                name = expected.model.name if expected.model.is_file else entry.path
                return "different", f"It is not about {escape(name)} as it lies here"
    for code, wanted, found in (
        ("wrong_verifier", expected.verifier, summary.verifier.id),
        ("wrong_resource", expected.resource, summary.resource_uri),
    ):
        if wanted and wanted != found:
            return code, f"It says {escape(found[:200])!a} where {wanted!a} is expected"
    missing = [level for level in expected.levels if level not in summary.verified_levels]
    if missing:
        return "wrong_level", f"It does not say {missing[0]!a}"
    if summary.verification_result != "PASSED":
        return "failed", "The verifier says that it FAILED"
    return None


def _signer(envelope: Envelope, payload: bytes, keys: Sequence[PublicKey]) -> str:
    message = pae(envelope.payload_type, payload)
    for signature in envelope.signatures:
        try:
            raw = unbase64(signature.sig, "signature")
        except IntegrityError:
            continue
        for key in keys:
            if holds(key, raw, message):
                return hint_of(key)
    return ""


def _read_envelope(data: bytes) -> Envelope:
    try:
        try:
            envelope = msgspec.json.decode(data, type=Envelope)
        except msgspec.ValidationError:
            envelope = msgspec.json.decode(data, type=_Bundle).dsse_envelope
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise IntegrityError(
            "This is not a signed envelope (DSSE): it is damaged, or another kind of file."
        ) from None
    if envelope.payload_type != IN_TOTO:
        raise IntegrityError(f"The envelope holds {envelope.payload_type[:99]!a}, not {IN_TOTO}.")
    return envelope


def _read(payload: bytes) -> tuple[set[str], Summary]:
    """Return the SHA-256 of all subjects, and what is said of them."""
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
        if statement.type != STATEMENT_TYPE or statement.predicate_type != PREDICATE:
            raise IntegrityError(
                f"What is signed is {statement.predicate_type[:99]!a}, not a verification summary "
                f"({PREDICATE})."
            )
        summary = msgspec.json.decode(statement.predicate, type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(
            f"What is signed is not a verification summary ({escape(str(error)[:200])})."
        ) from None
    return {s.digest.get("sha256", "").lower() for s in statement.subject} - {""}, summary


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
