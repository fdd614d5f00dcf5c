"""skops models: the tree of types and functions in `schema.json`, judged name by name.

skops asks its user to trust every type that it does not know. Files made by hand say one thing to
that question and another to the code that builds the object.
Source: `skops/io` (0.10 to 0.16); CVE-2025-54412, CVE-2025-54413, CVE-2025-54886.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.pickle_names import Level, level
from keelmark.vet.sniff import POINTER, is_zip

_TAGS = ("owasp:llm03", "cwe:CWE-502")
_MAX_SCHEMA = 128 * 1024 * 1024
_SAFE = "Do not load this file; ask its publisher how it was made."
_IMPORTS = {"FunctionNode", "TypeNode"}
_BUILDS = {
    "ObjectNode", "ReduceNode", "TreeNode", "LossNode", "ConstructorFromReduceNode",
    "QuantileForestNode", "SparseMatrixNode", "MaskedArrayNode",
}  # fmt: skip
_PLAIN = {
    "DictNode", "DefaultDictNode", "ListNode", "SetNode", "TupleNode", "PartialNode", "SliceNode",
    "JsonNode", "BytesNode", "BytearrayNode", "NdArrayNode", "RandomStateNode", "CachedNode",
    "RandomGeneratorNode", "DTypeNode", "_DictWithDeprecatedKeysNode", "MethodNode",
    "OperatorFuncNode",
}  # fmt: skip
_GETTERS = {"attrgetter", "itemgetter", "methodcaller"}
_NAME = re.compile(r"[^\W\d]\w*\Z")

DANGEROUS = Rule(
    "skops.dangerous_type",
    "Names something that runs code",
    Severity.CRITICAL,
    "Once the name is trusted, loading the file calls it.",
    _SAFE,
    _TAGS,
)
UNKNOWN = Rule(
    "skops.unknown_type",
    "Names something that is not known",
    Severity.LOW,
    "skops refuses it until its user says that the type is trusted; what it does cannot be told "
    "from the file.",
    "Read the code of the type before you tell skops to trust it.",
    _TAGS,
)
OPERATOR = Rule(
    "skops.operator",
    "Function of the operator module under another name",
    Severity.CRITICAL,
    "skops before 0.12 asked whether to trust one name and then called another function of "
    "`operator`, which may call anything.",
    _SAFE,
    (*_TAGS, "cve:CVE-2025-54412"),
)
METHOD = Rule(
    "skops.method",
    "Method of something else than it says",
    Severity.CRITICAL,
    "skops before 0.12 asked whether to trust the named class and then took the attribute of "
    "another object.",
    _SAFE,
    (*_TAGS, "cve:CVE-2025-54413"),
)
DISGUISED = Rule(
    "skops.disguised",
    "No skops file, in spite of its name",
    Severity.HIGH,
    "Where skops meets a file that is no ZIP archive, some of its functions before 0.13 fall back "
    "to joblib, which runs code.",
    _SAFE,
    (*_TAGS, "cve:CVE-2025-54886"),
)


def _claims(file: File) -> bool:
    if file.suffix == ".skops":
        return not is_zip(file) and not file.head.startswith(POINTER) and file.size > 0
    return file.name == "schema.json" and b'"__loader__"' in file.head


def _run(file: File) -> Result:
    if file.suffix == ".skops":
        message = "The name says skops, the content is no ZIP archive."
        return Result((DISGUISED.at(file, "name", message),), "it is no skops file")
    if file.size > _MAX_SCHEMA:
        return Result((), "the schema is longer than is read")
    try:
        schema = json.loads(file.all())
    except (ValueError, RecursionError):
        return Result((), "the schema is no JSON")
    findings: dict[tuple[str, str], ArtefactFinding] = {}
    unknown = ""
    for where, node in _nodes(schema):
        if node.get("__loader__") not in _IMPORTS | _BUILDS | _PLAIN:
            unknown = f"it has a node of unknown kind ({str(node.get('__loader__'))[:40]!r})"
        for finding in _judge(file, where, node):
            findings.setdefault((finding.rule, finding.evidence), finding)
    if any(finding.rule == UNKNOWN.id for finding in findings.values()):
        unknown = "what it builds cannot be told from the file"
    return Result(tuple(findings.values()), unknown)


def _nodes(schema: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield every node of the tree with its place."""
    waiting: list[tuple[str, object]] = [("schema", schema)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, dict):
            if "__loader__" in value:
                yield where, value
            waiting += [(f"{where}.{key}"[-200:], item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            pairs = list(enumerate(value))
            waiting += [(f"{where}[{number}]"[-200:], item) for number, item in reversed(pairs)]


def _judge(file: File, where: str, node: dict[str, object]) -> Iterator[ArtefactFinding]:
    module, name = str(node.get("__module__")), str(node.get("__class__"))
    loader, full = node.get("__loader__"), f"{module}.{name}"
    if loader == "OperatorFuncNode":
        if module not in {"operator", "_operator"} or name not in _GETTERS:
            message = f"The node says {full}; what is called is operator.{name}."
            yield OPERATOR.at(file, where, message, evidence=full)
        return
    if loader == "MethodNode":
        yield from _method(file, where, node, full)
        return
    how = "new" if loader in _BUILDS else "import"
    found = level(module, name, how)
    if loader in _BUILDS and level(module, name, "call") is Level.HARMLESS:
        found = Level.HARMLESS
    if found is Level.DANGEROUS:
        message = f"It names {full}, which can run code or reach files."
        yield DANGEROUS.at(file, where, message, evidence=full)
    elif found is not Level.HARMLESS:
        yield UNKNOWN.at(file, where, f"It needs {full}, which is not known.", evidence=full)


def _method(
    file: File, where: str, node: dict[str, object], full: str
) -> Iterator[ArtefactFinding]:
    content = node.get("content")
    inner = content if isinstance(content, dict) else {}
    owner, name = inner.get("obj"), str(inner.get("func"))
    held = f"{owner.get('__module__')}.{owner.get('__class__')}" if isinstance(owner, dict) else ""
    if held != full or not _NAME.match(name) or name.startswith("__"):
        message = (
            f"The node says a method of {full}; what is taken is {name} of {held or 'nothing'}."
        )
        yield METHOD.at(file, where, message, evidence=f"{held}.{name}")


CHECK = Check(
    title="skops models",
    version="1",
    tags=(*_TAGS, "cve:CVE-2025-54412", "cve:CVE-2025-54413", "cve:CVE-2025-54886"),
    rules=(DANGEROUS, UNKNOWN, OPERATOR, METHOD, DISGUISED),
    examples=(
        "skops-os-system",
        "skops-unknown-type",
        "skops-cve-2025-54412-operator",
        "skops-cve-2025-54413-method",
        "skops-cve-2025-54886-joblib",
    ),
    claims=_claims,
    run=_run,
)
