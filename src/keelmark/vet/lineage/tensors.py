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
_SENSES = re.compile(r"vision|visual|audio|image|multi_modal|mm_projector|speech|merger")
_AHEAD = re.compile(r"(?:^|\.)mtp|nextn|eh_proj|enorm|hnorm|shared_head")
_PACKED = re.compile(
    r"\.(?:qweight|qzeros|scales|biases|g_idx|weight_(?:packed|shape|scale|scale_inv|scale_2|g_idx"
    r"|zero_point|global_scale)|input_(?:scale|global_scale)|weight\.[a-z_0-9.]+)$"
)
_LORA = re.compile(r"(.+)\.lora_([AB])(?:\.\w+)?\.weight")

Shape = tuple[int, ...]


class Table(NamedTuple):
    """The tensors of one model, by the names that GGUF gives them.

    Attributes:
        form: gguf or safetensors.
        path: The first file.
        shapes: Name to dimensions, outermost first.
        kinds: Name to number type.
        norms: Name to what is known of a norm's values.
        packed: Names of tensors whose numbers are packed, so that their dimensions tell nothing.
    """

    form: str
    path: str
    shapes: dict[str, Shape]
    kinds: dict[str, str]
    norms: dict[str, Mapping[str, Any]]
    packed: set[str]

    @property
    def quantised(self) -> bool:
        """Whether some tensor is in a type that only quantisation makes."""
        return bool(self.packed) or (
            self.form == "gguf" and not set(self.kinds.values()) <= _FLOATS
        )


def table_of(facts: Facts) -> Table | None:
    """Return the tensors of the first model that the files hold, all its parts together."""
    for form in ("gguf", "safetensors"):
        paths = sorted(path for path in facts if _holds(form, path, facts))
        if paths:
            first = min(paths, key=lambda path: (path.count("/"), path))
            own = [path for path in paths if _model_of(path, form) == _model_of(first, form)]
            return _table(form, own, facts)
    return None


def _holds(form: str, path: str, facts: Facts) -> bool:
    """Whether a file holds tensors of the model itself, and not its eyes or the same once more."""
    header = facts[path].get(form)
    if not isinstance(header, Mapping) or path.rpartition("/")[2].startswith("consolidated"):
        return False
    return (header.get("metadata") or {}).get("general.architecture") != "clip"


def _model_of(path: str, form: str) -> str:
    return _SPLIT.sub("", path) if form == "gguf" else path.rpartition("/")[0]


def _table(form: str, paths: Iterable[str], facts: Facts) -> Table:
    table = Table(form, min(paths), {}, {}, {}, set())
    for path in paths:
        known = facts[path]
        norms = known.get("norms")
        norms = norms if isinstance(norms, Mapping) else {}
        tensors = [one for one in known[form].get("tensors") or () if len(one) == 3]
        split = any("pre_feedforward_layernorm" in str(name) for name, _, _ in tensors)
        for name, kind, dimensions in tensors:
            shape, plain = tuple(dimensions), str(name)
            if form == "gguf":
                common, shape = plain, shape[::-1]
            elif _PACKED.search(plain):
                common = common_name(_PACKED.sub(".weight", plain), after_too=split)
                table.packed.add(common)
            else:
                common = common_name(plain, after_too=split)
            table.shapes[common] = shape
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
    packed = child.packed | parent.packed
    same = {name for name in both if name in packed or _alike(ours[name], theirs[name])}
    ahead = _ahead(child) | _ahead(parent)
    left_out = {
        name
        for name in ours.keys() ^ theirs.keys()
        if _made(name, child, parent) or _layer_of(name) in ahead
    }
    return Matched(
        tuple(sorted(same)),
        tuple(sorted(both - same)),
        tuple(sorted(theirs.keys() - both - left_out)),
        tuple(sorted(ours.keys() - both - left_out)),
    )


def _ahead(table: Table) -> set[str]:
    """Return the layers that only predict ahead; converters may leave them out."""
    layers = {_layer_of(name) for name in table.shapes if _AHEAD.search(name)}
    return layers - {""}


def _layer_of(name: str) -> str:
    found = _LAYER.search(name)
    return found[1] if found else ""


class Adapted(NamedTuple):
    """How an adapter agrees with its model: how many pairs fit, and which do not."""

    fitting: int
    unfitting: tuple[str, ...]


def adapted(child: Table, parent: Table) -> Adapted | None:
    """Compare the pairs of a low-rank adapter with the tensors they change; None without any."""
    ends: dict[str, dict[str, int]] = {}
    for name, shape in child.shapes.items():
        found = _LORA.fullmatch(name)
        if found and len(shape) == 2:
            target = common_name(found[1].removeprefix("base_model.model.") + ".weight")
            ends.setdefault(target, {})[found[2]] = shape[1] if found[2] == "A" else shape[0]
    if not ends:
        return None
    wrong = [
        name
        for name, sides in sorted(ends.items())
        if name not in parent.packed and parent.shapes.get(name) != (sides.get("B"), sides.get("A"))
    ]
    return Adapted(len(ends) - len(wrong), tuple(wrong))


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
    """Whether a tensor is one that converters make of others, or may leave out."""
    if _MADE.search(name) or (name.startswith("output.") and _tied(child, parent)):
        return True
    if _AHEAD.search(name):
        return True
    return child.form != parent.form and ("attn_kv_b" in name or bool(_SENSES.search(name)))


def _tied(child: Table, parent: Table) -> bool:
    """Whether one of the two has no output of its own and uses the embedding for it."""
    return not all("output.weight" in one.shapes for one in (child, parent))


def norm_of(table: Table, name: str) -> Mapping[str, Any] | None:
    """Return what is known of a norm's values, by either of its names."""
    return table.norms.get(name) or table.norms.get(_otherwise(name))
