"""DSSE v1 envelopes (secure-systems-lab/dsse, protocol and envelope) signed with Ed25519."""

from __future__ import annotations

import base64
import binascii

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keelmark.core.canonical import canonical
from keelmark.core.errors import IntegrityError
from keelmark.passport.keys import SigningKey, TrustedKeys

IN_TOTO = "application/vnd.in-toto+json"


class ForeignKeyError(IntegrityError):
    """The envelope is signed, but by nobody whom we trust."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature.

    Attributes:
        sig: Base64 of the signature.
        keyid: A hint which key made it; not itself protected, and null where others give none.
    """

    sig: str
    keyid: str | None = ""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payload with its type and signatures.

    Attributes:
        payload: Base64 of the payload bytes.
        payload_type: Media type of the payload.
        signatures: At least one.
    """

    payload: str
    payload_type: str
    signatures: tuple[Signature, ...] = ()


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, signer: SigningKey, *, payload_type: str = IN_TOTO) -> bytes:
    """Return the JSON of an envelope with one signature."""
    signature = signer.sign(pae(payload_type, payload))
    return canonical(
        Envelope(
            payload=base64.b64encode(payload).decode(),
            payload_type=payload_type,
            signatures=(Signature(sig=base64.b64encode(signature).decode(), keyid=signer.key_id),),
        )
    )


def parse(data: bytes) -> Envelope:
    """Read an envelope; nothing is verified.

    Raises:
        IntegrityError: Not the JSON of an envelope.
    """
    try:
        return msgspec.json.decode(data, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise IntegrityError(
            "This is not a signed envelope (DSSE): it is damaged, or another kind of file; "
            "take the original again."
        ) from None


def payload_of(envelope: Envelope) -> bytes:
    """Return the payload bytes; nothing is verified.

    Raises:
        IntegrityError: The payload is not base64.
    """
    return unbase64(envelope.payload, "payload")


def verify(envelope: Envelope, trusted: TrustedKeys, *, payload_type: str = IN_TOTO) -> bytes:
    """Return the payload if a trusted key signed it.

    One good signature by a trusted key is enough; a bad one that claims a trusted key is an error
    even beside a good one by another.

    Raises:
        IntegrityError: Wrong payload type, no signature, or a signature that does not verify.
        ForeignKeyError: All signatures are by keys that are not trusted.
    """
    if envelope.payload_type != payload_type:
        raise IntegrityError(
            f"The signed envelope holds {envelope.payload_type!a}, not {payload_type}: "
            "give a passport file."
        )
    if not envelope.signatures:
        raise IntegrityError("The envelope carries no signature: take the original again.")
    payload = payload_of(envelope)
    message = pae(envelope.payload_type, payload)
    known = [s for s in envelope.signatures if _candidates(s, trusted)]
    for signature in known:
        raw = unbase64(signature.sig, "signature")
        if not any(_holds(public, raw, message) for public in _candidates(signature, trusted)):
            raise IntegrityError(
                "The signature does not fit the content: the file was altered after it was "
                "signed; take the original again."
            )
    if not known:
        names = ", ".join((s.keyid or "")[:16] for s in envelope.signatures)
        raise ForeignKeyError(
            f"It is signed by the key {names!a}, which is not trusted here: put that public key "
            "into the trust folder as NAME.pub if it deserves it, or run `keelmark admit PATH` "
            "to sign with your own."
        )
    return payload


def _candidates(signature: Signature, trusted: TrustedKeys) -> list[Ed25519PublicKey]:
    """Trusted keys that may have made a signature: the named one, or all when none is named."""
    if not signature.keyid:
        return list(trusted.values())
    return [trusted[signature.keyid]] if signature.keyid in trusted else []


def _holds(public: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        public.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def unbase64(text: str, what: str) -> bytes:
    """Decode base64, standard or URL-safe, as the specification allows.

    Bits that stand for nothing must be zero: one content has one spelling in each alphabet.
    """
    plain = text.replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if base64.b64encode(data).decode() != plain:
        raise IntegrityError(
            f"The {what} of the envelope is not base64: it is damaged; take the original again."
        )
    return data
