"""Which models an artefact holds: files that belong together, with shape and weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from keelmark.vet.fit.from_config import shape_from_config
from keelmark.vet.fit.from_gguf import shape_from_gguf
from keelmark.vet.fit.shape import Shape, UnknownShapeError
from keelmark.vet.fit.weights import Weights, packing_of, weigh

_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_SECOND = re.compile(r"(^|/)(consolidated|original/|onnx/)")

Facts = Mapping[str, Mapping[str, Any]]


class Part(NamedTuple):
    """One model of an artefact.

    Attributes:
        path: The file, or the folder of `config.json`; "." for the top.
        form: gguf or safetensors.
        shape: How it is built; None when that could not be told.
        weights: What its tensors amount to.
        reason: Why there is no shape.
    """

    path: str
    form: str
    shape: Shape | None
    weights: Weights
    reason: str = ""

    @property
    def name(self) -> str:
        """The model, as a person would call it."""
        return "this model" if self.path == "." else self.path


def parts(facts: Facts) -> list[Part]:
    """Return the models that an artefact holds, those that are understood first, by path."""
    found = [*_ggufs(facts), *_folders(facts)]
    return sorted(found, key=lambda part: (part.shape is None, part.path, part.form))


def _ggufs(facts: Facts) -> list[Part]:
    groups: dict[str, list[str]] = {}
    for path, known in sorted(facts.items()):
        if isinstance(known.get("gguf"), Mapping):
            groups.setdefault(_SPLIT.sub("", path), []).append(path)
    return [_gguf(paths, facts) for paths in groups.values()]


def _gguf(paths: list[str], facts: Facts) -> Part:
    headers = [facts[path]["gguf"] for path in paths]
    tensors = [tensor for header in headers for tensor in header.get("tensors") or ()]
    metadata = headers[0].get("metadata") or {}
    try:
        shape, reason = shape_from_gguf(metadata, tensors), ""
    except UnknownShapeError as error:
        shape, reason = None, str(error)
    count = metadata.get("split.count")
    if isinstance(count, int) and count > len(paths):
        reason = f"only {len(paths)} of its {count} parts are here"
        shape = None
    return Part(paths[0], "gguf", shape, weigh(tensors, shape), reason)


def _folders(facts: Facts) -> list[Part]:
    groups: dict[str, list[str]] = {}
    for path, known in sorted(facts.items()):
        if isinstance(known.get("safetensors"), Mapping):
            groups.setdefault(path.rpartition("/")[0], []).append(path)
    for path, known in facts.items():
        folder, _, name = path.rpartition("/")
        if name == "config.json" and _model_type(known):
            groups.setdefault(folder, [])
    return [_folder(folder, paths, facts) for folder, paths in sorted(groups.items())]


def _model_type(known: Mapping[str, Any]) -> bool:
    config = known.get("json")
    return isinstance(config, Mapping) and isinstance(config.get("model_type"), str)


def _folder(folder: str, paths: list[str], facts: Facts) -> Part:
    start = f"{folder}/" if folder else ""
    config = facts.get(f"{start}config.json", {}).get("json")
    own = [path for path in paths if not _SECOND.search(path[len(start) :])] or paths
    tensors = [tensor for path in own for tensor in facts[path]["safetensors"].get("tensors") or ()]
    shape, reason, packing = None, "there is no config.json beside it", None
    if isinstance(config, Mapping):
        packing = packing_of(config)
        try:
            shape, reason = shape_from_config(config), ""
        except UnknownShapeError as error:
            reason = str(error)
    elif f"{start}adapter_config.json" in facts:
        reason = "it is an adapter; the model it belongs to is not here"
    return Part(folder or ".", "safetensors", shape, weigh(tensors, shape, packing), reason)
