"""CycloneDX 1.6 and 1.7: a bill of materials of one model, with its model card.

The model is the first component; the artefact that was vetted, which the bill is about, stands in
the metadata. Files are parts of the model with their hashes; what it was made from stands in its
pedigree. Findings are vulnerabilities; the verdict is a claim that rests on coverage as evidence.
Only what is known is written. The same vetting gives the same bytes.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from keelmark import __version__
from keelmark.core.vetting import VetReport
from keelmark.passport.cyclonedx_claims import (
    MODEL,
    advisories,
    declarations,
    findings,
    properties,
)
from keelmark.passport.described import MODALITIES, Described, Facts, describe, figure, file_name
from keelmark.passport.licences import as_expression
from keelmark.passport.manifest import Manifest

Spec = Literal["1.6", "1.7"]
SPECS: tuple[Spec, ...] = ("1.6", "1.7")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:keelmark:bom")
_ELSEWHERE = ("fit", "vulnerabilities")  # about one machine and its engine, not about the model
_KINDS = {
    ".json": "application/json",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".py": "text/x-python",
    ".onnx": "application/onnx",
}


def to_cyclonedx(
    report: VetReport,
    manifest: Manifest,
    facts: Facts | None = None,
    *,
    spec: Spec = "1.6",
    when: datetime | None = None,
) -> str:
    """Return a bill of materials, JSON.

    Args:
        report: What vetting said.
        manifest: The files it is about.
        facts: What checks learnt of them; a passport keeps none.
        spec: Version of CycloneDX.
        when: Time to write into it; none when left out, so that the bytes stay the same.
    """
    known = describe(report, facts or {})
    files = _files(manifest)
    places = {each["name"]: each["bom-ref"] for each in files}
    bases, data = _bases(known), _datasets(known)
    bom = {
        "$schema": f"http://cyclonedx.org/schema/bom-{spec}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": spec,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{spec} {report.digest}')}",
        "version": 1,
        "metadata": _metadata(report, manifest, when),
        "components": [_model(report, manifest, known, files, bases), *data],
        "dependencies": [
            {"ref": "artefact", "dependsOn": [MODEL]},
            {"ref": MODEL, "dependsOn": [each["bom-ref"] for each in data]},
        ],
        "vulnerabilities": [
            *findings(report, places),
            *advisories(report, places),
        ],
        "declarations": declarations(report),
    }
    return json.dumps(_trim(bom), indent=2, ensure_ascii=False) + "\n"


def _metadata(report: VetReport, manifest: Manifest, when: datetime | None) -> dict[str, Any]:
    tool = {
        "type": "application",
        "bom-ref": "keelmark",
        "name": "keelmark",
        "version": __version__,
        "properties": properties({f"check:{k}": v for k, v in sorted(report.checks.items())}),
    }
    return {
        "timestamp": f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if when else "",
        "tools": {"components": [tool]},
        "component": {
            "type": "file" if manifest.is_file else "data",
            "bom-ref": "artefact",
            "name": manifest.name,
            "version": report.digest,
            "properties": properties(
                {
                    "digest": report.digest,
                    "size": str(manifest.size),
                    "verdict": report.verdict.value,
                    "reason": report.reason,
                    "policy_digest": report.policy_digest,
                }
            ),
        },
    }


def _model(
    report: VetReport,
    manifest: Manifest,
    known: Described,
    files: list[dict[str, Any]],
    bases: list[dict[str, Any]],
) -> dict[str, Any]:
    values = known.values
    said = {name: values[name].value for name in values}
    hashes = [{"alg": "SHA-256", "content": manifest.entries[0].sha256}]
    more = [{"type": "model-card", "url": quote(f["name"])} for f in files if _is_card(f["name"])]
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "publisher": said.get("publisher"),
        "name": said.get("name") or manifest.name,
        "version": said.get("version") or report.digest,
        "description": said.get("description"),
        "hashes": hashes if manifest.is_file else [],
        "licenses": _licences(said.get("licence"), said.get("licence_link")),
        "pedigree": {"ancestors": bases},
        "externalReferences": [*({"type": k, "url": link} for k, link in known.links), *more],
        "components": files,
        "modelCard": _card(known),
        "properties": properties(
            {
                **{
                    f"model:{name}": said[name]
                    for name in ("parameters", "context", "types", "quantisation", "library")
                    if name in said
                },
                **{f"source:{name}": values[name].source for name in values},
                **{
                    f"section:{name}": f"{section.answer}: {section.summary}"
                    for name, section in report.sections.items()
                    if name not in _ELSEWHERE
                },
            }
        ),
        "tags": list(known.tags),
    }


def _card(known: Described) -> dict[str, Any]:
    said = {name: value.value for name, value in known.values.items()}
    task = said.get("task", "")
    goes_in, comes_out = MODALITIES.get(task, ("", ""))
    prose = known.prose
    return {
        "modelParameters": {
            "task": task,
            "architectureFamily": said.get("family"),
            "modelArchitecture": said.get("architecture"),
            "datasets": [{"ref": f"data:{n}"} for n, _ in enumerate(known.datasets)],
            "inputs": [{"format": goes_in}] if goes_in else [],
            "outputs": [{"format": comes_out}] if comes_out else [],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {"type": metric.type, "value": metric.value, "slice": metric.slice}
                for metric in known.metrics
            ]
        },
        "considerations": _considerations(known),
        "properties": properties(
            {
                **{f"card:language:{n}": each for n, each in enumerate(known.languages)},
                **{f"card:training-data:{n}": each for n, each in enumerate(prose.data)},
                **{f"card:evaluation:{n}": each for n, each in enumerate(prose.evaluation)},
            }
        ),
    }


def _considerations(known: Described) -> dict[str, Any]:
    prose = known.prose
    return {
        "users": list(prose.users),
        "useCases": list(prose.uses),
        "technicalLimitations": list(prose.limitations),
        "performanceTradeoffs": list(prose.tradeoffs),
        "ethicalConsiderations": [{"name": text} for text in prose.ethics],
        "environmentalConsiderations": {
            "energyConsumptions": _energy(known),
            "properties": properties(
                {
                    **{f"card:co2_eq_{k}": v for k, v in known.emissions.items()},
                    **{f"card:environment:{n}": t for n, t in enumerate(prose.environment)},
                }
            ),
        },
        "fairnessAssessments": [{"harms": text} for text in prose.fairness],
    }


def _energy(known: Described) -> list[dict[str, Any]]:
    """Energy of training, when the card gives kilowatt-hours; emissions alone stay properties."""
    spent = figure(known.emissions.get("energy_consumed"))
    if spent is None:
        return []
    grams = figure(known.emissions.get("emissions"))
    tuned = known.emissions.get("training_type") == "fine-tuning"
    measure = {"value": spent, "unit": "kWh"}
    return [
        {
            "activity": "fine-tuning" if tuned else "training",
            "energyProviders": [
                {
                    "organization": {"name": "not stated"},
                    "energySource": "unknown",
                    "energyProvided": measure,
                }
            ],
            "activityEnergyCost": measure,
            "co2CostEquivalent": {"value": grams / 1e6, "unit": "tCO2eq"} if grams else None,
        }
    ]


def _files(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "type": "file",
            "mime-type": next((m for end, m in _KINDS.items() if entry.path.endswith(end)), ""),
            "bom-ref": f"file:{number}",
            "name": file_name(entry.path, manifest),
            "hashes": [{"alg": "SHA-256", "content": entry.sha256}],
            "properties": properties({"size": str(entry.size)}),
        }
        for number, entry in enumerate(manifest.entries)
    ]


def _bases(known: Described) -> list[dict[str, Any]]:
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"base:{number}",
            "name": base.name,
            "externalReferences": [{"type": "distribution", "url": base.link}] if base.link else [],
            "properties": properties({"relation": base.relation, "source": base.source}),
        }
        for number, base in enumerate(known.bases)
    ]


def _datasets(known: Described) -> list[dict[str, Any]]:
    return [
        {
            "type": "data",
            "bom-ref": f"dataset:{number}",
            "name": dataset.value,
            "data": [{"type": "dataset", "bom-ref": f"data:{number}", "name": dataset.value}],
            "properties": properties({"source": dataset.source}),
        }
        for number, dataset in enumerate(known.datasets)
    ]


def _licences(said: str | None, link: str | None) -> list[dict[str, Any]]:
    if not said:
        return []
    expression = as_expression(said)
    if expression:
        return [{"expression": expression, "acknowledgement": "declared"}]
    return [{"license": {"name": said, "acknowledgement": "declared", "url": link or ""}}]


def _is_card(name: str) -> bool:
    return name.rpartition("/")[2].lower() == "readme.md"


def _trim(value: Any) -> Any:
    """Take out what is empty: "", {}, [] and None say nothing."""
    if isinstance(value, dict):
        kept = {key: _trim(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in ("", {}, [], None)}
    if isinstance(value, list):
        return [_trim(each) for each in value]
    return value
