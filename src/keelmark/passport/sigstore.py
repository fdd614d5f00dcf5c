"""Keyless signatures of Sigstore, verified offline against a given trust root.

A short-lived certificate names a person or a workflow; a public log says when it was used. All of
this must hold: the certificate leads to an authority of the root and is in a log of certificates,
the entry in the log of signatures is signed by that log and stands in its tree, it is about this
very signature, it was made while the certificate was valid, and the certificate names the expected
identity and issuer. Nothing is fetched. Logs of the second generation, which prove the time with a
separate time stamp, are not verified: "could not check".
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from keelmark.core.canonical import canonical
from keelmark.core.errors import CouldNotCheckError, UsageError
from keelmark.passport.chain import ChainError, read_der, verify_chain
from keelmark.passport.dsse import IN_TOTO, pae, unbase64
from keelmark.passport.files import escape, printable, read_small
from keelmark.passport.oms_keys import SignerError, holds
from keelmark.passport.oms_statement import Bundle, MalformedError
from keelmark.store.merkle import verify_inclusion

# The public-good instance of Sigstore, as it publishes it (Apache-2.0); keys, no code.
_SHIPPED = files("keelmark.passport") / "sigstore_trusted_root.json"
_MAX_BYTES = 4 * 1024 * 1024
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_OLD_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")


class _Raw(msgspec.Struct, rename="camel"):
    raw_bytes: str


class _Chain(msgspec.Struct):
    certificates: list[_Raw]


class _Span(msgspec.Struct):
    start: datetime | None = None
    end: datetime | None = None

    def has(self, at: datetime) -> bool:
        return (self.start or at) <= at <= (self.end or at)


class _Authority(msgspec.Struct, rename="camel"):
    cert_chain: _Chain
    valid_for: _Span


class _LogKey(msgspec.Struct, rename="camel"):
    raw_bytes: str
    valid_for: _Span


class _LogId(msgspec.Struct, rename="camel"):
    key_id: str


class _Log(msgspec.Struct, rename="camel"):
    public_key: _LogKey
    log_id: _LogId


class TrustRoot(msgspec.Struct, rename="camel"):
    """Whom Sigstore trusts (`trusted_root.json`): authorities, and logs with their keys."""

    tlogs: list[_Log]
    certificate_authorities: list[_Authority]
    ctlogs: list[_Log]


class Keyless(msgspec.Struct, frozen=True, kw_only=True):
    """Whose keyless signature counts.

    Attributes:
        root: Trust root.
        identity: Who must have signed: an e-mail address, or the URL of a workflow.
        issuer: Who must vouch for that identity: a URL of OpenID Connect.
    """

    root: TrustRoot
    identity: str
    issuer: str


class _Proof(msgspec.Struct, rename="camel"):
    log_index: str
    root_hash: str
    tree_size: str
    hashes: list[str]
    checkpoint: dict[str, str]


class _Promise(msgspec.Struct, rename="camel"):
    signed_entry_timestamp: str


class _Entry(msgspec.Struct, rename="camel"):
    log_index: str
    log_id: _LogId
    canonicalized_body: str
    integrated_time: str | None = None
    inclusion_promise: _Promise | None = None
    inclusion_proof: _Proof | None = None


def load_trust_root(file: Path | str | None = None) -> TrustRoot:
    """Read a trust root, as `trusted_root.json` of Sigstore has it.

    Args:
        file: The file; the public one that comes with this version when None.

    Raises:
        UsageError: The file is missing or is not one.
    """
    data = _SHIPPED.read_bytes() if file is None else read_small(file, _MAX_BYTES, printable(file))
    try:
        return msgspec.json.decode(data, type=TrustRoot)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{printable(file or '')} is not a trust root of Sigstore "
            f"({escape(str(error)[:200])}): give its trusted_root.json."
        ) from None


def verify_keyless(bundle: Bundle, trust: Keyless) -> str:
    """Return who signed a bundle keylessly.

    Raises:
        CouldNotCheckError: It rests on a log or a proof that is not known here.
        IntegrityError: Something does not hold.
    """
    leaf = read_der(bundle.certificates[0])
    at = _logged(bundle, leaf, trust.root)
    _check_issued(leaf, trust.root, at)
    identity, issuer = _identities(leaf), _issuer(leaf)
    if trust.identity not in identity or issuer != trust.issuer:
        raise SignerError(
            f"It is signed by {escape(', '.join(identity))!a}, for whom {escape(issuer)!a} "
            "vouches: that is not whom you expect.",
            "wrong_identity",
        )
    if not holds(leaf.public_key(), bundle.signature, pae(IN_TOTO, bundle.payload)):
        raise SignerError("The signature does not fit the content.", "bad_signature")
    return f"{trust.identity} ({trust.issuer})"


def _logged(bundle: Bundle, leaf: x509.Certificate, root: TrustRoot) -> datetime:
    """Return when the log saw the signature.

    Raises:
        CouldNotCheckError: The log is not in the trust root, or proves the time in another way.
        IntegrityError: The entry is not what it claims.
    """
    try:
        entry = msgspec.convert(bundle.entries[0], type=_Entry)
        _check_body(unbase64(entry.canonicalized_body, "log entry"), bundle, leaf)
        if entry.inclusion_promise is None or entry.inclusion_proof is None:
            raise CouldNotCheckError(
                "The signature proves its time in a way that is not known here (time stamps of a "
                "second-generation log): verify it with cosign or model-signing."
            )
        at = datetime.fromtimestamp(int(entry.integrated_time or ""), UTC)
        key = _log_key(root.tlogs, entry.log_id.key_id, at)
        promised = canonical(
            {
                "body": entry.canonicalized_body,
                "integratedTime": int(entry.integrated_time or ""),
                "logID": unbase64(entry.log_id.key_id, "log id").hex(),
                "logIndex": int(entry.log_index),
            }
        )
        said = unbase64(entry.inclusion_promise.signed_entry_timestamp, "promise of the log")
        good = holds(key, said, promised) and _included(entry, entry.inclusion_proof, key)
    except (msgspec.ValidationError, ValueError, OverflowError, OSError) as error:
        raise MalformedError(
            f"The log entry of the signature is damaged ({escape(str(error)[:120])})."
        ) from None
    if not good:
        raise SignerError("The log did not sign this entry: it is forged.", "bad_signature")
    return at


def _check_body(body: bytes, bundle: Bundle, leaf: x509.Certificate) -> None:
    """Make sure that a log entry is about this signature."""
    said: Any = msgspec.json.decode(body)
    kind = said.get("kind") if isinstance(said, dict) else None
    if kind != "dsse" or said.get("apiVersion") != "0.0.1":
        raise CouldNotCheckError(
            f"The log entry is of the kind {str(kind)[:40]!a}, which is not known here: verify it "
            "with cosign or model-signing."
        )
    pem = leaf.public_bytes(serialization.Encoding.PEM)
    try:
        spec = said["spec"]
        same = spec["payloadHash"] == {
            "algorithm": "sha256",
            "value": hashlib.sha256(bundle.payload).hexdigest(),
        } and [
            (unbase64(s["signature"], "signature"), unbase64(s["verifier"], "certificate").strip())
            for s in spec["signatures"]
        ] == [(bundle.signature, pem.strip())]
    except (KeyError, TypeError, AttributeError):
        same = False
    if not same:
        raise SignerError("The log entry is about another signature.", "bad_signature")


def _included(entry: _Entry, proof: _Proof, key: object) -> bool:
    """Whether the entry stands in the tree of which the log signed the root."""
    leaf = hashlib.sha256(b"\0" + unbase64(entry.canonicalized_body, "log entry")).digest()
    root = unbase64(proof.root_hash, "root")
    hashes = [unbase64(node, "proof") for node in proof.hashes]
    text, _, marks = proof.checkpoint.get("envelope", "").partition("\n\n")
    lines = text.split("\n")
    signed = any(
        holds(key, unbase64(mark.rpartition(" ")[2], "checkpoint")[4:], f"{text}\n".encode())
        for mark in marks.splitlines()
    )
    return (
        signed
        and len(lines) >= 3
        and lines[1:3] == [proof.tree_size, proof.root_hash]
        and verify_inclusion(int(proof.log_index), int(proof.tree_size), leaf, root, hashes)
    )


def _log_key(logs: Sequence[_Log], log_id: str, at: datetime) -> object:
    for log in logs:
        if log.log_id.key_id == log_id and log.public_key.valid_for.has(at):
            try:
                return serialization.load_der_public_key(
                    unbase64(log.public_key.raw_bytes, "log key")
                )
            except UnsupportedAlgorithm:
                break
    raise CouldNotCheckError(
        f"The log {log_id[:50]!a} is not in the trust root given: use a newer one."
    )


def _check_issued(leaf: x509.Certificate, root: TrustRoot, at: datetime) -> None:
    """Make sure that an authority of the root issued a certificate, in the open."""
    error: ChainError | None = None
    for authority in root.certificate_authorities:
        if not authority.valid_for.has(at):
            continue
        raw = [unbase64(c.raw_bytes, "certificate") for c in authority.cert_chain.certificates]
        certificates = [read_der(each) for each in raw]
        try:
            path = verify_chain(leaf, certificates[:-1], certificates[-1:], at)
        except ChainError as found:
            error = found
            continue
        _check_listed(leaf, path[1], root, at)
        return
    raise error or ChainError("No authority of the trust root was valid then.", "untrusted")


def _check_listed(
    leaf: x509.Certificate, issuer: x509.Certificate, root: TrustRoot, at: datetime
) -> None:
    """Make sure that a log of certificates promised to list this one (RFC 6962, 3.2)."""
    try:
        kind = x509.PrecertificateSignedCertificateTimestamps
        stamps = list(leaf.extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound:
        stamps = []
    spki = issuer.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = leaf.tbs_precertificate_bytes if stamps else b""
    for stamp in stamps:
        try:
            when = int(stamp.timestamp.replace(tzinfo=UTC).timestamp() * 1000)
            more, used = stamp.extension_bytes, stamp.signature_hash_algorithm
        except (ValueError, OverflowError, UnsupportedAlgorithm):
            continue  # a time that is none, or an algorithm that nobody has
        message = b"".join(
            (
                struct.pack(">BBQH", 0, 0, when, 1),
                hashlib.sha256(spki).digest(),
                len(body).to_bytes(3, "big") + body,
                len(more).to_bytes(2, "big") + more,
            )
        )
        for log in root.ctlogs:
            key = log.public_key
            if unbase64(log.log_id.key_id, "log id") == stamp.log_id and key.valid_for.has(at):
                public = serialization.load_der_public_key(unbase64(key.raw_bytes, "log key"))
                if holds(public, stamp.signature, message, used):
                    return
    raise ChainError("No log of the trust root lists the certificate.", "untrusted")


def _identities(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    ]


def _issuer(leaf: x509.Certificate) -> str:
    for oid, skip in ((_ISSUER, 2), (_OLD_ISSUER, 0)):  # the newer one is a DER string
        for extension in leaf.extensions:
            if extension.oid == oid and isinstance(extension.value, x509.UnrecognizedExtension):
                raw = extension.value.value
                if not skip or (raw[:1] == b"\x0c" and len(raw) - 2 == raw[1] < 128):
                    return raw[skip:].decode("utf-8", "replace")
    return ""
