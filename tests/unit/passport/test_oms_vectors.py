"""Agreement with the OpenSSF Model Signing v1.0 vectors.

The bundles of the specification's key and certificate methods are over a folder of two files.
Their resources and root digest are repeated here, so that the test runs without the bundles; when
the bundles are at hand, all of them are verified as well, and must come out as they should.
"""

import base64
import json
import os
from pathlib import Path

import pytest
from cryptography import x509

from keelmark.passport.manifest import ManifestEntry, build_manifest, root_digest
from keelmark.passport.oms import SignatureStatus, Trust, verify_model
from keelmark.passport.sigstore import Keyless, load_trust_root

FILES = {"signme-1": b"signme-1\n", "signme-2": b"signme-2"}
RESOURCES = {
    "signme-1": "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc",
    "signme-2": "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028",
}
ROOT = "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4"
VECTORS = Path(__file__).resolve().parents[4] / "shared" / "data" / "vectors" / "oms" / "v1.0"


def test_folder_of_the_vector(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    manifest = build_manifest(tmp_path)
    assert {entry.path: entry.sha256 for entry in manifest.entries} == RESOURCES
    assert manifest.digest == f"sha256:{ROOT}"


def test_order_of_the_reference_signer(tmp_path: Path) -> None:
    """Made with model-signing 1.1.1: parts of the path are compared, not its characters."""
    order = ["B", "a/b", "a/b c", "a/b-c", "a-b", "a.b/c", "é"]
    for path in order:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(f"{path}\n")
    manifest = build_manifest(tmp_path)
    assert [entry.path for entry in manifest.entries] == order
    assert manifest.digest == (
        "sha256:7b253daf8eb0f7e919d3302bc8f5b1c3d53590d6c356c5d96bff87956cfa98ef"
    )


def test_single_file_of_the_reference_signer(tmp_path: Path) -> None:
    """Made with model-signing 1.1.1, which calls the resource `.`."""
    (tmp_path / "signme-1").write_bytes(FILES["signme-1"])
    manifest = build_manifest(tmp_path / "signme-1")
    assert [entry.path for entry in manifest.entries] == ["."]
    assert manifest.digest == (
        "sha256:afa48c8674afe334b8a7dea34f7b46ab256e9255edf8da2132792341b667a45b"
    )


needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir() and not os.environ.get("CI"),
    reason="the vectors (shared/data/vectors/oms) are not on this machine",
)
WHO = "stefanb@us.ibm.com"
ISSUER = "https://sigstore.verify.ibm.com/oauth2"
OUTCOMES = {
    "valid/key": ("valid", "ok"),
    "valid/certificate": ("valid", "ok"),
    "valid/sigstore": ("valid", "ok"),
    "invalid/empty": ("invalid", "malformed"),
    "invalid/missing-envelope": ("invalid", "malformed"),
    "invalid/missing-tlog-entries": ("invalid", "malformed"),
    "invalid/missing-verification-material": ("invalid", "malformed"),
    "invalid-payload/wrong-predicate": ("invalid", "bad_signature"),
}


def _read(name: str) -> bytes:
    return (VECTORS / f"{name}.bundle.json").read_bytes()


def _chain() -> list[x509.Certificate]:
    material = json.loads(_read("valid/certificate"))["verificationMaterial"]
    raw = [c["rawBytes"] for c in material["x509CertificateChain"]["certificates"]]
    return [x509.load_der_x509_certificate(base64.b64decode(each)) for each in raw]


def _model(folder: Path, name: str) -> Path:
    # The keyless bundle was made of a file without the final line feed.
    first = b"signme-1" if "sigstore" in name or "tlog" in name else b"signme-1\n"
    for file, content in {**FILES, "signme-1": first, "ignore-me": b"not signed"}.items():
        (folder / file).write_bytes(content)
    return folder


def _verify(name: str, folder: Path, identity: str = WHO, issuer: str = ISSUER) -> SignatureStatus:
    # The vectors come without keys: that of `key` is the one in the certificate of the other, and
    # its issuer stands in for the root.
    leaf, middle = _chain()
    trust = Trust(
        keys=(leaf.public_key(),),
        roots=(middle,),
        keyless=Keyless(root=load_trust_root(), identity=identity, issuer=issuer),
    )
    return verify_model(_read(name), _model(folder, name), trust)


@needs_vectors
def test_every_vector_is_expected() -> None:
    found = {
        str(path.relative_to(VECTORS)).removesuffix(".bundle.json")
        for path in VECTORS.rglob("*.json")
    }
    assert found == set(OUTCOMES)


@needs_vectors
@pytest.mark.parametrize("name", OUTCOMES)
def test_every_vector(name: str, tmp_path: Path) -> None:
    status = _verify(name, tmp_path)
    assert (status.outcome, status.code) == OUTCOMES[name], status.reason
    if status.outcome == "valid":
        assert status.uncovered == ("ignore-me",)


@needs_vectors
def test_wrong_predicate_is_seen_before_the_signature(tmp_path: Path) -> None:
    name = "invalid-payload/wrong-predicate"
    assert verify_model(_read(name), _model(tmp_path, name), Trust()).code == "wrong_predicate"


@needs_vectors
@pytest.mark.parametrize("name", ["valid/key", "valid/certificate", "valid/sigstore"])
def test_valid_only_for_whom_somebody_trusts(name: str, tmp_path: Path) -> None:
    assert verify_model(_read(name), _model(tmp_path, name), Trust()).outcome == "could not check"
    (tmp_path / "signme-2").write_bytes(b"signme-3")
    assert verify_model(_read(name), tmp_path, Trust()).outcome == "invalid"


@needs_vectors
def test_keyless_is_about_one_identity(tmp_path: Path) -> None:
    for identity, issuer in ((WHO, "https://accounts.example.com"), ("jo@example.com", ISSUER)):
        assert _verify("valid/sigstore", tmp_path, identity, issuer).code == "wrong_identity"


def _set(part: dict, way: str, value: object) -> None:
    *above, last = way.split("__")
    for name in above:
        part = part[int(name) if name.isdigit() else name]
    part[last] = value


@needs_vectors
@pytest.mark.parametrize(
    ("way", "value", "outcome"),
    [
        ("integratedTime", "1760062341", "invalid"),
        ("integratedTime", "x", "invalid"),
        ("integratedTime", "99999999999999999", "invalid"),
        ("logIndex", "598151087", "invalid"),
        ("inclusionProof__logIndex", "476246823", "invalid"),
        ("inclusionProof__treeSize", "476246826", "invalid"),
        ("inclusionProof__hashes", [], "invalid"),
        ("inclusionProof__checkpoint", {}, "invalid"),
        ("inclusionPromise__signedEntryTimestamp", "AAAA", "invalid"),
        ("canonicalizedBody", base64.b64encode(b'{"kind": 1}').decode(), "could not check"),
        ("canonicalizedBody", base64.b64encode(b"x").decode(), "invalid"),
        ("inclusionPromise", None, "could not check"),
        ("logId__keyId", "AAAA", "could not check"),
    ],
)
def test_keyless_with_a_forged_log_entry(
    tmp_path: Path, way: str, value: object, outcome: str
) -> None:
    bundle = json.loads(_read("valid/sigstore"))
    _set(bundle["verificationMaterial"]["tlogEntries"][0], way, value)
    trust = Trust(keyless=Keyless(root=load_trust_root(), identity=WHO, issuer=ISSUER))
    model = _model(tmp_path, "sigstore")
    assert verify_model(json.dumps(bundle).encode(), model, trust).outcome == outcome


@needs_vectors
def test_keyless_against_another_root(tmp_path: Path) -> None:
    root = load_trust_root()
    model = _model(tmp_path, "sigstore")
    for change, code in (
        ({"certificate_authorities": root.certificate_authorities[:1]}, "untrusted"),
        ({"ctlogs": root.ctlogs[:1]}, "untrusted"),
        ({"tlogs": []}, "could_not_check"),
    ):
        parts = {name: getattr(root, name) for name in root.__struct_fields__} | change
        keyless = Keyless(root=type(root)(**parts), identity=WHO, issuer=ISSUER)
        status = verify_model(_read("valid/sigstore"), model, Trust(keyless=keyless))
        assert status.code == code


@needs_vectors
@pytest.mark.parametrize("name", ["key", "certificate", "sigstore"])
def test_root_digest_of_each_bundle(name: str) -> None:
    bundle = json.loads((VECTORS / "valid" / f"{name}.bundle.json").read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    entries = [
        ManifestEntry(path=resource["name"], size=0, sha256=resource["digest"])
        for resource in statement["predicate"]["resources"]
    ]
    assert root_digest(entries) == "sha256:" + statement["subject"][0]["digest"]["sha256"]
