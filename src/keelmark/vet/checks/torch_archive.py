"""What torch's ZIP archives hold besides pickles: TorchScript, exported programs, packages.

The pickles and storages in them are members that other checks examine. TorchScript looks like
Python and is none: it reaches only the operators of torch, some of which read and write files.
Sources: `torch/jit/_serialization.py`, `torch/export/pt2_archive/`, `torch/package/`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.sniff import is_text, is_zip
from keelmark.vet.unpack import Stream

_TAGS = ("owasp:llm03", "cwe:CWE-94")
_MAX_SOURCE = 16 * 1024 * 1024
_ASK = "Ask for the weights as safetensors, with the code beside them where it can be read."
_FILES = re.compile(
    r"\b(?:torch|ops\.\w+)\.(from_file|save|load|open|write|read_file|write_file|system|exec|"
    r"fork_process|load_library|_load_for_lite_interpreter)\s*\("
)
_FOREIGN = re.compile(
    r"\bops\.(?!aten\b|prim\b|prims\b|quantized\b|torch\b|mkldnn\b|_quantized\b)(\w+)\."
)
_IMPORT = re.compile(
    r"(?m)^\s*(import|from)\s+(?!__torch__)\w|\b(__import__|eval|exec|compile)\s*\("
)
_NATIVE = re.compile(r"\.(so|dll|dylib|o|cubin|ptx|hsaco|spv|cpp|cu|ll)\Z", re.IGNORECASE)
_PACKAGE = re.compile(r"(.*/)?\.data/extern_modules\Z")
_EXPORT = re.compile(r"(.*/)?archive_format\Z")

FILES = Rule(
    "torch_archive.file_operator",
    "TorchScript that reads or writes files",
    Severity.HIGH,
    "Loading or running the model reaches the machine's files, also where only weights may be "
    "loaded.",
    _ASK,
    (*_TAGS, "cve:CVE-2025-32434"),
)
ODD = Rule(
    "torch_archive.not_torchscript",
    "Code that is no TorchScript",
    Severity.HIGH,
    "torch writes neither imports nor eval into a model's code; a loader that runs it as Python "
    "does what it says.",
    _ASK,
    _TAGS,
)
CUSTOM = Rule(
    "torch_archive.custom_operator",
    "Needs operators of its own",
    Severity.LOW,
    "The operators come from a library that is not in the file and must be loaded first.",
    "Find out which library it is and whether you trust it.",
    _TAGS,
)
PACKAGE = Rule(
    "torch_archive.package_code",
    "Python inside the model",
    Severity.MEDIUM,
    "torch.package runs the Python files of the archive when the model is loaded.",
    _ASK,
    _TAGS,
)
NATIVE = Rule(
    "torch_archive.native_code",
    "Compiled code inside the model",
    Severity.HIGH,
    "An exported program may bring a compiled library that is loaded into the process.",
    "Ask for the exported program without compiled code and compile it yourself.",
    _TAGS,
)


def _claims(file: File) -> bool:
    return bool(file.facts.get("torchscript")) or (
        file.head.startswith(b"PK\x03\x04") and is_zip(file) and bool(_kind(file))
    )


def _kind(file: File) -> str:
    """Return what kind of torch archive a ZIP is, "" when it is none of those meant here."""
    if "torch_archive" not in file.facts:
        names = _names(file)
        packaged = any(_PACKAGE.match(name) for name in names)
        exported = any(_EXPORT.match(name) for name in names)
        file.facts["torch_archive"] = "package" if packaged else "export" if exported else ""
    return str(file.facts["torch_archive"])


def _names(file: File) -> list[str]:
    try:
        with zipfile.ZipFile(Stream(file)) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return []


def _run(file: File) -> Result:
    if file.facts.get("torchscript"):
        return _script(file)
    return Result(tuple(_archive(file, _kind(file))))


def _archive(file: File, kind: str) -> Iterator[ArtefactFinding]:
    for name in _names(file):
        if _NATIVE.search(name):
            yield NATIVE.at(file, name, "The member is compiled code, or source to compile.")
        elif kind == "package" and name.endswith(".py"):
            yield PACKAGE.at(file, name, "The member is Python that loading runs.")


def _script(file: File) -> Result:
    if file.size > _MAX_SOURCE:
        return Result((), "the TorchScript is longer than is read")
    data = file.all()
    if not is_text(data, whole=True):
        return Result((), "the TorchScript is no text")
    text = data.decode()
    findings: list[ArtefactFinding] = []
    for rule, pattern, what in (
        (FILES, _FILES, "calls an operator that reaches files"),
        (ODD, _IMPORT, "says what TorchScript cannot say"),
        (CUSTOM, _FOREIGN, "uses operators that torch does not have"),
    ):
        if match := pattern.search(text):
            line = text.count("\n", 0, match.start()) + 1
            message = f"The code {what}."
            findings.append(rule.at(file, f"line {line}", message, evidence=match[0].strip()))
    return Result(tuple(findings))


CHECK = Check(
    title="TorchScript, exported programs and torch packages",
    version="1",
    tags=(*_TAGS, "cve:CVE-2025-32434"),
    rules=(FILES, ODD, CUSTOM, PACKAGE, NATIVE),
    examples=(
        "torchscript-cve-2025-32434-from-file",
        "torchscript-import",
        "torchscript-custom-operator",
        "torch-package-code",
        "pt2-native-code",
    ),
    claims=_claims,
    run=_run,
)
