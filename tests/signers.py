"""Keys, certificates and bundles for tests of model signatures."""

import base64
import datetime as dt
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keelmark.passport.dsse import IN_TOTO, pae
from keelmark.passport.oms_keys import PrivateKey, sign

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
CODE = (ExtendedKeyUsageOID.CODE_SIGNING,)


def new_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def pem(thing) -> bytes:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    if hasattr(thing, "private_bytes"):
        return thing.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    return thing.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def issue(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool = False,
    begin: dt.datetime = NOW - DAY,
    end: dt.datetime = NOW + 100 * DAY,
    purpose: tuple[x509.ObjectIdentifier, ...] = CODE,
    path_length: int | None = None,
    used: hashes.HashAlgorithm | None = None,
) -> x509.Certificate:
    """A certificate; an authority's signs certificates, another's signs code."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        .add_extension(
            x509.KeyUsage(not ca, False, False, False, False, ca, False, False, False),
            critical=True,
        )
    )
    if not ca and purpose:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purpose), critical=False)
    return builder.sign(issuer_key, used or hashes.SHA256())


class Authority:
    """A root, one that it lets issue, and a signer."""

    def __init__(self, at: dt.datetime = NOW, **leaf) -> None:
        self.root_key, self.middle_key, self.key = new_key(), new_key(), new_key()
        span = {"begin": at - DAY, "end": at + 100 * DAY}
        self.root = issue("root", self.root_key, "root", self.root_key, ca=True, **span)
        self.middle = issue("middle", self.middle_key, "root", self.root_key, ca=True, **span)
        self.leaf = issue("signer", self.key, "middle", self.middle_key, **{**span, **leaf})


def remade(bundle: bytes, key: PrivateKey | None = None, **changes) -> bytes:
    """A bundle whose statement was changed (`None` takes a part out), signed again by a key."""
    plain = json.loads(bundle)
    statement = json.loads(base64.b64decode(plain["dsseEnvelope"]["payload"]))
    for way, value in changes.items():
        *above, last = way.split("__")
        part = statement
        for name in above:
            part = part[name]
        if value is None:
            del part[last]
        else:
            part[last] = value
    payload = json.dumps(statement).encode()
    plain["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    if key:
        made = base64.b64encode(sign(key, pae(IN_TOTO, payload))).decode()
        plain["dsseEnvelope"]["signatures"][0]["sig"] = made
    return json.dumps(plain).encode()


def make_model(root: Path) -> Path:
    """A folder with what signatures leave out beside what they cover."""
    (root / "sub").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref")
    (root / "weights.bin").write_bytes(bytes(range(256)) * 10)
    (root / "sub" / "config.json").write_text("{}")
    (root / "sub-notes").write_text("n")
    (root / "empty").write_bytes(b"")
    return root
