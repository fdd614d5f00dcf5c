"""Settings that name code: `_target_` of Hydra, as in NeMo's `model_config.yaml`.

A loader that instantiates such settings imports the name and calls it with the values beside it.
Source: `hydra/_internal/instantiate`, NeMo's `SaveRestoreConnector`; CVE-2025-23304.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.pickle_names import Level, level

_TAGS = ("owasp:llm03", "cwe:CWE-94", "cve:CVE-2025-23304")
_MAX = 4 * 1024 * 1024
_MAX_ALIASES = 20
_SUFFIXES = {".yaml", ".yml"}
_CLASS = re.compile(r"_?[A-Z]\w*\Z")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+\Z")
_USUAL = {
    "nemo", "nemo_text_processing", "megatron", "torch", "torchvision", "torchaudio",
    "transformers", "diffusers", "pytorch_lightning", "lightning", "omegaconf", "numpy", "timm",
    "ldm", "sgm", "hydra", "monai", "nvidia", "modelopt", "apex", "peft", "speechbrain",
}  # fmt: skip

DANGEROUS = Rule(
    "hydra.dangerous_target",
    "Settings that run code",
    Severity.CRITICAL,
    "A loader that instantiates the settings imports the name and calls it.",
    "Do not load this model; ask its publisher for settings that only name layers.",
    _TAGS,
)
UNKNOWN = Rule(
    "hydra.unknown_target",
    "Settings that name unknown code",
    Severity.LOW,
    "What the named class or function does cannot be told from the file.",
    "Read the code of the name before you load the model.",
    _TAGS,
)
FUNCTION = Rule(
    "hydra.function_target",
    "Settings that call a function",
    Severity.MEDIUM,
    "Settings of models name classes of layers; a function of a library can do anything that the "
    "library can.",
    "Ask its publisher why the function is named.",
    _TAGS,
)


def _claims(file: File) -> bool:
    return file.suffix in _SUFFIXES and (
        b"target" in file.head or file.size > len(file.head) or file.name == "model_config.yaml"
    )


def _run(file: File) -> Result:
    if file.size > _MAX:
        return Result((), "the settings are longer than is read")
    findings: list[ArtefactFinding] = []
    try:
        for document in yaml.load_all(file.all(), Loader=_Loader):
            for where, target in _targets(document):
                findings += _judge(file, where, target)
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError):
        return Result(tuple(findings), "the settings are no plain YAML")
    told = any(finding.rule in {UNKNOWN.id, FUNCTION.id} for finding in findings)
    return Result(tuple(findings), "the code that it names is not in the file" if told else "")


class _Loader(yaml.SafeLoader):
    """Reads plain values only, and few aliases: many of them make billions of values."""

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > _MAX_ALIASES:
                raise yaml.YAMLError("too many aliases")
        return super().compose_node(parent, index)


def _targets(value: object, where: str = "", depth: int = 60) -> Iterator[tuple[str, str]]:
    """Yield every `_target_` with its place."""
    if isinstance(value, dict) and depth:
        for key, item in value.items():
            place = f"{where}.{key}".lstrip(".")[-200:]
            if key in {"_target_", "target"} and isinstance(item, str):
                if key == "_target_" or _DOTTED.match(item):
                    yield place, item
            else:
                yield from _targets(item, place, depth - 1)
    elif isinstance(value, list) and depth:
        for number, item in enumerate(value):
            yield from _targets(item, f"{where}[{number}]", depth - 1)


def _judge(file: File, where: str, target: str) -> Iterator[ArtefactFinding]:
    module, _, name = target.strip().rpartition(".")
    package = module.partition(".")[0]
    found = level(module or "builtins", name, "call")
    if found is Level.DANGEROUS:
        message = f"The settings name {target}, which can run code or reach files."
        yield DANGEROUS.at(file, where, message, evidence=target)
    elif found is Level.HARMLESS or (package in _USUAL and _CLASS.match(name)):
        return
    elif package in _USUAL:
        message = f"The settings name the function {target}."
        yield FUNCTION.at(file, where, message, evidence=target)
    else:
        yield UNKNOWN.at(file, where, f"The settings need {target}.", evidence=target)


CHECK = Check(
    title="Settings that name code",
    version="1",
    tags=_TAGS,
    rules=(DANGEROUS, UNKNOWN, FUNCTION),
    examples=("nemo-cve-2025-23304-target", "hydra-unknown-target", "nemo-function-target"),
    claims=_claims,
    run=_run,
)
