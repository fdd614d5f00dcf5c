"""Notebooks: what a person who runs all cells would run, and what a viewer would show.

Nobody's loader runs a notebook, so installing packages and listing files is only told; grave is
what fetches and runs, hides what it runs, or brings script for the viewer.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.payload import find_payload
from keelmark.vet.python_code import reaching_calls
from keelmark.vet.sniff import named

MAX_NOTEBOOK = 64 * 1024 * 1024
_TAGS = ("owasp:llm03",)
_SHELL = re.compile(r"\s*(?:!{1,2}|%sx\b|%system\b)\s*(.*)")
_CELL_SHELL = re.compile(r"\s*%%(?:bash|sh|script|sx|cmd|powershell|perl|ruby)\b")
_ORDINARY = re.compile(
    r"(?:python3? -m |uv |sudo )?(?:pip3?|conda|mamba|apt(?:-get)?|brew|npm|git|ls|cat|head|tail|"
    r"mkdir|cp|mv|cd|pwd|echo|unzip|tar|wc|du|df|nvidia-smi|which|export|huggingface-cli|hf|wget|"
    r"curl|python3?|jupyter|export|free|lscpu|uname|gdown|touch|find|grep)\b"
)
_SCRIPT = re.compile(
    r"eval\s*\(\s*atob|document\.cookie|<iframe[^>]+src\s*=\s*[\"']?(?:https?:)?//|"
    r"Jupyter\.notebook\.kernel\.execute|IPython\.notebook\.kernel\.execute",
    re.IGNORECASE,
)
_MARKDOWN_SCRIPT = re.compile(r"<script\b|\son\w+\s*=\s*[\"']?\w+|javascript:", re.IGNORECASE)
_REMOTE = re.compile(r"\s*%(?:load|run|loadpy)\s+https?://")

RUNS = Rule(
    "notebook.fetch_and_run",
    "Cell that fetches or hides what it runs",
    Severity.HIGH,
    "Whoever runs all cells runs code that is not in the notebook, or not to be read in it.",
    "Do not run this notebook; read the named cell.",
    (*_TAGS, "cwe:CWE-494"),
)
SCRIPT = Rule(
    "notebook.script",
    "Script for whoever looks at it",
    Severity.HIGH,
    "A viewer that trusts the notebook runs it in the reader's browser, with access to the kernel.",
    "Do not open this notebook as a trusted one; clear its outputs.",
    (*_TAGS, "cwe:CWE-79"),
)
REACHES = Rule(
    "notebook.reaches_system",
    "Cell that reaches for the system",
    Severity.LOW,
    "Running it starts programs, opens connections or loads pickles.",
    "Read the named cell before you run it.",
    (*_TAGS, "cwe:CWE-829"),
)
SHELL = Rule(
    "notebook.shell",
    "Cell with shell commands",
    Severity.INFO,
    "Running it installs packages or changes files.",
    "Read the named cell before you run it.",
    (*_TAGS, "cwe:CWE-829"),
)


def _run(file: File) -> Result:
    if file.size > MAX_NOTEBOOK:
        return Result((), f"the notebook is longer than {MAX_NOTEBOOK} bytes")
    try:
        cells = json.loads(file.all().decode("utf-8-sig"))["cells"]
        read = [(str(cell["cell_type"]), _text(cell.get("source", "")), cell) for cell in cells]
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return Result((), "the notebook cannot be read")
    findings: list[ArtefactFinding] = []
    unread = ""
    for number, (kind, source, cell) in enumerate(read, 1):
        where = f"cell {number}"
        if kind == "code":
            findings += _commands(file, where, source)
            seen, problem = _python(file, where, source)
            findings += seen
            unread = unread or (problem and f"{where}: {problem}")
            findings += _outputs(file, where, cell)
        elif _MARKDOWN_SCRIPT.search(source) or _SCRIPT.search(source):
            findings.append(SCRIPT.at(file, where, "A text cell carries script."))
    return Result(tuple(findings[:200]), unread)


def _text(source: Any) -> str:
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _commands(file: File, where: str, source: str) -> Iterator[ArtefactFinding]:
    payload = find_payload(source)
    if payload and payload.what == "a shell command":
        message = "It runs what it fetches, or opens a door."
        yield RUNS.at(file, where, message, evidence=payload.shown)
        return
    if _CELL_SHELL.match(source):
        yield SHELL.at(file, where, "The whole cell is a shell script.", severity=Severity.LOW)
    for line in source.splitlines():
        if _REMOTE.match(line):
            yield RUNS.at(file, where, "It runs a file from an address.", evidence=line)
        elif match := _SHELL.match(line):
            severity = None if _ORDINARY.match(match[1]) else Severity.LOW
            message = "It runs a shell command."
            yield SHELL.at(file, where, message, evidence=line.strip(), severity=severity)


def _python(file: File, where: str, source: str) -> tuple[list[ArtefactFinding], str]:
    """Judge the Python of a cell; magics and commands are no Python and are judged above."""
    if re.match(r"\s*%%(?!time|timeit|capture|prun)", source):
        return [], ""
    lines = source.splitlines()
    plain = "\n".join(
        re.match(r"\s*", line)[0] + "pass"  # type: ignore[index]
        if re.match(r"\s*(?:[!%?]|\w+\s*=\s*[!%])", line) or line.rstrip().endswith("?")
        else line
        for line in lines
    )
    try:
        tree = ast.parse(plain)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [], "its Python cannot be read"
    findings = []
    for call in reaching_calls(tree):
        spot = f"{where}, line {call.line}"
        if call.hidden:
            message = f"It decodes or fetches what {call.name} runs."
            findings.append(RUNS.at(file, spot, message, evidence=call.name))
        else:
            severity = None if call.severity is Severity.HIGH else Severity.INFO
            message = f"It calls {call.name}."
            finding = REACHES.at(file, spot, message, evidence=call.name, severity=severity)
            findings.append(finding)
    return findings, ""


def _outputs(file: File, where: str, cell: dict[str, Any]) -> Iterator[ArtefactFinding]:
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else []:
        data = output.get("data") if isinstance(output, dict) else None
        for kind, value in data.items() if isinstance(data, dict) else ():
            if kind.startswith(("text/html", "application/javascript", "image/svg")):
                match = _SCRIPT.search(_text(value))
                if match:
                    message = "Its output carries script that takes more than a picture needs."
                    yield SCRIPT.at(file, f"{where} output", message, evidence=match[0])


CHECK = Check(
    title="Notebooks",
    version="1",
    tags=_TAGS,
    rules=(RUNS, SCRIPT, REACHES, SHELL),
    examples=("notebook-fetch-and-run", "notebook-script", "notebook-reaches", "notebook-twin"),
    claims=lambda file: named(file, ".ipynb"),
    run=_run,
)
