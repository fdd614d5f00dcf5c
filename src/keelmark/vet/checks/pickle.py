"""Pickle streams, also inside archives: their opcodes are followed, nothing is made or run.

Two engines read every stream. Ours follows the loaders (joblib's arrays and torch's old storages
included) and calls harmless only what is listed; modelaudit-picklescan is asked about the same
streams. The graver answer counts, unless ours knows every use of a name to be harmless. Where the
two differ, the evidence says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from keelmark.core.findings import ArtefactFinding
from keelmark.vet import pickle_rules as rules
from keelmark.vet.contract import Check, File, ReadLimitError, Result, Rule
from keelmark.vet.pickle_engine import NAME, VERSION, Hit, Opinion, ask
from keelmark.vet.pickle_judge import Concern, judge_call, judge_import
from keelmark.vet.pickle_names import Level
from keelmark.vet.pickle_nested import Nested
from keelmark.vet.pickle_stream import Reading, read_streams
from keelmark.vet.pickle_values import Blob, Name
from keelmark.vet.sniff import looks_like_pickle

_PLAIN_NAMES = {
    ".safetensors", ".gguf", ".json", ".txt", ".md", ".yaml", ".yml", ".onnx", ".skops", ".keras",
    ".csv", ".toml", ".jinja",
}  # fmt: skip
_KINDS: dict[tuple[str, Level], Rule] = {
    ("call", Level.DANGEROUS): rules.CALL,
    ("call", Level.UNKNOWN): rules.UNKNOWN_CALL,
    ("global", Level.DANGEROUS): rules.GLOBAL,
    ("import", Level.UNKNOWN): rules.UNKNOWN_IMPORT,
    ("import", Level.FOREIGN): rules.UNKNOWN_CLASS,
    ("class", Level.FOREIGN): rules.UNKNOWN_CLASS,
    ("rebound", Level.DANGEROUS): rules.REBOUND,
    ("odd", Level.UNKNOWN): rules.TAMPERED,
    ("extension", Level.DANGEROUS): rules.EXTENSION,
}
_BY_RANK = sorted(_KINDS.values(), key=lambda rule: -rule.severity.rank)
_MOST, _MOST_KEPT = 200, 10_000
_LOADER = "torch.storage._load_from_bytes"


def _run(file: File) -> Result:
    nested = Nested(file)
    reading = read_streams(file, nested.look)
    concerns = list(_concerns(reading))
    opinion, silent = _second(reading)
    asked = not silent and not opinion.problem.endswith("kept")
    findings = list(_ours(file, concerns, opinion, asked=asked))
    findings += _theirs(file, reading, concerns, opinion)
    findings += _hidden(file, reading, nested)
    findings += _odd(file, reading)
    if file.suffix in _PLAIN_NAMES:
        message = f"The content is a pickle, but the name ends in {file.suffix}."
        findings.append(rules.DISGUISED.at(file, "name", message))
    kept = tuple(findings[:_MOST])
    unexamined = _why_unexamined(reading, kept, silent)
    file.facts["pickle_opinion"] = (max((f.severity.rank for f in kept), default=0), unexamined)
    return Result(kept, unexamined, tuple(_members(file, reading)))


def _concerns(reading: Reading) -> Iterator[Concern]:
    """Judge everything that was read; of one kind and name, the first stands for all."""
    seen: dict[tuple[str, Level, str, str], Concern] = {}
    for call in reading.calls.values():
        for concern in judge_call(call):
            key = (
                concern.kind,
                concern.level,
                concern.name,
                "" if concern.name else concern.message,
            )
            seen.setdefault(key, concern)
    called = {concern.name: concern.level for concern in seen.values()}
    for name in reading.imports.values():
        found = judge_import(name)
        if found and called.get(found.name, -1) < found.level:
            seen.setdefault((found.kind, found.level, found.name, ""), found)
    yield from seen.values()


def _second(reading: Reading) -> tuple[Opinion, str]:
    """Ask the other engine; say why not if it cannot be.

    Its time grows with the square of what a stream keeps: it is not asked about vocabularies.
    """
    if reading.kept > _MOST_KEPT or len(reading.imports) > _MOST_KEPT // 5:
        return Opinion((), frozenset(), f"{reading.kept} values kept"), ""
    try:
        return ask(reading.skeleton()), ""
    except ReadLimitError as error:
        return Opinion((), frozenset(), ""), str(error)


def _ours(
    file: File, concerns: list[Concern], opinion: Opinion, *, asked: bool
) -> Iterator[ArtefactFinding]:
    for concern in concerns:
        rule = _KINDS[concern.kind, concern.level]
        seen = concern.name in opinion.names or any(
            hit.rule is rule and not hit.name for hit in opinion.hits
        )
        who = "not asked" if not asked else "agrees" if seen else "says nothing"
        evidence = f"{concern.evidence[:140]} ({NAME} {who})"
        yield rule.at(file, f"offset {concern.at}", concern.message, evidence=evidence)


def _theirs(
    file: File, reading: Reading, concerns: list[Concern], opinion: Opinion
) -> Iterator[ArtefactFinding]:
    """Yield what only the other engine says, less what we know to be harmless."""
    ours = {concern.name: _KINDS[concern.kind, concern.level].severity.rank for concern in concerns}
    kinds = {_KINDS[concern.kind, concern.level] for concern in concerns}
    seen: set[tuple[str, str]] = set()
    for hit in opinion.hits:
        rank = (hit.severity or hit.rule.severity).rank
        if (hit.rule.id, hit.name) in seen or ours.get(hit.name, -1) >= rank:
            continue
        if not hit.name and hit.rule in kinds:
            continue
        if _explained(hit, reading, ours):
            continue
        seen.add((hit.rule.id, hit.name))
        evidence = f"{hit.code} {hit.name} ({NAME} alone)".replace("  ", " ")
        yield hit.rule.at(file, hit.where, hit.message, evidence=evidence, severity=hit.severity)


def _explained(hit: Hit, reading: Reading, ours: dict[str, int]) -> bool:
    """Whether what the other engine objects to was followed by us and is known to be harmless."""
    if hit.rule is rules.STRING:
        return False
    if hit.rule is rules.PERSISTENT:
        return not reading.persistent
    if not hit.name:
        return False
    if reading.problem:
        return False
    if hit.name not in reading.imports:
        return not hit.nested  # it takes parts of the stream for names that are none
    own = hit.name.startswith("__main__.")
    return hit.name not in ours or own or hit.rule in {rules.UNKNOWN_CALL, rules.UNKNOWN_CLASS}


def _hidden(file: File, reading: Reading, nested: Nested) -> Iterator[ArtefactFinding]:
    for at, concern in nested.found[:20]:
        where = f"literal at offset {at}"
        message = "A literal holds a pickle: " + concern.message
        yield rules.NESTED.at(file, where, message, evidence=concern.evidence)
        yield _KINDS[concern.kind, concern.level].at(
            file, where, concern.message, evidence=concern.evidence
        )
    for name, end in reading.hidden:
        found = judge_import(name)
        if found and (found.level is Level.DANGEROUS or (name.at < end and _importable(name))):
            message = "The bytes of an array, read as opcodes: " + found.message
            yield rules.GLOBAL.at(file, f"offset {name.at}", message, evidence=name.full)


def _importable(name: Name) -> bool:
    return name.full.replace(".", "").replace("_", "").isalnum() and name.full.isascii()


def _odd(file: File, reading: Reading) -> Iterator[ArtefactFinding]:
    first = {what: at for at, what in reversed(reading.odd)}
    for what, at in sorted(first.items()):
        yield rules.TAMPERED.at(file, f"offset {at}", f"{what[:1].upper()}{what[1:]}.")
    if reading.persistent:
        message = "It asks the loading program for objects by an id of its own."
        shown = str(reading.persistent[0])
        yield rules.PERSISTENT.at(file, "stream", message, evidence=shown)


def _why_unexamined(reading: Reading, findings: tuple[ArtefactFinding, ...], silent: str) -> str:
    if reading.problem:
        return f"the stream cannot be followed to its end: {reading.problem}"
    if reading.rest:
        return f"{reading.rest} bytes follow the pickle and belong to nothing"
    if silent:
        return silent
    told = {rules.UNKNOWN_CLASS.id, rules.UNKNOWN_IMPORT.id, rules.PERSISTENT.id}
    if any(finding.rule in told for finding in findings):
        return "what it builds cannot be told from the file"
    return ""


def _members(file: File, reading: Reading) -> Iterator[File]:
    """Yield what the stream itself hands to torch.load."""
    for call in reading.calls.values():
        if not isinstance(call.callee, Name) or call.callee.full != _LOADER:
            continue
        data = call.args[0] if isinstance(call.args, tuple) and call.args else None
        if isinstance(data, Blob):
            data = file.read(data.at, data.size)
        if isinstance(data, bytes):
            yield file.member(f"tensor at {call.at}", data)


CHECK = Check(
    title="Pickle streams",
    version=f"2 ({VERSION})",
    tags=(*rules.TAGS, "cve:CVE-2025-1716", "cve:CVE-2025-1889", "cve:CVE-2025-10157"),
    rules=rules.ALL,
    examples=(
        "pickle-os-system-proto0",
        "pickle-broken-after-payload",
        "pickle-unknown-function",
        "pickle-unknown-class",
        "pickle-ext1",
        "pickle-stack-global-confusion",
        "pickle-persid",
        "pickle-expansion",
        "pickle-nested-base64",
        "pickle-suspicious-string",
        "pickle-as-safetensors",
    ),
    claims=looks_like_pickle,
    run=_run,
)
