"""Keyless signatures against a Sigstore of our own: an authority, a log of certificates, a log."""

import base64
import contextlib
import datetime as dt
import hashlib
import json
import struct
import warnings
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keelmark.core.canonical import canonical
from keelmark.passport.dsse import IN_TOTO, pae
from keelmark.passport.oms import Trust, verify_model
from keelmark.passport.oms_keys import sign
from keelmark.passport.oms_sign import sign_model
from keelmark.passport.sigstore import Keyless, TrustRoot, load_trust_root
from signers import DAY, NOW, issue, make_model, new_key, pem

WHO = "jo@example.com"
ISSUER = "https://accounts.example.com"
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _der(key) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class Sigstore:
    """What the public one does, in small; attributes are changed by tests to break it."""

    def __init__(self) -> None:
        self.ca_key, self.ct_key, self.log_key = new_key(), new_key(), new_key()
        self.ca = issue("fulcio", self.ca_key, "fulcio", self.ca_key, ca=True)
        self.begin, self.end = NOW - dt.timedelta(minutes=5), NOW + dt.timedelta(minutes=5)
        self.logged = NOW
        self.purpose = ExtendedKeyUsageOID.CODE_SIGNING

    def root(self) -> TrustRoot:
        span = {"start": "2026-01-01T00:00:00Z"}

        def log(key) -> dict:
            known = {"rawBytes": _b64(_der(key)), "validFor": span}
            return {"publicKey": known, "logId": {"keyId": _b64(self.log_id(key))}}

        der = self.ca.public_bytes(serialization.Encoding.DER)
        chain = {"certificates": [{"rawBytes": _b64(der)}]}
        plain = {
            "tlogs": [log(self.log_key)],
            "ctlogs": [log(self.ct_key)],
            "certificateAuthorities": [{"certChain": chain, "validFor": span}],
        }
        return msgspec.json.decode(json.dumps(plain), type=TrustRoot)

    @staticmethod
    def log_id(key) -> bytes:
        return hashlib.sha256(_der(key)).digest()

    def certificate(self, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        issuer = ISSUER.encode()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fulcio")]))
            .public_key(key.public_key())
            .serial_number(7)
            .not_valid_before(self.begin)
            .not_valid_after(self.end)
            .add_extension(x509.ExtendedKeyUsage([self.purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(WHO)]), critical=True)
            .add_extension(
                x509.UnrecognizedExtension(_ISSUER_OID, b"\x0c" + bytes([len(issuer)]) + issuer),
                critical=False,
            )
        )
        before = builder.sign(self.ca_key, hashes.SHA256()).tbs_certificate_bytes
        when = int(NOW.timestamp() * 1000)
        message = b"".join(
            (
                struct.pack(">BBQH", 0, 0, when, 1),
                hashlib.sha256(_der(self.ca_key)).digest(),
                len(before).to_bytes(3, "big") + before + b"\0\0",
            )
        )
        made = self.ct_key.sign(message, ec.ECDSA(hashes.SHA256()))
        stamp = b"\0" + self.log_id(self.ct_key) + struct.pack(">QHBBH", when, 0, 4, 3, len(made))
        stamp += made
        listed = struct.pack(">HH", len(stamp) + 2, len(stamp)) + stamp
        value = b"\x04" + bytes([len(listed)]) + listed
        extension = x509.UnrecognizedExtension(_SCT_LIST, value)
        return builder.add_extension(extension, critical=False).sign(self.ca_key, hashes.SHA256())

    def entry(self, payload: bytes, signature: str, certificate: x509.Certificate) -> dict:
        body = canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": {"algorithm": "sha256", "value": "00"},
                    "payloadHash": {
                        "algorithm": "sha256",
                        "value": hashlib.sha256(payload).hexdigest(),
                    },
                    "signatures": [{"signature": signature, "verifier": _b64(pem(certificate))}],
                },
            }
        )
        moment, key_id = int(self.logged.timestamp()), self.log_id(self.log_key)
        promised = canonical(
            {"body": _b64(body), "integratedTime": moment, "logID": key_id.hex(), "logIndex": 5}
        )
        leaf = hashlib.sha256(b"\0" + body).digest()
        other = hashlib.sha256(b"\0other").digest()
        root = _b64(hashlib.sha256(b"\1" + other + leaf).digest())
        note = f"log.example.com - 1\n2\n{root}\n"
        mark = _b64(key_id[:4] + sign(self.log_key, note.encode()))
        return {
            "logIndex": "5",
            "logId": {"keyId": _b64(key_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(moment),
            "inclusionPromise": {"signedEntryTimestamp": _b64(sign(self.log_key, promised))},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": root,
                "treeSize": "2",
                "hashes": [_b64(other)],
                "checkpoint": {"envelope": f"{note}\n\u2014 log.example.com {mark}\n"},
            },
            "canonicalizedBody": _b64(body),
        }

    def sign(self, model: Path) -> dict:
        key = new_key()
        bundle = json.loads(sign_model(model, key)[0])
        payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
        made = _b64(sign(key, pae(IN_TOTO, payload)))
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = made
        certificate = self.certificate(key)
        der = certificate.public_bytes(serialization.Encoding.DER)
        bundle["verificationMaterial"] = {
            "certificate": {"rawBytes": _b64(der)},
            "tlogEntries": [self.entry(payload, made, certificate)],
        }
        return bundle


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def _code(bundle: dict, model: Path, root: TrustRoot, identity=WHO, issuer=ISSUER) -> str:
    trust = Trust(keyless=Keyless(root=root, identity=identity, issuer=issuer))
    # The time of verifying does not matter: the log proves the time of signing.
    later = NOW + 1000 * DAY
    return verify_model(json.dumps(bundle).encode(), model, trust, now=later).code


def test_keyless(model):
    sigstore = Sigstore()
    bundle, root = sigstore.sign(model), sigstore.root()
    assert _code(bundle, model, root) == "ok"
    assert _code(bundle, model, root, identity="other@example.com") == "wrong_identity"
    assert _code(bundle, model, root, issuer="https://other.example.com") == "wrong_identity"
    assert _code(bundle, model, Sigstore().root()) == "could_not_check", "another log"
    assert _code(bundle, model, load_trust_root()) == "could_not_check", "the public one"
    (model / "weights.bin").write_bytes(b"other")
    assert _code(bundle, model, root) == "different"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"logged": NOW + dt.timedelta(minutes=6)}, "expired"),
        ({"logged": NOW - dt.timedelta(minutes=6)}, "not_yet_valid"),
        ({"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "untrusted"),
    ],
)
def test_certificates_that_were_not_good_then(model, change, code):
    sigstore = Sigstore()
    for name, value in change.items():
        setattr(sigstore, name, value)
    assert _code(sigstore.sign(model), model, sigstore.root()) == code


def test_an_authority_or_log_of_somebody_else(model):
    sigstore, other = Sigstore(), Sigstore()
    bundle = sigstore.sign(model)
    for part, code in (
        ("certificate_authorities", "untrusted"),
        ("ctlogs", "untrusted"),
        ("tlogs", "could_not_check"),
    ):
        root = msgspec.structs.replace(sigstore.root(), **{part: getattr(other.root(), part)})
        assert _code(bundle, model, root) == code


def test_an_entry_about_another_signature(model):
    sigstore = Sigstore()
    first, second = sigstore.sign(model), sigstore.sign(model)
    first["verificationMaterial"]["tlogEntries"] = second["verificationMaterial"]["tlogEntries"]
    assert _code(first, model, sigstore.root()) == "bad_signature"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("integratedTime", str(int(NOW.timestamp()) + 1)),
        ("logIndex", "6"),
    ],
)
def test_what_the_log_did_not_promise(model, part, value):
    sigstore = Sigstore()
    bundle = sigstore.sign(model)
    bundle["verificationMaterial"]["tlogEntries"][0][part] = value
    assert _code(bundle, model, sigstore.root()) == "bad_signature"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("logIndex", "0"),
        ("treeSize", "3"),
        ("hashes", []),
        ("rootHash", _b64(b"\0" * 32)),
        ("checkpoint", {"envelope": "log.example.com - 1\n2\nAAAA\n\n\u2014 log.example.com AAAA"}),
        ("checkpoint", {}),
    ],
)
def test_what_does_not_stand_in_the_tree(model, part, value):
    sigstore = Sigstore()
    bundle = sigstore.sign(model)
    bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"][part] = value
    assert _code(bundle, model, sigstore.root()) == "bad_signature"


def test_a_signature_by_another_key(model):
    sigstore = Sigstore()
    bundle = sigstore.sign(model)
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    made = _b64(sign(new_key(), pae(IN_TOTO, payload)))
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = made
    certificate = x509.load_der_x509_certificate(
        base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    )
    entry = sigstore.entry(payload, made, certificate)
    bundle["verificationMaterial"]["tlogEntries"] = [entry]
    assert _code(bundle, model, sigstore.root()) == "bad_signature"


SIGSTORE = Sigstore()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0, 100_000), flip=st.integers(1, 255))
def test_a_changed_byte_of_the_certificate_is_never_valid(model, place, flip):
    """Also where the log entry names the changed one: the authority did not issue it."""
    bundle = SIGSTORE.sign(model)
    material = bundle["verificationMaterial"]
    der = bytearray(base64.b64decode(material["certificate"]["rawBytes"]))
    der[place % len(der)] ^= flip
    material["certificate"]["rawBytes"] = _b64(bytes(der))
    with contextlib.suppress(ValueError, x509.InvalidVersion, UnsupportedAlgorithm):
        with warnings.catch_warnings(action="ignore"):
            changed = x509.load_der_x509_certificate(bytes(der))
        payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
        made = bundle["dsseEnvelope"]["signatures"][0]["sig"]
        material["tlogEntries"] = [SIGSTORE.entry(payload, made, changed)]
    assert _code(bundle, model, SIGSTORE.root()) not in ("ok", "could_not_check")
