"""Models that are programs: TensorRT engines and llamafiles.

An engine is code compiled for one device; nobody can judge it from outside, and nothing here says
that it can. What is looked for is what has no place in one: a library for the host, commands.
"""

from __future__ import annotations

import re

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.payload import find_payload
from keelmark.vet.sniff import named

_ENGINES = (".engine", ".plan", ".trt")
_MARKS = (b"ptrt", b"ftrt")
_CHUNK = 16 * 1024 * 1024
_MOST = 512 * 1024 * 1024
_HOSTS = {3: "x86", 62: "x86-64", 183: "ARM 64", 40: "ARM", 243: "RISC-V"}
_TEXT = re.compile(rb"[\x20-\x7e\t]{12,4000}")
_TAGS = ("owasp:llm03",)

LIBRARY = Rule(
    "native_model.host_library",
    "Engine that carries a library for the host",
    Severity.HIGH,
    "Plug-ins inside an engine are loaded into the process and run at once.",
    "Build the engine yourself from the original model.",
    (*_TAGS, "cwe:CWE-829"),
)
COMMAND = Rule(
    "native_model.command",
    "Engine that carries commands",
    Severity.HIGH,
    "Compiled numbers contain no Python and no shell.",
    "Build the engine yourself from the original model.",
    (*_TAGS, "cwe:CWE-94"),
)
LLAMAFILE = Rule(
    "native_model.llamafile",
    "Model that is a program",
    Severity.HIGH,
    "A llamafile is run, not loaded: whoever starts it runs what its maker put in front of it.",
    "Take the GGUF file out of it and serve that with an engine of your own.",
    (*_TAGS, "cwe:CWE-829"),
)


def _is_llamafile(file: File) -> bool:
    return file.head.startswith(b"MZqFpD") or named(file, ".llamafile")


def _is_engine(file: File) -> bool:
    return file.head.startswith(_MARKS) or named(file, *_ENGINES)


def _run(file: File) -> Result:
    if _is_llamafile(file):
        message = "The file is a program with a model behind it."
        finding = LLAMAFILE.at(file, "file", message)
        return Result((finding,), "the program in front of the model is not examined")
    findings: list[ArtefactFinding] = []
    for at in range(0, min(file.size, _MOST), _CHUNK):
        # A little overlap, so that nothing hides on a boundary.
        findings += _search(file, at, file.read(at, _CHUNK + 4096))
    unique = {(f.rule, f.location): f for f in findings}
    reason = "a TensorRT engine is compiled code for one device, which cannot be examined"
    return Result(tuple(unique.values())[:50], reason)


def _search(file: File, base: int, data: bytes) -> list[ArtefactFinding]:
    findings = []
    at = data.find(b"\x7fELF")
    while at >= 0:
        machine = int.from_bytes(data[at + 18 : at + 20], "little")
        if machine in _HOSTS and data[at + 4 : at + 5] in (b"\1", b"\2"):
            message = f"There is a library for {_HOSTS[machine]} in it."
            findings.append(LIBRARY.at(file, f"offset {base + at}", message))
        at = data.find(b"\x7fELF", at + 1)
    for match in _TEXT.finditer(data):
        if payload := find_payload(match[0].decode()):
            where = f"offset {base + match.start()}"
            message = f"It contains {payload.what}."
            findings.append(COMMAND.at(file, where, message, evidence=payload.shown))
    return findings


CHECK = Check(
    title="Engines and other models that are programs",
    version="1",
    tags=_TAGS,
    rules=(LIBRARY, COMMAND, LLAMAFILE),
    examples=("tensorrt-host-library", "tensorrt-command", "llamafile"),
    claims=lambda file: _is_llamafile(file) or _is_engine(file),
    run=_run,
)
