"""Bills of materials in CycloneDX: valid by the real schemas, full, never more than known."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from described_model import FACTS, WHEN, manifest, report
from keelmark import __version__
from keelmark.core.vetting import Coverage, Section
from keelmark.passport.cyclonedx import SPECS, to_cyclonedx
from keelmark.passport.manifest import Manifest, ManifestEntry
from keelmark.passport.spdx import to_spdx

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
SCHEMAS = {"1.6": SchemaVersion.V1_6, "1.7": SchemaVersion.V1_7}
VALIDATORS = {spec: JsonStrictValidator(version) for spec, version in SCHEMAS.items()}


def _bom(spec: str = "1.7", facts: Any = FACTS, **changes: Any) -> dict[str, Any]:
    text = to_cyclonedx(report(**changes), manifest(), facts, spec=spec)
    problem = VALIDATORS[spec].validate_str(text)
    assert problem is None, problem
    return json.loads(text)


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["bom-ref"]] if "bom-ref" in value else [])
        for each in value.values():
            yield from _refs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _refs(each)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("when", [None, WHEN])
def test_valid_by_the_schema_and_the_same_each_time(spec, when):
    first, second = (
        to_cyclonedx(report(), manifest(), FACTS, spec=spec, when=when) for _ in range(2)
    )
    assert first == second
    assert VALIDATORS[spec].validate_str(first) is None
    assert ("2026-11-22T12:00:00Z" in first) == (when is not None)


@pytest.mark.parametrize("name", ["tiny.cdx.json", "tiny.spdx.json"])
def test_the_bytes_change_only_on_purpose(name):
    """After a change that is meant: KEELMARK_GOLDEN=write, look at the difference, commit it."""
    made = (
        to_cyclonedx(report(), manifest(), FACTS, spec="1.7")
        if name == "tiny.cdx.json"
        else to_spdx(report(), manifest(), FACTS)
    )
    made = made.replace(__version__, "VERSION")
    if os.environ.get("KEELMARK_GOLDEN") == "write":
        (GOLDEN / name).write_text(made, encoding="utf-8")
    assert made == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("spec", SPECS)
def test_references_are_unique_and_lead_somewhere(spec):
    bom = _bom(spec)
    refs = list(_refs(bom))
    assert len(refs) == len(set(refs))
    used = [d["ref"] for d in bom["dependencies"]]
    used += [r for d in bom["dependencies"] for r in d.get("dependsOn", [])]
    used += [a["ref"] for v in bom["vulnerabilities"] for a in v["affects"]]
    used += [d["ref"] for d in bom["components"][0]["modelCard"]["modelParameters"]["datasets"]]
    assert set(used) <= set(refs)


def test_the_model_card_is_full():
    model = _bom()["components"][0]
    card = model["modelCard"]
    assert model["type"] == "machine-learning-model"
    assert card["modelParameters"] == {
        "task": "text-generation",
        "architectureFamily": "llama",
        "modelArchitecture": "LlamaForCausalLM",
        "datasets": [{"ref": "data:0"}, {"ref": "data:1"}],
        "inputs": [{"format": "text"}],
        "outputs": [{"format": "text"}],
    }
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "accuracy", "value": "0.75", "slice": "Leaves, test"}
    ]
    said = card["considerations"]
    assert said["users"] == ["Gardeners"]
    assert said["useCases"] == ["Answer questions about plants."]
    assert said["technicalLimitations"] == ["It knows only English plants."]
    assert said["performanceTradeoffs"] == ["Small, so it forgets."]
    assert said["ethicalConsiderations"] == [{"name": "It prefers roses."}]
    assert said["fairnessAssessments"] == [
        {"harms": "Gardeners without roses are put at a disadvantage."}
    ]
    energy = {p["name"]: p["value"] for p in said["environmentalConsiderations"]["properties"]}
    assert energy["keelmark:card:co2_eq_emissions"] == "1200"
    assert energy["keelmark:card:environment:0"] == "Trained on the sun."


@pytest.mark.parametrize("spec", SPECS)
def test_energy_when_the_card_gives_kilowatt_hours(spec):
    def energy(**said):
        facts = {"README.md": {"card": {"co2_eq_emissions": said}}}
        card = _bom(spec, facts)["components"][0].get("modelCard", {})
        around = card.get("considerations", {}).get("environmentalConsiderations", {})
        return around.get("energyConsumptions")

    assert energy(emissions=1200) is None
    assert energy(energy_consumed="a lot") is None
    (spent,) = energy(energy_consumed=12.5, emissions=4e6, training_type="fine-tuning")
    assert spent["activity"] == "fine-tuning"
    assert spent["activityEnergyCost"] == {"value": 12.5, "unit": "kWh"}
    assert spent["co2CostEquivalent"] == {"value": 4.0, "unit": "tCO2eq"}


@pytest.mark.parametrize(
    ("data", "licences"),
    [
        ({"expression": "none found", "claims": []}, None),
        ({"expression": "mit", "claims": [{"said": "mit"}]}, ["MIT"]),
        ({}, None),
    ],
)
def test_licence_of_the_section(data, licences):
    section = Section(title="Licence", answer="x", summary="y", data=data)
    model = _bom(facts={}, sections={"licence": section})["components"][0]
    assert [each["expression"] for each in model.get("licenses", [])] == (licences or [])


def test_bases_that_only_the_lineage_names():
    data = {"declared": [{"name": "firm/base", "path": "README.md", "relation": "quantized"}, 7]}
    section = Section(title="Lineage", answer="x", summary="y", data=data)
    (base,) = _bom(facts={}, sections={"lineage": section})["components"][0]["pedigree"][
        "ancestors"
    ]
    assert base["name"] == "firm/base"


def test_what_it_is_made_of():
    bom = _bom()
    model = bom["components"][0]
    assert model["licenses"] == [{"expression": "Apache-2.0", "acknowledgement": "declared"}]
    assert [f["name"] for f in model["components"]] == [e.path for e in manifest().entries]
    assert all(f["hashes"][0]["alg"] == "SHA-256" for f in model["components"])
    (base,) = model["pedigree"]["ancestors"]
    assert base["name"] == "gardens/rose-7b"
    assert [c["name"] for c in bom["components"][1:]] == ["gardens/herbarium", "gardens/soil"]
    links = {r["type"]: r["url"] for r in model["externalReferences"]}
    assert links == {
        "license": "https://www.apache.org/licenses/LICENSE-2.0",
        "model-card": "README.md",
    }
    properties = {p["name"]: p["value"] for p in model["properties"]}
    assert properties["keelmark:model:parameters"] == "205"
    assert properties["keelmark:source:task"] == "README.md"
    assert "keelmark:section:fit" not in properties, "it is about a machine"


def test_findings_and_what_they_rest_on():
    bom = _bom()
    finding, advisory = bom["vulnerabilities"]
    assert finding["id"] == "remote_code.python"
    assert finding["ratings"][0]["severity"] == "high"
    assert finding["affects"] == [{"ref": "file:4"}]
    assert advisory["id"] == "CVE-2026-0001"
    assert advisory["affects"] == [{"ref": "file:3"}]
    (claim,) = bom["declarations"]["claims"]
    assert claim["predicate"].endswith(": fail.")
    assert "LICENSE: too long" in bom["declarations"]["evidence"][1]["description"]


@pytest.mark.parametrize("spec", SPECS)
def test_nothing_is_invented(spec):
    """Without facts there is no card, no licence, no ancestor, no task."""
    bom = _bom(spec, facts={}, sections={}, findings=(), coverage=Coverage(files=5, checked=5))
    model = bom["components"][0]
    assert set(model) == {"type", "bom-ref", "name", "version", "components", "externalReferences"}
    assert model["name"] == "tiny"
    assert "vulnerabilities" not in bom


@pytest.mark.parametrize(
    "licence", ["llama3.1", "gemma", "LicenseRef-own", "a b c", "((", "x" * 400]
)
@pytest.mark.parametrize("spec", SPECS)
def test_licences_that_spdx_does_not_know_keep_their_name(spec, licence):
    facts = {"README.md": {"card": {"license": licence}}}
    (said,) = _bom(spec, facts)["components"][0]["licenses"]
    assert said["license"]["name"] == licence[:500]


def test_figures_beyond_reason_are_left_out():
    facts = {"a": {"safetensors": {"tensors": [["t", "F32", [10**4000] * 3]]}}}
    properties = [p["name"] for p in _bom("1.6", facts)["components"][0]["properties"]]
    assert "keelmark:model:parameters" not in properties


def test_a_model_of_one_file_has_its_hash():
    whole = Manifest(name="m.gguf", entries=(ManifestEntry(path=".", size=1, sha256="a" * 64),))
    gguf = {
        "metadata": {
            "general.architecture": "llama",
            "general.name": "M",
            "general.license": "mit",
            "llama.block_count": 2,
            "general.base_model.count": 1,
            "general.base_model.0.name": "Base",
            "general.base_model.0.organization": "Firm",
            "general.base_model.0.repo_url": "https://huggingface.co/firm/base",
        },
        "tensors": [["t", "Q4_0", [32, 2]]],
    }
    text = to_cyclonedx(report(findings=()), whole, {"m.gguf": {"gguf": gguf}})
    assert VALIDATORS["1.6"].validate_str(text) is None
    bom = json.loads(text)
    assert bom["components"][0]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert bom["components"][0]["pedigree"]["ancestors"][0]["name"] == "firm/base"
    assert bom["metadata"]["component"]["type"] == "file"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
CARD_KEYS = sorted([*FACTS["README.md"]["card"], "license_name"])


@settings(max_examples=60, deadline=None)
@given(
    card=st.dictionaries(st.sampled_from(CARD_KEYS), JSON),
    config=st.dictionaries(st.sampled_from(sorted(FACTS["config.json"]["json"])), JSON),
    tensors=JSON,
    text=st.text(max_size=200),
    spec=st.sampled_from(SPECS),
)
def test_hostile_facts_still_give_a_valid_bill(card, config, tensors, text, spec):
    facts = {
        "README.md": {"card": card, "text": text},
        "config.json": {"json": config},
        "a.safetensors": {"safetensors": {"tensors": tensors}},
    }
    bom = to_cyclonedx(report(), manifest(), facts, spec=spec)
    bom.encode()
    problem = VALIDATORS[spec].validate_str(bom)
    assert problem is None, problem
