"""Signing a model in the form of OpenSSF Model Signing v1.0."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from keelmark.core.canonical import canonical
from keelmark.core.errors import UsageError
from keelmark.passport.dsse import IN_TOTO, pae
from keelmark.passport.files import Progress, escape
from keelmark.passport.manifest import Manifest
from keelmark.passport.oms import SignatureStatus, subject_of
from keelmark.passport.oms_files import GIT, WHOLE, hash_parts, read_tree
from keelmark.passport.oms_keys import PrivateKey, PublicKey, hint_of, sign
from keelmark.passport.oms_statement import MEDIA_TYPE, read_signed, write_statement


def sign_model(
    path: Path | str,
    key: PrivateKey,
    *,
    certificates: Sequence[x509.Certificate] = (),
    ignored: Sequence[str] = (),
    links: bool = False,
    progress: Progress | None = None,
) -> tuple[bytes, SignatureStatus]:
    """Sign the files of a model.

    Args:
        path: File or folder.
        key: Key to sign with.
        certificates: Certificate of the key, then its issuers without the root; when left out, the
            bundle names the key.
        ignored: Paths within the folder that are left out, besides those of git.
        links: Whether symbolic links to files are followed.
        progress: Called with bytes done and bytes in total.

    Returns:
        The bundle, JSON, and what it covers.

    Raises:
        UsageError: Nothing to sign, or the certificate is not that of the key.
        IntegrityError: A link that is not followed, or a file that changes.
    """
    public = key.public_key()
    if certificates and certificates[0].public_key() != public:
        raise UsageError("The certificate is not that of the key: give the signer's first.")
    tree = read_tree(path, ignored={*GIT, *ignored}, links=links)
    if not tree.files:
        raise UsageError(f"{escape(str(path))} holds no files to sign: give the model's folder.")
    left_out = () if tree.single else tuple(sorted({*GIT, *ignored}))
    found = hash_parts(tree, dict.fromkeys(tree.files, (WHOLE,)), "sha256", progress)
    digests = {name: digest for name, (digest,) in found.items()}
    payload = write_statement(tree.name, digests, ignored=left_out, links=links)
    signed = read_signed(payload)
    status = SignatureStatus(
        outcome="valid",
        code="ok",
        reason=f"Signed: {len(tree.files)} files of {escape(tree.name)}.",
        method="certificate" if certificates else "key",
        signer=subject_of(certificates[0]) if certificates else hint_of(public),
        digest=signed.digest,
        files=len(tree.files),
        uncovered=tree.left_out,
        ignored=left_out,
        links=tree.links,
    )
    return _bundle(payload, key, certificates), status


def sign_manifest(manifest: Manifest, key: PrivateKey) -> bytes:
    """Return a bundle over the files of a manifest, which is believed; what git keeps is left out.

    Args:
        manifest: The files.
        key: Key to sign with.

    Raises:
        UsageError: Nothing is left to sign.
    """
    digests = {
        entry.path: entry.sha256
        for entry in manifest.entries
        if entry.path.partition("/")[0] not in GIT
    }
    if not digests:
        raise UsageError(f"{escape(manifest.name)} holds no files to sign.")
    ignored = () if manifest.is_file else GIT
    links = manifest.links_followed
    return _bundle(write_statement(manifest.name, digests, ignored=ignored, links=links), key, ())


def _bundle(payload: bytes, key: PrivateKey, certificates: Sequence[x509.Certificate]) -> bytes:
    material = _material_of(key.public_key(), certificates)
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": _base64(payload),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": _base64(sign(key, pae(IN_TOTO, payload))), "keyid": ""}],
        },
    }
    return canonical(bundle) + b"\n"


def _material_of(public: PublicKey, certificates: Sequence[x509.Certificate]) -> dict[str, object]:
    if not certificates:
        return {"publicKey": {"hint": hint_of(public)}}
    raw = [c.public_bytes(serialization.Encoding.DER) for c in certificates]
    return {"x509CertificateChain": {"certificates": [{"rawBytes": _base64(r)} for r in raw]}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
