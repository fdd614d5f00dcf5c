"""Agreement with the OpenSSF Model Signing v1.0 vectors.

The bundles of the specification's key and certificate methods are over a folder of two files.
Their resources and root digest are repeated here, so that the test runs without the bundles; when
the bundles are at hand, they are read as well.
"""

import base64
import json
from pathlib import Path

import pytest

from keelmark.passport.manifest import ManifestEntry, build_manifest, root_digest

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


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the vectors are not on this machine")
@pytest.mark.parametrize("name", ["key", "certificate", "sigstore"])
def test_root_digest_of_each_bundle(name: str) -> None:
    bundle = json.loads((VECTORS / "valid" / f"{name}.bundle.json").read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    entries = [
        ManifestEntry(path=resource["name"], size=0, sha256=resource["digest"])
        for resource in statement["predicate"]["resources"]
    ]
    assert root_digest(entries) == "sha256:" + statement["subject"][0]["digest"]["sha256"]
