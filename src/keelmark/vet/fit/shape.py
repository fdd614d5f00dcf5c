"""The shape of a model as far as memory depends on it: what each layer keeps for each token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_LAYERS = 4096
_MOST = 1 << 40


class UnknownShapeError(Exception):
    """The files do not say enough, or name what is not known here; a phrase says what."""


class Layer(NamedTuple):
    """What one layer keeps, in elements (not bytes).

    Attributes:
        key: Kept for each token as key; for latent attention, the compressed latent and its
            rotary part.
        value: Kept for each token as value; 0 for latent attention, whose value is a view of it.
        window: Tokens that the layer looks back; 0 means all.
        state: Kept for each sequence, however long it is (linear attention, state space,
            convolution).
        indexed: Kept for each token by the indexer of sparse attention.
    """

    key: int = 0
    value: int = 0
    window: int = 0
    state: int = 0
    indexed: int = 0


class Shape(NamedTuple):
    """A model as far as memory depends on it.

    Attributes:
        architecture: As the files call it.
        source: What it was read from, a phrase.
        layers: What each layer keeps.
        context: Longest context the model was made for, tokens; 0 when the files do not say.
        hidden: Width of the residual stream.
        inner: Width of the feed-forward part that is at work for one token.
        vocabulary: Entries; 0 when the files do not say.
        experts: Experts in a layer; 0 when there are none.
        experts_used: Experts at work for one token.
        ring: Whether llama.cpp keeps only the window of sliding layers.
        notes: What was assumed, sentences.
    """

    architecture: str
    source: str
    layers: tuple[Layer, ...]
    context: int = 0
    hidden: int = 0
    inner: int = 0
    vocabulary: int = 0
    experts: int = 0
    experts_used: int = 0
    ring: bool = True
    notes: tuple[str, ...] = ()


def number(values: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of these that is a sensible count (0 to 2**40), or None."""
    for name in names:
        value = values.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST:
            return value
    return None


def needed(values: Mapping[str, Any], *names: str) -> int:
    """Return the first of these that is a count above zero.

    Raises:
        UnknownShapeError: There is none.
    """
    value = number(values, *names)
    if not value:
        raise UnknownShapeError(f"{names[0]} is not given")
    return value


def layer_count(values: Mapping[str, Any], *names: str) -> int:
    """Return the number of layers.

    Raises:
        UnknownShapeError: It is missing or absurd.
    """
    count = needed(values, *names)
    if count > MOST_LAYERS:
        raise UnknownShapeError(f"{count} layers are more than any known model has")
    return count


def numbers(values: Mapping[str, Any], name: str, count: int) -> list[int] | None:
    """Return a list of `count` sizes, or None when there is no list of that name.

    Raises:
        UnknownShapeError: There is a list, of something else or of another length.
    """
    value = values.get(name)
    if not isinstance(value, list | tuple):
        return None
    if len(value) < count or not all(isinstance(item, int) for item in value):
        raise UnknownShapeError(f"{name} is not a list of {count} numbers")
    sizes = [int(item) for item in value[:count]]
    if not all(0 <= size < _MOST for size in sizes):
        raise UnknownShapeError(f"{name} holds numbers that are no sizes")
    return sizes


def periodic(count: int, period: int, *, dense_first: bool = False) -> list[bool]:
    """Return, for each layer, whether it is one of those between the full ones of a period.

    The full layer ends each period, or begins it with `dense_first`. A period of 1 has no other
    layers, a period of 0 no full ones.
    """
    if period == 0:
        return [True] * count
    if dense_first:
        return [layer % period != 0 for layer in range(count)]
    return [layer % period < period - 1 for layer in range(count)]
