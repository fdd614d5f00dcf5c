"""Pickle streams, also inside archives: opcodes read by modelaudit-picklescan, never run.

The engine's source-dependent enrichment is off: it reads whatever packages happen to be installed,
and a report must not depend on that.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from modelaudit_picklescan import (
    Finding,
    PickleReport,
    PickleScanner,
    ScanOptions,
    ScanStatus,
)
from modelaudit_picklescan import Severity as EngineSeverity

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.sniff import looks_like_pickle

MAX_PICKLE = 128 * 1024 * 1024
_OPTIONS = ScanOptions(
    timeout_s=3600,  # the worker's limits decide, so that a report does not depend on the clock
    max_opcodes=20_000_000,
    max_known_stream_read_bytes=MAX_PICKLE,
    max_nested_depth=4,
)
_TAGS = ("owasp:llm03", "cwe:CWE-502")
_SAFE = "Do not load this file; ask for the weights as safetensors or GGUF."
_PLAIN_NAMES = {".safetensors", ".gguf", ".json", ".txt", ".md", ".yaml", ".yml", ".onnx"}

# Globals that the engine does not list but that only build plain data.
_HARMLESS = {"_codecs.encode"}

CALL = Rule(
    "pickle.dangerous_call",
    "Loading runs code",
    Severity.CRITICAL,
    "The stream calls a function that runs commands or code as soon as it is loaded.",
    _SAFE,
    (*_TAGS, "cve:CVE-2025-1716", "cve:CVE-2025-32434"),
)
GLOBAL = Rule(
    "pickle.dangerous_global",
    "Imports something dangerous",
    Severity.CRITICAL,
    "The stream imports a function that runs commands or code; importing is enough to be handed "
    "to the next call.",
    _SAFE,
    _TAGS,
)
UNKNOWN_CALL = Rule(
    "pickle.unknown_call",
    "Calls an unknown function",
    Severity.HIGH,
    "A list of bad functions is never complete: what is not known to be harmless is refused.",
    "Ask for the weights as safetensors, or waive this rule once you have read the function.",
    _TAGS,
)
UNKNOWN_CLASS = Rule(
    "pickle.unknown_class",
    "Builds an object of an unknown class",
    Severity.MEDIUM,
    "What the class does when it is built and filled cannot be told from the file.",
    "Ask for the weights alone (a state dictionary, safetensors) instead of whole objects.",
    _TAGS,
)
EXTENSION = Rule(
    "pickle.extension_code",
    "Imports through a number",
    Severity.HIGH,
    "An extension code stands for an import that only the loading process knows.",
    _SAFE,
    _TAGS,
)
TAMPERED = Rule(
    "pickle.tampered",
    "Stream that no pickler writes",
    Severity.HIGH,
    "Such streams are made by hand, to be read differently by checks and by loaders.",
    _SAFE,
    _TAGS,
)
PERSISTENT = Rule(
    "pickle.persistent_id",
    "Leaves objects to the loader",
    Severity.MEDIUM,
    "What is built depends on the loading program and cannot be told from the file.",
    "Ask for the weights as safetensors or GGUF.",
    _TAGS,
)
EXPANSION = Rule(
    "pickle.expansion",
    "Grows without bounds",
    Severity.HIGH,
    "A few bytes make the loader build structures that exhaust its memory.",
    _SAFE,
    (*_TAGS, "owasp:llm10", "cwe:CWE-409"),
)
NESTED = Rule(
    "pickle.nested",
    "Carries another pickle inside",
    Severity.HIGH,
    "A pickle in a string of a pickle is how payloads are hidden from checks.",
    _SAFE,
    _TAGS,
)
STRING = Rule(
    "pickle.suspicious_string",
    "Contains a suspicious string",
    Severity.INFO,
    "A string alone runs nothing, but a command in model weights is odd.",
    "Read the string and ask why it is there.",
    _TAGS,
)
DISGUISED = Rule(
    "pickle.disguised",
    "Pickle under another name",
    Severity.HIGH,
    "A file that is called harmless and is a pickle was named to deceive.",
    _SAFE,
    (*_TAGS, "cve:CVE-2025-1889", "cve:CVE-2025-10155"),
)

_RULES = {
    "DANGEROUS_CALL": CALL,
    "DANGEROUS_GLOBAL": GLOBAL,
    "POST_BUDGET_GLOBAL": GLOBAL,
    "EXTENSION_REF": EXTENSION,
    "MALFORMED_STACK_GLOBAL": TAMPERED,
    "STRUCTURAL_TAMPER": TAMPERED,
    "PERSISTENT_ID": PERSISTENT,
    "PICKLE_EXPANSION": EXPANSION,
    "S213": NESTED,
    "S601": NESTED,
    "S602": NESTED,
    "SUSPICIOUS_STRING": STRING,
}


_NAMING = {"DANGEROUS_CALL", "DANGEROUS_GLOBAL", "NON_ALLOWLISTED_GLOBAL"}


def _run(file: File) -> Result:
    if file.size > MAX_PICKLE:
        return Result((), f"the pickle is larger than {MAX_PICKLE} bytes")
    report = PickleScanner(_OPTIONS).scan_bytes(
        file.all(), source="pickle", enrich_call_graph=False
    )
    findings = list(_translate(file, report))
    if file.suffix in _PLAIN_NAMES:
        message = f"The content is a pickle, but the name ends in {file.suffix}."
        findings.append(DISGUISED.at(file, "name", message))
    unexamined = _why_unexamined(report)
    if not unexamined and _guesses(report):
        unexamined = "bytes inside it may be another pickle"
    if not unexamined and any(f.rule in {UNKNOWN_CLASS.id, PERSISTENT.id} for f in findings):
        unexamined = "what it builds cannot be told from the file"
    return Result(tuple(findings), unexamined)


def _translate(file: File, report: PickleReport) -> Iterator[ArtefactFinding]:
    guesses = _guesses(report)
    for hit in report.findings:
        rule, severity = _classify(hit)
        if rule is None or hit in guesses:
            continue
        where = f"offset {hit.details['position']}" if "position" in hit.details else _offset(hit)
        name = str(hit.details.get("import_reference", ""))
        message = hit.message.split(" pickle (pos", 1)[0].rstrip(".") + "."
        evidence = f"{hit.rule_code} {name}".strip()
        yield rule.at(file, where, message, evidence=evidence, severity=severity)


def _guesses(report: PickleReport) -> list[Finding]:
    """Return the findings by which the engine only guesses that bytes inside are a pickle.

    Random numbers, read as opcodes, look like extension codes and broken streams. What names no
    function is no finding; but then the bytes are not fully examined either.
    """
    nested = [hit for hit in report.findings if "nested_rule_code" in hit.details]
    named = [hit for hit in nested if hit.rule_code in _NAMING]
    guesses = [hit for hit in nested if hit.rule_code not in _NAMING]
    if not named:
        guesses += [hit for hit in report.findings if _RULES.get(hit.rule_code or "") is NESTED]
    return guesses


def _classify(hit: Finding) -> tuple[Rule | None, Severity | None]:
    """Return the rule of an engine's finding (None: nothing to report) and its severity."""
    details = hit.details
    code = hit.rule_code or ""
    if code in {"NON_ALLOWLISTED_GLOBAL", "S203"}:
        return _unknown_global(hit), None
    if code == "PERSISTENT_ID" and details.get("pytorch_storage_persistent_id") is True:
        return None, None  # how torch refers to a tensor's bytes
    rule = _RULES.get(code, TAMPERED)
    if rule in {CALL, GLOBAL} and hit.severity is EngineSeverity.WARNING:
        return rule, Severity.HIGH
    return rule, None


def _unknown_global(hit: Finding) -> Rule | None:
    name = str(hit.details.get("import_reference", ""))
    # The engine's doubts about the packages installed here say nothing about the file.
    if "source_backed_import_initialization_untrusted" in hit.details or name in _HARMLESS:
        return None
    # Classes are written with a capital. One that is not what its name says still leaves the
    # file "not checked", so the convention decides between two refusals, not about a pass.
    last = name.rpartition(".")[2].lstrip("_")
    return UNKNOWN_CLASS if last[:1].isupper() else UNKNOWN_CALL


def _offset(hit: Finding) -> str:
    for key in ("opcode_position", "global_position", "offset"):
        if key in hit.details:
            return f"offset {hit.details[key]}"
    text = hit.location or ""
    return f"offset {text.rpartition('(pos ')[2].rstrip(')')}" if "(pos " in text else "stream"


def _why_unexamined(report: PickleReport) -> str:
    if report.status is ScanStatus.COMPLETE:
        return ""
    said = [notice.message for notice in report.notices] + [e.message for e in report.errors]
    return said[0].rstrip(".") if said else "the pickle engine did not finish"


CHECK = Check(
    title="Pickle streams",
    version=f"1 (modelaudit-picklescan {version('modelaudit-picklescan')})",
    tags=(*_TAGS, "cve:CVE-2025-1716", "cve:CVE-2025-1889", "cve:CVE-2025-10157"),
    rules=(
        CALL,
        GLOBAL,
        UNKNOWN_CALL,
        UNKNOWN_CLASS,
        EXTENSION,
        TAMPERED,
        PERSISTENT,
        EXPANSION,
        NESTED,
        STRING,
        DISGUISED,
    ),
    examples=(
        "pickle-os-system-proto0",
        "pickle-broken-after-payload",
        "pickle-unknown-function",
        "pickle-unknown-class",
        "pickle-ext1",
        "pickle-stack-global-confusion",
        "pickle-persid",
        "pickle-expansion",
        "pickle-nested-base64",
        "pickle-suspicious-string",
        "pickle-as-safetensors",
    ),
    claims=looks_like_pickle,
    run=_run,
)
