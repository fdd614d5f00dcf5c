"""What a survey is: one file in `vet/surveys/` with one value called `SURVEY`.

Checks look at one file each, in the limited process. A survey looks at what they learnt of all
files together and answers one question about the whole: may we use it, where does it come from,
will it fit. It reads no bytes of the artefact; everything it may know is in the subject.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Section
from keelmark.passport.manifest import Manifest
from keelmark.vet.contract import Rule
from keelmark.vet.machine import Machine

Facts = Mapping[str, Mapping[str, Any]]
"""Path of a file (`file!member` within archives) to fact name to value."""


class Whole(NamedTuple):
    """Another artefact to compare with, such as the parent.

    Attributes:
        manifest: Its files.
        facts: What checks learnt of them.
    """

    manifest: Manifest
    facts: Facts


class Remark(NamedTuple):
    """Something that another tool says of a file.

    Attributes:
        path: Path of the file within the artefact.
        location: Where in it.
        severity: How grave it is, on our scale.
        code: Its own name for it.
        message: What it says.
    """

    path: str
    location: str
    severity: Severity
    code: str
    message: str


class Opinion(NamedTuple):
    """What another tool says.

    Attributes:
        tool: Its name.
        version: Its version, if it tells.
        remarks: What it found.
        complete: Whether it says that it could look at everything.
    """

    tool: str
    version: str
    remarks: tuple[Remark, ...]
    complete: bool


class Serving(NamedTuple):
    """How the model is to be served, for what it needs.

    Attributes:
        context: Tokens of each request; 0 for 8,192, or what the model was made for.
        requests: Requests at work together, each with that context.
        cache_type: Number type of the cache.
    """

    context: int = 0
    requests: int = 1
    cache_type: str = "f16"


class Asked(NamedTuple):
    """What the user wants to know beyond the artefact itself; nothing by default.

    Attributes:
        use: Declared use, plain values as read from the file.
        parent: The model that this one is said to be made from.
        project: A local git clone of the project behind it.
        advisories: An OSV dump: a ZIP, or a folder.
        advisory_days: Age from which that dump no longer answers for what came later, days.
        stack: A requirements file, lock file or CycloneDX file of what will load the model; this
            installation when None.
        opinions: What other tools say of it.
        serving: How it is to be served.
    """

    use: Mapping[str, Any] | None = None
    parent: Whole | None = None
    project: Path | None = None
    advisories: Path | None = None
    advisory_days: int = 30
    stack: Path | None = None
    opinions: tuple[Opinion, ...] = ()
    serving: Serving = Serving()


NOTHING = Asked()
"""Nothing beyond the artefact itself."""


class Subject(NamedTuple):
    """Everything a survey may know.

    Attributes:
        manifest: The files.
        facts: What checks learnt of them.
        findings: What checks found.
        asked: What the user wants to know.
        machine: Where it would run.
        today: The day.
    """

    manifest: Manifest
    facts: Facts
    findings: tuple[ArtefactFinding, ...]
    asked: Asked
    machine: Machine
    today: dt.date


class Surveyed(NamedTuple):
    """The answer of a survey.

    Attributes:
        section: Its section; None when it was not asked and has nothing to say.
        findings: What counts for the verdict.
        numbers: Files that are nothing but numbers from end to end, because another file, which
            was read whole, says so; that no check knows their format is then no gap.
    """

    section: Section | None
    findings: tuple[ArtefactFinding, ...] = ()
    numbers: frozenset[str] = frozenset()


class Survey(NamedTuple):
    """A survey.

    Attributes:
        title: What it looks into, a few words.
        version: Version of this survey and of its data.
        tags: Risks it answers.
        rules: Every rule it can report.
        examples: Ids of corpus cases that fire its rules.
        run: Answer.
    """

    title: str
    version: str
    tags: tuple[str, ...]
    rules: tuple[Rule, ...]
    examples: tuple[str, ...]
    run: Callable[[Subject], Surveyed]


class SurveyModule(Protocol):
    """A module in `vet/surveys/`."""

    SURVEY: Survey
