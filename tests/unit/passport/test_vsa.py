"""Verification summaries: made from passports, and read from others."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.vetting import VetVerdict
from keelmark.passport.dsse import IN_TOTO, pae
from keelmark.passport.keys import SigningKey
from keelmark.passport.manifest import build_manifest
from keelmark.passport.oms_keys import sign
from keelmark.passport.vsa import LEVEL, PREDICATE, Expected, to_vsa, verify_vsa
from signers import new_key


def _signed(predicate: dict, subject: list[dict], key, kind: str = PREDICATE) -> bytes:
    """Somebody else's summary, signed with some kind of key."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": kind,
        "predicate": predicate,
    }
    payload = json.dumps(statement).encode()
    made = base64.b64encode(sign(key, pae(IN_TOTO, payload))).decode()
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": IN_TOTO,
        "signatures": [{"sig": made, "keyid": "theirs"}],
    }
    return json.dumps(envelope).encode()


FOREIGN = {
    "verifier": {"id": "https://example.com/verifier"},
    "timeVerified": "2026-11-22T12:00:00Z",
    "resourceUri": "pkg:huggingface/firm/model",
    "policy": {"uri": "https://example.com/policy"},
    "verificationResult": "PASSED",
    "verifiedLevels": ["SLSA_BUILD_LEVEL_3"],
    "somethingNew": 1,
}


def test_of_a_passport(issue, folder: Path, signer: SigningKey):
    data = to_vsa(issue(folder), signer)
    assert data == to_vsa(issue(folder), signer)
    status = verify_vsa(data, [signer.public], Expected(model=build_manifest(folder)))
    assert (status.outcome, status.code) == ("valid", "ok")
    assert status.summary.verified_levels == ("SLSA_BUILD_LEVEL_UNEVALUATED", LEVEL)
    assert status.summary.verifier.id.endswith(signer.key_id)
    statement = json.loads(base64.b64decode(json.loads(data)["payload"]))
    assert len(statement["subject"]) == len(build_manifest(folder).entries)
    assert statement["predicate"]["timeVerified"] == "2026-11-22T12:00:00Z"


def test_other_files(issue, folder: Path, signer: SigningKey):
    data = to_vsa(issue(folder), signer)
    (folder / "config.json").write_text('{"a": 2}')
    status = verify_vsa(data, [signer.public], Expected(model=build_manifest(folder)))
    assert (status.outcome, status.code) == ("invalid", "different")
    assert "config.json" in status.reason


@pytest.mark.parametrize("verdict", [VetVerdict.FAIL, VetVerdict.INCOMPLETE])
def test_what_did_not_pass_is_never_valid(issue, model: Path, signer: SigningKey, verdict):
    data = to_vsa(issue(model, verdict=verdict), signer)
    status = verify_vsa(data, [signer.public], Expected())
    assert (status.outcome, status.code) == ("invalid", "failed")


def test_whose_it_is(issue, model: Path, signer: SigningKey):
    data = to_vsa(issue(model), signer)
    assert verify_vsa(data, [], Expected()).outcome == "could not check"
    stranger = Ed25519PrivateKey.generate().public_key()
    assert verify_vsa(data, [stranger], Expected()).code == "bad_signature"
    assert verify_vsa(data, [stranger, signer.public], Expected()).code == "ok"


@pytest.mark.parametrize("key", [new_key(), Ed25519PrivateKey.generate()], ids=["P-256", "Ed25519"])
def test_of_others(model: Path, key):
    manifest = build_manifest(model)
    subject = [{"name": "m", "digest": {"sha256": manifest.entries[0].sha256, "sha512": "00"}}]
    data = _signed(FOREIGN, subject, key)
    keys = [key.public_key()]
    bundle = json.dumps({"mediaType": "x", "dsseEnvelope": json.loads(data)}).encode()
    for each in (data, bundle):
        assert verify_vsa(each, keys, Expected(model=manifest)).outcome == "valid"
    for expected, code in (
        ({"verifier": "https://example.com/verifier"}, "ok"),
        ({"verifier": "https://example.com/other"}, "wrong_verifier"),
        ({"resource": "pkg:huggingface/firm/model"}, "ok"),
        ({"resource": "pkg:huggingface/firm/other"}, "wrong_resource"),
        ({"levels": ("SLSA_BUILD_LEVEL_3",)}, "ok"),
        ({"levels": ("SLSA_SOURCE_LEVEL_2",)}, "wrong_level"),
    ):
        assert verify_vsa(data, keys, Expected(**expected)).code == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"verificationResult": "FAILED"}, "failed"),
        ({"verificationResult": "passed"}, "malformed"),
        ({"verifier": None}, "malformed"),
        ({"verifiedLevels": "x"}, "malformed"),
        ({"policy": None}, "malformed"),
    ],
)
def test_what_does_not_hold(change, code):
    key = new_key()
    data = _signed(FOREIGN | change, [{"digest": {"sha256": "0" * 64}}], key)
    assert verify_vsa(data, [key.public_key()], Expected()).code == code


def test_another_predicate():
    key = new_key()
    data = _signed(FOREIGN, [{"digest": {}}], key, kind="https://slsa.dev/provenance/v1")
    assert verify_vsa(data, [key.public_key()], Expected()).code == "malformed"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"payload": 1}'])
def test_what_is_no_summary(data):
    assert verify_vsa(data, [], Expected()).code == "malformed"


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_changed_byte_is_never_valid(place, flip):
    key = new_key()
    data = json.loads(_signed(FOREIGN, [{"digest": {"sha256": "0" * 64}}], key))
    payload = bytearray(base64.b64decode(data["payload"]))
    payload[place % len(payload)] ^= flip
    data["payload"] = base64.b64encode(bytes(payload)).decode()
    status = verify_vsa(json.dumps(data).encode(), [key.public_key()], Expected())
    assert status.outcome == "invalid"
