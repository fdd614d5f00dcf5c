"""What the workflows of GitHub Actions in a project do, as far as their files tell.

Sources: GitHub's workflow syntax, and OpenSSF Scorecard's documentation of Dangerous-Workflow,
Token-Permissions, Pinned-Dependencies, Packaging and SAST.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from keelmark.core.yamlfile import stranger_yaml

MAX_TEXT = 256 * 1024
"""Longest workflow that is read, characters."""

_UNTRUSTED = re.compile(
    r"github\.(event\.(issue\.(title|body)|pull_request\.(title|body|head\.(ref|label|"
    r"repo\.default_branch))|comment\.body|review(_comment)?\.body|discussion\.(title|body)|"
    r"pages\b.*\.page_name|commits\b.*\.(message|author\.(email|name))|head_commit\.(message|"
    r"author\.(email|name))|workflow_run\.(head_branch|head_commit\.message|"
    r"pull_requests\b.*\.head\.ref))|head_ref)"
)
_EXPRESSION = re.compile(r"\$\{\{(.{0,500}?)\}\}", re.DOTALL)
_HEAD = re.compile(
    r"github\.(event\.(pull_request\.(head|number)|number|workflow_run\.head)|head_ref)"
    r"|refs/pull/"
)
_PINNED = re.compile(r"@[0-9a-f]{40}([0-9a-f]{24})?$")
_IMAGE = re.compile(r"@sha256:[0-9a-f]{64}$")
_SAST = re.compile(
    r"github/codeql-action/(init|analyze)|sonarsource/|snyk/actions|returntocorp/semgrep|"
    r"semgrep/semgrep|pyupio/|bandit|security-code-scan|shiftleft|checkmarx|qodana",
    re.IGNORECASE,
)
_PACKAGING = re.compile(
    r"pypa/gh-action-pypi-publish|\btwine upload\b|\b(poetry|flit|hatch|uv|maturin|pdm) publish\b|"
    r"\bnpm publish\b|\bcargo publish\b|goreleaser/goreleaser-action|docker/build-push-action|"
    r"\bgem push\b|\bmvn\b.{0,80}\bdeploy\b|\bgradlew?\b.{0,80}\bpublish|\bdotnet nuget push\b|"
    r"\bdocker push\b|semantic-release|ko-build|rust-lang/crates-io-auth",
    re.IGNORECASE,
)
_LARGE = {"contents", "packages", "actions"}
_SMALL = {"statuses", "checks", "security-events", "deployments"}


class Workflow(NamedTuple):
    """One workflow.

    Attributes:
        path: Its file.
        parsed: Its content; None when it is no YAML mapping.
    """

    path: str
    parsed: Mapping[Any, Any] | None

    @property
    def jobs(self) -> dict[str, Mapping[str, Any]]:
        """Jobs by name."""
        found = self.parsed.get("jobs") if self.parsed else None
        if not isinstance(found, Mapping):
            return {}
        return {str(name): job for name, job in found.items() if isinstance(job, Mapping)}

    @property
    def triggers(self) -> set[str]:
        """Names of the events that start it. YAML 1.1 reads the key `on` as true."""
        found = (self.parsed or {}).get("on", (self.parsed or {}).get(True))
        if isinstance(found, str):
            return {found}
        if isinstance(found, list | Mapping):
            return {str(name) for name in found}
        return set()

    def steps(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield every step with the name of its job."""
        for name, job in self.jobs.items():
            steps = job.get("steps")
            for step in steps if isinstance(steps, list) else ():
                if isinstance(step, Mapping):
                    yield name, step

    def uses(self) -> Iterator[str]:
        """Yield every action and reusable workflow that is named."""
        for _, step in self.steps():
            if isinstance(step.get("uses"), str):
                yield step["uses"].strip()
        for job in self.jobs.values():
            if isinstance(job.get("uses"), str):
                yield job["uses"].strip()

    def text(self) -> str:
        """Return what its steps run and use, one after the other."""
        runs = [str(step.get("run", "")) for _, step in self.steps()]
        return "\n".join([*runs, *self.uses()])


def read(path: str, text: str) -> Workflow:
    """Read a workflow; one that is too long, too deep or has aliases has no content."""
    try:
        value = stranger_yaml(text) if len(text) <= MAX_TEXT else None
    except ValueError:
        value = None
    return Workflow(path, value if isinstance(value, Mapping) else None)


def dangers(flow: Workflow) -> list[str]:
    """Return what is dangerous in a workflow, phrases."""
    found = []
    privileged = flow.triggers & {"pull_request_target", "workflow_run"}
    for job, step in flow.steps():
        given = step.get("with")
        ref = str(given.get("ref", "")) if isinstance(given, Mapping) else ""
        checkout = str(step.get("uses", "")).lower().startswith("actions/checkout")
        if privileged and checkout and _HEAD.search(ref):
            event = min(privileged)
            found.append(f"{flow.path}: job {job} checks out a stranger's code on {event}")
        script = str(step.get("run", ""))
        if isinstance(given, Mapping) and "script" in given:
            script += str(given["script"])
        found += [
            f"{flow.path}: job {job} runs text of {match[0]} as part of a script"
            for expression in _EXPRESSION.finditer(script)
            if (match := _UNTRUSTED.search(expression[1]))
        ]
    return found


def excess(flow: Workflow) -> tuple[float, list[str]]:
    """Return how many points a workflow's permissions cost, and why.

    Returns:
        0 when read-only at the top and no more than needed below; up to 10.
    """
    if flow.parsed is None:
        return 0.0, []
    top = flow.parsed.get("permissions", "absent")
    jobs = [job.get("permissions", "absent") for job in flow.jobs.values()]
    if top == "absent" and "absent" in jobs:
        return 10.0, [f"{flow.path} sets no permissions, so its token may have all"]
    lost = 1.0 if top == "absent" and jobs else 0.0
    why = [f"{flow.path} sets permissions for jobs only"] if lost else []
    if _writes(top) & (_LARGE | _SMALL | {"*"}):
        return 10.0, [f"{flow.path} grants {', '.join(sorted(_writes(top)))}: write to all jobs"]
    publishes = bool(_PACKAGING.search(flow.text()))
    for name, granted in zip(flow.jobs, jobs, strict=True):
        large = _writes(granted) & (_LARGE | {"*"})
        if large and not publishes:
            lost += 10.0 if "*" in large else 4.0
            why.append(f"{flow.path}: job {name} may write {', '.join(sorted(large))}")
        small = _writes(granted) & _SMALL
        if small and not _SAST.search(flow.text()):
            lost += 1.0
            why.append(f"{flow.path}: job {name} may write {', '.join(sorted(small))}")
    return min(lost, 10.0), why


def _writes(granted: object) -> set[str]:
    if granted == "write-all":
        return {"*"}
    if isinstance(granted, Mapping):
        return {str(name) for name, how in granted.items() if how == "write"}
    return set()


def unpinned(flow: Workflow) -> tuple[list[str], int]:
    """Return actions that are not pinned to a commit, and how many actions there are."""
    used = [one for one in flow.uses() if not one.startswith("./")]
    loose = [
        one
        for one in used
        if not (_IMAGE.search(one) if one.startswith("docker://") else _PINNED.search(one))
    ]
    return loose, len(used)


def publishes(flow: Workflow) -> bool:
    """Whether a workflow publishes packages."""
    return bool(_PACKAGING.search(flow.text()))


def analyses(flow: Workflow) -> bool:
    """Whether a workflow runs a static analysis for security."""
    return bool(_SAST.search(flow.text()))
