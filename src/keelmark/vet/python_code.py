"""What Python reaches for, read from its syntax tree; nothing is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from keelmark.core.findings import Severity

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
_RUNS = {"eval", "exec", "compile", "os.system", "os.popen", "builtins.eval", "builtins.exec"}
_RUNS |= {"subprocess.run", "subprocess.call", "subprocess.Popen", "subprocess.check_output"}
_RUNS |= {"subprocess.check_call", "marshal.loads", "pickle.loads"}
_HIDES = {"b64decode", "b85decode", "a85decode", "b32decode", "unhexlify", "fromhex", "decompress"}
_FETCHES = {"urlopen", "urlretrieve", "read", "text", "content", "recv", "loads", "getoutput"}


class Call(NamedTuple):
    """A call: its line, what is called by its full name, and how grave that is."""

    line: int
    name: str
    severity: Severity
    hidden: bool
    """Whether what is run has been decoded or fetched within the call itself."""


def reaching_calls(tree: ast.Module) -> Iterator[Call]:
    """Yield every call that is somebody's business."""
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _dotted(node.func, names)
            severity = _gravity(name)
            if severity:
                hidden = name in _RUNS and any(map(_decodes, node.args))
                yield Call(node.lineno, name, severity, hidden)


def _imported(tree: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _decodes(argument: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in _HIDES | _FETCHES
        for node in ast.walk(argument)
    )


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
