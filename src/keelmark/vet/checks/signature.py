"""Model signatures beside a model (OpenSSF Model Signing): read, so that files can be compared.

Nobody is trusted here: who signed is verified by `keelmark signature verify`, with a key. What
other bundles of Sigstore hold, such as provenance, is none of this check's business.
"""

from __future__ import annotations

from keelmark.core.errors import CouldNotCheckError, IntegrityError
from keelmark.core.findings import Severity
from keelmark.passport.chain import read_der
from keelmark.passport.oms_files import WHOLE
from keelmark.passport.oms_statement import (
    Bundle,
    MalformedError,
    WrongPredicateError,
    read_bundle,
    read_signed,
)
from keelmark.vet.contract import Check, File, Result, Rule, printable

_MARK = b"application/vnd.dev.sigstore.bundle"
_LONGEST = 64 * 1024 * 1024
_TAGS = ("owasp:llm03", "cwe:CWE-345")

MALFORMED = Rule(
    "signature.malformed",
    "Model signature that contradicts itself",
    Severity.LOW,
    "No verifier accepts it, so nobody can tell by it who published the model.",
    "Fetch the signature again from the publisher of the model.",
    _TAGS,
)


def _claims(file: File) -> bool:
    return file.head.lstrip()[:1] == b"{" and _MARK in file.head


def _run(file: File) -> Result:
    if file.size > _LONGEST:
        return Result((), f"the signature is longer than {_LONGEST} bytes")
    try:
        bundle = read_bundle(file.all())
    except IntegrityError:
        return Result()  # another kind of bundle, or none: it holds no list of files
    try:
        signed = read_signed(bundle.payload)
    except WrongPredicateError:
        return Result()
    except CouldNotCheckError as error:
        return Result(facts={"signature": {"method": bundle.method, "unread": error.message}})
    except MalformedError as error:
        return Result((MALFORMED.at(file, "payload", error.message),))
    whole = signed.hash_type == "sha256" and signed.shard_size is None
    digests = {name: parts[0][1] for name, parts in signed.files.items() if parts[0][0] == WHOLE}
    facts = {
        "method": bundle.method,
        "signer": _signer(bundle),
        "ignored": list(signed.ignored),
        "names": sorted(signed.files),
        "digests": digests if whole else {},
    }
    return Result(facts={"signature": facts})


def _signer(bundle: Bundle) -> str:
    """Who the bundle says signed; not verified."""
    if not bundle.certificates:
        return printable(bundle.hint, 100)
    try:
        return printable(read_der(bundle.certificates[0]).subject.rfc4514_string(), 200)
    except IntegrityError:
        return ""


CHECK = Check(
    title="Model signatures (OpenSSF Model Signing)",
    version="1",
    tags=_TAGS,
    rules=(MALFORMED,),
    examples=("signature-malformed",),
    claims=_claims,
    run=_run,
)
