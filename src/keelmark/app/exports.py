"""A passport in the forms that others read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from keelmark.app.admission import find_passport, stored_at
from keelmark.app.home import Home
from keelmark.core.errors import IntegrityError
from keelmark.core.vetting import VetReport
from keelmark.passport.cyclonedx import to_cyclonedx
from keelmark.passport.oms_keys import SIGNING_KEY, own_key
from keelmark.passport.oms_sign import sign_manifest
from keelmark.passport.passport import Passport
from keelmark.passport.spdx import to_spdx
from keelmark.passport.vsa import to_vsa
from keelmark.vet import look


class Exported(NamedTuple):
    """A passport in another form.

    Attributes:
        data: The document.
        note: What is not in it, for people; "" when nothing is missing.
    """

    data: bytes
    note: str


def export_passport(home: Home, ref: str, form: str, *, model: Path | None = None) -> Exported:
    """Return a passport in another form.

    A passport keeps what vetting said and not what the files say of themselves, so bills of
    materials look into the files again, when they are at hand and are those of the passport.

    Args:
        home: The installation.
        ref: A passport file, or path, name or digest of an admitted model.
        form: One of `FORMS`.
        model: Where the files lie; where they were admitted when None.

    Raises:
        UsageError: There is no such passport, or nothing at the path.
        IntegrityError: Its signature does not hold; for a summary, it does not hold at all; or
            other files lie at the path that was given.
    """
    passport = find_passport(home, ref)
    status = passport.verify(
        model=passport.manifest, admission=home.policy.admission, trusted=home.trusted()
    )
    if status.code in ("broken", "foreign") or (form == "vsa" and not status.valid):
        raise IntegrityError(status.reason)
    if form not in _BILLS:
        return Exported(_SIGNED[form](home, passport), "")
    stored = home.store.model(ref) or stored_at(home, Path(ref))
    path = model or (Path(stored.path) if stored and Path(stored.path).exists() else None)
    whole = look(path) if path else None
    other = whole.manifest.difference(passport.manifest) if whole else "they are not at hand"
    if model and other:
        raise IntegrityError(f"{model} is not what the passport is about: {other}.")
    note = f"What only the files say is left out: {other}." if other else ""
    facts = whole.facts if whole and not other else {}
    when = passport.statement.predicate.not_before
    bill = _BILLS[form](report_of(passport), passport.manifest, facts, when=when)
    return Exported(bill.encode(), note)


def report_of(passport: Passport) -> VetReport:
    """Return what vetting said, as a passport records it."""
    said = passport.statement.predicate
    return VetReport(
        digest=passport.digest,
        name=passport.manifest.name,
        verdict=said.verdict,
        findings=said.findings,
        coverage=said.coverage,
        checks=said.checks,
        policy_digest=said.policy_digest,
        reason=said.reason,
        sections=said.sections,
    )


def _vsa(home: Home, passport: Passport) -> bytes:
    return to_vsa(passport, home.signer) + b"\n"


def _oms(home: Home, passport: Passport) -> bytes:
    return sign_manifest(passport.manifest, own_key(home.data / SIGNING_KEY))


_BILLS: Mapping[str, Callable[..., str]] = {
    "cyclonedx": partial(to_cyclonedx, spec="1.6"),
    "cyclonedx-1.7": partial(to_cyclonedx, spec="1.7"),
    "spdx": to_spdx,
}
_SIGNED: Mapping[str, Callable[[Home, Passport], bytes]] = {"vsa": _vsa, "oms": _oms}
FORMS = (*_BILLS, *_SIGNED)
"""Names of the forms."""
