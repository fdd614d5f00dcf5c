"""Whether the files that other files point to are there, and long enough.

ONNX models, OpenVINO networks and indices of shards name other files and places in them. One that
is missing is told; a place behind the end of its file is a finding, since a loader that maps the
file reads foreign memory there. A file of unknown format that such tensors fill from end to end
is numbers, and nothing else is known to read it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any, NamedTuple

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Line, Section
from keelmark.vet.contract import Rule, printable
from keelmark.vet.survey import Subject, Survey, Surveyed

_SHOWN = 20
_ALIGNED = 65_536  # ONNX Runtime puts large tensors at multiples of it

OUTSIDE = Rule(
    "parts.outside_file",
    "Data behind the end of a file",
    Severity.HIGH,
    "A loader that maps the other file reads foreign memory, and may hand it out.",
    "Fetch both files again from their publisher and compare the digests.",
    ("owasp:llm03", "cwe:CWE-125"),
)


class _Reference(NamedTuple):
    """Which file points where, how long the other one must be, and what of it is not explained."""

    path: str
    target: str
    end: int
    gap: int | None = None


def _references(path: str, facts: dict[str, Any]) -> Iterator[_Reference]:
    folder = posixpath.dirname(path)
    said = facts.get("onnx", {})
    for location, end in sorted(said.get("external", {}).items()):
        target = posixpath.normpath(posixpath.join(folder, location))
        yield _Reference(path, target, end, said.get("gaps", {}).get(location))
    needed = facts.get("openvino", {}).get("weights", 0)
    if needed:
        yield _Reference(path, posixpath.splitext(path)[0] + ".bin", needed)
    index = facts.get("json")
    names = index.get("weight_map") if isinstance(index, dict) else None
    if path.endswith(".index.json") and isinstance(names, dict):
        for name in sorted({str(name) for name in names.values()}):
            yield _Reference(path, posixpath.normpath(posixpath.join(folder, name)), 0)


def run(subject: Subject) -> Surveyed:
    """Compare what is pointed to with what is there."""
    if subject.manifest.is_file:
        return Surveyed(None)  # of one file alone the others are never at hand
    sizes = {entry.path: entry.size for entry in subject.manifest.entries}
    pointed = [
        reference
        for path, facts in sorted(subject.facts.items())
        for reference in _references(path, dict(facts))
    ]
    if not pointed:
        return Surveyed(None)
    missing = sorted({reference.target for reference in pointed} - sizes.keys())
    findings = tuple(_outside(pointed, sizes))
    answer = "not sound" if findings else f"{len(missing)} missing" if missing else "complete"
    there = len({reference.target for reference in pointed}) - len(missing)
    section = Section(
        title="Parts",
        answer=answer,
        summary=f"{there} of {there + len(missing)} files that other files point to are there.",
        lines=tuple(
            Line(what=printable(name, 200), answer="missing", why="Another file points to it.")
            for name in missing[:_SHOWN]
        ),
        unanswered=("what stands in the missing files",) if missing else (),
        data={"missing": missing[:1000], "there": there},
    )
    return Surveyed(section, findings, frozenset(_numbers(pointed, sizes)))


def _numbers(pointed: list[_Reference], sizes: dict[str, int]) -> Iterator[str]:
    """Files that the tensors of one model fill from end to end, but for what aligns them."""
    for one in pointed:
        rest = sizes.get(one.target, 0) - one.end
        if one.end and one.gap is not None and one.gap < _ALIGNED and 0 <= rest < _ALIGNED:
            yield one.target


def _outside(pointed: list[_Reference], sizes: dict[str, int]) -> Iterator[ArtefactFinding]:
    for reference in pointed:
        size = sizes.get(reference.target)
        if size is not None and reference.end > size:
            message = f"It points to byte {reference.end} of {reference.target}, which has {size}."
            yield OUTSIDE.about(reference.path, reference.target, message)


SURVEY = Survey(
    title="Files that files point to",
    version="2",
    tags=("owasp:llm03",),
    rules=(OUTSIDE,),
    examples=("onnx-external-outside",),
    run=run,
)
