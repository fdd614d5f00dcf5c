"""Model signatures beside models: of these files, of others, of fewer, and broken ones."""

from __future__ import annotations

import base64
import hashlib
import json

from corpus.case import benign, hostile

_FILES = {"config.json": b"{}", "notes.txt": b"signed\n", ".gitattributes": b"*.bin lfs\n"}
_SIGNED = {name: data for name, data in _FILES.items() if not name.startswith(".git")}


def _signature(files: dict[str, bytes], *, root: str = "", predicate: str = "") -> bytes:
    """A bundle as signers write it; vetting reads its list and verifies no signature."""
    listed = [
        {"name": name, "algorithm": "sha256", "digest": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(files.items())
    ]
    digest = hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in listed)).hexdigest()
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root or digest}}],
        "predicateType": predicate or "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": listed,
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
        },
    }
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "00"}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(json.dumps(statement).encode()).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": "AAAA", "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()


hostile(
    "signature-altered",
    "signed.altered",
    {**_FILES, "notes.txt": b"altered\n", "model.sig": _signature(_SIGNED)},
)
benign("signature-twin", {**_FILES, "model.sig": _signature(_SIGNED)})
hostile(
    "signature-incomplete",
    "signed.missing signed.added",
    {**_FILES, "more.txt": b"new\n", "model.sig": _signature({**_SIGNED, "gone.txt": b"x"})},
    "pass",
)
benign("signature-of-one-file-twin", {**_FILES, "one.sig": _signature({".": b"elsewhere"})})
hostile(
    "signature-malformed",
    "signature.malformed",
    {**_FILES, "model.sig": _signature(_SIGNED, root="0" * 64)},
    "pass",
)
benign(
    "signature-provenance-twin",
    {**_FILES, "prov.sig": _signature(_SIGNED, predicate="https://slsa.dev/provenance/v1")},
)
