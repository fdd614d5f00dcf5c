"""Known vulnerabilities of what will load the model, and whether this very model meets one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Line, Section
from keelmark.vet.contract import Rule, printable
from keelmark.vet.registry import all_rules
from keelmark.vet.survey import Subject, Survey, Surveyed
from keelmark.vet.vulnerabilities import database, osv, stack, triggers
from keelmark.vet.vulnerabilities.database import Database
from keelmark.vet.vulnerabilities.osv import Affects, Group
from keelmark.vet.vulnerabilities.stack import Stack
from keelmark.vet.vulnerabilities.triggers import Hit
from keelmark.vet.vulnerabilities.versions import Package

_LINES = 200
_TAGS = ("owasp:llm03", "cwe:CWE-1395")

TRIGGERED = Rule(
    "vulnerabilities.triggered",
    "The file triggers a known vulnerability of the engine",
    Severity.CRITICAL,
    "The file has the very property that a known vulnerability needs, and the version of the "
    "engine that will load it is affected.",
    "Do not load the file with this version: update the engine to a fixed one, and ask whoever "
    "made the file why it is so.",
    _TAGS,
)
EXPOSED = Rule(
    "vulnerabilities.exposed",
    "The file is of a kind that the engine does not load safely",
    Severity.MEDIUM,
    "The version of the engine that will load the file has a known vulnerability that is used "
    "through files of this kind; nothing was seen in this file that uses it.",
    "Update the engine to a fixed version, or load the model in a form that is not concerned.",
    _TAGS,
)
AFFECTED = Rule(
    "vulnerabilities.affected_package",
    "A package of the declared stack has a known vulnerability",
    Severity.HIGH,
    "A package that will load or serve the model is at a version with a known vulnerability.",
    "Update the package to a fixed version.",
    _TAGS,
)
MALICIOUS = Rule(
    "vulnerabilities.malicious_package",
    "A package of the declared stack is malware",
    Severity.CRITICAL,
    "The database of malicious packages lists this package at this version.",
    "Remove the package, and treat the machine it was installed on as broken into.",
    ("owasp:llm03", "cwe:CWE-506"),
)


class _Match(NamedTuple):
    """A vulnerability of a package.

    Attributes:
        grade: low, medium, high, critical, or "" when nobody says.
        package: The package.
        version: Its version.
        group: What describes it.
        fixed: Versions that fix it, lowest first.
        needs: What must be in use for it to matter; "" when it always does.
        hits: Files of the model that meet it.
    """

    grade: str
    package: Package
    version: str
    group: Group
    fixed: tuple[str, ...]
    needs: str
    hits: tuple[Hit, ...]

    @property
    def name(self) -> str:
        return self.group.ids[0]

    @property
    def title(self) -> str:
        return next((r.summary for r in self.group.records if r.summary), "no summary")


def run(subject: Subject) -> Surveyed:
    """Match the stack with the seed and, if one is given, a dump."""
    asked = subject.asked
    used = stack.read(asked.stack) if asked.stack else stack.installed(subject.machine.engines)
    wanted = frozenset(where for where, _ in used.versions)
    dump = database.read(asked.advisories, wanted) if asked.advisories else None
    tags = {name: rule.tags for name, rule in all_rules().items()}
    met = triggers.hits(subject, tags)
    matches, open_questions = _match(used, dump, met)
    unanswered = (
        *_doubts(subject, dump, wanted),
        *open_questions,
        *(f"{what}, so it was not checked" for what in used.unknown[:20]),
        *([f"{len(used.unknown) - 20} more are not checked"] if len(used.unknown) > 20 else []),
    )
    section = Section(
        title="Known vulnerabilities",
        answer=_answer(matches, dump, unanswered),
        summary=printable(_summary(matches, used, dump, subject), 600),
        lines=tuple(_line(match) for match in matches[:_LINES]),
        unanswered=tuple(printable(one, 400) for one in unanswered),
        required=bool(asked.advisories or asked.stack),
        data=_data(matches, used, dump),
    )
    return Surveyed(section, tuple(_findings(matches, used)))


def _match(used: Stack, dump: Database | None, met: list[Hit]) -> tuple[list[_Match], list[str]]:
    groups = _by_package(osv.merge([*database.seed().records, *(dump.records if dump else ())]))
    matches: list[_Match] = []
    unsure: list[str] = []
    for where, version in used.versions:
        for group in groups.get(where, ()):
            answer = osv.affects_by(group.records, where, version)
            if answer is Affects.YES:
                matches.append(_describe(where, version, group, met))
            elif answer is Affects.UNKNOWN:
                unsure.append(
                    f"whether {group.ids[0]} concerns {where} {version} could not be told: its "
                    "affected versions are given in a way that cannot be compared"
                )
    matches.sort(key=lambda m: (-_rank(m), m.package, m.version, m.name))
    return matches, unsure


def _by_package(groups: Iterable[Group]) -> dict[Package, list[Group]]:
    found: dict[Package, list[Group]] = {}
    for group in groups:
        for where in {one for r in group.records for part in r.affected for one in part.packages()}:
            found.setdefault(where, []).append(group)
    return found


def _describe(where: Package, version: str, group: Group, met: list[Hit]) -> _Match:
    concerned = [r for r in group.records if osv.affects(r, where, version) is Affects.YES]
    grades = [grade for record in concerned if (grade := record.grade(where))]
    own = database.seed().records  # only our own word may say that something else is needed
    specific = [record.database_specific or {} for record in concerned if record in own]
    needs = next((str(one["needs"]) for one in specific if "needs" in one), "")
    fixed = {name for record in concerned for name in osv.fixes(record, where, version)}
    return _Match(
        max(grades, key=lambda grade: Severity(grade).rank, default=""),
        where,
        version,
        group,
        tuple(sorted(fixed)),
        needs,
        tuple(hit for hit in met if hit.advisory in group.ids),
    )


def _rank(match: _Match) -> int:
    met = 20 if any(hit.certain for hit in match.hits) else 10 if match.hits else 0
    return met + (0 if match.needs else 5) + (Severity(match.grade).rank if match.grade else 3)


def _doubts(subject: Subject, dump: Database | None, wanted: frozenset[Package]) -> Iterator[str]:
    seed = database.seed()
    if dump is None:
        yield (
            f"only the seed of {seed.newest} was asked, {seed.read} advisories on software that "
            "loads models, which says nothing of all others: give an OSV dump"
        )
        return
    yield from dump.doubts(subject.today, subject.asked.advisory_days)
    for ecosystem in sorted({where.ecosystem for where in wanted} - dump.ecosystems):
        names = sorted(where.name for where in wanted if where.ecosystem == ecosystem)
        what = f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
        dumps = "GIT/all.zip" if ecosystem == "GitHub" else f"{ecosystem}/all.zip"
        yield f"for {what} only the seed was asked: the dump has nothing like {dumps}"


def _answer(matches: list[_Match], dump: Database | None, unanswered: tuple[str, ...]) -> str:
    if any(hit.certain for match in matches for hit in match.hits):
        return "triggered"
    if any(not match.needs for match in matches):
        return "affected"
    if matches:
        return "affected if used"
    if dump is None:
        return "seed only"
    return "could not tell" if unanswered else "none known"


def _summary(matches: list[_Match], used: Stack, dump: Database | None, subject: Subject) -> str:
    seed = database.seed()
    which = f"the seed of {seed.newest} only ({seed.read} advisories)"
    if dump is not None and dump.newest:
        age = max(0, (subject.today - dump.newest).days)
        which = (
            f"an OSV dump that ends on {dump.newest} ({age} days old, {dump.read} records) and the "
            f"seed of {seed.newest}"
        )
    elif dump is not None:
        which = f"an empty OSV dump and the seed of {seed.newest}"
    met = sum(any(hit.certain for hit in match.hits) for match in matches)
    found = f"{len(matches)} known vulnerabilities" if matches else "no known vulnerability"
    if len(matches) == 1:
        found = "1 known vulnerability"
    if matches:
        names = list(dict.fromkeys(match.name for match in matches))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        found += f" ({', '.join(printable(name, 40) for name in names[:3])}{more})"
    tail = f", {met} of which this model triggers" if met else ""
    who = f"{used.source} has" if used.declared else f"What {used.source} needs has"
    return f"{who} {found}{tail}, by {which}."


def _line(match: _Match) -> Line:
    answer = "affected if used" if match.needs else "affected"
    if match.hits:
        answer = "triggered" if any(hit.certain for hit in match.hits) else "exposed"
    parts = [match.title.rstrip(".")]
    if match.needs:
        parts.append(f"needs {match.needs}")
    parts += [f"{hit.path} {hit.says}" for hit in match.hits[:3]]
    parts.append(f"fixed in {match.fixed[0]}" if match.fixed else "no fixed version is named")
    ids = ", ".join(match.group.ids[:6])
    return Line(
        what=printable(f"{match.name} in {match.package} {match.version}", 200),
        answer=answer,
        why=printable("; ".join(parts) + ".", 600),
        evidence=printable(f"{match.grade or 'severity not stated'}; {ids}", 300),
    )


def _findings(matches: Iterable[_Match], used: Stack) -> Iterator[ArtefactFinding]:
    for match in matches:
        which = f"{match.package} {match.version}"
        mend = f"; fixed in {match.fixed[0]}" if match.fixed else ""
        for hit in match.hits:
            yield (TRIGGERED if hit.certain else EXPOSED).about(
                hit.path.partition("!")[0],
                f"{match.name} in {which}",
                f"{hit.path.partition('!')[2] or 'The file'} {hit.says}: {match.title}{mend}.",
            )
        if not used.declared:
            continue
        malware = any(record.malicious for record in match.group.records)
        grade = Severity(match.grade) if match.grade else AFFECTED.severity
        yield (MALICIOUS if malware else AFFECTED).about(
            ".",
            f"{match.name} in {which}",
            f"{which} has {match.name}: {match.title}{mend}.",
            severity=MALICIOUS.severity if malware else Severity.LOW if match.needs else grade,
        )


def _data(matches: list[_Match], used: Stack, dump: Database | None) -> dict[str, Any]:
    seed = database.seed()
    known: dict[str, Any] = {"seed": {"newest": str(seed.newest), "records": seed.read}}
    if dump is not None:
        known["dump"] = {
            "newest": str(dump.newest) if dump.newest else None,
            "records": dump.read,
            "problems": list(dump.problems),
        }
    return {
        "databases": known,
        "stack": {"source": used.source, "packages": len(used.versions)},
        "affected": [
            {
                "package": str(match.package),
                "version": match.version,
                "ids": list(match.group.ids),
                "severity": match.grade or None,
                "fixed": list(match.fixed),
                "needs": match.needs or None,
                "triggered_by": sorted({hit.path for hit in match.hits if hit.certain}),
                "exposed_by": sorted({hit.path for hit in match.hits if not hit.certain}),
            }
            for match in matches
        ],
    }


SURVEY = Survey(
    title="Known vulnerabilities of what will load the model",
    version=f"1 (seed {database.seed().newest})",
    tags=("owasp:llm03",),
    rules=(TRIGGERED, EXPOSED, AFFECTED, MALICIOUS),
    examples=("advisory-triggered", "advisory-exposed", "advisory-malware"),
    run=run,
)
