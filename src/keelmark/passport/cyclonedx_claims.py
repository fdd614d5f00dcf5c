"""What vetting says of a model, in CycloneDX: vulnerabilities, and claims with their evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import VetReport

MODEL = "model"
"""Reference of the model within a bill."""

_GRADES = ("critical", "high", "medium", "low", "info", "none", "unknown")


def findings(report: VetReport, places: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    """Findings of vetting, one for each rule and file."""
    grouped: dict[tuple[str, str], list[ArtefactFinding]] = {}
    for finding in report.findings:
        if finding.severity is not Severity.INFO:
            grouped.setdefault((finding.rule, finding.path), []).append(finding)
    for number, ((rule, path), found) in enumerate(sorted(grouped.items())):
        worst = max(found, key=lambda f: f.severity.rank)
        yield {
            "bom-ref": f"finding:{number}",
            "id": rule,
            "source": {"name": "keelmark"},
            "ratings": [{"severity": worst.severity.value, "method": "other"}],
            "description": worst.message,
            "detail": "\n".join(f"{f.location}: {f.message} {f.evidence}".strip() for f in found),
            "affects": [{"ref": places.get(path.partition("!")[0], MODEL)}],
        }


def advisories(report: VetReport, places: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    """Known vulnerabilities of an engine that a file of this model can set off."""
    section = report.sections.get("vulnerabilities")
    found = section.data.get("affected") if section else None
    for number, match in enumerate(found if isinstance(found, list) else []):
        paths = [*match["triggered_by"], *match["exposed_by"]]
        if not paths or not match["ids"]:
            continue
        first, *others = match["ids"]
        grade = str(match["severity"]).lower()
        engine = f"{match['package']} {match['version']}"
        yield {
            "bom-ref": f"advisory:{number}",
            "id": first,
            "references": [{"id": each, "source": {"name": "OSV"}} for each in others],
            "ratings": [{"severity": grade, "method": "other"}] if grade in _GRADES else [],
            "description": f"A file of this model meets a known vulnerability of {engine}.",
            "recommendation": f"Use {match['package']} {' or '.join(match['fixed'])} or newer."
            if match["fixed"]
            else "",
            "affects": [
                {"ref": places.get(path.partition("!")[0], MODEL)} for path in sorted(set(paths))
            ],
        }


def declarations(report: VetReport) -> dict[str, Any]:
    """The verdict as a claim, with what it rests on."""
    coverage = report.coverage
    missing = [f"{item.path}: {item.reason}" for item in coverage.not_checked]
    evidence = [
        {
            "bom-ref": "evidence:coverage",
            "propertyName": "keelmark:coverage",
            "description": f"{coverage.checked} of {coverage.files} files were fully checked.",
        },
        {
            "bom-ref": "evidence:not-checked",
            "propertyName": "keelmark:not_checked",
            "description": "\n".join(missing),
        },
    ]
    used = evidence if missing else evidence[:1]
    return {
        "assessors": [{"bom-ref": "assessor", "thirdParty": False}],
        "attestations": [
            {
                "summary": report.reason,
                "assessor": "assessor",
                "map": [{"claims": ["claim:vetting"]}],
            }
        ],
        "claims": [
            {
                "bom-ref": "claim:vetting",
                "target": MODEL,
                "predicate": f"Vetting under policy {report.policy_digest}: {report.verdict}.",
                "reasoning": report.reason,
                "evidence": [each["bom-ref"] for each in used],
            }
        ],
        "evidence": used,
    }


def properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return properties of ours; empty ones are left out."""
    return [
        {"name": f"keelmark:{name}", "value": value}
        for name, value in sorted(values.items())
        if value
    ]
