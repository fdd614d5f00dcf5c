"""Checks of a project's health by its files and its history.

Sources: the documentation of OpenSSF Scorecard's checks (version 5), whose names and risks are
kept; bus factor, release cadence and signed commits are our own. Each check gives 0 to 10 points,
or none when it cannot be told; what is not told takes no part in the total.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from keelmark.vet.documentation.evidence import licence_of_text
from keelmark.vet.documentation.mof import openness
from keelmark.vet.health import pins, workflows
from keelmark.vet.health.clone import Repository
from keelmark.vet.health.workflows import Workflow

WEIGHTS = {"critical": 10.0, "high": 7.5, "medium": 5.0, "low": 2.5}
"""Weight of a check by its risk, as Scorecard weighs."""

_DAY = 86_400
_BINARY = re.compile(
    r"\.(crx|deb|dex|dey|elf|o|a|so(\.\d+)*|dylib|dll|exe|class|jar|war|pyc|pyo|par|rpm|wasm|whl|"
    r"macho|iso|msi|apk|lib|pyd|node|ko|bin)$",
    re.IGNORECASE,
)
_DATA = re.compile(
    r"(^|/)(tests?|testdata|test_data|fixtures?|samples?|corpus|examples?)/", re.IGNORECASE
)
_UPDATERS = re.compile(
    r"^(\.github/dependabot\.ya?ml|(\.github/|\.gitlab/)?renovate\.json5?|\.renovaterc(\.json)?|"
    r"\.pyup\.yml|\.lift\.toml|\.lift/config\.toml)$",
    re.IGNORECASE,
)
_BOT = re.compile(r"^(dependabot|renovate|pyup)[\w-]*(\[bot\]|-bot)")
_POLICY = re.compile(
    r"^(\.github/|\.gitlab/|docs/)?security\.(md|adoc|rst|txt|markdown)$", re.IGNORECASE
)
_LICENCE = re.compile(
    r"^((licen[cs]es?|copying|copyright|unlicense)([._-][^/]*)?|[a-z0-9.+-]+-licen[cs]e)"
    r"(\.(adoc|asc|docx?|html|markdown|md|rst|txt|xml))?$",
    re.IGNORECASE,
)
_FUZZ_NAME = re.compile(r"(^|/)(\.clusterfuzzlite/dockerfile|\.onefuzz)$", re.IGNORECASE)
_FUZZ_CODE = re.compile(
    rb"\batheris\.(Setup|Fuzz)\b|\bfunc Fuzz\w+\(\w+ \*testing\.F\)|\bfuzz_target!\s*\(|"
    rb"\bLLVMFuzzerTestOneInput\b|\bfrom hypothesis\b|\bimport hypothesis\b|\bfast-check\b"
)
_MOST_LICENCES = 10
_ADDRESS = re.compile(r"https?://\S+|[\w.+-]+@[\w-]+\.[\w.-]+")


class Outcome(NamedTuple):
    """What a check says.

    Attributes:
        score: 0 to 10; None when it could not be told.
        why: One phrase.
        evidence: Files or figures behind it.
    """

    score: float | None
    why: str
    evidence: str = ""


class Project(NamedTuple):
    """What checks look at.

    Attributes:
        repository: The clone.
        flows: Its workflows.
        today: The day.
        vulnerable: Answer about known vulnerabilities of its locked dependencies.
    """

    repository: Repository
    flows: tuple[Workflow, ...]
    today: dt.date
    vulnerable: Outcome


class Check(NamedTuple):
    """One check: its name, its risk, what it asks, and how it is told."""

    name: str
    risk: str
    asks: str
    run: Callable[[Project], Outcome]


def _few(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def _binaries(project: Project) -> Outcome:
    found = [
        path
        for path in project.repository.files
        if _BINARY.search(path) and not _DATA.search(path) and path in project.repository.blobs
    ]
    score = max(0.0, 10.0 - len(found))
    return Outcome(score, f"{len(found)} executables among the files", _few(found))


def _dangerous(project: Project) -> Outcome:
    if not project.flows:
        return Outcome(None, "it has no workflows of GitHub Actions")
    broken = [flow.path for flow in project.flows if flow.parsed is None]
    found = [danger for flow in project.flows for danger in workflows.dangers(flow)]
    if found:
        return Outcome(0.0, "a workflow can be taken over", _few(found))
    if broken:
        return Outcome(None, "a workflow could not be read", _few(broken))
    return Outcome(10.0, f"nothing dangerous in {len(project.flows)} workflows")


def _updates(project: Project) -> Outcome:
    found = [path for path in project.repository.files if _UPDATERS.match(path)]
    if found:
        return Outcome(10.0, "dependencies are updated by a tool", _few(found))
    bots = {c.author for c in project.repository.commits if _BOT.search(c.author)}
    if bots:
        return Outcome(
            10.0, "dependencies are updated by a tool", f"commits by {_few(sorted(bots))}"
        )
    return Outcome(0.0, "neither configuration nor commits of a tool that updates dependencies")


def _fuzzing(project: Project) -> Outcome:
    found = [path for path in project.repository.files if _FUZZ_NAME.search(path)]
    found += [
        path
        for path, data in project.repository.contents.items()
        if _FUZZ_CODE.search(data) and path.endswith((".py", ".go", ".rs", ".c", ".cc", ".cpp"))
    ]
    if found:
        return Outcome(10.0, "it is fuzzed", _few(found))
    return Outcome(None, "no fuzzing in files named for it; others, like OSS-Fuzz, may fuzz it")


def _licence(project: Project) -> Outcome:
    top = [path for path in project.repository.files if "/" not in path and _LICENCE.match(path)]
    inner = [p for p in project.repository.files if p.lower().startswith("licenses/")]
    if not top and not inner:
        return Outcome(0.0, "no licence file")
    texts = (project.repository.text(path) for path in (*top, *inner)[:_MOST_LICENCES])
    known = any(openness(licence_of_text(text)) for text in texts)
    score = 6.0 + (3.0 if top else 0.0) + (1.0 if known else 0.0)
    kind = "an open one" if known else "not recognised as an open one"
    return Outcome(score, f"it has a licence file, {kind}", _few(top or inner))


def _maintained(project: Project) -> Outcome:
    commits = project.repository.commits
    now = _midnight(project.today)
    whole = not project.repository.shallow and not project.repository.cut
    oldest = min((commit.when for commit in commits), default=now)
    recent = [commit for commit in commits if now - 90 * _DAY <= commit.when <= now + _DAY]
    if now - oldest < 90 * _DAY:
        if not whole:
            return Outcome(None, "the clone has too little of the history to tell")
        return Outcome(0.0, "it is younger than 90 days", f"first commit {_date(oldest)}")
    score = min(10.0, len(recent) * 10 / (90 / 7))
    last = _date(max(commit.when for commit in commits))
    return Outcome(score, f"{len(recent)} commits in 90 days", f"last commit {last}")


def _packaging(project: Project) -> Outcome:
    found = [flow.path for flow in project.flows if workflows.publishes(flow)]
    if found:
        return Outcome(10.0, "a workflow publishes packages", _few(found))
    return Outcome(None, "no workflow that publishes packages was seen; it may be done elsewhere")


def _pinned(project: Project) -> Outcome:
    loose: list[str] = []
    total = 0
    for flow in project.flows:
        some, count = workflows.unpinned(flow)
        loose += [f"{flow.path}: {one}" for one in some]
        total += count
    for path, data in sorted(project.repository.contents.items()):
        some, count = pins.unpinned(path, data.decode("utf-8", "replace"))
        loose += [f"{path}: {one}" for one in some]
        total += count
    if not total:
        return Outcome(None, "nothing that could be pinned was seen")
    score = 10.0 * (total - len(loose)) / total
    return Outcome(score, f"{total - len(loose)} of {total} are pinned by hash", _few(loose))


def _sast(project: Project) -> Outcome:
    found = [flow.path for flow in project.flows if workflows.analyses(flow)]
    hooks = project.repository.text(".pre-commit-config.yaml")
    if not found and re.search(r"\b(bandit|semgrep)\b", hooks):
        found = [".pre-commit-config.yaml"]
    if found:
        return Outcome(10.0, "static analysis for security is run", _few(found))
    return Outcome(None, "no static analysis in its files; the forge may run one without them")


def _policy(project: Project) -> Outcome:
    found = [path for path in project.repository.files if _POLICY.match(path)]
    if not found:
        return Outcome(0.0, "no SECURITY.md")
    text = project.repository.text(found[0])
    links = _ADDRESS.findall(text)
    free = len(_ADDRESS.sub("", text).split()) > 20
    hits = sum(len(re.findall(word, text, re.IGNORECASE)) for word in ("vuln", "disclos"))
    hits += len(
        re.findall(r"\b\d{1,3}[ -](?:business |working )?(?:days?|hours?)\b", text, re.IGNORECASE)
    )
    score = (6.0 if links else 0.0) + (3.0 if free else 0.0) + (1.0 if hits >= 2 else 0.0)
    said = "how to report" if links else "no address to report to"
    return Outcome(score, f"its security policy gives {said}", found[0])


def _permissions(project: Project) -> Outcome:
    if not project.flows:
        return Outcome(None, "it has no workflows of GitHub Actions")
    broken = [flow.path for flow in project.flows if flow.parsed is None]
    results = [workflows.excess(flow) for flow in project.flows]
    lost = max(cost for cost, _ in results)
    why = [reason for _, reasons in results for reason in reasons]
    if broken and lost < 10:
        return Outcome(None, "a workflow could not be read", _few(broken))
    if not why:
        return Outcome(10.0, "tokens of workflows may no more than they need")
    return Outcome(10.0 - lost, "tokens of workflows may more than they need", _few(why))


def _vulnerabilities(project: Project) -> Outcome:
    return project.vulnerable


def _bus_factor(project: Project) -> Outcome:
    now = _midnight(project.today)
    authors = Counter(
        commit.author
        for commit in project.repository.commits
        if now - 365 * _DAY <= commit.when <= now + _DAY
        and not commit.merge
        and "[bot]" not in commit.author
    )
    total = sum(authors.values())
    if project.repository.shallow or total < 10:
        return Outcome(None, f"{total} commits of people in a year are too few to tell")
    half = people = 0
    for _, count in authors.most_common():
        half += count
        people += 1
        if half * 2 > total:
            break
    score = {1: 2.0, 2: 5.0, 3: 8.0}.get(people, 10.0)
    who = "1 person" if people == 1 else f"{people} people"
    return Outcome(
        score, f"{who} made more than half of a year's commits", f"{len(authors)} in all"
    )


def _cadence(project: Project) -> Outcome:
    now = _midnight(project.today)
    times = sorted({tag.when for tag in project.repository.tags if tag.when <= now + _DAY})
    if not times:
        return Outcome(None, "it has no tags, so its releases are not seen")
    since = (now - times[-1]) // _DAY
    year = [when for when in times if now - when <= 365 * _DAY]
    score = 10.0 if len(year) >= 4 else 7.0 if len(year) >= 2 else 4.0 if year else 0.0
    return Outcome(
        score, f"{len(year)} releases in a year", f"the last was {max(0, since)} days ago"
    )


def _signed_tags(project: Project) -> Outcome:
    recent = project.repository.tags[:5]
    if not recent:
        return Outcome(None, "it has no tags, so its releases are not seen")
    signed = sum(tag.signed for tag in recent)
    why = f"{signed} of the last {len(recent)} tags carry a signature, which was not verified"
    return Outcome(8.0 * signed / len(recent), why)


def _signed_commits(project: Project) -> Outcome:
    recent = [commit for commit in project.repository.commits if not commit.merge][:100]
    if not recent:
        return Outcome(None, "it has no commits")
    signed = sum(commit.signed for commit in recent)
    why = f"{signed} of the last {len(recent)} commits carry a signature, which was not verified"
    return Outcome(10.0 * signed / len(recent), why)


def _midnight(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())


def _date(when: int) -> str:
    return str(dt.datetime.fromtimestamp(min(when, 253402300799), dt.UTC).date())


CHECKS = (
    Check("Dangerous-Workflow", "critical", "Can a workflow be taken over?", _dangerous),
    Check("Binary-Artifacts", "high", "Are there executables among the sources?", _binaries),
    Check("Dependency-Update-Tool", "high", "Does a tool update dependencies?", _updates),
    Check("Maintained", "high", "Is it worked on?", _maintained),
    Check("Signed-Releases", "high", "Are releases signed?", _signed_tags),
    Check("Token-Permissions", "high", "May workflows only what they need?", _permissions),
    Check("Vulnerabilities", "high", "Are its locked dependencies sound?", _vulnerabilities),
    Check("Fuzzing", "medium", "Is it fuzzed?", _fuzzing),
    Check("Packaging", "medium", "Is it published as a package?", _packaging),
    Check("Pinned-Dependencies", "medium", "Are tools of the build pinned by hash?", _pinned),
    Check("SAST", "medium", "Is it analysed for security?", _sast),
    Check("Security-Policy", "medium", "Does it say how to report?", _policy),
    Check("License", "low", "Does it have a licence?", _licence),
    Check("Bus factor", "high", "How many people carry it?", _bus_factor),
    Check("Release cadence", "medium", "Are there releases?", _cadence),
    Check("Signed commits", "low", "Are commits signed?", _signed_commits),
)
NOT_HERE = (
    ("Branch-Protection", "settings of the forge are not in a clone"),
    ("CI-Tests", "results of runs are not in a clone"),
    ("CII-Best-Practices", "the badge is not in a clone"),
    ("Code-Review", "reviews are not in a clone"),
    ("Contributors", "organisations of people are not in a clone"),
    ("Webhooks", "settings of the forge are not in a clone"),
)
"""Checks of Scorecard that a clone cannot answer."""
