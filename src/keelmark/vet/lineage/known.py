"""Known base models, and which of them a model is like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from keelmark.vet.lineage.traits import NAMES, Traits, architecture

_FIGURES = ("mean_length", "longest", "single", "spaced", "bytes")
_CLOSE = 0.02
_JOINED = re.compile(r"gpt[-_ ](?=oss|neox|2)")
_WORD = re.compile(r"[a-z]+[0-9]*")
_LINES: dict[str, Any] = NAMES["line"]
_OF_WORD = {word: line for line, about in _LINES.items() for word in about["words"]}
GENERIC = frozenset({"llama"})
"""Architectures that models of many makers have, or are converted to."""


class Known(NamedTuple):
    """A known base model: its dimensions, and figures of its tokenizer."""

    family: str
    name: str
    type: str
    hidden: int
    layers: int
    heads: int
    kept_heads: int
    inner: int
    vocabulary: int
    tokens: int
    mean_length: float
    longest: int
    single: float
    spaced: float
    bytes: float
    merges: int
    merges_first: str

    @property
    def lines(self) -> frozenset[str]:
        """The lines that its name and family tell of."""
        return lines_of(f"{self.family} {self.name}")


def _load() -> tuple[str, tuple[Known, ...]]:
    table = json.loads(files(__package__).joinpath("known.json").read_text(encoding="utf-8"))
    return table["source"], tuple(Known(*row) for row in table["rows"])


SOURCE, MODELS = _load()


def lines_of(name: str) -> frozenset[str]:
    """Return the lines of models that a name tells of, such as llama and deepseek."""
    plain = _JOINED.sub("gpt", name.lower())
    words = [match[0] for match in _WORD.finditer(plain)]
    words += [word.rstrip("0123456789") for word in words]
    return frozenset(_OF_WORD[word] for word in words if word in _OF_WORD)


def types_of(lines: Iterable[str]) -> frozenset[str]:
    """Return the architectures that models of these lines have."""
    return frozenset(architecture(one) for line in lines for one in _LINES[line]["types"])


def lines_with(kind: str) -> frozenset[str]:
    """Return the lines that have an architecture."""
    same = architecture(kind)
    return frozenset(
        line
        for line, about in _LINES.items()
        if same in {architecture(one) for one in about["types"]}
    )


def same_dimensions(traits: Traits, models: Iterable[Known] = MODELS) -> list[Known]:
    """Return the known models with exactly these dimensions; none where one is not known."""
    if not traits.hidden or not traits.layers or not traits.heads:
        return []
    return [model for model in models if _alike(traits, model)]


def _alike(traits: Traits, model: Known) -> bool:
    pairs = (
        (traits.hidden, model.hidden, True),
        (traits.layers, model.layers, True),
        (traits.heads, model.heads, True),
        (traits.inner, model.inner, False),
        (traits.kept_heads, model.kept_heads, False),
    )
    return all(
        ours == theirs if must else not ours or not theirs or ours == theirs
        for ours, theirs, must in pairs
    )


def same_tokenizer(traits: Traits, models: Iterable[Known] = MODELS) -> list[Known]:
    """Return the known models whose tokenizer this one has, but for added tokens."""
    return [model for model in models if _speaks(traits.tokenizer, model)]


def _speaks(ours: Mapping[str, Any], model: Known) -> bool:
    first = ours.get("merges_first")
    if first and model.merges:
        return str(first).startswith(model.merges_first) and ours.get("merges") == model.merges
    size = ours.get("size")
    if not isinstance(size, int) or not model.tokens or "mean_length" not in ours:
        return False
    if abs(size - model.tokens) > 64:
        return False
    return all(_near(ours.get(one), getattr(model, one)) for one in _FIGURES)


def _near(ours: object, theirs: float) -> bool:
    if not isinstance(ours, int | float):
        return False
    return abs(ours - theirs) <= max(_CLOSE * abs(theirs), 0.0011)


def named(name: str, models: Iterable[Known] = MODELS) -> Known | None:
    """Return the known model of exactly this name, whoever publishes it."""
    wanted = _bare(name)
    return next((model for model in models if _bare(model.name) == wanted), None)


def _bare(name: str) -> str:
    last = name.rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]", "", last)
