"""The in-toto statement inside a passport (in-toto attestation framework, Statement v1).

`resources` and `serialization` have the shape of the OpenSSF Model Signing predicate v1.0, so one
can be written from the other; what vetting found stands beside them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from keelmark.core.canonical import canonical
from keelmark.core.errors import IntegrityError
from keelmark.core.findings import ArtefactFinding
from keelmark.core.vetting import Coverage, Section, VetVerdict
from keelmark.passport.manifest import Manifest, ManifestEntry

StatementType = Literal["https://in-toto.io/Statement/v1"]
PredicateType = Literal["urn:keelmark:passport:v1"]
STATEMENT_TYPE: StatementType = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: PredicateType = "urn:keelmark:passport:v1"

_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the model.

    Attributes:
        name: Path within the model; "." when the model is one file.
        digest: SHA-256, hex.
        size: Bytes.
        algorithm: How `digest` was made.
    """

    name: str
    digest: _Hex
    size: Annotated[int, msgspec.Meta(ge=0)]
    algorithm: Literal["sha256"] = "sha256"


class Serialization(msgspec.Struct, frozen=True, kw_only=True):
    """How the resources were listed and hashed.

    Attributes:
        method: One resource per file.
        hash_type: Hash of each file and of the root.
        allow_symlinks: Whether files were reached through links (of a hub cache).
        ignore_paths: What was left out: nothing.
    """

    method: Literal["files"] = "files"
    hash_type: Literal["sha256"] = "sha256"
    allow_symlinks: bool = False
    ignore_paths: tuple[str, ...] = ()


class Predicate(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the model.

    Attributes:
        resources: Every file, sorted by the parts of its path.
        serialization: How the resources were made.
        verdict: What vetting said under the policy.
        reason: One sentence: why.
        findings: What the checks saw.
        coverage: What they looked at, and what not.
        checks: Check id to version.
        policy_digest: Admission policy it was issued under.
        not_before: Valid from, RFC 3339.
        not_after: Valid until, RFC 3339.
        keelmark: Version that issued it.
        sections: What surveys say of the whole: licence, lineage, fit and the like.
    """

    resources: Annotated[tuple[Resource, ...], msgspec.Meta(min_length=1)]
    serialization: Serialization
    verdict: VetVerdict
    reason: str
    findings: tuple[ArtefactFinding, ...]
    coverage: Coverage
    checks: dict[str, str]
    policy_digest: str
    not_before: _Moment
    not_after: _Moment
    keelmark: str
    sections: dict[str, Section] = {}


class SubjectDigest(msgspec.Struct, frozen=True):
    """Digest set of a subject."""

    sha256: _Hex


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What the statement is about: the name is for people, the root digest identifies."""

    name: str
    digest: SubjectDigest


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The signed document."""

    type: StatementType = msgspec.field(name="_type", default=STATEMENT_TYPE)
    subject: Annotated[tuple[Subject, ...], msgspec.Meta(min_length=1, max_length=1)]
    predicate_type: PredicateType = msgspec.field(name="predicateType", default=PREDICATE_TYPE)
    predicate: Predicate

    @property
    def manifest(self) -> Manifest:
        """The manifest the statement is about."""
        return Manifest(
            name=self.subject[0].name,
            entries=tuple(
                ManifestEntry(path=r.name, size=r.size, sha256=r.digest)
                for r in self.predicate.resources
            ),
            links_followed=self.predicate.serialization.allow_symlinks,
        )


def subject_of(manifest: Manifest) -> Subject:
    """Return the subject that stands for a manifest."""
    root = manifest.digest.removeprefix("sha256:")
    return Subject(name=manifest.name, digest=SubjectDigest(root))


def resources_of(manifest: Manifest) -> tuple[Resource, ...]:
    """Return the resources that stand for a manifest's entries."""
    return tuple(Resource(name=e.path, digest=e.sha256, size=e.size) for e in manifest.entries)


def write_statement(statement: Statement) -> bytes:
    """Return the canonical JSON of a statement."""
    return canonical(statement)


def read_statement(payload: bytes) -> Statement:
    """Read a statement.

    Raises:
        IntegrityError: Not a passport statement, or its root digest is not that of its resources.
    """
    try:
        statement = msgspec.json.decode(payload, type=Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(
            f"This is signed, but not a passport that this version reads ({error}): "
            "run `keelmark admit PATH` to issue one."
        ) from None
    if statement.subject != (subject_of(statement.manifest),):
        raise IntegrityError(
            "The passport contradicts itself: its digest is not that of the files it lists; "
            "run `keelmark admit PATH` to issue another."
        )
    return statement
