"""Texts, tables and settings: formats that loaders only read, decoded strictly and whole."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.yamlfile import stranger_yaml
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.json_file import load_json
from keelmark.vet.sniff import POINTER, is_text

MAX_TEXT = 128 * 1024 * 1024
_MAX_KEPT_JSON = 4 * 1024 * 1024
_MAX_KEPT_TEXT = 256 * 1024
_JSON = {".json"}
_LINES = {".jsonl", ".ndjson"}
_YAML = {".yaml", ".yml"}
_TEXT = {".md", ".txt", ".rst", ".csv", ".tsv", ".toml", ".ini", ".cfg", ".jinja", ".jinja2", ".j2"}
_TEXT |= {".gitattributes", ".gitignore", ".bib", ".cff", ".license", ".vocab", ".bpe", ".merges"}
_TEXT |= {".log", ".tiktoken", ".metadata", ".lock", ".gitkeep", ".sha256", ".md5", ".asc", ".sig"}
_PROSE = {".md", ".txt", ".rst", ".license"}
_NAMES = re.compile(r"(readme|licen[cs]e|notice|copying|copyright|authors|changelog|use_policy)")
_PNG = b"\x89PNG\r\n\x1a\n"
_PYTHON_TAG = re.compile(r"!!python/|!<tag:yaml\.org,2002:python/|tag:yaml\.org,2002:python/")
_TAGS = ("owasp:llm03", "cwe:CWE-502")

YAML_TAG = Rule(
    "documents.yaml_python_tag",
    "YAML that builds Python objects",
    Severity.HIGH,
    "A loader that does not restrict YAML runs the named function.",
    "Do not use this file; ask its publisher for plain YAML.",
    _TAGS,
)


SHARD = Rule(
    "documents.shard_path",
    "Weights outside the model's folder",
    Severity.HIGH,
    "The loader reads, and may unpickle, a file that is no part of the model.",
    "Do not use this model; ask its publisher for a clean one.",
    ("owasp:llm03", "cwe:CWE-22"),
)
_LEAVES = re.compile(r"\A[/\\~]|\A[A-Za-z]:|://|(?:\A|[/\\])\.\.(?:[/\\]|\Z)|[\0-\x1f]")


def _claims(file: File) -> bool:
    if file.head.startswith((_PNG, POINTER)):
        return True
    known = file.suffix in _JSON | _LINES | _YAML | _TEXT or file.name in _TEXT
    named = bool(_NAMES.match(file.name))
    return (known or named or _is_json(file)) and is_text(
        file.head, whole=file.size <= len(file.head)
    )


def _is_json(file: File) -> bool:
    """Whether a file is to be JSON: by its ending, or without one by its first character."""
    bare = not file.suffix and file.head.lstrip()[:1] in (b"{", b"[")
    return bare or file.suffix in _JSON


def _run(file: File) -> Result:
    if file.head.startswith(_PNG):
        return Result((), _png(file))
    if file.head.startswith(POINTER):
        return Result((), "it is a Git LFS pointer, so the file itself was never downloaded")
    if file.size > MAX_TEXT:
        return Result((), f"the text is longer than {MAX_TEXT} bytes")
    data = file.all()
    if not is_text(data, whole=True):
        return Result((), "it is not UTF-8 text throughout")
    text = data.decode("utf-8-sig")
    if file.suffix in _YAML and (match := _PYTHON_TAG.search(text)):
        line = text.count("\n", 0, match.start()) + 1
        message = "The YAML asks for a Python object."
        return Result((YAML_TAG.at(file, f"line {line}", message, evidence=match[0]),))
    try:
        value = load_json(file) if _is_json(file) else None
        if file.suffix in _LINES:
            for record in filter(str.strip, text.splitlines()):
                json.loads(record)
    except (ValueError, RecursionError) as error:
        return Result((), f"it is not JSON ({error})")
    findings = tuple(_shards(file, value)) if file.name.endswith(".index.json") else ()
    return Result(findings, facts=_facts(file, text, value))


def _shards(file: File, value: Any) -> Iterator[ArtefactFinding]:
    """An index names the file that each tensor is read from."""
    names = value.get("weight_map") if isinstance(value, dict) else None
    for name in sorted({str(name) for name in names.values()} if isinstance(names, dict) else ()):
        if _LEAVES.search(name):
            message = f"A part of the weights is said to be in {name[:120]!r}."
            yield SHARD.at(file, "weight_map", message, evidence=name)


def _facts(file: File, text: str, value: Any) -> dict[str, object]:
    """Settings as they are parsed, the front matter of a card, and texts for people."""
    if _is_json(file):
        return {"json": value} if isinstance(value, dict) and file.size <= _MAX_KEPT_JSON else {}
    facts: dict[str, object] = {}
    if file.suffix in _PROSE or _NAMES.match(file.name):
        if file.size <= _MAX_KEPT_TEXT:
            facts["text"] = text
        card = _front_matter(text) if file.suffix == ".md" else None
        if card is not None:
            facts["card"] = card
    return facts


def _front_matter(text: str) -> dict[str, Any] | None:
    """Return the YAML block that a card begins with, as plain JSON values, or None."""
    match = re.match(
        r"---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", text[:_MAX_KEPT_TEXT], re.DOTALL
    )
    if match is None:
        return None
    try:
        value = json.loads(json.dumps(stranger_yaml(match[1]), default=str))
    except (ValueError, TypeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _png(file: File) -> str:
    """Walk the chunks; return what is wrong, or ""."""
    at = len(_PNG)
    while at + 12 <= file.size:
        size = int.from_bytes(file.read(at, 4), "big")
        kind = file.read(at + 4, 4)
        if at + 12 + size > file.size:
            break
        if zlib.crc32(file.read(at + 4, 4 + size)) != int.from_bytes(
            file.read(at + 8 + size, 4), "big"
        ):
            return "the image is damaged"
        at += 12 + size
        if kind == b"IEND":
            return "" if at == file.size else "bytes follow the image"
    return "the image ends too early"


CHECK = Check(
    title="Texts, tables and settings",
    version="1",
    tags=_TAGS,
    rules=(YAML_TAG, SHARD),
    examples=("yaml-python-tag", "index-shard-path"),
    claims=_claims,
    run=_run,
)
