"""Proofs over a Merkle log: RFC 9162 section 2.1, generalised to subtrees.

A subtree `[start, end)` is valid when `start` is a multiple of the smallest power of two that is
at least `end - start` (Merkle Tree Certificates draft, section 4). A leaf is the subtree
`[i, i + 1)` and an older tree is the subtree `[0, m)`, so one walk from the root towards the
subtree gives inclusion proofs, consistency proofs, and how to verify both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from keelmark.store.verify_bundle import frontier_root, leaf_hash, node_hash, push

__all__ = [
    "consistency_proof",
    "frontier_root",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "push",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
    "verify_subtree_consistency",
    "verify_subtree_inclusion",
]

EMPTY_ROOT = frontier_root(())
Span = tuple[int, int]


class _Step(NamedTuple):
    """One level of the walk: the sibling, on which side, and whether the subtree holds it."""

    sibling: Span
    left: bool
    inside: bool


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        push(frontier, size, leaf)
    return frontier_root(frontier)


def _valid(start: int, end: int) -> bool:
    width = 1 << max(end - start - 1, 0).bit_length()
    return 0 <= start <= end and start % width == 0


def _walk(start: int, end: int, size: int) -> tuple[list[_Step], Span | None]:
    """Walk from the root of `size` leaves to the subtree.

    Returns:
        The steps, from the root down; and the perfect rest of the subtree when it is not itself a
        node of the tree, whose hash then leads the proof.
    """
    low, high, steps, rest = 0, size, list[_Step](), False
    while (low, high) != (start, end):
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if end <= middle:
            steps.append(_Step((middle, high), left=False, inside=False))
            high = middle
        else:
            steps.append(_Step((low, middle), left=True, inside=start < middle))
            rest = rest or start < middle
            low, start = middle, max(start, middle)
    return steps, (low, high) if rest else None


def _proof(start: int, end: int, size: int, node: Callable[[int, int], bytes]) -> list[bytes]:
    steps, rest = _walk(start, end, size)
    spans = [step.sibling for step in reversed(steps)]
    return [node(*span) for span in ([rest, *spans] if rest else spans)]


def inclusion_proof(index: int, size: int, node: Callable[[int, int], bytes]) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of `size` leaves.

    Args:
        index: From 0, below `size`.
        size: Leaves of the tree.
        node: Gives the root over the leaves `[low, high)`.
    """
    return _proof(index, index + 1, size, node)


def consistency_proof(old: int, size: int, node: Callable[[int, int], bytes]) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of the tree of `size` leaves.

    Args:
        old: Leaves of the older tree, at least 1.
        size: Leaves of the newer tree, at least `old`.
        node: Gives the root over the leaves `[low, high)`.
    """
    return _proof(0, old, size, node)


def verify_subtree_consistency(
    span: Span, size: int, subtree: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether `proof` shows that `subtree` stands at `span` in the tree with `root`.

    An empty subtree is consistent with every tree, as the draft has it.
    """
    start, end = span
    if not _valid(start, end) or end > size:
        return False
    if start == end:
        return not proof and subtree == EMPTY_ROOT
    steps, rest = _walk(start, end, size)
    if len(proof) != len(steps) + (rest is not None) or any(len(h) != 32 for h in proof):
        return False
    inner = outer = proof[0] if rest else subtree
    for step, sibling in zip(reversed(steps), proof[1:] if rest else proof, strict=True):
        outer = node_hash(sibling, outer) if step.left else node_hash(outer, sibling)
        inner = node_hash(sibling, inner) if step.inside else inner
    return inner == subtree and outer == root


def verify_subtree_inclusion(
    index: int, span: Span, leaf: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether `proof` shows that the leaf hash stands at `index` in the subtree `span`."""
    start, end = span
    return _valid(start, end) and verify_inclusion(index - start, end - start, leaf, root, proof)


def verify_inclusion(
    index: int, size: int, leaf: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether `proof` shows that the leaf hash stands at `index` in the tree."""
    if not 0 <= index < size or len(leaf) != 32:
        return False
    return verify_subtree_consistency((index, index + 1), size, leaf, root, proof)


def verify_consistency(
    old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether `proof` shows that the older tree is a prefix of the newer one.

    Of an empty tree only an empty tree is shown to be the same: RFC 9162 proves from size 1.
    """
    if old == 0:
        return size == 0 and old_root == root == EMPTY_ROOT and not proof
    return verify_subtree_consistency((0, old), size, old_root, root, proof)
