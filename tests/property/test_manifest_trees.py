"""The manifest of any tree: it depends on names and bytes, and on nothing else."""

import hashlib
import os
import random
import tempfile
from pathlib import Path, PurePosixPath

from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.passport.manifest import Manifest, build_manifest

NAMES = st.sampled_from(
    ["a", "b", "a-b", "a.b", "a b", "A", "é", "日本", "model.gguf", ".git", "..x", "-", "🜁"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def _consistent(paths: set[str]) -> bool:
    """No path is both a file and a folder."""
    return not any(str(p) in paths for path in paths for p in PurePosixPath(path).parents)


TREES = st.dictionaries(PATHS, st.binary(max_size=40), min_size=1, max_size=8).filter(
    lambda tree: _consistent(set(tree))
)


def _build(tree: dict[str, bytes], order: list[str]) -> Manifest:
    with tempfile.TemporaryDirectory() as name:
        for path in order:
            file = Path(name, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(tree[path])
            os.utime(file, (random.random() * 1e9,) * 2)
        return build_manifest(name)


@settings(max_examples=60, deadline=None)
@given(tree=TREES, shuffle=st.randoms(use_true_random=False))
def test_same_names_and_bytes_same_manifest(tree: dict[str, bytes], shuffle: random.Random) -> None:
    order = list(tree)
    shuffle.shuffle(order)
    first, second = _build(tree, list(tree)), _build(tree, order)
    assert first.entries == second.entries
    assert first.digest == second.digest
    assert first.difference(second) == ""


@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_digest_is_the_one_of_the_specification(tree: dict[str, bytes]) -> None:
    """Sorted as the reference signer sorts: by path objects, which compare part by part."""
    order = sorted(tree, key=lambda path: PurePosixPath(path).parts)
    raw = b"".join(hashlib.sha256(tree[path]).digest() for path in order)
    manifest = _build(tree, list(tree))
    assert [entry.path for entry in manifest.entries] == order
    assert manifest.digest == "sha256:" + hashlib.sha256(raw).hexdigest()


@settings(max_examples=60, deadline=None)
@given(tree=TREES, data=st.data())
def test_any_altered_byte_changes_the_digest(tree: dict[str, bytes], data: st.DataObject) -> None:
    before = _build(tree, list(tree))
    path = data.draw(st.sampled_from(sorted(tree)))
    content = bytearray(tree[path] or b"\0")
    place = data.draw(st.integers(0, len(content) - 1))
    if tree[path]:
        content[place] ^= data.draw(st.integers(1, 255))
    after = _build({**tree, path: bytes(content)}, list(tree))
    assert after.digest != before.digest
    assert before.difference(after) == f"{path} has other content"


@settings(max_examples=60, deadline=None)
@given(tree=TREES, data=st.data())
def test_any_renamed_added_or_removed_file_is_a_difference(
    tree: dict[str, bytes], data: st.DataObject
) -> None:
    before = _build(tree, list(tree))
    path = data.draw(st.sampled_from(sorted(tree)))
    other = {key: value for key, value in tree.items() if key != path}
    if data.draw(st.booleans()) or not other:
        other[path + "~"] = tree[path]
    if not _consistent(set(other)):
        return
    after = _build(other, list(other))
    assert before.difference(after)
    assert after.difference(before)
