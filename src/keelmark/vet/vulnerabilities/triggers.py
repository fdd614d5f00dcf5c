"""The join of artefact and engine: what in a model meets which vulnerability of its loader."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple

from keelmark.core.findings import ArtefactFinding
from keelmark.vet.survey import Facts, Subject

Sight = Callable[[str, Mapping[str, Any]], bool]
"""Whether a file has a property, by its path and facts."""

_DEPTH = 8


class Hit(NamedTuple):
    """A file that meets an advisory.

    Attributes:
        path: The file.
        advisory: Id of the advisory.
        certain: Whether it has the very property, or is only of the kind through which it is used.
        says: What was seen.
    """

    path: str
    advisory: str
    certain: bool
    says: str


class Trigger(NamedTuple):
    """A row of the table; see triggers.toml."""

    advisory: str
    sees: str
    certain: bool
    says: str


@functools.cache
def table() -> tuple[Trigger, ...]:
    """Return the rows of triggers.toml."""
    text = (resources.files(__package__) / "triggers.toml").read_text(encoding="utf-8")
    return tuple(Trigger(**row) for row in tomllib.loads(text)["trigger"])


def hits(subject: Subject, tags: Mapping[str, tuple[str, ...]]) -> list[Hit]:
    """Return every file that meets an advisory, whatever engine will load it.

    Args:
        subject: The artefact.
        tags: Rule id to the tags of the rule.
    """
    found = {hit for finding in subject.findings for hit in _of_finding(finding, tags)}
    paths = _paths(subject)
    for row in table():
        sight = SIGHTS[row.sees]
        found |= {
            Hit(path, row.advisory, row.certain, row.says)
            for path, facts in paths.items()
            if sight(path, facts)
        }
    certain = {(hit.path, hit.advisory) for hit in found if hit.certain}
    return sorted(hit for hit in found if hit.certain or (hit.path, hit.advisory) not in certain)


def _of_finding(finding: ArtefactFinding, tags: Mapping[str, tuple[str, ...]]) -> Iterator[Hit]:
    for tag in tags.get(finding.rule, ()):
        framework, _, name = tag.partition(":")
        if framework == "cve":
            yield Hit(finding.path, name, certain=True, says=f"has what {finding.rule} found")


def _paths(subject: Subject) -> dict[str, Mapping[str, Any]]:
    """Return every file, and every member that checks learnt something of, with its facts."""
    single = subject.manifest.name
    files = (single if entry.path == "." else entry.path for entry in subject.manifest.entries)
    known: Facts = subject.facts
    return {path: known.get(path, {}) for path in (*files, *known)}


def _named(*suffixes: str) -> Sight:
    return lambda path, _: path.lower().endswith(suffixes)


def _configuration(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    found = facts.get("json")
    return found if isinstance(found, Mapping) else {}


def _anywhere(value: object, key: str, depth: int = 0) -> Iterator[object]:
    """Yield every value of a key in nested mappings; configurations nest those of their parts."""
    if depth > _DEPTH or not isinstance(value, Mapping):
        return
    if key in value:
        yield value[key]
    for inner in value.values():
        yield from _anywhere(inner, key, depth + 1)


def _foreign_attention(_: str, facts: Mapping[str, Any]) -> bool:
    values = _anywhere(_configuration(facts), "_attn_implementation_internal")
    return any(isinstance(value, str) and "/" in value for value in values)


def _trusting_lightglue(_: str, facts: Mapping[str, Any]) -> bool:
    found = _configuration(facts)
    return found.get("model_type") == "lightglue" and any(_anywhere(found, "trust_remote_code"))


def _auto_map(_: str, facts: Mapping[str, Any]) -> bool:
    return any(_anywhere(_configuration(facts), "auto_map"))


def _nemotron_auto_map(path: str, facts: Mapping[str, Any]) -> bool:
    return _auto_map(path, facts) and "nemotron" in str(_configuration(facts)).lower()


def _kimi_or_nemotron_auto_map(path: str, facts: Mapping[str, Any]) -> bool:
    said = str(_configuration(facts)).lower()
    return _auto_map(path, facts) and ("kimi" in said or "nemotron" in said)


def _gguf_template(_: str, facts: Mapping[str, Any]) -> bool:
    found = facts.get("gguf")
    metadata = found.get("metadata") if isinstance(found, Mapping) else None
    return isinstance(metadata, Mapping) and "tokenizer.chat_template" in metadata


def _template(path: str, facts: Mapping[str, Any]) -> bool:
    return (
        bool(facts.get("template"))
        or _gguf_template(path, facts)
        or "chat_template" in _configuration(facts)
    )


def _rng_state(path: str, _: Mapping[str, Any]) -> bool:
    return path.rpartition("/")[2].startswith("rng_state") and path.endswith(".pth")


SIGHTS: dict[str, Sight] = {
    "auto_map": _auto_map,
    "foreign_attention": _foreign_attention,
    "gguf_template": _gguf_template,
    "hdf5": _named(".h5", ".hdf5"),
    "keras_archive": _named(".keras"),
    "kimi_or_nemotron_auto_map": _kimi_or_nemotron_auto_map,
    "lightning": _named(".ckpt"),
    "nemo": _named(".nemo"),
    "nemotron_auto_map": _nemotron_auto_map,
    "onnx": _named(".onnx"),
    "pickle": _named(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"),
    "pt2": _named(".pt2"),
    "rng_state": _rng_state,
    "skops": _named(".skops"),
    "template": _template,
    "trusting_lightglue": _trusting_lightglue,
}
"""Tests that rows of the table name."""
