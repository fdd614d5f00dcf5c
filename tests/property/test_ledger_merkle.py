"""Proofs against the definition of the tree in RFC 9162."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.store import merkle

LEAVES = [hashlib.sha256(b"%d" % i).digest() for i in range(80)]


def _tree(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, word for word, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + _tree(leaves[:k]) + _tree(leaves[k:])).digest()


def _node(low: int, high: int) -> bytes:
    return _tree(LEAVES[low:high])


def test_frontier_gives_the_root_of_every_size() -> None:
    frontier: list[bytes] = []
    for size in range(len(LEAVES) + 1):
        assert merkle.frontier_root(frontier) == _tree(LEAVES[:size])
        assert len(frontier) == size.bit_count()
        if size < len(LEAVES):
            merkle.push(frontier, size, LEAVES[size])


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 80))
def test_inclusion(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size + 1))
    proof, root = merkle.inclusion_proof(index, size, _node), _tree(LEAVES[:size])
    assert merkle.verify_inclusion(index, size, LEAVES[index], root, proof)
    if other != index:
        assert not merkle.verify_inclusion(other, size, LEAVES[index], root, proof)
    for position in range(len(proof)):
        broken = [*proof[:position], bytes(32), *proof[position + 1 :]]
        assert not merkle.verify_inclusion(index, size, LEAVES[index], root, broken)
    assert not merkle.verify_inclusion(index, size, LEAVES[index], root, [*proof, bytes(32)])


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 80))
def test_consistency(data: st.DataObject, size: int) -> None:
    old = data.draw(st.integers(1, size))
    proof = merkle.consistency_proof(old, size, _node)
    roots = _tree(LEAVES[:old]), _tree(LEAVES[:size])
    assert merkle.verify_consistency(old, size, *roots, proof)
    assert not merkle.verify_consistency(old, size, bytes(32), roots[1], proof)
    assert not merkle.verify_consistency(old, size, roots[0], bytes(32), proof)
    for position in range(len(proof)):
        broken = [*proof[:position], bytes(32), *proof[position + 1 :]]
        assert not merkle.verify_consistency(old, size, *roots, broken)
        assert not merkle.verify_consistency(old, size, *roots, proof[:position])
