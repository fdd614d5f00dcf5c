"""Other tools' bills of materials are read: leniently, within limits, and in three forms."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from described_model import FACTS, manifest, report
from keelmark.core.errors import LimitError, UsageError
from keelmark.passport import bom
from keelmark.passport.bom import Card, Part, compare, read_bom
from keelmark.passport.cyclonedx import SPECS, to_cyclonedx
from keelmark.passport.manifest import Manifest, ManifestEntry
from keelmark.passport.spdx import to_spdx

VECTORS = Path(__file__).resolve().parents[4] / "shared" / "data" / "vectors" / "mlbom"
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir() and not os.environ.get("CI"),
    reason="the vectors (shared/data/vectors/mlbom) are not on this machine",
)


@needs_vectors
@pytest.mark.parametrize("spec", SPECS)
def test_published_model_card(spec):
    bill = read_bom((VECTORS / f"valid-machine-learning-{spec}.json").read_bytes())
    assert bill.form == f"CycloneDX {spec}"
    assert bill.left_out == ()
    (model,) = bill.models
    assert (model.name, model.version) == ("CompVis/stable-diffusion", "1.4")
    card = model.card
    assert card.task == "task goes here"
    assert card.datasets == ("Training Data",)
    assert (card.inputs, card.outputs) == (("string",), ("byte[]",))
    assert card.metrics[0][0] == "The type of performance metric"
    assert set(card.considerations) >= {"users", "useCases", "technicalLimitations"}


@needs_vectors
@pytest.mark.parametrize("spec", SPECS)
def test_published_energy(spec):
    name = f"valid-machine-learning-considerations-env-{spec}.json"
    (model,) = read_bom((VECTORS / name).read_bytes()).models
    assert model.name == "meta-llama/Llama-2-7b"
    assert model.card.considerations["energy"] == ("training: 0.4 kWh, 31.22 tCO2eq",)


@pytest.mark.parametrize("spec", SPECS)
def test_our_own_cyclonedx(spec):
    bill = read_bom(to_cyclonedx(report(), manifest(), FACTS, spec=spec).encode())
    (model,) = bill.models
    assert bill.left_out == ()
    assert model.licences == ("Apache-2.0",)
    assert model.ancestors == ("gardens/rose-7b",)
    assert model.card.architecture == "LlamaForCausalLM"
    assert model.card.datasets == ("gardens/herbarium", "gardens/soil")
    assert compare(bill, manifest()).unlisted == ()
    assert compare(bill, manifest()).missing == ()


def test_our_own_spdx():
    bill = read_bom(to_spdx(report(), manifest(), FACTS).encode())
    assert bill.form == "SPDX 3.0.1"
    model, _ = bill.models
    assert model.licences == ("Apache-2.0",)
    assert model.ancestors == ("gardens/rose-7b",)
    assert model.card.datasets == ("gardens/herbarium", "gardens/soil")
    assert compare(bill, manifest()).listed == tuple(e.path for e in manifest().entries)


def test_spdx_2():
    document = {
        "spdxVersion": "SPDX-2.3",
        "packages": [
            {
                "name": "m",
                "versionInfo": "1",
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "MIT",
            }
        ],
        "files": [
            {
                "fileName": "./w.bin",
                "checksums": [{"algorithm": "SHA256", "checksumValue": "AB" * 32}],
            }
        ],
    }
    package, file = read_bom(json.dumps(document).encode()).parts
    assert package == Part(kind="package", name="m", version="1", licences=("MIT",))
    assert file.hashes == {"sha-256": "ab" * 32}


def test_comparison_names_what_differs():
    bill = read_bom(to_cyclonedx(report(), manifest(), FACTS).encode())
    first, *others = manifest().entries
    changed = ManifestEntry(path=first.path, size=1, sha256="f" * 64)
    found = compare(bill, Manifest(name="tiny", entries=(changed, *others)))
    assert (found.unlisted, found.missing) == (("LICENSE",), ("LICENSE",))


def test_fields_of_the_wrong_kind_are_named_and_left_out():
    plain = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": [],
        "components": [
            7,
            {"type": "library"},
            {"type": "machine-learning-model", "name": "m", "licenses": {}, "modelCard": "x"},
        ],
    }
    bill = read_bom(json.dumps(plain).encode())
    assert bill.parts == (Part(kind="machine-learning-model", name="m", card=Card()),)
    assert len(bill.left_out) == 5
    assert bill.left_out[0] == "metadata: of the wrong kind"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "in JSON"),
        (b"<bom/>", "export it as JSON"),
        (b"{", "in JSON"),
        (b"[]", "CycloneDX, SPDX 2 and SPDX 3"),
        (b'{"bomFormat": "Other"}', "CycloneDX, SPDX 2 and SPDX 3"),
        (b"[" * 200_000, "in JSON"),
        (b"\xff\xfe", "in JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "in JSON"),
    ],
)
def test_what_is_no_bill(data, says):
    with pytest.raises(UsageError, match=says):
        read_bom(data)


def test_limits(monkeypatch):
    nested: dict = {"type": "file", "name": "x"}
    for _ in range(60):
        nested = {"type": "file", "name": "x", "components": [nested]}
    plain = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [nested]}
    assert "nested too deeply" in read_bom(json.dumps(plain).encode()).left_out[0]
    monkeypatch.setattr(bom, "MAX_PARTS", 3)
    many = {**plain, "components": [{"type": "file", "name": "x"}] * 4}
    with pytest.raises(LimitError, match="more than 3"):
        read_bom(json.dumps(many).encode())
    monkeypatch.setattr(bom, "MAX_BYTES", 3)
    with pytest.raises(LimitError, match="longer"):
        read_bom(b"{}  ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "name",
                    "components",
                    "licenses",
                    "license",
                    "hashes",
                    "modelCard",
                    "modelParameters",
                    "datasets",
                    "ref",
                    "considerations",
                    "users",
                    "pedigree",
                    "ancestors",
                    "to",
                    "from",
                    "@id",
                    "spdxId",
                    "verifiedUsing",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(inner=JSON, form=st.sampled_from(["CycloneDX", "SPDX-2.3", "SPDX-3"]))
def test_whatever_is_inside_is_read_or_left_out(inner, form):
    plain = {
        "CycloneDX": {"bomFormat": form, "metadata": {"component": inner}, "components": inner},
        "SPDX-2.3": {"spdxVersion": form, "packages": inner, "files": [inner]},
        "SPDX-3": {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": inner},
    }[form]
    bill = read_bom(json.dumps(plain).encode())
    assert all(part.name for part in bill.parts)
