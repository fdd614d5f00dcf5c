"""Code beside the weights: what a loader runs when it is told to trust the repository."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

from c4nary import __version__ as _c4nary_version
from c4nary.rules.python_code import analyze_python_source

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule

MAX_SOURCE = 4 * 1024 * 1024
_TAGS = ("owasp:llm03", "cwe:CWE-829")
_NATIVE_MAGIC = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")
_NATIVE = {".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".ps1", ".pyc", ".pyd", ".node", ".jar"}
_SOURCE = {".py", ".pyw", ".ipynb"}

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
PYTHON = Rule(
    "remote_code.python_file",
    "Python beside the weights",
    Severity.MEDIUM,
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

# What runs commands or code is grave; what reads foreign data or files is worth a look.
_GRAVE_CALLS = {
    *("eval", "exec", "__import__", "builtins.eval", "builtins.exec", "builtins.__import__"),
    *("os.system", "os.popen", "os.fork", "os.posix_spawn", "os.execv", "os.execve", "os.execvp"),
    *("os.execl", "os.execlp", "os.spawnv", "os.spawnl", "os.startfile", "torch.hub.load"),
}
_GRAVE_MODULES = {"subprocess", "socket", "ctypes", "pty", "marshal", "runpy", "code", "telnetlib"}
_CALLS = {
    *("compile", "os.remove", "os.unlink", "os.putenv", "importlib.import_module", "torch.load"),
    *("numpy.load", "base64.b64decode", "joblib.load"),
}
_MODULES = {"pickle", "dill", "cloudpickle", "shutil", "urllib", "requests", "http", "webbrowser"}


def _claims(file: File) -> bool:
    return (
        file.suffix in _NATIVE | _SOURCE
        or file.head.startswith(_NATIVE_MAGIC)
        or _is_configuration(file)
    )


def _is_configuration(file: File) -> bool:
    return file.suffix == ".json" and ("config" in file.name or file.name == "model_index.json")


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
        return _notebook(file, text) if file.suffix == ".ipynb" else _python(file, text)
    finding = NATIVE.at(file, "file", "A program, library or script stands beside the weights.")
    return Result((finding,), "machine code and scripts are not examined")


def _configuration(file: File, text: str) -> Result:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Result((), f"it is not JSON ({error})")
    return Result(tuple(_entries(file, value)))


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


def _notebook(file: File, text: str) -> Result:
    try:
        cells = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return Result((), "the notebook cannot be read")
    # Shell escapes and magics are no Python; they are reported for what they are.
    lines = [line for line in "\n".join(sources).splitlines() if line.lstrip()[:1] in {"!", "%"}]
    plain = "\n".join(
        "pass" if line.lstrip()[:1] in {"!", "%"} else line
        for line in "\n".join(sources).splitlines()
    )
    result = _python(file, plain)
    shell = tuple(
        DANGEROUS.at(file, "notebook", "A cell runs a shell command.", evidence=line)
        for line in lines
        if line.lstrip().startswith(("!", "%%bash", "%sx", "%system", "%%sh"))
    )
    return result._replace(findings=result.findings + shell)


def _python(file: File, text: str) -> Result:
    findings = (
        [PYTHON.at(file, "file", "Python stands beside the weights.")] if text.strip() else []
    )
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Result(tuple(findings), f"it is not Python that can be read ({error})")
    findings += _dangerous(file, tree)
    hits = analyze_python_source(text, artifact=file.name)
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
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = _dotted(node.func, names)
            severity = _gravity(called)
            if severity:
                where = f"line {node.lineno}"
                message = f"It calls {called}."
                yield DANGEROUS.at(file, where, message, evidence=called, severity=severity)


def _gravity(called: str) -> Severity | None:
    """Return how grave a call is, or None for one that is nobody's business."""
    module = called.partition(".")[0] if "." in called else ""
    if called in _GRAVE_CALLS or module in _GRAVE_MODULES:
        return Severity.HIGH
    return Severity.MEDIUM if called in _CALLS or module in _MODULES else None


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *reversed(parts)])


CHECK = Check(
    title="Code beside the weights",
    version=f"1 (c4nary {_c4nary_version})",
    tags=_TAGS,
    rules=(AUTO_MAP, CUSTOM, TRUST, PYTHON, DANGEROUS, NATIVE),
    examples=(
        "config-auto-map",
        "config-custom-pipeline",
        "config-trust-remote-code",
        "python-os-system",
        "native-elf",
    ),
    claims=_claims,
    run=_run,
)
