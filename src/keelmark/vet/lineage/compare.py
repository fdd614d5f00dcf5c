"""A model beside its supposed parent: what the evidence bears, and no more."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from statistics import fmean, median, pstdev
from typing import Any, NamedTuple

from keelmark.vet.lineage.tensors import Adapted, Matched, Table, adapted, match, norm_of
from keelmark.vet.lineage.traits import Facts, Traits, architecture

CLOSE = 0.45
"""Distance of norm vectors below which they come of one training (correlation above 0.9)."""
FAR = 1.0
"""Distance from which they speak of another one; independent vectors lie near 1.4."""
_FLAT = 1e-6
_ROUNDED = 1e-4
_ENOUGH = 4
_LONGEST_DIFF = 200


class Norms(NamedTuple):
    """How the norm layers of two models agree.

    Attributes:
        compared: Vectors that both have, and that hold more than one value.
        identical: Of those, how many are equal to the last bit, or but for one added everywhere.
        distance: Median over the vectors of their distance, see `CLOSE` and `FAR`.
        differing: Names of those that are not equal, furthest first.
    """

    compared: int
    identical: int
    distance: float
    differing: tuple[str, ...]


class Compared(NamedTuple):
    """A model beside its supposed parent.

    Attributes:
        verdict: adapter, quantised, derived, close, another training, same build, another, unknown.
        tensors: How names and dimensions agree; None where one has no tensor table.
        norms: How norm values agree.
        tokenizer: same, extended, another, or "" when it could not be compared.
        dimensions: Whether architecture and dimensions agree; None when not known.
        adapter: How the pairs of an adapter agree; None when it is none.
    """

    verdict: str
    tensors: Matched | None
    norms: Norms | None
    tokenizer: str
    dimensions: bool | None
    adapter: Adapted | None = None


def compare(
    child: tuple[Traits | None, Table | None], parent: tuple[Traits | None, Table | None]
) -> Compared:
    """Compare what is known of two models.

    Equal norm values say "derived": they come out of one training only. Equal dimensions and an
    equal tokenizer say no more than that both are built alike.
    """
    ours, theirs = child[1], parent[1]
    pairs = adapted(ours, theirs) if ours and theirs else None
    if pairs:
        verdict = "another" if pairs.unfitting else "adapter"
        return Compared(verdict, None, None, "", None, pairs)
    tensors = match(ours, theirs) if ours and theirs else None
    norms = compare_norms(ours, theirs) if ours and theirs else None
    tokenizer = compare_tokenizers(child[0], parent[0])
    dimensions = compare_dimensions(child[0], parent[0])
    verdict = _verdict(
        tensors, norms, dimensions=dimensions, quantised=bool(ours and ours.quantised)
    )
    return Compared(verdict, tensors, norms, tokenizer, dimensions)


def _verdict(
    tensors: Matched | None, norms: Norms | None, *, dimensions: bool | None, quantised: bool
) -> str:
    if tensors is None:
        if dimensions is None:
            return "unknown"
        return "same build" if dimensions else "another"
    shared = len(tensors.same)
    if not shared or len(tensors.resized) > shared or dimensions is False:
        return "another"
    if norms is None or norms.compared < _ENOUGH:
        return "same build"
    if norms.identical == norms.compared:
        whole = not tensors.resized and not tensors.missing and not tensors.extra
        return "quantised" if quantised and whole else "derived"
    if norms.distance <= CLOSE:
        return "derived"
    return "close" if norms.distance < FAR else "another training"


def compare_norms(child: Table, parent: Table) -> Norms:
    """Compare the values of norm layers; vectors that hold one value only tell nothing."""
    distances: dict[str, float] = {}
    for name in sorted(parent.norms):
        theirs, ours = parent.norms[name], norm_of(child, name)
        if ours is None or ours.get("length") != theirs.get("length"):
            continue
        distance = _distance(ours, theirs)
        if distance is not None:
            distances[name] = distance
    differing = sorted(
        (name for name, far in distances.items() if far), key=lambda n: -distances[n]
    )
    return Norms(
        len(distances),
        len(distances) - len(differing),
        median(distances.values()) if distances else 0.0,
        tuple(differing),
    )


def _distance(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float | None:
    """Return how far two vectors are apart, each about its own mean; None when one tells nothing.

    The unit is the deviation of the second one's sample, so that a few extreme values elsewhere
    do not make everything look near.
    """
    left, right = ours.get("values"), theirs.get("values")
    if not isinstance(left, list) or not isinstance(right, list) or len(left) != len(right):
        return None
    spread = pstdev(right) if len(right) > 1 else 0.0
    if spread <= _FLAT:
        return None
    if ours.get("sha256") == theirs.get("sha256"):
        return 0.0
    gaps = [a - b for a, b in zip(left, right, strict=True)]
    far = pstdev(gaps) / spread
    # Some converters add one to every value (Gemma), which 32 bits round a little.
    added = abs(abs(fmean(gaps)) - 1) < _ROUNDED and far < _ROUNDED
    return 0.0 if added else max(far, _ROUNDED**2)


def compare_tokenizers(child: Traits | None, parent: Traits | None) -> str:
    """Return same, extended, another, or "" when one of them is not known."""
    ours = child.tokenizer if child else {}
    theirs = parent.tokenizer if parent else {}
    if "sha256" in ours and ours.get("sha256") == theirs.get("sha256"):
        return "same"
    if "merges_sha256" in ours and "merges_sha256" in theirs:
        return "extended" if ours["merges_sha256"] == theirs["merges_sha256"] else "another"
    if "first_sha256" in ours and "first_sha256" in theirs:
        return "extended" if ours["first_sha256"] == theirs["first_sha256"] else "another"
    return ""


def compare_dimensions(child: Traits | None, parent: Traits | None) -> bool | None:
    """Return whether two models are built alike; None where that is not known."""
    if child is None or parent is None or not child.hidden or not parent.hidden:
        return None
    if architecture(child.type) != architecture(parent.type):
        return False
    pairs = zip(child.dimensions, parent.dimensions, strict=True)
    return all(ours == theirs for ours, theirs in pairs if ours and theirs)


def template_of(facts: Facts) -> str | None:
    """Return the chat template that a model would be used with, or None."""
    for path in sorted(facts, key=lambda path: (path.count("/"), path)):
        templates = facts[path].get("template")
        if not isinstance(templates, Mapping):
            continue
        for name in ("tokenizer.chat_template", "", "default", "chat_template"):
            if isinstance(templates.get(name), str):
                return str(templates[name])
        for name in sorted(templates):
            if isinstance(templates[name], str):
                return str(templates[name])
    return None


def template_difference(child: str, parent: str) -> list[str]:
    """Return the lines by which two templates differ; empty when only white space at ends does."""
    ours, theirs = _lines(child), _lines(parent)
    if ours == theirs:
        return []
    found = difflib.unified_diff(theirs, ours, "parent", "this model", lineterm="", n=0)
    return [line[:1000] for line in found][:_LONGEST_DIFF]


def _lines(text: str) -> Sequence[str]:
    return [line.rstrip() for line in text.replace("\r\n", "\n").strip().splitlines()]
