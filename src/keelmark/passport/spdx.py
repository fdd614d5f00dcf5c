"""SPDX 3.0.1 with the AI and Dataset profiles: a bill of materials of one model, JSON-LD.

The model is an `ai_AIPackage` that contains its files, is trained on its data sets and descends
from what it was made from. Findings and the verdict are annotations. Only what is known is written;
a data set whose kind nobody says has the kind `noAssertion`, as SPDX asks.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from keelmark import __version__
from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import VetReport
from keelmark.passport.described import Described, Facts, describe, figure, file_name
from keelmark.passport.licences import as_expression
from keelmark.passport.manifest import Manifest

_CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:keelmark:spdx")
_MADE = "_:creation"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PROFILES = ["core", "software", "ai", "dataset", "simpleLicensing"]

Element = dict[str, Any]


def to_spdx(
    report: VetReport,
    manifest: Manifest,
    facts: Facts | None = None,
    *,
    when: datetime | None = None,
) -> str:
    """Return a bill of materials, JSON-LD.

    Args:
        report: What vetting said.
        manifest: The files it is about.
        facts: What checks learnt of them; a passport keeps none.
        when: Time of the document; the start of 1970, said to be none, when left out, because SPDX
            demands one and the bytes must stay the same.
    """
    known = describe(report, facts or {})
    base = f"urn:uuid:{uuid.uuid5(_NAMESPACE, report.digest)}#"
    writer = _Writer(base)
    model = _model(writer, report, manifest, known)
    files = _files(writer, manifest)
    writer.relate(model, "contains", [files[path] for path in files])
    licence = _licence(writer, known)
    writer.relate(model, "hasDeclaredLicense", [licence] if licence else [])
    writer.relate(model, "trainedOn", _datasets(writer, known))
    writer.relate(model, "descendantOf", _bases(writer, known))
    _annotate(writer, report, {file_name(p, manifest): i for p, i in files.items()}, model)
    document = {
        "type": "SpdxDocument",
        "spdxId": f"{base}document",
        "creationInfo": _MADE,
        "name": manifest.name,
        "profileConformance": _PROFILES,
        "rootElement": [model],
        "element": [element["spdxId"] for element in writer.elements],
    }
    graph = [_creation(base, when), *_makers(base), document, *writer.elements]
    plain = {"@context": _CONTEXT, "@graph": graph}
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


class _Writer:
    """Collects elements; every one has its id and says how it was made."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.elements: list[Element] = []

    def add(self, kind: str, local: str, **parts: Any) -> str:
        """Add an element without its empty parts; return its id."""
        kept = {key: part for key, part in parts.items() if part not in ("", [], {}, None)}
        spdx_id = self.base + local
        self.elements.append({"type": kind, "spdxId": spdx_id, "creationInfo": _MADE, **kept})
        return spdx_id

    def relate(self, source: str, kind: str, targets: Iterable[str]) -> None:
        """Add a relationship, unless it leads nowhere."""
        if found := list(targets):
            local = f"relationship-{kind}"
            self.add("Relationship", local, **{"from": source}, to=found, relationshipType=kind)


def _creation(base: str, when: datetime | None) -> Element:
    made: Element = {
        "type": "CreationInfo",
        "@id": _MADE,
        "specVersion": "3.0.1",
        "created": f"{(when or _EPOCH).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "createdBy": [f"{base}agent"],
        "createdUsing": [f"{base}tool"],
    }
    if when is None:
        made["comment"] = "No time was given: the same vetting gives the same document."
    return made


def _makers(base: str) -> list[Element]:
    agent = {"type": "SoftwareAgent", "spdxId": f"{base}agent", "creationInfo": _MADE}
    tool = {"type": "Tool", "spdxId": f"{base}tool", "creationInfo": _MADE}
    return [{**agent, "name": "keelmark"}, {**tool, "name": f"keelmark {__version__}"}]


def _model(writer: _Writer, report: VetReport, manifest: Manifest, known: Described) -> str:
    said = {name: value.value for name, value in known.values.items()}
    prose = known.prose
    maker = said.get("publisher")
    supplier = writer.add("Organization", "supplier", name=maker) if maker else None
    links = dict(reversed(known.links))
    figures = ("parameters", "context", "types", "quantisation", "hidden")
    return writer.add(
        "ai_AIPackage",
        "model",
        name=said.get("name") or manifest.name,
        description=said.get("description"),
        suppliedBy=supplier,
        software_packageVersion=said.get("version"),
        software_primaryPurpose="model",
        software_downloadLocation=links.get("distribution"),
        software_homePage=links.get("website"),
        verifiedUsing=[_hash(manifest.entries[0].sha256)] if manifest.is_file else [],
        externalIdentifier=[
            {
                "type": "ExternalIdentifier",
                "externalIdentifierType": "other",
                "identifier": report.digest,
                "comment": "Root digest of the files, as in OpenSSF Model Signing v1.0.",
            }
        ],
        ai_domain=[said["task"]] if "task" in said else [],
        ai_typeOfModel=[said[name] for name in ("family", "architecture") if name in said],
        ai_hyperparameter=[_entry(name, said[name]) for name in figures if name in said],
        ai_metric=[_entry(f"{m.type} ({m.slice})", m.value) for m in known.metrics],
        ai_informationAboutApplication="\n\n".join([*prose.uses, *prose.users]),
        ai_informationAboutTraining="\n\n".join(prose.data),
        ai_limitation="\n\n".join([*prose.limitations, *prose.ethics, *prose.fairness]),
        ai_energyConsumption=_energy(known),
    )


def _energy(known: Described) -> Element | None:
    """Energy of training, when the card gives it in kilowatt-hours."""
    spent = known.emissions.get("energy_consumed", "")
    if figure(spent) is None:
        return None
    return {
        "type": "ai_EnergyConsumption",
        "ai_trainingEnergyConsumption": [
            {
                "type": "ai_EnergyConsumptionDescription",
                "ai_energyQuantity": spent,
                "ai_energyUnit": "kilowattHour",
            }
        ],
    }


def _files(writer: _Writer, manifest: Manifest) -> dict[str, str]:
    return {
        entry.path: writer.add(
            "software_File",
            f"file-{number}",
            name=file_name(entry.path, manifest),
            verifiedUsing=[_hash(entry.sha256)],
        )
        for number, entry in enumerate(manifest.entries)
    }


def _licence(writer: _Writer, known: Described) -> str:
    said = known.values.get("licence")
    if said is None:
        return ""
    expression, link = as_expression(said.value), known.values.get("licence_link")
    own = "LicenseRef-" + (re.sub(r"[^A-Za-z0-9.-]+", "-", said.value).strip("-.") or "unnamed")
    return writer.add(
        "simplelicensing_LicenseExpression",
        "licence",
        name="" if expression else said.value,
        comment=f"Declared in {said.source}.",
        simplelicensing_licenseExpression=expression or own,
        simplelicensing_customIdToUri=[_entry(own, link.value)] if link and not expression else [],
    )


def _datasets(writer: _Writer, known: Described) -> list[str]:
    return [
        writer.add(
            "dataset_DatasetPackage",
            f"dataset-{number}",
            name=dataset.value,
            comment=f"Named in {dataset.source}.",
            software_primaryPurpose="data",
            dataset_datasetType=["noAssertion"],
        )
        for number, dataset in enumerate(known.datasets)
    ]


def _bases(writer: _Writer, known: Described) -> list[str]:
    return [
        writer.add(
            "ai_AIPackage",
            f"base-{number}",
            name=base.name,
            comment=f"Named in {base.source}{f' as {base.relation}' if base.relation else ''}.",
            software_primaryPurpose="model",
            software_downloadLocation=base.link,
        )
        for number, base in enumerate(known.bases)
    ]


def _annotate(writer: _Writer, report: VetReport, places: Mapping[str, str], model: str) -> None:
    """Write the verdict, what was not checked, and findings as annotations."""
    coverage = report.coverage
    said = [
        (model, f"Vetting, {report.verdict}: {report.reason} Policy {report.policy_digest}."),
        (model, f"{coverage.checked} of {coverage.files} files were fully checked."),
        *(
            (places.get(item.path, model), f"Not checked: {item.path}: {item.reason}")
            for item in coverage.not_checked
        ),
        *(
            (places.get(finding.path.partition("!")[0], model), _told(finding))
            for finding in report.findings
            if finding.severity is not Severity.INFO
        ),
    ]
    for number, (subject, statement) in enumerate(said):
        local = f"annotation-{number}"
        writer.add(
            "Annotation", local, annotationType="review", subject=subject, statement=statement
        )


def _told(finding: ArtefactFinding) -> str:
    where = f"{finding.path}, {finding.location}"
    return f"{finding.severity} {finding.rule}, {where}: {finding.message}"


def _hash(sha256: str) -> Element:
    return {"type": "Hash", "algorithm": "sha256", "hashValue": sha256}


def _entry(key: str, value: str) -> Element:
    return {"type": "DictionaryEntry", "key": key, "value": value}
