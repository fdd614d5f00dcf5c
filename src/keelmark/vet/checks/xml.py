"""XML: OpenVINO networks, PMML models, and what any XML may do to its reader.

Read with expat, which fetches nothing; it stops at the first entity, before it is expanded.
Source: the OpenVINO IR description (versions 10 and 11) and the PMML 4.4 schema.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.payload import find_payload
from keelmark.vet.sniff import named

MAX_XML = 128 * 1024 * 1024
_MAX_ELEMENTS = 3_000_000
_ROOT = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?\s*(?:<\?xml\b|<(?:net|PMML)\b|<!DOCTYPE)|\xff\xfe<\0|\xfe\xff\0<"
)
_OPSET = re.compile(r"(?:opset\d+|experimental|ie_internal_opset|extension_opset)?\Z")
_WEIGHTS = re.compile(r"openvino_\w+\.bin\Z")
_INT63 = (1 << 63) - 1
_TAGS = ("owasp:llm03",)
_FETCH = "Do not use this file; ask its publisher for a clean one."

ENTITY = Rule(
    "xml.entity",
    "Entities of its own",
    Severity.HIGH,
    "An entity makes its reader open a file or an address, or grow a few lines to gigabytes.",
    _FETCH,
    (*_TAGS, "cwe:CWE-611", "cwe:CWE-776"),
)
CODE = Rule(
    "xml.code",
    "Code in a model that is data",
    Severity.HIGH,
    "The format has formulas, no programs; code there is meant for one particular reader.",
    _FETCH,
    (*_TAGS, "cwe:CWE-94"),
)
CUSTOM = Rule(
    "xml.custom_layer",
    "Layers whose code is elsewhere",
    Severity.LOW,
    "They need a native library that the loader is asked to load.",
    "Read or build the library yourself, or use a model of standard layers.",
    (*_TAGS, "cwe:CWE-829"),
)
OUTSIDE = Rule(
    "xml.outside",
    "Points outside of the model",
    Severity.HIGH,
    "A size or place that cannot be right, or a table elsewhere, makes the loader read other data.",
    _FETCH,
    (*_TAGS, "cwe:CWE-125", "cwe:CWE-73"),
)
MALFORMED = Rule(
    "xml.malformed",
    "Damaged XML",
    Severity.HIGH,
    "It is cut off or is something else under this name; readers differ in what they make of it.",
    "Fetch the file again from its publisher and compare the digest.",
    (*_TAGS, "cwe:CWE-20"),
)


class _StopError(Exception):
    """What has been seen is enough."""


class _Reader:
    """Collects findings while expat walks the document."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.findings: list[ArtefactFinding] = []
        self.reasons: dict[str, None] = {}
        self.root = ""
        self.needed = 0
        """How long the file of weights must be."""
        self._count = 0
        self._text: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.EntityDeclHandler = self._entity
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append
        self.parser.CommentHandler = self._words

    def add(self, rule: Rule, message: str, evidence: str = "") -> None:
        where = f"line {self.parser.CurrentLineNumber}"
        if len(self.findings) < 200:
            self.findings.append(rule.at(self.file, where, message, evidence=evidence))

    def _entity(self, name: str, parameter: int, value: str | None, *more: str | None) -> None:
        outside = next((place for place in more[1:3] if place), "")
        what = (
            f"The entity {name} stands for {outside!r}."
            if outside
            else (f"The entity {name} is defined in the file itself.")
        )
        self.add(ENTITY, what, outside or (value or "")[:80] or str(parameter))
        raise _StopError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_ELEMENTS:
            self.reasons[f"it has more than {_MAX_ELEMENTS} elements"] = None
            raise _StopError
        local = name.rpartition(":")[2]
        self.root = self.root or local
        self._said()
        for value in attributes.values():
            self._words(value)
        if self.root == "net":
            self._openvino(local, attributes)
        elif local in {"TableLocator", "script", "Script"}:
            rule = OUTSIDE if local == "TableLocator" else CODE
            self.add(rule, f"It has an element {local}.", local)

    def _openvino(self, name: str, attributes: dict[str, str]) -> None:
        if name == "layer" and not _OPSET.match(attributes.get("version", "")):
            kind = f"{attributes.get('version', '')}.{attributes.get('type', '')}"[:80]
            self.add(CUSTOM, f"The layer {kind} is not OpenVINO's.", kind)
            self.reasons[f"the code of the layer {kind} is not in the file"] = None
        if name == "data":
            numbers = []
            for key in ("offset", "size"):
                text = attributes.get(key, "0")
                if re.fullmatch(r"\d{1,19}", text) and int(text) <= _INT63:
                    numbers.append(int(text))
                else:
                    self.add(OUTSIDE, f"The {key} of its data is {text[:40]!r}.", text)
            self.needed = max(self.needed, sum(numbers) if len(numbers) == 2 else 0)

    def _end(self, _name: str) -> None:
        self._said()

    def _said(self) -> None:
        if self._text:
            text = "".join(self._text)
            self._text.clear()
            self._words(text)

    def _words(self, text: str) -> None:
        if payload := find_payload(text[:65_536]):
            self.add(CODE, f"It contains {payload.what}.", payload.shown)


def _is_weights(file: File) -> bool:
    """Numbers as exporters for OpenVINO name them; what stands in them the XML says."""
    return bool(_WEIGHTS.match(file.name)) and not _ROOT.match(file.head[:64])


def _run(file: File) -> Result:
    if _is_weights(file):
        return Result()
    if file.size > MAX_XML:
        return Result((), f"the XML is longer than {MAX_XML} bytes")
    reader = _Reader(file)
    try:
        reader.parser.Parse(file.all(), True)  # noqa: FBT003 - expat's flag for the last piece
    except _StopError:
        reader.reasons.setdefault("it is not read beyond an entity", None)
    except (expat.ExpatError, ValueError, LookupError) as error:
        reader.add(MALFORMED, f"It is not XML from start to end: {error}.")
        reader.reasons["the XML is damaged"] = None
    if reader.root not in {"net", "PMML", ""} and not reader.findings:
        reader.reasons[f"XML with the root {reader.root[:40]!r} is not known here"] = None
    facts = {"openvino": {"weights": reader.needed}} if reader.needed else {}
    return Result(tuple(reader.findings), "; ".join(list(reader.reasons)[:3]), facts=facts)


def _claims(file: File) -> bool:
    known = named(file, ".xml", ".pmml") or bool(_ROOT.match(file.head[:64]))
    return known or _is_weights(file)


CHECK = Check(
    title="OpenVINO, PMML and other XML",
    version="1",
    tags=_TAGS,
    rules=(ENTITY, CODE, CUSTOM, OUTSIDE, MALFORMED),
    examples=(
        "xml-external-entity",
        "pmml-code",
        "openvino-custom-layer",
        "openvino-offset",
        "xml-truncated",
    ),
    claims=_claims,
    run=_run,
)
