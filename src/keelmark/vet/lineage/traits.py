"""What identifies a model from outside: architecture, dimensions, vocabulary."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from keelmark.vet.fit.from_config import HEADS, HIDDEN, INNER, KEPT_HEADS, LAYERS, language_part
from keelmark.vet.fit.shape import UnknownShapeError, number

NAMES: dict[str, Any] = tomllib.loads(
    files(__package__).joinpath("names.toml").read_text(encoding="utf-8")
)
_SAME: dict[str, str] = NAMES["same"]

Facts = Mapping[str, Mapping[str, Any]]


class Traits(NamedTuple):
    """What identifies a model from outside; 0 and "" where the files do not say.

    Attributes:
        path: The file that says so.
        type: Architecture, as that file calls it.
        hidden: Width of the residual stream.
        layers: Number of layers.
        heads: Heads of attention.
        kept_heads: Heads whose keys and values are kept.
        inner: Width of the feed-forward part.
        vocabulary: Entries of the vocabulary.
        tokenizer: Figures of the tokenizer (the fact `vocabulary`).
    """

    path: str
    type: str
    hidden: int = 0
    layers: int = 0
    heads: int = 0
    kept_heads: int = 0
    inner: int = 0
    vocabulary: int = 0
    tokenizer: Mapping[str, Any] = {}

    @property
    def dimensions(self) -> tuple[int, int, int, int]:
        """Width, layers, heads, width of the feed-forward part."""
        return self.hidden, self.layers, self.heads, self.inner


def architecture(name: str) -> str:
    """Return one name for an architecture that configurations and GGUF call differently."""
    return _SAME.get(name, name)


def traits_of(facts: Facts) -> Traits | None:
    """Return the traits of the first model that the files describe, or None."""
    for path in sorted(facts, key=lambda path: (path.count("/"), path)):
        header = facts[path].get("gguf")
        if isinstance(header, Mapping) and (found := _of_gguf(path, facts[path])):
            return found
        config = facts[path].get("json")
        if path.rpartition("/")[2] == "config.json" and isinstance(config, Mapping):
            found = _of_config(path, config, facts)
            if found:
                return found
    return None


def _of_gguf(path: str, known: Mapping[str, Any]) -> Traits | None:
    metadata = known["gguf"].get("metadata") or {}
    name = metadata.get("general.architecture")
    if not isinstance(name, str) or name == "clip":
        return None
    tokens = metadata.get("tokenizer.ggml.tokens")
    count = tokens.get("length") if isinstance(tokens, Mapping) else None
    count = len(tokens) if isinstance(tokens, list) else count
    return Traits(
        path=path,
        type=name,
        hidden=number(metadata, f"{name}.embedding_length") or 0,
        layers=(number(metadata, f"{name}.block_count") or 0)
        - (number(metadata, f"{name}.nextn_predict_layers") or 0),
        heads=_largest(metadata, f"{name}.attention.head_count"),
        kept_heads=_largest(metadata, f"{name}.attention.head_count_kv"),
        inner=_largest(metadata, f"{name}.feed_forward_length"),
        vocabulary=count if isinstance(count, int) else 0,
        tokenizer=_mapping(known.get("vocabulary")),
    )


def _of_config(path: str, config: Mapping[str, Any], facts: Facts) -> Traits | None:
    try:
        name, own = language_part(config)
    except UnknownShapeError:
        return None
    folder = path[: -len("config.json")]
    tokenizer: dict[str, Any] = {}
    for file in ("merges.txt", "vocab.json", "tokenizer.json"):
        tokenizer |= _mapping(facts.get(folder + file, {}).get("vocabulary"))
    heads = _largest(own, *HEADS)
    return Traits(
        path=path,
        type=name,
        hidden=number(own, *HIDDEN) or 0,
        layers=number(own, *LAYERS) or 0,
        heads=heads,
        kept_heads=_largest(own, *KEPT_HEADS) or heads,
        inner=_largest(own, *INNER),
        vocabulary=number(own, "vocab_size", "padded_vocab_size") or 0,
        tokenizer=tokenizer,
    )


def _largest(values: Mapping[str, Any], *names: str) -> int:
    """Return a count; the largest where there is one for each layer."""
    for name in names:
        listed = values.get(name)
        if isinstance(listed, list):
            return max((one for one in listed if type(one) is int and one >= 0), default=0)
    return number(values, *names) or 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
