"""hayward: another opinion on formats that our own checks read; never the only one.

It is asked about bytes in memory, file by file, and only where it reads bytes; its other readers
open paths, which nothing in this process may do.
"""

from __future__ import annotations

from pathlib import Path

from hayward import __version__ as _version
from hayward.findings import is_coverage_gap
from hayward.scanner import ModelFileScanner

from keelmark.core.findings import Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.sniff import named

MAX_SIZE = 16 * 1024 * 1024
_READERS = {
    ".onnx": "_scan_onnx",
    ".pb": "_scan_tf_savedmodel",
    ".pmml": "_scan_pmml",
    ".tflite": "_scan_tflite",
}
_HINTS = {"MFV-ONNX-002"}  # any text with two dots and a slash, such as a trace of an exporter
_TAGS = ("owasp:llm03",)

COMPLAINS = Rule(
    "hayward.complains",
    "Another engine complains",
    Severity.MEDIUM,
    "hayward reads this format by rules of its own; what it sees stands beside what we see.",
    "Look at the other findings of the same file; where there are none, read the named place.",
    _TAGS,
)


def _claims(file: File) -> bool:
    return named(file, *_READERS) and file.size <= MAX_SIZE


def _run(file: File) -> Result:
    scanner = ModelFileScanner()  # type: ignore[no-untyped-call]
    reader = getattr(scanner, _READERS[file.suffix])
    findings = []
    for hit in reader(Path(file.name), file.all()):
        if is_coverage_gap(hit):
            continue  # what it does not read our own checks do, or say so
        severity = Severity.INFO if hit.rule_id in _HINTS else Severity(hit.severity.value)
        evidence = f"hayward {hit.rule_id}"
        finding = COMPLAINS.at(file, "file", hit.message, evidence=evidence, severity=severity)
        findings.append(finding)
    return Result(tuple(findings))


CHECK = Check(
    title="hayward's opinion on ONNX, TensorFlow and PMML",
    version=f"1 (hayward {_version})",
    tags=_TAGS,
    rules=(COMPLAINS,),
    examples=("onnx-address", "savedmodel-write-file"),
    claims=_claims,
    run=_run,
)
