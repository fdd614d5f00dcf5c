"""What cards, texts and metadata say together, and where they contradict."""

import datetime as dt
from typing import Any

import pytest

from corpus.families.licences import MIT, OWN
from keelmark.core.findings import Severity
from keelmark.passport.manifest import Manifest
from keelmark.vet.licence.claims import claims, effective
from keelmark.vet.licence.expressions import shown
from keelmark.vet.machine import Machine
from keelmark.vet.survey import Asked, Subject, Surveyed
from keelmark.vet.surveys.licence import SURVEY

Facts = dict[str, dict[str, Any]]


def survey(facts: Facts, use: dict[str, object] | None = None) -> Surveyed:
    manifest = Manifest(name="model", entries=())
    return SURVEY.run(
        Subject(manifest, facts, (), Asked(use=use), Machine(memory=1), dt.date(2026, 1, 1))
    )


def rules(facts: Facts) -> set[str]:
    return {f.rule for f in survey(facts).findings if f.severity is not Severity.INFO}


def card(**fields: object) -> Facts:
    return {"README.md": {"card": fields, "text": "# A model"}}


def metadata(kind: str, path: str, **values: object) -> Facts:
    names = {name.replace("__", "."): value for name, value in values.items()}
    return {path: {kind: {"metadata": names, "tensors": []}}}


AGREE: list[Facts] = [
    {},
    card(),
    card(license="other"),
    card(license="mit") | {"LICENSE": {"text": MIT}},
    card(license="MIT") | metadata("gguf", "a.gguf", general__license="mit"),
    card(license=["mit", "apache-2.0"]) | {"LICENSE": {"text": MIT}},
    card(license="mit OR apache-2.0") | {"LICENSE-MIT": {"text": MIT}},
    card(license="other", license_name="my-own", license_link="LICENSE")
    | {"LICENSE": {"text": MIT}},
    card(license="apache-2.0") | {"third_party/LICENSE": {"text": MIT}},
    card(license="apache-2.0") | {"THIRD_PARTY_LICENSES.txt": {"text": MIT}},
    card(license="apache-2.0") | {"NOTICE": {"text": "This product has software by others."}},
    card(license="deepseek") | {"LICENSE-CODE": {"text": MIT}},
    card(license="openrail++") | {"text_encoder/LICENSE": {"text": MIT}},
    card(license="mit") | {"LICENSE": {"text": "Under the MIT License, see its page."}},
    card(license="gemma") | metadata("gguf", "a.gguf", general__license="gemma"),
    card(license="openrail") | metadata("gguf", "a.gguf", general__license="creativeml-openrail-m"),
    card(license="mit") | metadata("gguf", "a.gguf", general__license="other"),
    card(license="cc-by-4.0") | {"LICENSE": {"text": "CC BY 4.0: share with credit. " * 30}},
    card(license="apache-2.0") | {"LICENSE": {"text": "Apache License\nVersion 2.0\n"}},
    card(license="mit", tags=["license:mit", "text-generation"]),
    card(license="mit") | {"config.json": {"json": {"license": "mit", "model_type": "x"}}},
]
DISAGREE: list[Facts] = [
    card(license="gemma") | {"LICENSE": {"text": MIT}},
    card(license="mit") | metadata("gguf", "a.gguf", general__license="apache-2.0"),
    card(license="mit") | metadata("gguf", "a.gguf", general__license="afl-3.0"),
    card(license="mit") | metadata("safetensors", "a.safetensors", license="cc-by-nc-4.0"),
    card(license="llama3.1") | metadata("gguf", "a.gguf", general__license="llama3.2"),
    card(license="mit", license_name="llama3.1"),
    card(license="mit", tags=["license:apache-2.0"]),
    card(license="mit") | {"config.json": {"json": {"license": "gpl-3.0"}}},
    card(license="mit") | {"LICENSE": {"text": OWN}},
    card(license="mit") | {"LICENSE": {"text": "This model is under the Gemma Terms of Use."}},
    card(license="apache-2.0", license_link="https://ai.google.dev/gemma/terms"),
    metadata("gguf", "a.gguf", general__license="apache-2.0", general__license__link=
             "https://huggingface.co/spaces/CompVis/stable-diffusion-license"),
    card(license="apache-2.0") | metadata("gguf", "a.gguf", general__license=MIT),
]  # fmt: skip


@pytest.mark.parametrize("facts", AGREE)
def test_what_agrees_is_silent(facts: Facts) -> None:
    assert rules(facts) == set()


@pytest.mark.parametrize("facts", DISAGREE)
def test_what_contradicts_is_a_finding(facts: Facts) -> None:
    (finding, *_) = survey(facts).findings
    assert finding.rule == "licence.contradiction"
    assert finding.severity is Severity.MEDIUM
    assert finding.path in facts


def test_an_altered_clause_is_medium_and_added_words_are_low() -> None:
    altered = survey(card(license="mit") | {"LICENSE": {"text": MIT.replace("publish", "burn")}})
    assert [(f.rule, f.severity.value) for f in altered.findings] == [("licence.altered", "medium")]
    assert "grant" in altered.findings[0].message
    more = survey(card(license="mit") | {"LICENSE": {"text": f"{MIT}\nYou must pay a fee.\n"}})
    assert [(f.rule, f.severity.value) for f in more.findings] == [("licence.altered", "low")]
    assert more.findings[0].evidence == "You must pay a fee"


def test_what_differs_is_there_for_machines() -> None:
    surveyed = survey({"LICENSE": {"text": MIT.replace("publish", "burn")}})
    (claim,) = surveyed.section.data["claims"]
    assert (claim["match"], claim["texts"]) == ("near", ["mit"])
    (difference,) = claim["differences"]
    assert (difference["found"], difference["terms"]) == ("burn", ("grant",))


def test_a_note_that_names_a_licence_is_enough() -> None:
    section = survey(
        {"LICENSE": {"text": "Licensed under the Apache License, Version 2.0."}}
    ).section
    assert section.data["records"] == ["apache-2.0"]


def test_one_place_narrows_down_another() -> None:
    facts = card(license="openrail") | metadata(
        "gguf", "a.gguf", general__license="bigcode-openrail-m"
    )
    licence = effective(claims(facts))
    assert licence is not None
    assert licence.records == ("bigcode-openrail-m",)
    terms = card(license=["llama3.1", "Llama 3.1 Acceptable Use Policy"])
    assert shown(effective(claims(terms)) or licence) == "llama3.1"
    both = effective(claims(card(license=["mit", "gemma"])))
    assert both is not None
    assert shown(both) == "mit AND gemma"


def test_without_a_use_the_duties_are_listed() -> None:
    section = survey(card(license="llama3.1")).section
    assert section.answer == "known"
    assert not section.required
    assert "Llama 3.1 Community License Agreement" in section.summary
    assert any("Built with Llama" in line.why for line in section.lines)
    assert section.data["records"] == ["llama-3.1"]


def test_with_a_use_it_is_decided() -> None:
    facts = card(license="llama3.1") | {"model.safetensors": {}}
    allowed = survey(facts, {"commercial": True, "monthly_users": 10})
    assert (allowed.section.answer, allowed.section.required) == ("allowed if", False)
    assert allowed.section.data["duties"]
    refused = survey(facts, {"commercial": True, "monthly_users": 10**9})
    assert refused.section.answer == "not allowed"
    assert refused.findings[-1].rule == "licence.not_allowed"
    assert "llama-3.1 at" in refused.findings[-1].evidence
    unsure = survey(facts, {"commercial": True})
    assert (unsure.section.answer, unsure.section.required) == ("could not tell", True)
    wrong = survey(facts, {"commerce": True})
    assert wrong.section.required
    assert "did you mean" in wrong.section.unanswered[0]


def test_an_altered_text_is_never_simply_allowed() -> None:
    facts = card(license="mit") | {"LICENSE": {"text": f"{MIT}\nYou must pay a fee.\n"}}
    assert survey(facts, {"commercial": True}).section.answer == "could not tell"


def test_nothing_said_is_missing() -> None:
    surveyed = survey({"model.safetensors": {}})
    assert [f.rule for f in surveyed.findings] == ["licence.missing"]
    assert surveyed.section.answer == "could not tell"


@pytest.mark.parametrize(
    "card_",
    [{"license": 7}, {"license": [None, {"a": 1}]}, {"license": {"name": "mit"}}, {"tags": "x"},
     {"license_name": ["x"]}, {"license": "x" * 10_000}],
)  # fmt: skip
def test_odd_values_do_not_break_it(card_: dict[str, object]) -> None:
    assert survey({"README.md": {"card": card_}}).section.summary.endswith(".")
