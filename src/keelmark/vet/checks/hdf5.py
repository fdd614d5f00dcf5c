"""HDF5: links and data that lead out of the file; configuration in it is handed to other checks."""

from __future__ import annotations

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.hdf5 import Event, HDF5Error, Reader, find_signature
from keelmark.vet.payload import find_payload
from keelmark.vet.sniff import looks_like_pickle, named

_SUFFIXES = (".h5", ".hdf5", ".he5", ".hdf")
_CONFIGURATION = {"model_config", "training_config", "keras_metadata"}
_TAGS = ("owasp:llm03",)
_FETCH = "Do not use this file; ask its publisher for a clean one."
_FILE_READ = (*_TAGS, "cve:CVE-2026-1669", "cwe:CWE-73")

LINK = Rule(
    "hdf5.external_link",
    "Link to another file",
    Severity.HIGH,
    "Whoever opens the object reads a file of the attacker's choice as if it were weights.",
    _FETCH,
    _FILE_READ,
)
STORAGE = Rule(
    "hdf5.external_data",
    "Data stored in another file",
    Severity.HIGH,
    "A loader reads any file that it may read into the model, from where it can be asked for.",
    _FETCH,
    _FILE_READ,
)
CODE = Rule(
    "hdf5.code_in_attribute",
    "Code in a description",
    Severity.HIGH,
    "Attributes are words; code there is meant for whoever shows or evaluates them.",
    _FETCH,
    (*_TAGS, "cwe:CWE-94"),
)
HIDDEN = Rule(
    "hdf5.hidden_bytes",
    "Bytes before or after the HDF5 part",
    Severity.MEDIUM,
    "They may be a second file for a loader that reads from the start or from the end.",
    "Compare the file with the original publisher's.",
    _TAGS,
)
MALFORMED = Rule(
    "hdf5.malformed",
    "Damaged HDF5 file",
    Severity.HIGH,
    "It is cut off or contradicts itself, and libraries in C read it.",
    "Fetch the file again from its publisher and compare the digest.",
    (*_TAGS, "cwe:CWE-20"),
)
_OUTSIDE = {"external link": LINK, "external data": STORAGE, "virtual data": STORAGE}


def _claims(file: File) -> bool:
    return named(file, *_SUFFIXES) or find_signature(file.head) >= 0


def _run(file: File) -> Result:
    findings: list[ArtefactFinding] = []
    members: list[File] = []
    unread: list[str] = []
    reason = ""
    try:
        reader = Reader(file)
        base, end, _ = reader.place
        for size, where in ((base, "offset 0"), (file.size - end, f"offset {end}")):
            if size > 0 and (where != "offset 0" or file.head[:size].strip(b"\0")):
                findings.append(HIDDEN.at(file, where, f"{size} bytes are no part of it."))
                unread.append("bytes beside the HDF5 part are not examined")
        for event in reader.events():
            if event.kind == "unread":
                unread.append(f"{event.path} has {event.name}, which is not read")
            elif event.kind != "attribute":
                rule = _OUTSIDE[event.kind]
                message = f"The {event.kind} leads to {event.name[:160]!r}."
                findings.append(rule.at(file, event.path, message))
            elif event.value:
                findings += _attribute(file, event, members)
    except HDF5Error as error:
        findings.append(MALFORMED.at(file, "file", f"It is not sound: {error}."))
        reason = "the HDF5 file is damaged"
    reasons = [reason] if reason else list(dict.fromkeys(unread))
    return Result(tuple(findings[:200]), "; ".join(reasons[:3]), members)


def _attribute(file: File, event: Event, members: list[File]) -> list[ArtefactFinding]:
    name = event.path + event.name
    if event.name in _CONFIGURATION:
        members.append(file.member(f"{event.name}.json", event.value))
        return []
    member = file.member(name.replace("/", "."), event.value)
    if looks_like_pickle(member):  # as pandas and PyTables store what they have no type for
        members.append(member)
    payload = find_payload(event.value[:65_536].decode(errors="replace"))
    if not payload:
        return []
    return [CODE.at(file, name, f"It contains {payload.what}.", evidence=payload.shown)]


CHECK = Check(
    title="HDF5 files",
    version="1",
    tags=_FILE_READ,
    rules=(LINK, STORAGE, CODE, HIDDEN, MALFORMED),
    examples=(
        "hdf5-external-link",
        "hdf5-external-data-cve-2026-1669",
        "hdf5-code-in-attribute",
        "hdf5-trailing",
        "hdf5-truncated",
    ),
    claims=_claims,
    run=_run,
)
