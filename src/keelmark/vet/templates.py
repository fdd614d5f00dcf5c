"""Chat templates, read by two engines and our own, all of which parse and never render.

c4nary and our own `template_logic` know behavioural back doors (a template that changes what the
model is told when a trigger appears, without any code); glyphhound folds obfuscation before it
looks for code. What only one of the two sees of code is kept and said.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import NamedTuple

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.lazily import Lazy
from keelmark.vet.contract import File, Rule
from keelmark.vet.template_logic import examine_logic

VERSIONS = f"c4nary {version('c4nary')}, glyphhound {version('glyphhound')}"
_c4nary = Lazy("c4nary.rules.template")
_glyphhound = Lazy("glyphhound.analyze")
_parse = Lazy("glyphhound.parse")
MAX_TEMPLATE = 1024 * 1024

_SSTI = ("cve:CVE-2024-34359", "cve:CVE-2026-5760", "owasp:llm03", "cwe:CWE-1336")


class TemplateRules(NamedTuple):
    """The rules on chat templates, under the id of the check that found the template."""

    code: Rule
    backdoor: Rule
    hidden: Rule
    review: Rule
    disagree: Rule


_CODE = (
    "Chat template reaches for code execution",
    Severity.CRITICAL,
    "A loader that renders the template outside a sandbox runs the attacker's code.",
    "Do not use this file; take the template of the original publisher.",
    _SSTI,
)
_BACKDOOR = (
    "Chat template changes what the model is told",
    Severity.HIGH,
    "It stands before every prompt and can inject instructions, always or on a trigger word.",
    "Compare the template with the original publisher's and use that one.",
    ("owasp:llm03", "owasp:llm04", "owasp:llm01"),
)
_HIDDEN = (
    "Chat template hides characters",
    Severity.HIGH,
    "Invisible or direction-changing characters show a reader another text than the model gets.",
    "Remove the characters, or use the original publisher's template.",
    ("owasp:llm03", "cwe:CWE-1007"),
)
_REVIEW = (
    "Chat template deserves a look",
    Severity.MEDIUM,
    "Addresses, tests for sensitive words, unusual size or nesting are rare in templates.",
    "Read the template at the named place.",
    ("owasp:llm03",),
)
_DISAGREE = (
    "Two engines disagree",
    Severity.INFO,
    "Only one of the two engines sees the problem; either it sees more, or it is mistaken.",
    "Look at the other finding at the same place.",
)


def template_rules(check: str) -> TemplateRules:
    """Return the rules for one check."""
    return TemplateRules(
        Rule(f"{check}.template_code", *_CODE),
        Rule(f"{check}.template_backdoor", *_BACKDOOR),
        Rule(f"{check}.template_hidden", *_HIDDEN),
        Rule(f"{check}.template_review", *_REVIEW),
        Rule(f"{check}.engines_disagree", *_DISAGREE),
    )


_FIELDS = {
    **dict.fromkeys(("TPL001", "TPL002", "TPL003", "TPL004", "TPL005"), "code"),
    **dict.fromkeys(("TPL021", "TPL022", "TPL023", "TPL027", "TPL031", "TPL032"), "backdoor"),
    **dict.fromkeys(("TPL024", "TPL025"), "hidden"),
    **dict.fromkeys(("TPL010", "TPL011", "TPL012", "TPL013", "TPL026"), "review"),
}
_INFORMATION = {"TPL100", "TPL101"}
_NOTES = {"TPL013"}  # deep nesting: whole families of honest templates


def examine_template(
    rules: TemplateRules, file: File, place: str, source: str
) -> tuple[list[ArtefactFinding], str]:
    """Examine one template.

    Args:
        rules: Rules to report under.
        file: The file it stands in.
        place: Where in the file: a key, or "" when the file is the template.
        source: The template.

    Returns:
        Findings, and why it was not fully examined ("" if it was).
    """
    if len(source) > MAX_TEMPLATE:
        return [], f"the chat template is longer than {MAX_TEMPLATE} characters"
    at = _Place(rules, file, f"{place} " if place else "")
    opinions = (_by_c4nary(at, source), _by_us(at, source), _by_glyphhound(at, source))
    findings = [finding for opinion in opinions for finding in opinion.findings]
    unexamined = next((opinion.reason for opinion in opinions if opinion.reason), "")
    seeing = [opinion.engine for opinion in opinions if opinion.sees_code]
    if len(seeing) == 1 and not unexamined:
        message = f"Only {seeing[0]} sees code execution in this template."
        findings.append(rules.disagree.at(file, f"{at.prefix}template", message))
    return findings, unexamined


class _Place(NamedTuple):
    """The rules, the file, and what stands before every location in it."""

    rules: TemplateRules
    file: File
    prefix: str


class _Opinion(NamedTuple):
    """What one engine says of a template."""

    engine: str
    findings: list[ArtefactFinding]
    reason: str = ""
    sees_code: bool = False


def _by_c4nary(at: _Place, source: str) -> _Opinion:
    findings, reason, sees = [], "", False
    for hit in _c4nary.analyze_template(source):
        if hit.rule_id in _INFORMATION:
            continue
        if hit.rule_id not in _FIELDS:
            reason = f"c4nary cannot read the chat template ({hit.detail})"
            continue
        rule: Rule = getattr(at.rules, _FIELDS[hit.rule_id])
        sees = sees or rule is at.rules.code
        where = at.prefix + (hit.location or "template")
        message, evidence = f"{hit.title}: {hit.detail}", f"c4nary {hit.rule_id}"
        severity = Severity.INFO if hit.rule_id in _NOTES else None
        findings.append(rule.at(at.file, where, message, evidence=evidence, severity=severity))
    return _Opinion("c4nary", findings, reason, sees)


def _by_us(at: _Place, source: str) -> _Opinion:
    remarks, reason = examine_logic(source)
    findings = []
    for remark in remarks:
        rule = at.rules.backdoor if remark.kind == "backdoor" else at.rules.review
        where = f"{at.prefix}template:L{remark.line}"
        findings.append(rule.at(at.file, where, remark.message, evidence=remark.evidence))
    return _Opinion("Keelmark", findings, reason)


def _by_glyphhound(at: _Place, source: str) -> _Opinion:
    try:
        hits = _glyphhound.analyze_template(source)
    except (_parse.ParseError, RecursionError) as error:
        return _Opinion("glyphhound", [], f"glyphhound cannot read the chat template ({error})")
    findings, sees = [], False
    for hit in hits:
        # A mere variable called `system` reaches nothing, and glyphhound says so itself.
        reaches = hit.reachable is not False
        sees = sees or reaches
        message = f"Chat template contains {hit.evidence} ({hit.sink_kind})."
        where = f"{at.prefix}template:L{hit.source_line}"
        severity = None if reaches else Severity.INFO
        evidence = f"glyphhound {hit.rule_id}"
        finding = at.rules.code.at(at.file, where, message, evidence=evidence, severity=severity)
        findings.append(finding)
    return _Opinion("glyphhound", findings, "", sees)
