"""Whether the files are those that a signature beside them lists; who signed is not asked here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Line, Section
from keelmark.passport.manifest import SINGLE_FILE
from keelmark.passport.oms_files import GIT
from keelmark.vet.contract import Rule
from keelmark.vet.survey import Subject, Survey, Surveyed

_SHOWN = 20
_TAGS = ("owasp:llm03", "cwe:CWE-345")

ALTERED = Rule(
    "signed.altered",
    "File that is not what was signed",
    Severity.HIGH,
    "A signature lies beside the model and lists another content for this file: it was replaced "
    "after its publisher signed it, or it was damaged.",
    "Fetch the model again from its publisher, then run `keelmark signature verify`.",
    _TAGS,
)
MISSING = Rule(
    "signed.missing",
    "Signed file that is not there",
    Severity.LOW,
    "The signature does not verify without it; a download of a part of the model looks like that.",
    "Fetch the whole model, or vet what you have without the signature.",
    _TAGS,
)
ADDED = Rule(
    "signed.added",
    "File that nobody signed",
    Severity.LOW,
    "It came after the model was signed; the signature says nothing of it and does not verify.",
    "Ask its publisher where it comes from, or take it out.",
    _TAGS,
)


class _Told(NamedTuple):
    """What one signature says beside what lies there."""

    line: Line
    findings: list[ArtefactFinding]
    doubt: str
    data: dict[str, Any]


def _run(subject: Subject) -> Surveyed:
    told = [
        _compare(path, facts["signature"], subject)
        for path, facts in sorted(subject.facts.items())
        if "!" not in path and isinstance(facts.get("signature"), Mapping)
    ]
    if not told:
        return Surveyed(None)
    findings = [finding for one in told for finding in one.findings]
    doubts = [one.doubt for one in told if one.doubt]
    if findings:
        answer, summary = "not what was signed", "Files differ from what a signature lists."
    elif doubts:
        answer, summary = "could not tell", f"{doubts[0]}."
    else:
        answer = "files match"
        summary = (
            f"The files are those that {told[0].data['path']} lists; who signed is not verified."
        )
    section = Section(
        title="Signature",
        answer=answer,
        summary=summary,
        lines=tuple(one.line for one in told),
        unanswered=(*doubts, "who signed: run `keelmark signature verify`"),
        data={"signatures": [one.data for one in told]},
    )
    return Surveyed(section, tuple(findings))


def _compare(path: str, said: Mapping[str, Any], subject: Subject) -> _Told:
    data = {"path": path, "method": said["method"], "signer": said.get("signer", "")}
    if "unread" in said:
        line = Line(what=path, answer="could not tell", why=str(said["unread"]))
        return _Told(line, [], f"{path} could not be compared", data)
    base = path.rpartition("/")[0]
    base = f"{base}/" if base else ""
    digests = {_at(base, path, name): digest for name, digest in said["digests"].items()}
    names = {_at(base, path, name) for name in said["names"]}
    skipped = {base + each for each in (*GIT, *said["ignored"])} | {path}
    here = {e.path: e.sha256 for e in subject.manifest.entries if e.path.startswith(base)}
    altered = sorted(n for n in digests if n in here and here[n] != digests[n])
    single = said["names"] == [SINGLE_FILE]
    parts = not digests or (single and not digests.keys() & here.keys())
    missing = [] if parts else sorted(names - here.keys())
    added = (
        []
        if parts or single
        else sorted(
            n
            for n in here.keys() - names
            if not any(n == s or n.startswith(f"{s}/") for s in skipped)
        )
    )
    findings = [
        *(ALTERED.about(n, path, f"{path} lists another content for it.") for n in altered),
        *(MISSING.about(path, n, f"It lists {n}, which is not there.") for n in missing[:_SHOWN]),
        *(ADDED.about(n, path, f"{path} does not list it.") for n in added[:_SHOWN]),
    ]
    data |= {"listed": len(names), "altered": altered, "missing": missing, "added": added}
    answer = "not what was signed" if findings else "could not tell" if parts else "files match"
    why = f"Signed by {said['method']}: {said.get('signer') or 'not named'}; not verified."
    line = Line(what=path, answer=answer, why=why, evidence=f"{len(names)} listed")
    doubt = f"{path} lists files in a way that vetting cannot compare" if parts else ""
    return _Told(line, findings, doubt, data)


def _at(base: str, signature: str, name: str) -> str:
    """Where a listed file lies; "." is the one that the signature is named after."""
    return signature.removesuffix(".sig") if name == SINGLE_FILE else base + name


SURVEY = Survey(
    title="Files beside their signature",
    version="1",
    tags=_TAGS,
    rules=(ALTERED, MISSING, ADDED),
    examples=("signature-altered", "signature-incomplete"),
    run=_run,
)
