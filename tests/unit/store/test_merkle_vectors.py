"""Every published vector: inclusion, consistency, and both for subtrees."""

import base64
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keelmark.store import merkle

SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
ARCHIVE = SHARED_DATA / "vectors" / "merkle" / "testdata.tar.gz"


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def _inclusion(v: dict, proof: list[bytes]) -> bool:
    leaf, root = _bytes(v["leafHash"]), _bytes(v["root"])
    return merkle.verify_inclusion(v["leafIdx"], v["treeSize"], leaf, root, proof)


def _consistency(v: dict, proof: list[bytes]) -> bool:
    roots = _bytes(v["root1"]), _bytes(v["root2"])
    return merkle.verify_consistency(v["size1"], v["size2"], *roots, proof)


def _subtree_inclusion(v: dict, proof: list[bytes]) -> bool:
    leaf, root = _bytes(v["leafHash"]), _bytes(v["root"])
    return merkle.verify_subtree_inclusion(v["leafIdx"], (v["start"], v["end"]), leaf, root, proof)


def _subtree_consistency(v: dict, proof: list[bytes]) -> bool:
    roots = _bytes(v["root1"]), _bytes(v["root2"])
    return merkle.verify_subtree_consistency((v["start"], v["end"]), v["size"], *roots, proof)


FAMILIES = {
    "inclusion": (_inclusion, 98),
    "consistency": (_consistency, 98),
    "subtreeinclusion": (_subtree_inclusion, 204),
    "subtreeconsistency": (_subtree_consistency, 118),
}


def _vectors(family: str) -> Iterator[tuple[str, dict]]:
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if member.name.startswith(f"testdata/{family}/") and member.isfile():
                file = archive.extractfile(member)
                assert isinstance(file, io.BufferedReader)
                with file:
                    yield member.name, json.load(file)


@pytest.mark.skipif(
    not ARCHIVE.exists() and not os.environ.get("CI"),
    reason="the Merkle vectors (shared/data/vectors/merkle) are not on this machine",
)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_vector(family: str) -> None:
    verify, expected = FAMILIES[family]
    seen = 0
    for name, vector in _vectors(family):
        proof = [_bytes(part) for part in vector["proof"] or []]
        assert verify(vector, proof) is not vector["wantErr"], name
        seen += 1
    assert seen == expected
