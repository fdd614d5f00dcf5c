"""Tensors of two models side by side, whatever each format calls them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from keelmark.vet.lineage.traits import Facts

_TABLE: dict[str, Any] = tomllib.loads(
    files(__package__).joinpath("tensor_names.toml").read_text(encoding="utf-8")
)
_LAYER = re.compile(_TABLE["layer"])
_EXPERT = re.compile(r"(?:mlp|block_sparse_moe)\.experts\.\d+\.(\w+)\.weight")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.(gguf|safetensors)$")
_FLOATS = {"F32", "F16", "BF16", "F64"}
_EITHER = {"ffn_norm": "post_attention_norm"}
_MADE = re.compile(r"rope_freqs|rope_factors|rotary_emb|\.attn_(k|v)_b\.|position_ids")

Shape = tuple[int, ...]


class Table(NamedTuple):
    """The tensors of one model, by the names that GGUF gives them.

    Attributes:
        form: gguf or safetensors.
        path: The first file.
        shapes: Name to dimensions, outermost first.
        kinds: Name to number type.
        norms: Name to what is known of a norm's values.
    """

    form: str
    path: str
    shapes: dict[str, Shape]
    kinds: dict[str, str]
    norms: dict[str, Mapping[str, Any]]

    @property
    def quantised(self) -> bool:
        """Whether some tensor is in a type that only quantisation makes."""
        return self.form == "gguf" and not set(self.kinds.values()) <= _FLOATS


def table_of(facts: Facts) -> Table | None:
    """Return the tensors of the first model that the files hold, all its parts together."""
    for form in ("gguf", "safetensors"):
        paths = sorted(
            path for path, known in facts.items() if isinstance(known.get(form), Mapping)
        )
        if paths:
            first = min(paths, key=lambda path: (path.count("/"), path))
            own = [path for path in paths if _model_of(path, form) == _model_of(first, form)]
            return _table(form, own, facts)
    return None


def _model_of(path: str, form: str) -> str:
    return _SPLIT.sub("", path) if form == "gguf" else path.rpartition("/")[0]


def _table(form: str, paths: Iterable[str], facts: Facts) -> Table:
    table = Table(form, min(paths), {}, {}, {})
    for path in paths:
        known = facts[path]
        norms = known.get("norms")
        norms = norms if isinstance(norms, Mapping) else {}
        tensors = [one for one in known[form].get("tensors") or () if len(one) == 3]
        split = any("pre_feedforward_layernorm" in str(name) for name, _, _ in tensors)
        for name, kind, dimensions in tensors:
            shape = tuple(dimensions)
            common = str(name) if form == "gguf" else common_name(str(name), after_too=split)
            table.shapes[common] = shape[::-1] if form == "gguf" else shape
            table.kinds[common] = str(kind)
            if name in norms and isinstance(norms[name], Mapping):
                table.norms[common] = norms[name]
    return table


def common_name(name: str, *, after_too: bool = False) -> str:
    """Return the name that GGUF gives a tensor of a Hugging Face model, or its own.

    Args:
        name: As in the safetensors file.
        after_too: Whether the model has norms before and after each part (Gemma 2 and later), so
            that the norm after attention is not the one before the feed-forward part.
    """
    stem, dot, end = name.rpartition(".")
    if end not in ("weight", "bias"):
        stem, dot, end = name, "", ""
    found = _LAYER.search(stem)
    if found is None:
        last = stem.rpartition(".")[2]
        known = _TABLE["outside"].get(last)
        return f"{known}{dot}{end}" if known else name
    layer, rest = found[1], found[2]
    if expert := _EXPERT.fullmatch(f"{rest}.weight"):
        known = _TABLE["experts"].get(expert[1])
        return f"blk.{layer}.{known}.weight" if known else name
    if after_too and rest == "post_attention_layernorm":
        return f"blk.{layer}.post_attention_norm{dot}{end}"
    known = _TABLE["inside"].get(rest)
    return f"blk.{layer}.{known}{dot}{end}" if known else name


class Matched(NamedTuple):
    """How two tables of tensors agree.

    Attributes:
        same: Tensors of the same name and dimensions.
        resized: Tensors of the same name and other dimensions.
        missing: Tensors of the parent that the child lacks.
        extra: Tensors of the child that the parent lacks.
    """

    same: tuple[str, ...]
    resized: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


def match(child: Table, parent: Table) -> Matched:
    """Compare names and dimensions; tensors that converters make or leave out do not count."""
    ours, theirs = dict(child.shapes), dict(parent.shapes)
    for name in list(theirs):
        other = _otherwise(name)
        if other and name not in ours and other in ours:
            theirs[other] = theirs.pop(name)
    both = ours.keys() & theirs.keys()
    same = {name for name in both if _alike(ours[name], theirs[name])}
    return Matched(
        tuple(sorted(same)),
        tuple(sorted(both - same)),
        tuple(sorted(name for name in theirs.keys() - both if not _made(name, child, parent))),
        tuple(sorted(name for name in ours.keys() - both if not _made(name, child, parent))),
    )


def _otherwise(name: str) -> str:
    for one, other in _EITHER.items():
        if f".{one}." in name:
            return name.replace(f".{one}.", f".{other}.")
    return ""


def _alike(ours: Shape, theirs: Shape) -> bool:
    """Compare dimensions; those of one are nothing, and experts may be stacked or apart."""
    left = tuple(size for size in ours if size != 1)
    right = tuple(size for size in theirs if size != 1)
    return left == right or left[1:] == right or right[1:] == left


def _made(name: str, child: Table, parent: Table) -> bool:
    """Whether a tensor is one that converters make of others or may leave out."""
    if _MADE.search(name) or (name.startswith("output.") and _tied(child, parent)):
        return True
    return child.form != parent.form and "attn_kv_b" in name


def _tied(child: Table, parent: Table) -> bool:
    """Whether one of the two has no output of its own and uses the embedding for it."""
    return not all("output.weight" in one.shapes for one in (child, parent))


def norm_of(table: Table, name: str) -> Mapping[str, Any] | None:
    """Return what is known of a norm's values, by either of its names."""
    return table.norms.get(name) or table.norms.get(_otherwise(name))
