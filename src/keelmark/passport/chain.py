"""Chains of X.509 certificates for code signing (RFC 5280), offline, against given anchors.

`cryptography` verifies chains of TLS servers and clients, whose rules differ: their leaf must name
a host. What is here is what a signer of files needs: every signature, validity now, the right to
issue, the right to sign code. There is no revocation offline, and nobody claims there is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from keelmark.core.errors import IntegrityError, UsageError
from keelmark.passport.files import escape, printable, read_small

_E = TypeVar("_E", bound=x509.ExtensionType)
_LONGEST = 8
_MOST = 64
_MAX_BYTES = 1024 * 1024
_SAFE = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNREADABLE = (  # all that the library says of a certificate that is none
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}


class ChainError(IntegrityError):
    """A chain that does not hold.

    Args:
        message: One sentence.
        code: "untrusted", "expired", "not_yet_valid" or "malformed".
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def load_certificates(*files: str) -> tuple[x509.Certificate, ...]:
    """Read certificates from PEM files, all of each.

    Raises:
        UsageError: A file is missing or holds no certificate.
    """
    found: list[x509.Certificate] = []
    for file in files:
        data = read_small(file, _MAX_BYTES, printable(file))
        try:
            found += x509.load_pem_x509_certificates(data)
        except _UNREADABLE:
            raise UsageError(
                f"{printable(file)} holds no certificate in PEM: give the file of the certificate "
                "authority that you trust."
            ) from None
    return tuple(found)


def read_der(data: bytes) -> x509.Certificate:
    """Read one certificate.

    Raises:
        ChainError: It is not one.
    """
    try:
        with warnings.catch_warnings():  # of odd names, on stderr, by whoever made them
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(data)
            _ = certificate.extensions, certificate.subject, certificate.issuer
            _ = certificate.public_key(), certificate.not_valid_before_utc
            _ = certificate.not_valid_after_utc
    except _UNREADABLE:
        raise ChainError(
            "The signature holds something that is not a certificate: take the original again.",
            "malformed",
        ) from None
    return certificate


def verify_chain(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: datetime,
) -> tuple[x509.Certificate, ...]:
    """Make sure that a certificate may sign code and leads to an anchor.

    Args:
        leaf: The certificate that signed.
        others: Certificates that may stand between, in any order.
        anchors: Certificates that are trusted, self-signed or not.
        at: The moment at which all of them must be valid.

    Returns:
        The way from the certificate to the anchor.

    Raises:
        ChainError: It does not; the sentence says why.
    """
    if len(others) > _MOST:
        raise ChainError(f"The signature holds more than {_MOST} certificates.", "malformed")
    first: ChainError | None = None
    for path in _paths((leaf,), [*anchors, *others], anchors):
        try:
            _check_signer(leaf)
            _check_path(path, at)
        except ChainError as error:
            first = first or error
        else:
            return path
    if first is not None:
        raise first
    raise ChainError(
        f"The certificate {_name(leaf)} was not issued by a certificate authority that is trusted "
        "here: give the right one, if it deserves it.",
        "untrusted",
    )


def _paths(
    path: tuple[x509.Certificate, ...],
    issuers: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> Iterator[tuple[x509.Certificate, ...]]:
    """Every way from the end of a path to an anchor."""
    last = path[-1]
    if last in anchors:
        yield path
        return
    if len(path) < _LONGEST:
        for issuer in issuers:
            if issuer not in path and _issued(last, issuer):
                yield from _paths((*path, issuer), issuers, anchors)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    der = certificate.public_bytes(Encoding.DER)
    if der[-1 - len(certificate.signature)]:
        return False  # a signature is whole bytes: with unused bits it is another spelling of one
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_path(path: tuple[x509.Certificate, ...], at: datetime) -> None:
    for place, certificate in enumerate(path):
        name = _name(certificate)
        if at < certificate.not_valid_before_utc:
            when = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
            raise ChainError(f"The certificate {name} is valid only from {when}.", "not_yet_valid")
        if at > certificate.not_valid_after_utc:
            when = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
            raise ChainError(
                f"The certificate {name} expired on {when}: have the model signed again.", "expired"
            )
        for extension in certificate.extensions:
            if extension.critical and extension.oid not in _UNDERSTOOD:
                oid = extension.oid.dotted_string
                raise ChainError(
                    f"The certificate {name} demands an extension that is not understood here "
                    f"({oid}): it cannot be relied on.",
                    "untrusted",
                )
        if place:
            _check_issuer(certificate, place - 1, name)
        if certificate is not path[-1] and not _safe(certificate):
            raise ChainError(
                f"The certificate {name} is signed with a broken hash: have it issued again.",
                "untrusted",
            )


def _check_issuer(certificate: x509.Certificate, below: int, name: str) -> None:
    """Make sure that a certificate may issue, with so many issuers below it."""
    limits = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    purpose = _extension(certificate, x509.ExtendedKeyUsage)
    may = limits is not None and limits.ca and (usage is None or usage.key_cert_sign)
    if not may or (limits and limits.path_length is not None and below > limits.path_length):
        raise ChainError(f"The certificate {name} may not issue this certificate.", "untrusted")
    if purpose is not None and not _signs_code(purpose):
        raise ChainError(f"The certificate {name} is not for code signing.", "untrusted")


def _check_signer(leaf: x509.Certificate) -> None:
    usage = _extension(leaf, x509.KeyUsage)
    purpose = _extension(leaf, x509.ExtendedKeyUsage)
    if (usage and not usage.digital_signature) or purpose is None or not _signs_code(purpose):
        raise ChainError(
            f"The certificate {_name(leaf)} is not for code signing: sign with one that has the "
            "extended key usage `codeSigning`.",
            "untrusted",
        )


def _signs_code(purpose: x509.ExtendedKeyUsage) -> bool:
    any_use = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
    return ExtendedKeyUsageOID.CODE_SIGNING in purpose or any_use in purpose


def _safe(certificate: x509.Certificate) -> bool:
    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return False
    return used is None or isinstance(used, _SAFE)  # Ed25519 has none


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    subject = escape(certificate.subject.rfc4514_string()[:200])
    return subject or certificate.fingerprint(hashes.SHA256()).hex()[:16]
