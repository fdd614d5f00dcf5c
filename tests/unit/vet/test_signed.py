"""Signatures beside a model: their list is read in the worker, and compared with the manifest."""

import base64
import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.passport.manifest import build_manifest
from keelmark.passport.oms_sign import sign_model
from keelmark.vet.checks.signature import CHECK
from keelmark.vet.contract import Budget, File, Result
from keelmark.vet.machine import Machine
from keelmark.vet.survey import NOTHING, Subject, Surveyed
from keelmark.vet.surveys.signed import SURVEY
from signers import Authority, make_model, new_key, remade


def _run(data: bytes, path: str = "model.sig") -> Result:
    budget = Budget(1 << 30)
    file = File(path, len(data), lambda size, offset: data[offset : offset + size], budget)
    return CHECK.run(file) if CHECK.claims(file) else Result()


def _survey(root: Path, **signatures: bytes) -> Surveyed:
    found = {f"{name}.sig": _run(data).facts for name, data in signatures.items()}
    facts = {path: said for path, said in found.items() if said}
    today = dt.date(2026, 1, 1)
    return SURVEY.run(Subject(build_manifest(root), facts, (), NOTHING, Machine(), today))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def _rules(surveyed: Surveyed) -> list[tuple[str, str]]:
    return [(f.rule, f.path) for f in surveyed.findings]


def test_files_that_match_and_nobody_is_trusted(root):
    bundle, _ = sign_model(root, new_key())
    surveyed = _survey(root, model=bundle)
    assert surveyed.section.answer == "files match"
    assert "not verified" in surveyed.section.summary
    assert _rules(surveyed) == []
    assert surveyed.section.data["signatures"][0]["listed"] == 4


def test_no_signature_no_section(root):
    assert _survey(root) == Surveyed(None)


def test_files_that_differ(root):
    bundle, _ = sign_model(root, new_key())
    (root / "weights.bin").write_bytes(b"other")
    (root / "more.py").write_text("x")
    (root / "empty").unlink()
    surveyed = _survey(root, model=bundle)
    assert surveyed.section.answer == "not what was signed"
    assert _rules(surveyed) == [
        ("signed.altered", "weights.bin"),
        ("signed.missing", "model.sig"),
        ("signed.added", "more.py"),
    ]


def test_what_a_signature_leaves_out_is_not_added(root):
    bundle, _ = sign_model(root, new_key(), ignored=("sub",))
    assert _rules(_survey(root, model=bundle)) == []


def test_of_one_file(root):
    bundle, _ = sign_model(root / "weights.bin", new_key())
    found = {"weights.bin.sig": _run(bundle).facts}
    manifest, today = build_manifest(root), dt.date(2026, 1, 1)
    surveyed = SURVEY.run(Subject(manifest, found, (), NOTHING, Machine(), today))
    assert (surveyed.section.answer, _rules(surveyed)) == ("files match", [])


def test_who_is_named(root):
    firm = Authority()
    bundle, _ = sign_model(root, firm.key, certificates=(firm.leaf, firm.middle))
    facts = _run(bundle).facts["signature"]
    assert (facts["method"], facts["signer"]) == ("certificate", "CN=signer")


@pytest.mark.parametrize(
    "change",
    [
        {"predicate__serialization__hash_type": "blake3"},
        {"predicate__serialization__hash_type": "blake2b"},
    ],
)
def test_what_cannot_be_compared_is_said(root, change):
    bundle, _ = sign_model(root, new_key())
    if change["predicate__serialization__hash_type"] == "blake3":
        surveyed = _survey(root, model=remade(bundle, **change))
        assert surveyed.section.answer == "could not tell"
        assert surveyed.section.lines[0].answer == "could not tell"
    else:  # SHA-256 where BLAKE2b is said
        assert [f.rule for f in _run(remade(bundle, **change)).findings] == ["signature.malformed"]


def test_other_bundles_are_none_of_its_business(root):
    bundle, _ = sign_model(root, new_key())
    other = remade(bundle, predicateType="https://slsa.dev/provenance/v1")
    plain = json.loads(bundle)
    del plain["dsseEnvelope"]
    blob = json.dumps({**plain, "messageSignature": {}}).encode()
    for data in (other, blob, b"{", b"", b"text", bundle[: len(bundle) // 2]):
        assert _run(data) == Result()


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 100_000), to=st.integers(0, 255))
def test_whatever_is_read_it_is_a_result(place, to):
    data = bytearray(BUNDLE)
    data[place % len(data)] = to
    result = _run(bytes(data))
    assert result.unexamined == ""
    json.dumps(result.facts)


def _bundle() -> bytes:
    payload = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m", "digest": {"sha256": "00"}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {},
    }
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "00"}},
            "dsseEnvelope": {
                "payload": base64.b64encode(json.dumps(payload).encode()).decode(),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": "AAAA"}],
            },
        }
    ).encode()


BUNDLE = _bundle()
