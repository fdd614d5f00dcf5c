"""Core ML models: the kind of model, custom code it asks for, and files it points to.

Source: Model.proto, NeuralNetwork.proto, CustomModel.proto and LinkedModel.proto of Core ML's
specification, and the manifest of `.mlpackage` folders.
"""

from __future__ import annotations

import json
import re

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.payload import find_payload
from keelmark.vet.protobuf import DATA, INT, TEXT, Message, Span, StepsError, Wire, WireError, walk
from keelmark.vet.sniff import named

_MAX_MANIFEST = 4 * 1024 * 1024
_MAX_PROGRAM = 64 * 1024 * 1024
# Kinds of models whose inside is numbers only; of the others, see below.
_PLAIN = (
    *(300, 301, 302, 304, 400, 401, 402, 404, 501, 560, 900),
    *(600, 601, 602, 603, 604, 606, 607, 608, 609, 610, 611, 612, 613),
    *(2000, 2001, 2002, 2003, 2004, 2005, 2006),
)
_NETWORK = {1: "Layer", 2: DATA, 5: INT, 6: INT, 10: DATA}
_SCHEMA: dict[str, dict[int, str]] = {
    "Model": {1: INT, 2: "Description", 10: INT, 200: "Owner", 201: "Owner", 202: "Pipeline"}
    | dict.fromkeys(_PLAIN, DATA)
    | {303: "Network", 403: "Network", 500: "Network", 502: DATA, 555: "Custom", 556: "Linked"}
    | {3000: DATA},
    "Owner": {1: "Pipeline"},
    "Pipeline": {1: "Model", 2: TEXT},
    "Description": {1: DATA, 7: TEXT, 10: DATA, 11: TEXT, 12: TEXT, 13: DATA, 20: DATA, 21: DATA}
    | {50: DATA, 100: "Metadata"},
    "Metadata": {1: TEXT, 2: TEXT, 3: TEXT, 4: TEXT, 100: "Pair"},
    "Pair": {1: TEXT, 2: TEXT},
    "Network": _NETWORK | dict.fromkeys((100, 101, 200), DATA),
    "Layer": {1: TEXT, 2: TEXT, 3: TEXT, 4: DATA, 5: DATA, 10: INT} | {500: "CustomLayer"},
    "CustomLayer": {10: TEXT, 20: DATA, 30: DATA, 40: TEXT},
    "Custom": {10: TEXT, 20: DATA, 30: DATA, 40: TEXT},
    "Linked": {1: "LinkedFile"},
    "LinkedFile": {1: "Parameter", 2: "Parameter"},
    "Parameter": {1: TEXT},
}
_LEAVES = re.compile(r"\A[/\\~]|\A[A-Za-z]:|://|(?:\A|[/\\])\.\.(?:[/\\]|\Z)|[\0-\x1f]")
_BLOB = re.compile(rb"@model_path[\x20-\x7e]{0,400}|(?:\.\./){1,20}[\x20-\x7e]{0,200}")
_TAGS = ("owasp:llm03",)

CUSTOM = Rule(
    "coreml.custom_code",
    "Asks for code of the application",
    Severity.LOW,
    "A custom model or layer names a class that the application must bring.",
    "Read the code of the named class, or use a model without one.",
    (*_TAGS, "cwe:CWE-829"),
)
PATH = Rule(
    "coreml.path",
    "Points outside of the model",
    Severity.HIGH,
    "Loading the model reads files that are no part of it.",
    "Do not use this model; ask its publisher for a clean one.",
    (*_TAGS, "cwe:CWE-22"),
)
CODE = Rule(
    "coreml.code_in_metadata",
    "Code in a description",
    Severity.HIGH,
    "Metadata are words; code there is meant for whoever shows or evaluates them.",
    "Do not use this file; ask its publisher for a clean one.",
    (*_TAGS, "cwe:CWE-94"),
)
MALFORMED = Rule(
    "coreml.malformed",
    "Damaged Core ML model",
    Severity.HIGH,
    "It is cut off, has bytes behind its end, or is something else under this name.",
    "Fetch the file again from its publisher and compare the digest.",
    (*_TAGS, "cwe:CWE-20"),
)


def _is_weights(file: File) -> bool:
    return file.path.lower().endswith("com.apple.coreml/weights/weight.bin")


def _is_manifest(file: File) -> bool:
    return file.name == "manifest.json" and ".mlpackage/" in file.path.lower()


def _run(file: File) -> Result:
    if _is_weights(file):
        return Result()
    return _manifest(file) if _is_manifest(file) else _model(file)


def _manifest(file: File) -> Result:
    if file.size > _MAX_MANIFEST:
        return Result((), "the manifest is too long")
    try:
        entries = json.loads(file.all().decode("utf-8-sig"))["itemInfoEntries"]
        paths = [(str(key), str(entry["path"])) for key, entry in entries.items()]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        return Result((), f"it is not a manifest of a Core ML package ({error})")
    return Result(
        tuple(
            PATH.at(file, f"entry {key}", f"It points to {path[:120]!r}.", evidence=path)
            for key, path in paths
            if _LEAVES.search(path)
        )
    )


def _model(file: File) -> Result:
    wire = Wire(file)
    findings: list[ArtefactFinding] = []
    reasons: dict[str, None] = {}
    try:
        for message in walk(wire, _SCHEMA, "Model", Span(0, file.size)):
            _visit(file, wire, message, findings, reasons)
    except WireError as error:
        message_text = f"It is not a Core ML model from start to end: {error}."
        findings.append(MALFORMED.at(file, "file", message_text))
        reasons["the protocol buffer is damaged"] = None
    except StepsError as error:
        reasons[str(error)] = None
    return Result(tuple(findings[:200]), "; ".join(list(reasons)[:3]))


def _visit(
    file: File,
    wire: Wire,
    message: Message,
    findings: list[ArtefactFinding],
    reasons: dict[str, None],
) -> None:
    where = f"offset {message.span.start}"
    if message.unknown and message.type not in {"Layer", "Network"}:  # layers have 200 kinds
        reasons[f"its field {message.unknown[0][0]} is not known"] = None
    if message.type in {"Custom", "CustomLayer"}:
        name = "".join(wire.texts(message, 10)[-1:])[:80]
        findings.append(CUSTOM.at(file, where, f"It needs the class {name!r}.", evidence=name))
        reasons[f"the code of {name!r} is not in the file"] = None
    elif message.type == "Parameter":
        findings += [
            PATH.at(file, where, f"It is linked to {path[:120]!r}.", evidence=path)
            for path in wire.texts(message, 1)
            if _LEAVES.search(path)
        ]
    elif message.type in {"Metadata", "Pair"}:
        for text in (text for field in (1, 2, 3, 4) for text in wire.texts(message, field)):
            if payload := find_payload(text):
                said = f"It contains {payload.what}."
                findings.append(CODE.at(file, where, said, evidence=payload.shown))
    elif message.type == "Model":
        if 3000 in message.spans:
            reasons["the serialized model in it is not examined"] = None
        for span in message.spans.get(502, ()):
            _program(file, span, findings, reasons)


def _program(
    file: File, span: Span, findings: list[ArtefactFinding], reasons: dict[str, None]
) -> None:
    """Where a program takes its numbers from: `@model_path/weights/weight.bin`."""
    if span.size > _MAX_PROGRAM:
        reasons["the program in it is too large"] = None
        return
    for match in _BLOB.finditer(file.read(span.start, span.size)):
        path = match[0].removeprefix(b"@model_path").lstrip(b"/").decode()
        if _LEAVES.search(path):
            where = f"offset {span.start + match.start()}"
            findings.append(PATH.at(file, where, f"It reads {path[:120]!r}.", evidence=path))


CHECK = Check(
    title="Core ML models",
    version="1",
    tags=_TAGS,
    rules=(CUSTOM, PATH, CODE, MALFORMED),
    examples=("coreml-custom-layer", "coreml-linked", "coreml-code", "coreml-truncated"),
    claims=lambda file: named(file, ".mlmodel") or _is_manifest(file) or _is_weights(file),
    run=_run,
)
