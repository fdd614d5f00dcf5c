"""From bytes on disk to a passport, and from a passport to bytes that may be loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from keelmark.app.home import Home
from keelmark.core.errors import CouldNotCheckError, IntegrityError, UsageError
from keelmark.core.events import MODEL_REFUSED, MODEL_VETTED
from keelmark.core.vetting import VetReport, VetVerdict
from keelmark.passport.manifest import build_manifest
from keelmark.passport.passport import Passport, PassportStatus
from keelmark.passport.sealed import SealedModel, seal
from keelmark.store import StoredModel
from keelmark.vet import NOTHING, Asked, vetted

Progress = Callable[[int, int], None]


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt to admit a model.

    Attributes:
        report: What vetting said.
        passport: The passport, or None when it was refused.
        reason: One sentence.
    """

    report: VetReport
    passport: Passport | None
    reason: str


def admit(
    home: Home,
    path: Path,
    *,
    name: str = "",
    asked: Asked = NOTHING,
    progress: Progress | None = None,
) -> Admitted:
    """Vet a model and sign a passport when it passes; both go to the ledger.

    Args:
        home: The installation.
        path: File or folder.
        name: What clients call it; the file's name without its ending by default.
        asked: What is to be answered beyond the artefact itself.
        progress: Called with bytes done and bytes in total.

    Raises:
        KeelmarkError: It cannot be read, or changes while it is read.
    """
    admission = home.policy.admission
    report, manifest, _ = vetted(path, admission=admission, asked=asked, progress=progress)
    home.store.append(MODEL_VETTED, _vetted(report))
    if report.verdict is not VetVerdict.PASS:
        word = "fails vetting" if report.verdict is VetVerdict.FAIL else "could not be fully vetted"
        why = report.reason.rstrip(".")
        reason = f"{path} is not admitted because it {word} ({why}): see `keelmark vet {path}`."
        return Admitted(report=report, passport=None, reason=reason)
    passport = Passport.issue(report, manifest, signer=home.signer, admission=admission)
    said = passport.statement.predicate
    issued = {
        "digest": passport.digest,
        "passport": passport.envelope_digest,
        "signer": home.signer.key_id,
        "policy_digest": said.policy_digest,
        "verdict": said.verdict,
        "not_before": f"{said.not_before:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{said.not_after:%Y-%m-%dT%H:%M:%SZ}",
    }
    home.store.put_passport(passport.digest, passport.to_bytes(), issued)
    home.store.put_model(name or _name_of(path), path.absolute(), passport.digest)
    until = f"{said.not_after:%Y-%m-%d}"
    reason = f"Admitted: {path} may be served under this policy until {until}."
    return Admitted(report=report, passport=passport, reason=reason)


def load(
    home: Home, path: Path, *, name: str, first_sight: bool, progress: Progress | None = None
) -> tuple[SealedModel, Passport]:
    """Open a model for an engine: exactly the bytes of a valid passport, or nothing.

    Args:
        home: The installation.
        path: The model file.
        name: What clients call it.
        first_sight: Whether a path that was never admitted is vetted and admitted now.
        progress: Called with bytes done and bytes in total.

    Raises:
        IntegrityError: There is no valid passport for these bytes under the current policy; the
            sentence says which condition fails and what to do. The refusal is in the ledger.
        CouldNotCheckError: At first sight, vetting could not look at all of it.
        KeelmarkError: The file cannot be read.
    """
    passport = passport_at(home, path, name=name, first_sight=first_sight, progress=progress)
    try:
        model = seal(
            path,
            passport.digest,
            mode=home.policy.admission.load,
            records=home.data / "loads.json",
            progress=progress,
        )
    except IntegrityError as error:
        reason = _naming(path, error.message)
        refuse(home, passport.digest, reason)
        raise IntegrityError(reason) from None
    status = passport.verify(
        model=model.digest, admission=home.policy.admission, trusted=home.trusted()
    )
    if not status.valid:
        model.close()
        reason = _naming(path, status.reason)
        refuse(home, passport.digest, reason)
        raise IntegrityError(f"{path} is refused: {reason}")
    return model, passport


def passport_at(
    home: Home, path: Path, *, name: str, first_sight: bool, progress: Progress | None = None
) -> Passport:
    """Return the passport of what was admitted at a path, whatever its bytes are now.

    Raises as `load`; whether the passport holds is not looked at.
    """
    known = stored_at(home, path)
    if known is None:
        return _first(home, path, name, first_sight=first_sight, progress=progress)
    return _passport_of(home, known.digest)


def _naming(path: Path, reason: str) -> str:
    """A reason with the command that can be pasted; the passport room knows no paths."""
    return reason.replace("`keelmark admit PATH`", f"`keelmark admit {path}`")


def refuse(home: Home, digest: str, reason: str) -> None:
    """Write to the ledger that a model was not loaded, and why."""
    home.store.append(MODEL_REFUSED, {"digest": digest, "engine": "llama", "reason": reason})


def stored_at(home: Home, path: Path) -> StoredModel | None:
    """Return what was admitted at a path, whatever its bytes are now."""
    wanted = str(path.absolute())
    return next((model for model in home.store.models() if model.path == wanted), None)


def find_passport(home: Home, ref: str) -> Passport:
    """Return the passport that a person means: a file, a path, a digest or a name.

    Raises:
        UsageError: There is none.
    """
    if ref.startswith("sha256:"):
        found = [e for digest, e in home.store.passports() if digest.startswith(ref)]
        if len(found) == 1:
            return Passport.from_bytes(found[0])
        number = "Several passports are" if found else "No passport is"
        raise UsageError(f"{number} here for {ref}; see `keelmark models list`.")
    path = Path(ref)
    stored = home.store.model(ref) or stored_at(home, path)
    if stored is not None:
        return _passport_of(home, stored.digest)
    if path.is_file() and not _is_model(path):
        return Passport.load(path)
    raise UsageError(
        f"There is no passport for {ref!r}: give a passport file, or the path, digest or name of "
        "a model that was admitted (`keelmark admit`, `keelmark models list`)."
    )


def _is_model(path: Path) -> bool:
    """Whether a file is no passport at first sight: those are JSON objects."""
    try:
        with path.open("rb") as file:
            return not file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False  # reading it as a passport says why


def verify_passport(
    home: Home, ref: str, model: Path | None = None, *, progress: Progress | None = None
) -> PassportStatus:
    """Verify a passport, against the model's bytes wherever they are known to lie.

    Raises:
        KeelmarkError: There is no such passport, or the bytes cannot be read.
    """
    passport = find_passport(home, ref)
    stored = home.store.model(ref) or stored_at(home, Path(ref))
    path = model or (Path(stored.path) if stored else None)
    status = passport.verify(
        model=build_manifest(path, progress) if path else passport.manifest,
        admission=home.policy.admission,
        trusted=home.trusted(),
    )
    if path is None and status.valid:
        note = " The model's bytes were not looked at: give --model PATH."
        return msgspec.structs.replace(status, reason=status.reason + note)
    return status


def list_models(home: Home, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return every admitted model and whether it would be loaded today, in the documented shape."""
    rows = []
    for model in home.store.models():
        try:
            status = verify_passport(home, model.name, progress=progress)
            passport = {"valid": status.valid, "reason": status.reason}
        except (UsageError, IntegrityError) as error:
            passport = {"valid": False, "reason": error.message}
        rows.append(
            {
                "name": model.name,
                "digest": model.digest,
                "path": model.path,
                "passport": passport,
            }
        )
    return rows


def _first(
    home: Home, path: Path, name: str, *, first_sight: bool, progress: Progress | None
) -> Passport:
    if not first_sight:
        reason = f"{path} was never admitted: run `keelmark admit {path}` first."
        refuse(home, "", reason)
        raise IntegrityError(reason)
    admitted = admit(home, path, name=name, progress=progress)
    if admitted.passport is None:
        refuse(home, admitted.report.digest, admitted.reason)
        failed = admitted.report.verdict is VetVerdict.FAIL
        raise (IntegrityError if failed else CouldNotCheckError)(admitted.reason)
    return admitted.passport


def _passport_of(home: Home, digest: str) -> Passport:
    envelope = home.store.passport(digest)
    if envelope is None:
        raise UsageError(f"There is no passport for {digest}: run `keelmark admit PATH`.")
    return Passport.from_bytes(envelope)


def _name_of(path: Path) -> str:
    return (path.stem if path.is_file() else path.absolute().name).lower()


def _vetted(report: VetReport) -> dict[str, Any]:
    coverage = report.coverage
    return {
        "digest": report.digest,
        "name": report.name,
        "verdict": report.verdict,
        "reason": report.reason,
        "findings": dict(Counter(str(f.severity) for f in report.findings)),
        "rules": sorted({f.rule for f in report.findings}),
        "coverage": {
            "files": coverage.files,
            "checked": coverage.checked,
            "not_checked": len(coverage.not_checked),
        },
        "checks": report.checks,
        "rule_pack": report.rule_pack,
        "answers": {name: section.answer for name, section in report.sections.items()},
        "policy_digest": report.policy_digest,
    }
