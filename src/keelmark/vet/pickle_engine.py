"""modelaudit-picklescan, asked about the same streams: what it says that we do not.

The engine's source-dependent enrichment is off: it reads whatever packages happen to be installed,
and a report must not depend on that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from keelmark.core.findings import Severity
from keelmark.core.lazily import Lazy
from keelmark.vet.contract import Rule
from keelmark.vet.pickle_rules import (
    CALL,
    EXPANSION,
    EXTENSION,
    GLOBAL,
    NESTED,
    PERSISTENT,
    STRING,
    TAMPERED,
    UNKNOWN_CALL,
    UNKNOWN_CLASS,
)

if TYPE_CHECKING:
    from modelaudit_picklescan import Finding, PickleReport, ScanOptions

_engine = Lazy("modelaudit_picklescan")

NAME = "modelaudit-picklescan"
VERSION = f"{NAME} {version(NAME)}"
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


@cache
def _options() -> ScanOptions:
    options: ScanOptions = _engine.ScanOptions(
        timeout_s=3600,  # the worker's limits decide, so that a report does not depend on the clock
        max_opcodes=20_000_000,
        max_known_stream_read_bytes=64 * 1024 * 1024,
        max_nested_depth=2,
    )
    return options


class Hit(NamedTuple):
    """One thing that the engine says.

    Attributes:
        rule: Our rule for it.
        severity: How grave, None for what the rule says.
        name: The import it is about, or "".
        code: The engine's code.
        message: One sentence.
        where: Where in the streams that the engine was shown.
        nested: Whether it is about bytes inside a literal.
    """

    rule: Rule
    severity: Severity | None
    name: str
    code: str
    message: str
    where: str
    nested: bool


class Opinion(NamedTuple):
    """What the engine says of a file.

    Attributes:
        hits: What it saw.
        names: Every import that it objects to.
        problem: Why it did not see all, or "".
    """

    hits: tuple[Hit, ...]
    names: frozenset[str]
    problem: str


def ask(streams: bytes) -> Opinion:
    """Show the engine pickle streams."""
    report = _engine.PickleScanner(_options()).scan_bytes(
        streams, source="pickle", enrich_call_graph=False
    )
    hits = tuple(_hits(report))
    return Opinion(hits, frozenset(hit.name for hit in hits if hit.name), _problem(report))


def _hits(report: PickleReport) -> Iterator[Hit]:
    for finding in report.findings:
        code, details = finding.rule_code or "", finding.details
        name = str(details.get("import_reference", ""))
        if "source_backed_import_initialization_untrusted" in details:
            continue  # its doubts about the packages installed here say nothing about the file
        if code == "PERSISTENT_ID" and details.get("pytorch_storage_persistent_id") is True:
            continue
        nested = "nested_rule_code" in details or _RULES.get(code) is NESTED
        if nested and code not in _NAMING:
            continue  # a guess: random numbers, read as opcodes, look like that
        rule = _rule(code, name)
        grave = rule in {CALL, GLOBAL} and finding.severity is _engine.Severity.WARNING
        message = finding.message.split(" pickle (pos", 1)[0].rstrip(".") + "."
        yield Hit(
            rule, Severity.HIGH if grave else None, name, code, message, _where(finding), nested
        )


def _rule(code: str, name: str) -> Rule:
    if code in {"NON_ALLOWLISTED_GLOBAL", "S203"}:
        last = name.rpartition(".")[2].lstrip("_")
        return UNKNOWN_CLASS if last[:1].isupper() else UNKNOWN_CALL
    return _RULES.get(code, TAMPERED)


def _where(finding: Finding) -> str:
    for key in ("position", "opcode_position", "global_position", "offset"):
        if key in finding.details:
            return f"opcode at {finding.details[key]}"
    text = finding.location or ""
    return f"opcode at {text.rpartition('(pos ')[2].rstrip(')')}" if "(pos " in text else "stream"


def _problem(report: PickleReport) -> str:
    if report.status is _engine.ScanStatus.COMPLETE:
        return ""
    said = [notice.message for notice in report.notices] + [e.message for e in report.errors]
    return said[0].rstrip(".") if said else f"{NAME} did not finish"
