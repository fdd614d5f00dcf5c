"""OpenSSF Model Signing v1.0: sign a model so that others can verify it, and verify theirs.

Three ways to sign: with a key (elliptic curves P-256, P-384, P-521 as the specification asks; also
Ed25519, which some sign with), with a certificate and a given authority, and keyless by Sigstore
(`sigstore.py`, verified only). A result is valid, invalid or "could not check"; the last is what
remains when nobody said whom to trust, unless the files already differ.

What a signature leaves out, it does not cover: such files are named in every result.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from keelmark.core.errors import CouldNotCheckError, IntegrityError, KeelmarkError
from keelmark.passport.chain import ChainError, read_der, verify_chain
from keelmark.passport.dsse import IN_TOTO, pae
from keelmark.passport.files import Progress, escape
from keelmark.passport.manifest import SINGLE_FILE, path_order
from keelmark.passport.oms_files import GIT, LinkError, Tree, hash_parts, read_tree
from keelmark.passport.oms_keys import (
    PublicKey,
    SignerError,
    hint_of,
    hints_of,
    holds,
)
from keelmark.passport.oms_statement import (
    Bundle,
    MalformedError,
    Signed,
    WrongPredicateError,
    is_old,
    read_bundle,
    read_signed,
)
from keelmark.passport.sigstore import Keyless, verify_keyless

Outcome = Literal["valid", "invalid", "could not check"]

_CODES: tuple[tuple[type[KeelmarkError], str], ...] = (
    (MalformedError, "malformed"),
    (WrongPredicateError, "wrong_predicate"),
    (LinkError, "link"),
)


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Whose signature counts; nobody's by default.

    Attributes:
        keys: Public keys, for the method `key`.
        roots: Certificates of authorities, for the method `certificate`.
        keyless: Root, identity and issuer, for the method `sigstore`.
    """

    keys: tuple[PublicKey, ...] = ()
    roots: tuple[x509.Certificate, ...] = ()
    keyless: Keyless | None = None


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification lets pass; nothing by default, and never an altered or missing file.

    Attributes:
        ignored: Paths within the folder that need not be covered, such as the bundle itself.
        uncovered: Other files that the signature does not cover.
        links: Symbolic links to files where the signature says there were none, as in a download
            cache.
    """

    ignored: tuple[str, ...] = ()
    uncovered: bool = False
    links: bool = False


class SignatureStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What came of verifying a model signature.

    Attributes:
        outcome: Only "valid" is valid.
        code: Why, for machines; "ok" when valid.
        reason: One sentence: what is wrong and what to do, or why it is valid.
        method: How it is signed; "" when the bundle cannot be read.
        signer: Who signed: key id, or the certificate's subject; "" unless that is certain.
        digest: Root digest of what was signed; "" when unknown.
        files: Number of files it covers.
        uncovered: What lies there and the signature says nothing of.
        ignored: What the signature says it leaves out.
        links: Files that are reached through symbolic links.
    """

    outcome: Outcome
    code: str
    reason: str
    method: str = ""
    signer: str = ""
    digest: str = ""
    files: int = 0
    uncovered: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


class DifferentError(IntegrityError):
    """The files are not those that were signed."""


def verify_model(
    data: bytes,
    path: Path | str,
    trust: Trust,
    *,
    allowed: Allowed | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> SignatureStatus:
    """Verify a model signature against the files of a model.

    Args:
        data: The bundle.
        path: File or folder.
        trust: Whose signature counts.
        allowed: What is let pass besides what the signature leaves out; nothing when None.
        now: When certificates must be valid; the clock's time when None.
        progress: Called with bytes done and bytes in total.

    Raises:
        UsageError: The model is missing or cannot be read.
    """
    known = SignatureStatus(outcome="invalid", code="malformed", reason="")
    let = allowed or Allowed()
    try:
        bundle = read_bundle(data)
        known = msgspec.structs.replace(known, method=bundle.method)
        doubt = ""
        try:
            signer = _signer(bundle, trust, (now or datetime.now(UTC)).astimezone(UTC))
            known = msgspec.structs.replace(known, signer=signer)
        except CouldNotCheckError as error:
            doubt = error.message
        signed = read_signed(bundle.payload)
        known = msgspec.structs.replace(
            known, digest=signed.digest, files=len(signed.files), ignored=signed.ignored
        )
        tree = read_tree(
            path,
            ignored={*GIT, *signed.ignored, *let.ignored},
            wanted=signed.files,
            links=signed.links or let.links,
        )
        uncovered = _compare(signed, tree, let, progress)
    except CouldNotCheckError as error:
        return _status(known, "could not check", "could_not_check", error.message)
    except IntegrityError as error:
        code = _code(error, "different" if known.files else "malformed")
        return _status(known, "invalid", code, error.message)
    known = msgspec.structs.replace(known, uncovered=uncovered, links=tree.links)
    if doubt:
        return _status(known, "could not check", "could_not_check", doubt)
    return _status(known, "valid", "ok", _valid(known, tree))


def _signer(bundle: Bundle, trust: Trust, now: datetime) -> str:
    """Return who signed.

    Raises:
        CouldNotCheckError: Nobody said whom to trust for this method.
        IntegrityError: It is not signed by whom it should be.
    """
    if bundle.method == "key":
        if not trust.keys:
            raise _nobody("the signer's public key")
        return _by_key(bundle, trust.keys)
    if bundle.method == "sigstore":
        if trust.keyless is None:
            raise _nobody("the trust root of Sigstore, and the signer's identity and issuer")
        return verify_keyless(bundle, trust.keyless)
    if not trust.roots:
        raise _nobody("the certificate of the authority")
    leaf, *others = (read_der(raw) for raw in bundle.certificates)
    verify_chain(leaf, others, trust.roots, now)
    public = leaf.public_key()
    if not isinstance(public, PublicKey):
        raise SignerError("The certificate's key is of a kind that signs no models.", "wrong_key")
    _check(bundle, public)
    return subject_of(leaf)


def _nobody(what: str) -> CouldNotCheckError:
    return CouldNotCheckError(
        f"The files are those of the signature, but nobody checked who made it: give {what}."
    )


def _by_key(bundle: Bundle, keys: Sequence[PublicKey]) -> str:
    named = [key for key in keys if bundle.hint in ("", *hints_of(key))]
    if not named:
        raise SignerError(
            f"It is signed by the key {bundle.hint[:16]!a}…, which is not the one given: get the "
            "signer's public key from somewhere you trust.",
            "wrong_key",
        )
    for key in named:
        try:
            _check(bundle, key)
        except SignerError:
            continue
        return hint_of(key)
    raise _altered()


def _altered() -> SignerError:
    return SignerError(
        "The signature does not fit: it is by another key, or the bundle was altered after it was "
        "signed; take the original again.",
        "bad_signature",
    )


def _check(bundle: Bundle, key: PublicKey) -> None:
    """Make sure that a key signed the payload.

    Raises:
        SignerError: It did not.
    """
    if holds(key, bundle.signature, pae(IN_TOTO, bundle.payload)):
        return
    if is_old(bundle.payload):  # the signer of 2024 wrote the bytes as Python prints them
        head = f"DSSEV1 {len(IN_TOTO)} {IN_TOTO} {len(bundle.payload)} {bundle.payload!r}"
        if any(holds(key, bundle.signature, head.encode(), used) for used in (None, SHA256())):
            return
    raise _altered()


def _compare(
    signed: Signed, tree: Tree, let: Allowed, progress: Progress | None
) -> tuple[str, ...]:
    """Compare what was signed with what lies there; return what is not covered.

    Raises:
        DifferentError: A file is missing, added or altered.
    """
    wanted = dict(signed.files)
    if tree.single and SINGLE_FILE not in wanted and list(wanted) == [tree.name]:
        wanted = {SINGLE_FILE: wanted[tree.name]}  # one file may go by its name, or as "."
    for name in sorted(wanted.keys() - tree.files.keys(), key=path_order):
        raise DifferentError(f"{escape(name)} was signed and is missing: {_RESTORE}")
    more = sorted(tree.files.keys() - wanted.keys(), key=path_order)
    if signed.shard_size:  # an empty file has no parts, so no signature can name it
        empty = [name for name in more if tree.files[name].stat().st_size == 0]
    else:
        empty = []
    if not let.uncovered and more != empty:
        first = next(name for name in more if name not in empty)
        raise DifferentError(f"{escape(first)} was added after the model was signed: {_RESTORE}")
    parts = {name: [part for part, _ in listed] for name, listed in wanted.items()}
    for name, listed in parts.items():
        if listed[-1].end not in (None, tree.files[name].stat().st_size):
            raise DifferentError(f"{_named(name, tree)} has another size: {_RESTORE}")
    found = hash_parts(tree, parts, signed.hash_type, progress)
    for name in sorted(wanted, key=path_order):
        if found[name] != [digest for _, digest in wanted[name]]:
            raise DifferentError(f"{_named(name, tree)} has other content: {_RESTORE}")
    return tuple(sorted({*tree.left_out, *more}, key=path_order))


_RESTORE = "this is not what was signed; restore the model from its source."


def _named(name: str, tree: Tree) -> str:
    return escape(tree.name if name == SINGLE_FILE else name)


def _status(known: SignatureStatus, outcome: Outcome, code: str, reason: str) -> SignatureStatus:
    return msgspec.structs.replace(known, outcome=outcome, code=code, reason=reason)


def _code(error: KeelmarkError, other: str) -> str:
    if isinstance(error, SignerError | ChainError):
        return error.code
    return next((code for kind, code in _CODES if isinstance(error, kind)), other)


def _valid(known: SignatureStatus, tree: Tree) -> str:
    more = f"; not covered: {len(known.uncovered)}" if known.uncovered else ""
    return f"{escape(tree.name)} is what {known.signer} signed: {known.files} files{more}."


def subject_of(certificate: x509.Certificate) -> str:
    """Return whom a certificate names, for people."""
    return escape(certificate.subject.rfc4514_string()[:200])
