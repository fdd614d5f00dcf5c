"""Code beside the weights: what a loader runs when it is told to trust the repository."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.lazily import Lazy
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.payload import executable_kind
from keelmark.vet.python_code import reaching_calls
from keelmark.vet.sniff import named

_c4nary = Lazy("c4nary.rules.python_code")

MAX_SOURCE = 4 * 1024 * 1024
_TAGS = ("owasp:llm03", "cwe:CWE-829")
_NATIVE = {".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".ps1", ".pyc", ".pyd", ".node", ".jar"}
_MODULES_OF_SENTENCES = {"sentence_transformers", "pylate"}
_SOURCE = {".py", ".pyw", ".pyi"}

AUTO_MAP = Rule(
    "remote_code.auto_map",
    "Asks the loader to run its own Python",
    Severity.HIGH,
    "auto_map names Python that transformers runs when it is told to trust remote code.",
    "Use a model whose architecture is in the library, or read the code and waive this rule.",
    _TAGS,
)
CUSTOM = Rule(
    "remote_code.custom_pipeline",
    "Brings a pipeline of its own",
    Severity.HIGH,
    "custom_pipelines names Python from the repository that the loader runs.",
    "Use the library's own pipeline, or read the code and waive this rule.",
    _TAGS,
)
TRUST = Rule(
    "remote_code.trust_remote_code",
    "Tells the loader to trust it",
    Severity.HIGH,
    "A model must not decide for its user that its code is trusted.",
    "Remove the entry.",
    _TAGS,
)
COMPONENT = Rule(
    "remote_code.component",
    "Component of a foreign module",
    Severity.HIGH,
    "The loader imports the module and calls what it finds there.",
    "Use a model of the library's own components, or read the code and waive this rule.",
    _TAGS,
)
PYTHON = Rule(
    "remote_code.python_file",
    "Python beside the weights",
    Severity.LOW,
    "Loaders that trust the repository import it.",
    "Remove the file if nothing needs it, else read it.",
    _TAGS,
)
DANGEROUS = Rule(
    "remote_code.dangerous_python",
    "Python that reaches for the system",
    Severity.HIGH,
    "Model code computes; it has no business with commands, sockets, eval or pickles.",
    "Read the named line, and do not load the model with remote code until you know why.",
    (*_TAGS, "cwe:CWE-94"),
)
NATIVE = Rule(
    "remote_code.native_code",
    "Program or library beside the weights",
    Severity.HIGH,
    "Machine code and scripts cannot be judged from outside and are no part of a model.",
    "Remove the file.",
    _TAGS,
)


def _claims(file: File) -> bool:
    if file.facts.get("torchscript"):  # reads like Python, and is none
        return False
    known = named(file, *_NATIVE, *_SOURCE) or _is_configuration(file)
    return known or bool(executable_kind(file.head))


def _is_configuration(file: File) -> bool:
    listed = file.name in {"model_index.json", "modules.json"}
    return file.suffix == ".json" and ("config" in file.name or listed)


def _run(file: File) -> Result:
    if file.suffix in _SOURCE or _is_configuration(file):
        if file.size > MAX_SOURCE:
            return Result((), f"it is longer than {MAX_SOURCE} bytes")
        try:
            text = file.all().decode("utf-8-sig")
        except UnicodeDecodeError:
            return Result((), "it is not UTF-8 text")
        if file.suffix == ".json":
            return _configuration(file, text)
        return _python(file, text)
    what = executable_kind(file.head) or "a program, library or script"
    finding = NATIVE.at(file, "file", f"There is {what} beside the weights.")
    return Result((finding,), "machine code and scripts are not examined")


def _configuration(file: File, text: str) -> Result:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Result((), f"it is not JSON ({error})")
    findings = [*_entries(file, value), *_components(file, value)]
    return Result(tuple(findings))


def _components(file: File, value: Any) -> Iterator[ArtefactFinding]:
    """Diffusers and sentence-transformers import the modules that their lists name."""
    if file.name == "model_index.json" and isinstance(value, dict):
        pairs = [
            (key, entry[0]) for key, entry in value.items() if isinstance(entry, list) and entry
        ]
    elif file.name == "modules.json" and isinstance(value, list):
        pairs = [(str(n), e.get("type")) for n, e in enumerate(value) if isinstance(e, dict)]
    else:
        return
    for where, module in pairs:
        first = str(module).partition(".")[0]
        foreign = file.name == "modules.json" and first not in _MODULES_OF_SENTENCES
        if first in sys.stdlib_module_names or foreign:
            message = f"It has the loader import {str(module)[:80]}."
            yield COMPONENT.at(file, where, message, evidence=str(module))


def _entries(file: File, value: Any) -> Iterator[ArtefactFinding]:
    """Walk all objects: loaders read these keys in nested configurations, too."""
    pending = [("", value)]
    while pending:
        path, item = pending.pop()
        if isinstance(item, list):
            pending += [(f"{path}[{number}]", child) for number, child in enumerate(item)]
        if not isinstance(item, dict):
            continue
        for key, child in item.items():
            where = f"{path}.{key}".lstrip(".")
            if key == "auto_map" and child:
                shown = json.dumps(child, sort_keys=True)
                message = "It names Python of its own for the loader to run."
                yield AUTO_MAP.at(file, where, message, evidence=shown)
            elif key in {"custom_pipelines", "custom_pipeline"} and child:
                shown = json.dumps(child, sort_keys=True)
                yield CUSTOM.at(file, where, "It names a pipeline of its own.", evidence=shown)
            elif key == "trust_remote_code" and child:
                yield TRUST.at(file, where, "It sets trust_remote_code.")
            pending.append((where, child))


def _python(file: File, text: str) -> Result:
    findings = (
        [PYTHON.at(file, "file", "Python stands beside the weights.")] if text.strip() else []
    )
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Result(tuple(findings), f"it is not Python that can be read ({error})")
    findings += _dangerous(file, tree)
    hits = _c4nary.analyze_python_source(text, artifact=file.name)
    unread = [hit.detail for hit in hits if hit.rule_id == "RMT000"]
    for hit in hits:
        if hit.rule_id != "RMT000":
            where = f"line {hit.line}" if hit.line else "file"
            message = f"{hit.title}: {hit.detail}"
            evidence = f"c4nary {hit.rule_id}"
            severity = Severity.MEDIUM if hit.rule_id == "RMT011" else None
            findings.append(
                DANGEROUS.at(file, where, message, evidence=evidence, severity=severity)
            )
    return Result(tuple(findings), unread[0].rstrip(".") if unread else "")


def _dangerous(file: File, tree: ast.Module) -> Iterator[ArtefactFinding]:
    for call in reaching_calls(tree):
        where, message = f"line {call.line}", f"It calls {call.name}."
        yield DANGEROUS.at(file, where, message, evidence=call.name, severity=call.severity)


CHECK = Check(
    title="Code beside the weights",
    version=f"1 (c4nary {version('c4nary')})",
    tags=_TAGS,
    rules=(AUTO_MAP, CUSTOM, TRUST, COMPONENT, PYTHON, DANGEROUS, NATIVE),
    examples=(
        "config-auto-map",
        "config-custom-pipeline",
        "config-trust-remote-code",
        "diffusers-component",
        "python-os-system",
        "native-elf",
    ),
    claims=_claims,
    run=_run,
)
