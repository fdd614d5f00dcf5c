"""What an OpenSSF Model Signing bundle says: its envelope, its statement, its list of files.

Sources: the predicate `https://model_signing/signature/v1.0` (methods `files` and `shards`), the
older `https://model_signing/Digests/v0.1`, DSSE v1, the Sigstore bundle v0.3. Nothing is believed
here; `oms.py` verifies.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

import msgspec

from keelmark.core.canonical import canonical
from keelmark.core.errors import CouldNotCheckError, IntegrityError
from keelmark.passport.dsse import IN_TOTO, Envelope, unbase64
from keelmark.passport.files import escape
from keelmark.passport.manifest import MAX_FILES, SINGLE_FILE, path_order
from keelmark.passport.oms_files import HASHES, WHOLE, Part
from keelmark.passport.statement import STATEMENT_TYPE

PREDICATE = "https://model_signing/signature/v1.0"
OLD_PREDICATE = "https://model_signing/Digests/v0.1"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
Method = Literal["key", "certificate", "sigstore"]

_KNOWN_ELSEWHERE = {"blake3"}
_HEX = re.compile(r"([0-9a-fA-F]{2}){16,64}\Z")
_SHARD = re.compile(r"(.+):(\d{1,19}):(\d{1,19})\Z", re.DOTALL)


class _Raw(msgspec.Struct, rename="camel"):
    raw_bytes: str


class _Key(msgspec.Struct, rename="camel"):
    hint: str | None = None
    raw_bytes: str | None = None


class _Chain(msgspec.Struct):
    certificates: list[_Raw]


class _Material(msgspec.Struct, rename="camel"):
    public_key: _Key | None = None
    x509_certificate_chain: _Chain | None = msgspec.field(name="x509CertificateChain", default=None)
    certificate: _Raw | None = None
    tlog_entries: list[dict[str, Any]] | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: Envelope


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle, taken apart.

    Attributes:
        method: How it is signed.
        payload: What is signed.
        signature: The signature.
        hint: Which key signed, as the bundle says; "" when it does not.
        certificates: DER, the signer's first.
        entries: Of the transparency log, as written.
    """

    method: Method
    payload: bytes
    signature: bytes
    hint: str
    certificates: tuple[bytes, ...]
    entries: tuple[dict[str, Any], ...]


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """The list of files that was signed.

    Attributes:
        name: Name of the model when it was signed; for people only.
        digest: Root digest, `sha256:<hex>`; "" in the old form, which has none.
        hash_type: A key of `oms_files.HASHES`.
        shard_size: Bytes of a part; None when files are whole.
        links: Whether symbolic links were followed.
        ignored: What the signer left out.
        files: Path to ranges and their digests.
        predicate: The form it is in.
    """

    name: str
    digest: str
    hash_type: str
    shard_size: int | None
    links: bool
    ignored: tuple[str, ...]
    files: dict[str, list[tuple[Part, str]]]
    predicate: str


class _Subject(msgspec.Struct):
    digest: dict[str, str]
    name: str = ""


class _Statement(msgspec.Struct, rename="camel"):
    type: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: str
    predicate: msgspec.Raw


class _Resource(msgspec.Struct):
    name: str
    digest: str
    algorithm: str


class _Serialization(msgspec.Struct):
    method: str
    hash_type: str
    allow_symlinks: bool
    shard_size: int | float | None = None  # through protobuf every number is a float
    ignore_paths: list[str] = []


class _Predicate(msgspec.Struct):
    resources: list[_Resource]
    serialization: _Serialization


class MalformedError(IntegrityError):
    """Not what the specification asks for, or contradicting itself."""


class WrongPredicateError(IntegrityError):
    """A signed statement about something else."""


def read_bundle(data: bytes) -> Bundle:
    """Take a bundle apart.

    Raises:
        MalformedError: It is not one, or something is missing.
    """
    try:
        raw = msgspec.json.decode(data, type=_Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(
            f"This is not a model signature in a Sigstore bundle ({escape(str(error)[:200])}): it "
            "is damaged, or another kind of file; take the original again."
        ) from None
    envelope, material = raw.dsse_envelope, raw.verification_material
    if raw.media_type != MEDIA_TYPE:
        raise MalformedError(f"The bundle says it is {raw.media_type[:99]!a}, not {MEDIA_TYPE}.")
    if envelope.payload_type != IN_TOTO:
        raise MalformedError(f"The envelope holds {envelope.payload_type[:99]!a}, not {IN_TOTO}.")
    if len(envelope.signatures) != 1:
        raise MalformedError(f"The envelope has {len(envelope.signatures)} signatures, not one.")
    method, hint, certificates = _material(material)
    return Bundle(
        method=method,
        payload=unbase64(envelope.payload, "payload"),
        signature=unbase64(envelope.signatures[0].sig, "signature"),
        hint=hint,
        certificates=certificates,
        entries=tuple(material.tlog_entries or ()),
    )


def _material(material: _Material) -> tuple[Method, str, tuple[bytes, ...]]:
    given = (material.public_key, material.x509_certificate_chain, material.certificate)
    if sum(part is not None for part in given) != 1:
        raise MalformedError(
            "The bundle must say in exactly one way who signed: a key, a chain of certificates, or "
            "a certificate of Sigstore."
        )
    if material.public_key:
        return "key", material.public_key.hint or "", ()
    if material.x509_certificate_chain:
        chain = material.x509_certificate_chain.certificates
        if not chain:
            raise MalformedError("The bundle's chain of certificates is empty.")
        return "certificate", "", tuple(unbase64(c.raw_bytes, "certificate") for c in chain)
    if not material.tlog_entries:
        raise MalformedError(
            "A Sigstore signature without an entry of the transparency log is none."
        )
    raw = material.certificate.raw_bytes if material.certificate else ""
    return "sigstore", "", (unbase64(raw, "certificate"),)


def is_old(payload: bytes) -> bool:
    """Whether a payload is in the form of 2024, which was signed in another way."""
    try:
        return msgspec.json.decode(payload, type=_Statement).predicate_type == OLD_PREDICATE
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def read_signed(payload: bytes) -> Signed:
    """Read the list of files of a statement.

    Raises:
        WrongPredicateError: The statement is about something else.
        MalformedError: It is not one, or contradicts itself.
        CouldNotCheckError: It uses a hash that is not known here.
    """
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
        if statement.type != STATEMENT_TYPE:
            raise MalformedError(f"The statement is {statement.type[:99]!a}, not {STATEMENT_TYPE}.")
        if statement.predicate_type == OLD_PREDICATE:
            return _read_old(statement)
        if statement.predicate_type != PREDICATE:
            raise WrongPredicateError(
                f"What is signed is {statement.predicate_type[:99]!a}, not a model signature "
                f"({PREDICATE})."
            )
        return _read(statement, msgspec.json.decode(statement.predicate, type=_Predicate))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(
            f"What is signed is not a statement about a model ({escape(str(error)[:200])})."
        ) from None


def _read_old(statement: _Statement) -> Signed:
    files = [(s.name, s.digest.get("sha256", "")) for s in statement.subject]
    return Signed(
        name="",
        digest="",
        hash_type="sha256",
        shard_size=None,
        links=False,
        ignored=(),
        files={name: [(WHOLE, digest)] for name, digest in _checked(files, "sha256")},
        predicate=OLD_PREDICATE,
    )


def _read(statement: _Statement, predicate: _Predicate) -> Signed:
    said, listed = predicate.serialization, predicate.resources
    if said.hash_type in _KNOWN_ELSEWHERE:
        raise CouldNotCheckError(
            f"The files are hashed with {said.hash_type}, which is not known here: have the model "
            "signed with sha256."
        )
    if said.hash_type not in HASHES:
        raise MalformedError(f"The hash {said.hash_type[:40]!a} is not one of the specification.")
    if said.method not in ("files", "shards") or (said.method == "shards") == (not said.shard_size):
        raise MalformedError(f"The method {said.method[:40]!a} is not one of the specification.")
    size = None if said.shard_size is None else int(said.shard_size)
    if size is not None and (size < 1 or size != said.shard_size):
        raise MalformedError("The size of a shard is not a positive whole number.")
    names = {said.hash_type, f"{said.hash_type}-sharded-{size}"}
    if any(r.algorithm not in names for r in listed):
        raise MalformedError("A file is hashed in another way than the statement says.")
    if len(statement.subject) != 1:
        raise MalformedError("The statement is not about exactly one model.")
    pairs = _checked([(r.name, r.digest) for r in listed], said.hash_type)
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in pairs)).hexdigest()
    if statement.subject[0].digest.get("sha256", "").lower() != root:
        raise MalformedError(
            "The statement contradicts itself: its digest is not that of its files."
        )
    ignored = tuple(path.rstrip("/") for path in said.ignore_paths)
    if not all(path.strip("./") for path in ignored):
        raise MalformedError("The signature leaves out the whole model: it says nothing of it.")
    files = _shards(pairs, size) if size else {name: [(WHOLE, digest)] for name, digest in pairs}
    return Signed(
        name=statement.subject[0].name,
        digest=f"sha256:{root}",
        hash_type=said.hash_type,
        shard_size=size,
        links=said.allow_symlinks,
        ignored=tuple(sorted(set(ignored))),
        files=files,
        predicate=PREDICATE,
    )


def _checked(pairs: list[tuple[str, str]], hash_type: str) -> list[tuple[str, str]]:
    """Files and digests, if there are any, each once, with a proper path and digest."""
    size = 2 * hashlib.new(HASHES[hash_type]).digest_size
    if not pairs or len(pairs) > 100 * MAX_FILES:
        raise MalformedError("The signature names no files, or too many.")
    if len({name for name, _ in pairs}) != len(pairs):
        raise MalformedError("The signature names a file twice.")
    for name, digest in pairs:
        parts = name.split("/")
        if name != SINGLE_FILE and any(part in ("", ".", "..") for part in parts):
            raise MalformedError(f"The path {name[:99]!a} is not a plain one within the model.")
        if len(digest) != size or not _HEX.match(digest):
            raise MalformedError(f"The digest of {name[:99]!a} is not one of {hash_type}.")
    return [(name, digest.lower()) for name, digest in pairs]


def _shards(pairs: list[tuple[str, str]], size: int) -> dict[str, list[tuple[Part, str]]]:
    """Parts by file; they must follow on each other without a gap."""
    files: dict[str, list[tuple[Part, str]]] = {}
    for name, digest in pairs:
        match = _SHARD.match(name)
        if not match:
            raise MalformedError(f"The name {name[:99]!a} is not that of a part of a file.")
        part = Part(int(match[2]), int(match[3]))
        files.setdefault(match[1], []).append((part, digest))
    for name, parts in files.items():
        parts.sort()
        starts = [part.start for part, _ in parts]
        lengths = [(part.end or 0) - part.start for part, _ in parts]
        if (
            starts != [n * size for n in range(len(parts))]
            or any(length != size for length in lengths[:-1])
            or not 0 < lengths[-1] <= size
        ):
            raise MalformedError(f"The parts of {name[:99]!a} do not follow on each other.")
    return files


def write_statement(
    name: str, files: dict[str, str], *, ignored: tuple[str, ...], links: bool
) -> bytes:
    """Return the statement about whole files with their SHA-256.

    Args:
        name: Name of the model.
        files: Path to digest, hex.
        ignored: What is left out.
        links: Whether links were followed.
    """
    order = sorted(files, key=path_order)
    root = hashlib.sha256(b"".join(bytes.fromhex(files[path]) for path in order)).hexdigest()
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": root}}],
            "predicateType": PREDICATE,
            "predicate": {
                "resources": [
                    {"name": path, "digest": files[path], "algorithm": "sha256"} for path in order
                ],
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": links,
                    "ignore_paths": sorted(ignored),
                },
            },
        }
    )
