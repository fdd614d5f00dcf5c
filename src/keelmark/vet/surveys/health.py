"""Whether the project behind the model is in good health, from a clone of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from keelmark.core.errors import CouldNotCheckError, UsageError
from keelmark.core.vetting import Line, Section
from keelmark.vet.contract import printable
from keelmark.vet.health import checks, clone, workflows
from keelmark.vet.health.checks import CHECKS, NOT_HERE, WEIGHTS, Check, Outcome, Project
from keelmark.vet.survey import Subject, Survey, Surveyed
from keelmark.vet.vulnerabilities import database, osv, stack
from keelmark.vet.vulnerabilities.osv import Affects
from keelmark.vet.vulnerabilities.versions import Package

_TITLE = "Health of the project"


class _Told(NamedTuple):
    """A check and what it said."""

    check: Check
    outcome: Outcome


def run(subject: Subject) -> Surveyed:
    """Read the clone, run every check, and weigh what could be told."""
    where = subject.asked.project
    if where is None:
        return Surveyed(None)
    try:
        repository = clone.opened(where)
    except CouldNotCheckError as error:
        return Surveyed(
            Section(
                title=_TITLE,
                answer="could not tell",
                summary="The health of the project could not be told.",
                unanswered=(error.message,),
                required=True,
            )
        )
    flows = tuple(
        workflows.read(path, repository.text(path))
        for path in repository.files
        if path.startswith(".github/workflows/") and path in repository.contents
    )
    vulnerable = _vulnerable(repository, subject)
    project = Project(repository, flows, subject.today, vulnerable)
    return Surveyed(_section([_Told(check, check.run(project)) for check in CHECKS], repository))


def _section(told: list[_Told], repository: clone.Repository) -> Section:
    known = [one for one in told if one.outcome.score is not None]
    weight = sum(WEIGHTS[one.check.risk] for one in known)
    points = sum(WEIGHTS[one.check.risk] * (one.outcome.score or 0.0) for one in known)
    total = round(points / weight, 1) if weight else None
    every = len(CHECKS) + len(NOT_HERE)
    covers = f"over {len(known)} of {every} checks"
    worst = sorted(known, key=lambda one: (one.outcome.score or 0) - WEIGHTS[one.check.risk])
    weak = [one.check.name for one in worst if (one.outcome.score or 0) < 5][:3]
    least = f"; weakest: {', '.join(weak)}" if weak else ""
    return Section(
        title=_TITLE,
        answer=f"{total} of 10" if total is not None else "could not tell",
        summary=f"{total} of 10 {covers}; what could not be told takes no part{least}."
        if total is not None
        else "None of the checks could be told.",
        lines=tuple(_line(one) for one in told),
        unanswered=(
            *(f"{one.check.name}: {one.outcome.why}" for one in told if one.outcome.score is None),
            *(f"{name}: {why}" for name, why in NOT_HERE),
            *(printable(f"left out: {one}", 200) for one in repository.cut[:5]),
            *(
                ["the clone is shallow: history before its beginning is not seen"]
                * repository.shallow
            ),
        ),
        data={
            "score": total,
            "told": len(known),
            "checks": {
                one.check.name: {
                    "score": None if one.outcome.score is None else round(one.outcome.score, 1),
                    "risk": one.check.risk,
                    "why": one.outcome.why,
                }
                for one in told
            },
            "not_in_a_clone": [name for name, _ in NOT_HERE],
        },
    )


def _line(one: _Told) -> Line:
    score = one.outcome.score
    return Line(
        what=f"{one.check.name}: {one.check.asks}",
        answer="could not tell" if score is None else f"{score:.1f} of 10",
        why=f"{one.outcome.why[0].upper()}{one.outcome.why[1:]} ({one.check.risk} risk).",
        evidence=printable(one.outcome.evidence, 300),
    )


def _vulnerable(repository: clone.Repository, subject: Subject) -> Outcome:
    """Match what the project's lock files pin with the seed and the dump."""
    locks = [path for path in repository.contents if _is_lock(path)]
    pairs = {pair for path in locks for pair in _pinned(path, repository.contents[path])}
    if not pairs:
        return Outcome(None, "no lock file that pins versions was read")
    wanted = frozenset(where for where, _ in pairs)
    asked = subject.asked
    dump = database.read(asked.advisories, wanted) if asked.advisories else None
    records = [*database.seed().records, *(dump.records if dump else ())]
    found = {
        group.ids[0]
        for group in osv.merge(records)
        for where, version in pairs
        if osv.affects_by(group.records, where, version) is Affects.YES
    }
    if found:
        names = ", ".join(sorted(found)[:3])
        return Outcome(max(0.0, 10.0 - len(found)), f"{len(found)} known vulnerabilities", names)
    doubts = (
        dump.doubts(subject.today, asked.advisory_days) if dump else ["only the seed was asked"]
    )
    if doubts:
        return Outcome(None, f"none is known of {len(pairs)} packages, but {doubts[0]}")
    return Outcome(10.0, f"no known vulnerability in {len(pairs)} packages")


def _is_lock(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.endswith((".lock", ".txt")) or name.startswith("pylock")


def _pinned(path: str, data: bytes) -> set[tuple[Package, str]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / path.rpartition("/")[2]
        file.write_bytes(data)
        try:
            return set(stack.read(file).versions)
        except UsageError:
            return set()


SURVEY = Survey(
    title=_TITLE,
    version=f"1 ({len(checks.CHECKS)} checks after OpenSSF Scorecard 5)",
    tags=("owasp:llm03",),
    rules=(),
    examples=(),
    run=run,
)
