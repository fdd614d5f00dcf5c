"""Reading other tools' bills of materials: CycloneDX 1.2 to 1.7, SPDX 2 and SPDX 3, in JSON.

Others write what they like, so this is lenient about everything but size: fields that are not known
are left alone, fields of the wrong kind are left out and named. Nothing read here is believed; a
bill says what its author says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from keelmark.core.errors import LimitError, UsageError
from keelmark.passport.described import text_of
from keelmark.passport.manifest import Manifest

MAX_BYTES = 64 * 1024 * 1024
MAX_PARTS = 100_000
_DEEPEST = 32
_MOST = 1000
_TEXTS = ("users", "useCases", "technicalLimitations", "performanceTradeoffs")
_SPDX_3 = "https://spdx.org/rdf/3."
_NOBODY = ("", "NOASSERTION", "NONE")


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The model card of a component.

    Attributes:
        task: What it does.
        family: Family of its architecture.
        architecture: Its architecture.
        datasets: Names of data sets, or references to them.
        inputs: What goes in.
        outputs: What comes out.
        metrics: Results: kind, value, of what.
        considerations: Users, uses, limits and the like, by name.
    """

    task: str = ""
    family: str = ""
    architecture: str = ""
    datasets: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    metrics: tuple[tuple[str, str, str], ...] = ()
    considerations: dict[str, tuple[str, ...]] = {}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a bill names.

    Attributes:
        kind: As the bill calls it: `machine-learning-model`, `library`, `file`, `ai_AIPackage` ...
        name: Name, with its group.
        version: Version; "" when it has none.
        licences: Expressions, identifiers and names of licences.
        hashes: Name of the hash to digest, hex.
        purl: Package URL.
        ancestors: Names of what it was made from.
        card: Model card.
    """

    kind: str
    name: str
    version: str = ""
    licences: tuple[str, ...] = ()
    hashes: dict[str, str] = {}
    purl: str = ""
    ancestors: tuple[str, ...] = ()
    card: Card | None = None


class ReadBill(msgspec.Struct, frozen=True, kw_only=True):
    """What a bill of materials says.

    Attributes:
        form: `CycloneDX 1.6`, `SPDX-2.3`, `SPDX 3.0.1`.
        parts: Everything it names, in its order.
        left_out: What was of the wrong kind.
    """

    form: str
    parts: tuple[Part, ...]
    left_out: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[Part, ...]:
        """The models among the parts."""
        return tuple(p for p in self.parts if p.kind in ("machine-learning-model", "ai_AIPackage"))


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Files of a model beside the hashes of a bill.

    Attributes:
        listed: Files whose SHA-256 the bill names.
        unlisted: Files whose SHA-256 it does not name.
        missing: Names in the bill with a SHA-256 that no file has.
    """

    listed: tuple[str, ...]
    unlisted: tuple[str, ...]
    missing: tuple[str, ...]


def read_bom(data: bytes, *, source: str = "The file") -> ReadBill:
    """Read a bill of materials.

    Args:
        data: The file.
        source: How messages call it.

    Raises:
        UsageError: It is not one, or not one in JSON.
        LimitError: It names too much.
    """
    if len(data) > MAX_BYTES:
        raise LimitError(f"{source} is longer than {MAX_BYTES} bytes: split it.")
    try:
        plain = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        form = " in XML: export it as JSON" if data.lstrip()[:1] == b"<" else " in JSON"
        raise UsageError(f"{source} is no bill of materials{form}.") from None
    reader = _Reader()
    if isinstance(plain, dict) and plain.get("bomFormat") == "CycloneDX":
        form, parts = f"CycloneDX {text_of(plain.get('specVersion'))}", reader.cyclonedx(plain)
    elif isinstance(plain, dict) and text_of(plain.get("spdxVersion")).startswith("SPDX-2"):
        form, parts = text_of(plain["spdxVersion"]), reader.spdx2(plain)
    elif isinstance(plain, dict) and _is_spdx3(plain):
        form, parts = reader.spdx3_form(plain), reader.spdx3(plain)
    else:
        raise UsageError(
            f"{source} is no bill of materials that is known here: CycloneDX, SPDX 2 and SPDX 3 in "
            "JSON are."
        )
    found = []
    for part in parts:
        found.append(part)
        if len(found) > MAX_PARTS:
            raise LimitError(f"{source} names more than {MAX_PARTS} things: split it.")
    named = tuple(reader.with_names(part) for part in found)
    return ReadBill(form=form, parts=named, left_out=tuple(reader.left_out))


def compare(bill: ReadBill, manifest: Manifest) -> Comparison:
    """Say which files of a model a bill names by their SHA-256, and which it does not."""
    named = {p.hashes["sha-256"]: p.name for p in bill.parts if "sha-256" in p.hashes}
    mine = {e.sha256: manifest.name if manifest.is_file else e.path for e in manifest.entries}
    files = [(manifest.name if manifest.is_file else e.path, e.sha256) for e in manifest.entries]
    return Comparison(
        listed=tuple(name for name, digest in files if digest in named),
        unlisted=tuple(name for name, digest in files if digest not in named),
        missing=tuple(dict.fromkeys(named[d] for d in named if d not in mine)),
    )


def _is_spdx3(plain: Mapping[str, Any]) -> bool:
    context = plain.get("@context")
    said = context if isinstance(context, list) else [context]
    return any(isinstance(each, str) and each.startswith(_SPDX_3) for each in said)


class _Reader:
    """Takes what fits, and notes what does not."""

    def __init__(self) -> None:
        self.left_out: list[str] = []
        self._data: dict[str, str] = {}  # reference to the name of a data set

    def cyclonedx(self, bom: Mapping[str, Any]) -> Iterator[Part]:
        metadata = self._mapping(bom.get("metadata"), "metadata")
        if "component" in metadata:
            yield from self._component(metadata["component"], "metadata.component", 0)
        for place, each in enumerate(self._list(bom.get("components"), "components")):
            yield from self._component(each, f"components[{place}]", 0)

    def _component(self, given: object, where: str, depth: int) -> Iterator[Part]:
        if depth > _DEEPEST:
            self._note(where, "nested too deeply")
            return
        plain = self._mapping(given, where)
        name, group = text_of(plain.get("name")), text_of(plain.get("group"))
        for each in self._list(plain.get("data"), where):
            data = self._mapping(each, where)
            self._data[text_of(data.get("bom-ref"))] = text_of(data.get("name")) or name
        if name:
            yield Part(
                kind=text_of(plain.get("type")),
                name=f"{group}/{name}" if group else name,
                version=text_of(plain.get("version")),
                licences=tuple(self._licences(plain.get("licenses"), where)),
                hashes=self._hashes(plain.get("hashes"), "alg", "content", where),
                purl=text_of(plain.get("purl")),
                ancestors=tuple(self._ancestors(plain.get("pedigree"), where)),
                card=self._card(plain["modelCard"], where) if "modelCard" in plain else None,
            )
        elif plain:
            self._note(where, "without a name")
        for place, each in enumerate(self._list(plain.get("components"), where)):
            yield from self._component(each, f"{where}.components[{place}]", depth + 1)

    def _licences(self, given: object, where: str) -> Iterator[str]:
        for each in self._list(given, f"{where}.licenses"):
            plain = self._mapping(each, f"{where}.licenses")
            one = self._mapping(plain.get("license"), f"{where}.licenses")
            said = (plain.get("expression"), one.get("id"), one.get("name"), one.get("url"))
            if text := next((t for t in map(text_of, said) if t), ""):
                yield text

    def _ancestors(self, given: object, where: str) -> Iterator[str]:
        pedigree = self._mapping(given, f"{where}.pedigree")
        for each in self._list(pedigree.get("ancestors"), f"{where}.pedigree"):
            plain = self._mapping(each, f"{where}.pedigree")
            group, name = text_of(plain.get("group")), text_of(plain.get("name"))
            if name:
                yield f"{group}/{name}" if group else name

    def _card(self, given: object, where: str) -> Card:
        where = f"{where}.modelCard"
        card = self._mapping(given, where)
        said = self._mapping(card.get("modelParameters"), where)
        figures = self._mapping(card.get("quantitativeAnalysis"), where)
        metrics = (
            self._mapping(m, where) for m in self._list(figures.get("performanceMetrics"), where)
        )
        datasets = [self._mapping(d, where) for d in self._list(said.get("datasets"), where)]
        return Card(
            task=text_of(said.get("task")),
            family=text_of(said.get("architectureFamily")),
            architecture=text_of(said.get("modelArchitecture")),
            datasets=tuple(t for d in datasets if (t := text_of(d.get("name") or d.get("ref")))),
            inputs=self._formats(said.get("inputs"), where),
            outputs=self._formats(said.get("outputs"), where),
            metrics=tuple(
                (text_of(m.get("type")), text_of(m.get("value")), text_of(m.get("slice")))
                for m in metrics
            ),
            considerations=self._considerations(card.get("considerations"), where),
        )

    def with_names(self, part: Part) -> Part:
        """Return a part whose data sets go by their names, where references lead to one."""
        if part.card is None or not part.card.datasets:
            return part
        names = tuple(self._data.get(ref) or ref for ref in part.card.datasets)
        card = msgspec.structs.replace(part.card, datasets=names)
        return msgspec.structs.replace(part, card=card)

    def _formats(self, given: object, where: str) -> tuple[str, ...]:
        found = (text_of(self._mapping(f, where).get("format")) for f in self._list(given, where))
        return tuple(text for text in found if text)

    def _considerations(self, given: object, where: str) -> dict[str, tuple[str, ...]]:
        plain = self._mapping(given, where)
        found = {n: [text_of(t) for t in self._list(plain.get(n), where)] for n in _TEXTS}
        for name, keys in (
            ("ethicalConsiderations", ("name", "mitigationStrategy")),
            ("fairnessAssessments", ("groupAtRisk", "benefits", "harms", "mitigationStrategy")),
        ):
            rows = [self._mapping(r, where) for r in self._list(plain.get(name), where)]
            found[name] = ["; ".join(filter(None, (text_of(r.get(k)) for k in keys))) for r in rows]
        around = self._mapping(plain.get("environmentalConsiderations"), where)
        energy = [
            self._mapping(e, where) for e in self._list(around.get("energyConsumptions"), where)
        ]
        found["energy"] = [f"{text_of(e.get('activity'))}: {_energy(e)}" for e in energy]
        kept = {name: tuple(filter(None, texts)) for name, texts in found.items()}
        return {name: texts for name, texts in kept.items() if texts}

    def _hashes(self, given: object, name: str, value: str, where: str) -> dict[str, str]:
        rows = [self._mapping(h, where) for h in self._list(given, f"{where}.hashes")]
        pairs = [(text_of(row.get(name)), text_of(row.get(value)).lower()) for row in rows]
        names = {"sha256": "sha-256", "sha1": "sha-1", "sha512": "sha-512"}
        return {names.get(n.lower(), n.lower()): v for n, v in pairs if n and v}

    def spdx2(self, document: Mapping[str, Any]) -> Iterator[Part]:
        for kind, name in (("packages", "name"), ("files", "fileName")):
            for place, each in enumerate(self._list(document.get(kind), kind)):
                where = f"{kind}[{place}]"
                plain = self._mapping(each, where)
                said = (plain.get("licenseConcluded"), plain.get("licenseDeclared"))
                if text_of(plain.get(name)):
                    yield Part(
                        kind=kind.removesuffix("s"),
                        name=text_of(plain[name]),
                        version=text_of(plain.get("versionInfo")),
                        licences=tuple(
                            dict.fromkeys(t for t in map(text_of, said) if t not in _NOBODY)
                        ),
                        hashes=self._hashes(
                            plain.get("checksums"), "algorithm", "checksumValue", where
                        ),
                    )

    def spdx3_form(self, document: Mapping[str, Any]) -> str:
        made = (self._mapping(e, "@graph") for e in self._list(document.get("@graph"), "@graph"))
        return f"SPDX {next((text_of(e['specVersion']) for e in made if 'specVersion' in e), '3')}"

    def spdx3(self, document: Mapping[str, Any]) -> Iterator[Part]:
        graph = [self._mapping(e, "@graph") for e in self._list(document.get("@graph"), "@graph")]
        by_id = {text_of(e.get("spdxId") or e.get("@id")): e for e in graph}
        related: dict[tuple[str, str], list[str]] = {}
        for each in graph:
            if text_of(each.get("type")) == "Relationship":
                key = text_of(each.get("from")), text_of(each.get("relationshipType"))
                related.setdefault(key, []).extend(map(text_of, self._list(each.get("to"), "to")))

        def names(element: str, kind: str, field: str = "name") -> tuple[str, ...]:
            found = (by_id.get(target, {}) for target in related.get((element, kind), []))
            return tuple(text for each in found if (text := text_of(each.get(field))))

        wanted = "simplelicensing_licenseExpression"
        for each in graph:
            kind, name = text_of(each.get("type")), text_of(each.get("name"))
            if (name and kind in ("ai_AIPackage", "dataset_DatasetPackage")) or (
                name and kind.startswith("software_")
            ):
                own = text_of(each.get("spdxId") or each.get("@id"))
                yield Part(
                    kind=kind,
                    name=name,
                    version=text_of(each.get("software_packageVersion")),
                    licences=tuple(
                        dict.fromkeys(
                            names(own, "hasConcludedLicense", wanted)
                            + names(own, "hasDeclaredLicense", wanted)
                        )
                    ),
                    hashes=self._hashes(each.get("verifiedUsing"), "algorithm", "hashValue", kind),
                    purl=text_of(each.get("software_packageUrl")),
                    ancestors=names(own, "descendantOf"),
                    card=self._ai_card(each, names(own, "trainedOn"))
                    if kind == "ai_AIPackage"
                    else None,
                )

    def _ai_card(self, package: Mapping[str, Any], datasets: tuple[str, ...]) -> Card:
        kinds = [text_of(t) for t in self._list(package.get("ai_typeOfModel"), "ai_typeOfModel")]
        domains = [text_of(d) for d in self._list(package.get("ai_domain"), "ai_domain")]
        metrics = (
            self._mapping(m, "ai_metric") for m in self._list(package.get("ai_metric"), "ai_metric")
        )
        said = {
            "useCases": text_of(package.get("ai_informationAboutApplication")),
            "technicalLimitations": text_of(package.get("ai_limitation")),
        }
        return Card(
            task=", ".join(filter(None, domains)),
            family=", ".join(filter(None, kinds)),
            datasets=datasets,
            metrics=tuple((text_of(m.get("key")), text_of(m.get("value")), "") for m in metrics),
            considerations={name: (text,) for name, text in said.items() if text},
        )

    def _mapping(self, given: object, where: str) -> Mapping[str, Any]:
        if given is None or isinstance(given, Mapping):
            return given or {}
        self._note(where, "of the wrong kind")
        return {}

    def _list(self, given: object, where: str) -> list[Any]:
        if given is None or isinstance(given, list):
            return given or []
        self._note(where, "not a list")
        return []

    def _note(self, where: str, what: str) -> None:
        if len(self.left_out) < _MOST:
            self.left_out.append(f"{where}: {what}")


def _energy(row: Mapping[str, Any]) -> str:
    spent, emitted = row.get("activityEnergyCost"), row.get("co2CostEquivalent")
    return ", ".join(
        f"{text_of(each.get('value'))} {text_of(each.get('unit'))}"
        for each in (spent, emitted)
        if isinstance(each, Mapping)
    )
