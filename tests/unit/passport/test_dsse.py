"""DSSE envelopes: the published example bytes, and every way to be wrong."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.core.errors import IntegrityError
from keelmark.passport import dsse
from keelmark.passport.keys import SigningKey

OWN, OTHER = (SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2))
TRUSTED = {OWN.key_id: OWN.public}


def test_pae_of_the_specification() -> None:
    kind = "http://example.com/HelloWorld"
    assert dsse.pae(kind, b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert dsse.pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_signed_payload_comes_back() -> None:
    data = dsse.sign(b'{"a":1}', OWN)
    plain = json.loads(data)
    assert plain["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(plain["payload"]) == b'{"a":1}'
    assert plain["signatures"][0]["keyid"] == OWN.key_id
    assert dsse.verify(dsse.parse(data), TRUSTED) == b'{"a":1}'


def _edit(**changes: Any) -> bytes:
    return json.dumps({**json.loads(dsse.sign(b"{}", OWN)), **changes}).encode()


def _signature(key: SigningKey, **changes: Any) -> dict[str, Any]:
    return {**json.loads(dsse.sign(b"{}", key))["signatures"][0], **changes}


REFUSALS = {
    "no signature": (_edit(signatures=[]), "carries no signature"),
    "foreign": (dsse.sign(b"{}", OTHER), "which is not trusted here"),
    "altered payload": (_edit(payload=base64.b64encode(b"[]").decode()), "altered after"),
    "other type": (_edit(payloadType="text/plain"), "holds 'text/plain', not"),
    "our name, their signature": (
        _edit(signatures=[_signature(OTHER, keyid=OWN.key_id)]),
        "altered after",
    ),
    "good beside bad": (
        _edit(signatures=[_signature(OWN), _signature(OWN, sig="AAAA")]),
        "altered after",
    ),
    "payload not base64": (_edit(payload="***"), "payload of the envelope is not base64"),
    "signature not base64": (
        _edit(signatures=[_signature(OWN, sig="*")]),
        "signature of the envelope is not base64",
    ),
}


@pytest.mark.parametrize(("data", "says"), REFUSALS.values(), ids=REFUSALS)
def test_each_refusal_has_its_own_sentence(data: bytes, says: str) -> None:
    with pytest.raises(IntegrityError, match=says):
        dsse.verify(dsse.parse(data), TRUSTED)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"payload":1}', b"[" * 100_000])
def test_what_is_no_envelope(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="not a signed envelope"):
        dsse.parse(data)


def test_one_trusted_signature_among_foreign_ones_is_enough() -> None:
    data = _edit(signatures=[_signature(OTHER), _signature(OWN)])
    assert dsse.verify(dsse.parse(data), TRUSTED) == b"{}"


def test_key_id_is_only_a_hint_and_base64_may_be_url_safe() -> None:
    signature = _signature(OWN, keyid="")
    signature["sig"] = signature["sig"].replace("+", "-").replace("/", "_")
    assert dsse.verify(dsse.parse(_edit(signatures=[signature])), TRUSTED) == b"{}"
