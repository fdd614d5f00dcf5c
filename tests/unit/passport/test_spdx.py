"""Bills of materials in SPDX 3: valid by the shapes of the model, and never more than known."""

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spdx_python_model import v3_0_1 as spdx

from described_model import FACTS, WHEN, manifest, report
from keelmark.core.vetting import Coverage
from keelmark.passport.manifest import Manifest, ManifestEntry
from keelmark.passport.spdx import to_spdx


def _check(text: str) -> spdx.SHACLObjectSet:
    """Read it, so that kinds and types are checked, and write it, so that counts are."""
    objects = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.BytesIO(text.encode()), objects)
    assert not objects.link(), "every reference leads somewhere"
    spdx.JSONLDSerializer().write(objects, io.BytesIO())
    return objects


def _graph(facts: Any = FACTS, **changes: Any) -> dict[str, list[dict[str, Any]]]:
    text = to_spdx(report(**changes), manifest(), facts)
    _check(text)
    found: dict[str, list[dict[str, Any]]] = {}
    for element in json.loads(text)["@graph"]:
        found.setdefault(element["type"], []).append(element)
    return found


@pytest.mark.parametrize("when", [None, WHEN])
def test_valid_and_the_same_each_time(when):
    first, second = (to_spdx(report(), manifest(), FACTS, when=when) for _ in range(2))
    assert first == second
    objects = _check(first)
    assert len(list(objects.foreach_type(spdx.ai_AIPackage))) == 2
    created = "2026-11-22T12:00:00Z" if when else "1970-01-01T00:00:00Z"
    assert f'"created": "{created}"' in first


def test_the_model():
    graph = _graph()
    model, base = graph["ai_AIPackage"]
    assert model["name"] == "Tiny"
    assert model["ai_domain"] == ["text-generation"]
    assert model["ai_typeOfModel"] == ["llama", "LlamaForCausalLM"]
    figures = {e["key"]: e["value"] for e in model["ai_hyperparameter"]}
    assert figures == {
        "parameters": "205",
        "context": "2048",
        "types": "F16, F32",
        "quantisation": "gptq",
        "hidden": "64",
    }
    assert model["ai_metric"][0] == {
        "type": "DictionaryEntry",
        "key": "accuracy (Leaves, test)",
        "value": "0.75",
    }
    assert "Answer questions about plants." in model["ai_informationAboutApplication"]
    assert "It prefers roses." in model["ai_limitation"]
    assert model["ai_informationAboutTraining"] == "A herbarium."
    assert base["name"] == "gardens/rose-7b"


def test_relationships_licence_and_files():
    graph = _graph()
    relations = {r["relationshipType"]: r for r in graph["Relationship"]}
    assert set(relations) == {"contains", "hasDeclaredLicense", "trainedOn", "descendantOf"}
    assert len(relations["contains"]["to"]) == len(graph["software_File"]) == 5
    (licence,) = graph["simplelicensing_LicenseExpression"]
    assert licence["simplelicensing_licenseExpression"] == "Apache-2.0"
    assert [d["name"] for d in graph["dataset_DatasetPackage"]] == [
        "gardens/herbarium",
        "gardens/soil",
    ]
    hashes = [f["verifiedUsing"][0]["hashValue"] for f in graph["software_File"]]
    assert hashes == [e.sha256 for e in manifest().entries]


def test_findings_are_annotations():
    said = [a["statement"] for a in _graph()["Annotation"]]
    assert said[0].startswith("Vetting, fail: ")
    assert any("Not checked: LICENSE" in each for each in said)
    assert any("remote_code.python" in each for each in said)
    assert not any("documents.note" in each for each in said), "what is for information only"


def test_energy_only_in_kilowatt_hours():
    def energy(**said):
        facts = {"README.md": {"card": {"co2_eq_emissions": said}}}
        return _graph(facts)["ai_AIPackage"][0].get("ai_energyConsumption")

    assert energy(emissions=1200) is None
    assert energy(energy_consumed="a lot") is None
    (spent,) = energy(energy_consumed=12.5)["ai_trainingEnergyConsumption"]
    assert (spent["ai_energyQuantity"], spent["ai_energyUnit"]) == ("12.5", "kilowattHour")


def test_nothing_is_invented():
    graph = _graph({}, sections={}, findings=(), coverage=Coverage(files=5, checked=5))
    (model,) = graph["ai_AIPackage"]
    assert set(model) == {
        "type",
        "spdxId",
        "creationInfo",
        "name",
        "software_primaryPurpose",
        "externalIdentifier",
    }
    assert [r["relationshipType"] for r in graph["Relationship"]] == ["contains"]


@pytest.mark.parametrize("licence", ["llama3.1", "a b/c", "((", "."])
def test_licences_that_spdx_does_not_know(licence):
    card = {"license": "other", "license_name": licence, "license_link": "https://example.com/l"}
    (said,) = _graph({"README.md": {"card": card}})["simplelicensing_LicenseExpression"]
    assert said["name"] == licence
    expression = said["simplelicensing_licenseExpression"]
    assert expression.startswith("LicenseRef-")
    assert said["simplelicensing_customIdToUri"][0]["key"] == expression


def test_a_model_of_one_file():
    whole = Manifest(name="m.gguf", entries=(ManifestEntry(path=".", size=1, sha256="a" * 64),))
    text = to_spdx(report(findings=()), whole)
    _check(text)
    model = next(e for e in json.loads(text)["@graph"] if e["type"] == "ai_AIPackage")
    assert model["verifiedUsing"][0]["hashValue"] == "a" * 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
CARD_KEYS = sorted([*FACTS["README.md"]["card"], "license_name"])


@settings(max_examples=60, deadline=None)
@given(card=st.dictionaries(st.sampled_from(CARD_KEYS), JSON), text=st.text(max_size=200))
def test_hostile_cards_still_give_a_valid_document(card, text):
    _check(to_spdx(report(), manifest(), {"README.md": {"card": card, "text": text}}))
