"""What the files say of the model they are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from keelmark.vet.lineage.traits import Facts

_LONGEST = 200
_MOST = 64


class Declared(NamedTuple):
    """One statement.

    Attributes:
        name: Of the model, as it is written.
        path: The file that says so.
        place: Where in the file.
        relation: `quantized`, `finetune`, `adapter`, `merge`, or "" when it is not said.
    """

    name: str
    path: str
    place: str
    relation: str = ""


def declared(facts: Facts) -> list[Declared]:
    """Return every statement about a base model, sorted, each once."""
    found: dict[Declared, None] = {}
    for path, known in sorted(facts.items()):
        for one in _in_file(path, known):
            if one.name and len(found) < _MOST:
                found[one] = None
    return list(found)


def _in_file(path: str, known: Mapping[str, Any]) -> Iterator[Declared]:
    card = known.get("card")
    if isinstance(card, Mapping):
        yield from _card(path, card)
    header = known.get("gguf")
    if isinstance(header, Mapping) and isinstance(header.get("metadata"), Mapping):
        yield from _gguf(path, header["metadata"])
    settings = known.get("json")
    name = path.rpartition("/")[2]
    if isinstance(settings, Mapping) and name == "adapter_config.json":
        yield Declared(
            _text(settings.get("base_model_name_or_path")),
            path,
            "base_model_name_or_path",
            "adapter",
        )
    if isinstance(settings, Mapping) and name == "config.json":
        yield Declared(_remote(settings.get("_name_or_path")), path, "_name_or_path")


def _card(path: str, card: Mapping[str, Any]) -> Iterator[Declared]:
    relation = _text(card.get("base_model_relation"))
    base = card.get("base_model")
    for name in base if isinstance(base, list) else [base]:
        yield Declared(_text(name), path, "base_model", relation)


def _gguf(path: str, metadata: Mapping[str, Any]) -> Iterator[Declared]:
    count = metadata.get("general.base_model.count")
    for number in range(min(count, _MOST) if isinstance(count, int) else 0):
        start = f"general.base_model.{number}."
        place = start.rstrip(".")
        url = _text(metadata.get(start + "repo_url"))
        name = url.removeprefix("https://huggingface.co/") if url else ""
        if not name:
            maker = _text(metadata.get(start + "organization"))
            model = _text(metadata.get(start + "name"))
            name = f"{maker}/{model}" if maker and model else model
        yield Declared(name, path, place)


def _text(value: object) -> str:
    return " ".join(value.split())[:_LONGEST] if isinstance(value, str) else ""


def _remote(value: object) -> str:
    """Return a name of the form maker/model; a path on somebody's disk tells nothing."""
    text = _text(value)
    return text if text.count("/") == 1 and text[0] not in "./~" else ""
