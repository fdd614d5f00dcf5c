"""What may be reported of a pickle stream."""

from __future__ import annotations

from keelmark.core.findings import Severity
from keelmark.vet.contract import Rule

TAGS = ("owasp:llm03", "cwe:CWE-502")
_SAFE = "Do not load this file; ask for the weights as safetensors or GGUF."

CALL = Rule(
    "pickle.dangerous_call",
    "Loading runs code",
    Severity.CRITICAL,
    "The stream calls a function that runs commands or code as soon as it is loaded.",
    _SAFE,
    (*TAGS, "cve:CVE-2025-1716", "cve:CVE-2025-32434"),
)
GLOBAL = Rule(
    "pickle.dangerous_global",
    "Imports something dangerous",
    Severity.CRITICAL,
    "The stream imports a function that runs commands or code; importing is enough to be handed "
    "to the next call.",
    _SAFE,
    TAGS,
)
REBOUND = Rule(
    "pickle.rebound",
    "Changes what it imports",
    Severity.CRITICAL,
    "A stream that sets attributes of an imported function, class or module gives a harmless name "
    "another meaning, for itself and for the whole program.",
    _SAFE,
    TAGS,
)
UNKNOWN_CALL = Rule(
    "pickle.unknown_call",
    "Calls an unknown function",
    Severity.HIGH,
    "A list of bad functions is never complete: what is not known to be harmless is refused.",
    "Ask for the weights as safetensors, or waive this rule once you have read the function.",
    TAGS,
)
UNKNOWN_IMPORT = Rule(
    "pickle.unknown_import",
    "Imports something unexpected",
    Severity.MEDIUM,
    "The name is of a package that is known, but nothing that models need.",
    "Ask the publisher why the name is there, or for the weights as safetensors.",
    TAGS,
)
UNKNOWN_CLASS = Rule(
    "pickle.unknown_class",
    "Needs code that is not in the file",
    Severity.LOW,
    "The class or function belongs to its publisher's own code: what it does when the object is "
    "built and used cannot be told from the file.",
    "Read that code before you load it, or ask for the weights alone (a state dictionary, "
    "safetensors).",
    TAGS,
)
EXTENSION = Rule(
    "pickle.extension_code",
    "Imports through a number",
    Severity.HIGH,
    "An extension code stands for an import that only the loading process knows.",
    _SAFE,
    TAGS,
)
TAMPERED = Rule(
    "pickle.tampered",
    "Stream that no pickler writes",
    Severity.HIGH,
    "Such streams are made by hand, to be read differently by checks and by loaders.",
    _SAFE,
    (*TAGS, "cve:CVE-2026-24747"),
)
PERSISTENT = Rule(
    "pickle.persistent_id",
    "Leaves objects to the loader",
    Severity.MEDIUM,
    "What is built depends on the loading program and cannot be told from the file.",
    "Ask for the weights as safetensors or GGUF.",
    TAGS,
)
EXPANSION = Rule(
    "pickle.expansion",
    "Grows without bounds",
    Severity.HIGH,
    "A few bytes make the loader build structures that exhaust its memory.",
    _SAFE,
    (*TAGS, "owasp:llm10", "cwe:CWE-409"),
)
NESTED = Rule(
    "pickle.nested",
    "Carries another pickle inside",
    Severity.HIGH,
    "A pickle in a string of a pickle is how payloads are hidden from checks.",
    _SAFE,
    TAGS,
)
STRING = Rule(
    "pickle.suspicious_string",
    "Contains a suspicious string",
    Severity.INFO,
    "A string alone runs nothing, but a command in model weights is odd.",
    "Read the string and ask why it is there.",
    TAGS,
)
DISGUISED = Rule(
    "pickle.disguised",
    "Pickle under another name",
    Severity.HIGH,
    "A file that is called harmless and is a pickle was named to deceive.",
    _SAFE,
    (*TAGS, "cve:CVE-2025-1889", "cve:CVE-2025-10155", "cve:CVE-2025-54886"),
)
ALL = (
    CALL, GLOBAL, REBOUND, UNKNOWN_CALL, UNKNOWN_IMPORT, UNKNOWN_CLASS, EXTENSION, TAMPERED,
    PERSISTENT, EXPANSION, NESTED, STRING, DISGUISED,
)  # fmt: skip
