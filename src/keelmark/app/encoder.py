"""What is known of the guard's own encoder: its version, and the passport that lies beside it."""

from __future__ import annotations

from pathlib import Path

from keelmark.core.errors import IntegrityError
from keelmark.guard._weights import MEND, Weights, found
from keelmark.passport.manifest import build_manifest
from keelmark.passport.passport import Passport


def passport_of(folder: Path) -> Path:
    """Return where the passport of a folder of weights lies."""
    return folder.with_name(f"{folder.name}.passport.json")


def encoder_vetted() -> str:
    """Say which encoder is installed, and when its very files were vetted.

    Raises:
        UnavailableError: There is none, or a file is missing.
        IntegrityError: The files do not belong together, or are not those of the passport.
    """
    weights = Weights(found())
    version, path = weights.calibration.version, passport_of(weights.folder)
    if not path.is_file():
        return f"version {version}, without a passport"
    passport = Passport.load(path)
    if what := passport.manifest.difference(build_manifest(weights.folder)):
        raise IntegrityError(f"The guard's encoder is not what was vetted ({what}); {MEND}.")
    said = passport.statement.predicate
    return f"version {version}, vetted on {said.not_before:%Y-%m-%d}: {said.verdict}"
