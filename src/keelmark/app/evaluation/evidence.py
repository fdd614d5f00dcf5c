"""What of a run stays: a signed statement, a record in the ledger, a line of the passport.

The statement is in the folder of the run and verifies offline, with the digest of every file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from keelmark.app.home import Home
from keelmark.core import events
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.evaluate.journal import AGAIN, REPLIES
from keelmark.evaluate.manifest import Manifest
from keelmark.evaluate.result import MANIFEST, RESULT, SCORES, Result, read_manifest, read_result
from keelmark.evaluate.suite import Suite, load_suite, suite_ids
from keelmark.passport.files import write_whole
from keelmark.passport.results import Outcome, attest, read_attestation

ATTESTATION = "attestation.json"
_FILES = (MANIFEST, REPLIES, AGAIN, SCORES, RESULT)
_BLOCK = 1 << 20
_FEWEST = 30
"""Below it, a share of a half may as well be a third or two thirds."""
_UNSEEN = "sha256:" + "0" * 64
"""Stands for weights that cannot be seen, because a statement must have a subject."""


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files of a run."""
    found = {}
    for name in _FILES:
        if (folder / name).exists():
            with (folder / name).open("rb") as file:
                found[name] = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return found


def sign_run(home: Home, folder: Path, manifest: Manifest, result: Result) -> str:
    """Write a signed statement into the folder of a run; return its SHA-256.

    Raises:
        UsageError: It cannot be written.
    """
    asked = manifest.asked
    inputs = {
        "manifest": manifest.digest,
        "suite": manifest.suite_digest,
        "data": f"sha256:{manifest.data.sha256}",
        **({"policy": asked.policy_digest} if asked.policy_digest else {}),
    }
    told = {
        "run": result.run,
        "suite": manifest.suite.id,
        "version": manifest.suite.version,
        "how": asked.how,
        "state": result.state,
        "reason": result.reason,
        "primary": result.primary,
        "metrics": msgspec.to_builtins(result.metrics),
        "attested": bool(asked.model_digest),
    }
    outcome = Outcome(
        model=asked.model,
        model_digest=asked.model_digest or _UNSEEN,
        passed="PASSED" if result.state == "complete" else "WARNED",
        inputs=inputs,
        results=digests(folder),
        told=told,
    )
    envelope = attest(outcome, home.signer)
    try:
        write_whole(folder / ATTESTATION, envelope)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror}): free some space, and the same command "
            "goes on where it ended."
        ) from None
    return "sha256:" + hashlib.sha256(envelope).hexdigest()


def record_run(home: Home, folder: Path, manifest: Manifest, result: Result) -> int:
    """Sign a run and write it into the ledger; return the index of the record.

    Raises:
        UnavailableError: The database does not answer.
        UsageError: The statement cannot be written.
    """
    asked = manifest.asked
    body: dict[str, Any] = {
        "run": result.run,
        "manifest": manifest.digest,
        "attestation": sign_run(home, folder, manifest, result),
        "suite": manifest.suite.id,
        "tags": manifest.suite.tags,
        "version": manifest.suite.version,
        "suite_digest": manifest.suite_digest,
        "data": manifest.data.sha256,
        "how": asked.how,
        "model": asked.model,
        "model_digest": asked.model_digest,
        "policy_digest": asked.policy_digest,
        "state": result.state,
        "reason": result.reason,
        "primary": result.primary,
        "metrics": msgspec.to_builtins(result.metrics),
        "needed": needed(manifest.suite),
        "counts": result.counts,
    }
    return home.store.append(events.EVALUATION_FINISHED, body)


def needed(suite: Suite) -> int:
    """Return on how many samples a run is evidence; an own suite cannot ask for next to none."""
    shipped = suite.id in suite_ids() and load_suite(suite.id).suite == suite
    return suite.minimum if shipped else max(suite.minimum, _FEWEST)


def verify_run(home: Home, folder: Path) -> Outcome:
    """Verify a run offline; return what its statement says.

    Raises:
        UsageError: There is no statement.
        IntegrityError: Signature, files or digests do not hold.
    """
    try:
        envelope = (folder / ATTESTATION).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{folder / ATTESTATION} cannot be read ({error.strerror}): name the folder of a run."
        ) from None
    outcome = read_attestation(envelope, home.trusted())
    found = digests(folder)
    for name in sorted({*outcome.results, *found}):
        if outcome.results.get(name) != found.get(name):
            raise IntegrityError(f"{folder / name} is not the file that was signed.")
    manifest, result = read_manifest(folder), read_result(folder)
    if not outcome.inputs.get("manifest") == manifest.digest == result.manifest:
        raise IntegrityError(f"{folder}: manifest and result are of different runs.")
    return outcome


def evaluations_of(home: Home, model_digest: str) -> Iterator[dict[str, Any]]:
    """Yield the ledger's records of runs of a model, the oldest first; each run once, as it ended.

    Args:
        home: The installation.
        model_digest: Digest of the weights, `sha256:...`.
    """
    last: dict[str, dict[str, Any]] = {}
    for record in home.store.records({events.EVALUATION_FINISHED}):
        body = record.body
        if body["model_digest"] == model_digest:
            last.pop(body["run"], None)
            last[body["run"]] = {"time": record.time, **body}
    yield from last.values()
