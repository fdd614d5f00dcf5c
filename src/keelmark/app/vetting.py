"""From what a person types to what vetting is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from keelmark.app.admission import find_passport
from keelmark.app.home import Home
from keelmark.core.errors import UsageError
from keelmark.passport.files import Progress, printable, read_small, resolve
from keelmark.passport.passport import Passport
from keelmark.vet import Asked, look, vetted
from keelmark.vet.difference import Difference, Side, difference
from keelmark.vet.licence.use import read_use
from keelmark.vet.modelaudit import opinion
from keelmark.vet.survey import Serving

_MAX_USE = 1024 * 1024


def asked(
    *,
    use: Path | None = None,
    parent: Path | None = None,
    project: Path | None = None,
    advisories: Path | None = None,
    stack: Path | None = None,
    also: Path | None = None,
    **serving: Any,
) -> Asked:
    """Return what vetting is to answer beyond the artefact itself.

    Args:
        use: Declared use, a YAML or JSON file.
        parent: The model that this one is said to be made from.
        project: A local git clone of the project behind it.
        advisories: An OSV dump.
        stack: What will load the model: requirements, a lock file, or a CycloneDX file.
        also: The artefact, when modelaudit is to be asked about it too.
        serving: How it is to be served: `context`, `requests`, `cache_type`.

    Raises:
        UsageError: A file is missing, or is not what it should be.
        KeelmarkError: The parent cannot be read, or modelaudit does not answer.
    """
    return Asked(
        use=_use(use) if use else None,
        parent=look(parent) if parent else None,
        project=_there(project),
        advisories=_there(advisories),
        stack=_there(stack),
        opinions=(opinion(resolve(also)),) if also else (),
        serving=Serving(**serving),
    )


def _use(path: Path) -> Mapping[str, Any]:
    text = read_small(path, _MAX_USE, printable(path)).decode("utf-8", "replace")
    plain: dict[str, Any] = msgspec.to_builtins(read_use(text, source=printable(path)))
    return {name: value for name, value in plain.items() if value is not None}


def _there(path: Path | None) -> Path | None:
    if path is not None and not path.exists():
        raise UsageError(f"{printable(path)} does not exist: check the spelling of the path.")
    return path


def compare(
    old: str, new: str, *, data: Path | None = None, progress: Progress | None = None
) -> Difference:
    """Say what changed between two models, or two passports.

    Args:
        old: Path of a model or passport, or the name or digest of an admitted model.
        new: The same.
        data: Data folder in which admitted models are known.
        progress: Called with bytes done and bytes in total.

    Raises:
        UsageError: There is no such model or passport.
        KeelmarkError: One cannot be read.
    """
    return difference(_side(old, data, progress), _side(new, data, progress))


def _side(ref: str, data: Path | None, progress: Progress | None) -> Side:
    path = Path(ref)
    if path.exists() and not _is_passport(path):
        report, manifest, facts = vetted(path, progress=progress)
        return Side(manifest, report.findings, report.sections, facts)
    if path.exists():
        passport = Passport.load(path)
    else:
        with Home.open(data) as home:
            passport = find_passport(home, ref)
    said = passport.statement.predicate
    return Side(passport.manifest, said.findings, said.sections, None)


def _is_passport(path: Path) -> bool:
    """Whether a file looks like a passport: JSON that begins like an envelope."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(256).lstrip()
    return head.startswith(b"{") and b'"payload' in head
