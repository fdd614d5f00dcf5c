"""What is known of a model, gathered from vetting for bills of materials.

Every value comes from a file of the model or from a section of the report, and says which; what
nobody says is empty. The order of sources is fixed, so the same vetting is described the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from keelmark.core.vetting import VetReport
from keelmark.passport.cards import Prose, read_prose
from keelmark.passport.manifest import SINGLE_FILE, Manifest, path_order

Facts = Mapping[str, Mapping[str, Any]]

MODALITIES = {
    "audio-classification": ("audio", "label"),
    "automatic-speech-recognition": ("audio", "text"),
    "feature-extraction": ("text", "vector"),
    "fill-mask": ("text", "text"),
    "image-classification": ("image", "label"),
    "image-segmentation": ("image", "image"),
    "image-text-to-text": ("image and text", "text"),
    "image-to-text": ("image", "text"),
    "object-detection": ("image", "label"),
    "question-answering": ("text", "text"),
    "sentence-similarity": ("text", "vector"),
    "summarization": ("text", "text"),
    "text-classification": ("text", "label"),
    "text-generation": ("text", "text"),
    "text-to-image": ("text", "image"),
    "text-to-speech": ("text", "audio"),
    "token-classification": ("text", "label"),
    "translation": ("text", "text"),
}
"""Task, as hubs name it, to what goes in and what comes out."""

_OF_CLASS = {
    "ForCausalLM": "text-generation",
    "ForConditionalGeneration": "text-generation",
    "ForMaskedLM": "fill-mask",
    "ForQuestionAnswering": "question-answering",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForImageClassification": "image-classification",
    "ForObjectDetection": "object-detection",
}
_MOST = 64
_LONGEST = 500
_HUGE = 10**18
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]{1,1000}\Z")
_FIGURE = re.compile(r"\d{1,12}(?:\.\d{1,12})?\Z", re.ASCII)
_HUB = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}\Z")


class Said(NamedTuple):
    """A value and where it comes from."""

    value: str
    source: str


class Base(NamedTuple):
    """A model that this one was made from.

    Attributes:
        name: As it is named; of a hub, `owner/name`.
        relation: `quantized`, `finetune`, `adapter`, `merge`; "" when nobody says.
        link: Where it is; "" when nobody says.
        source: Where this comes from.
    """

    name: str
    relation: str
    link: str
    source: str


class Metric(NamedTuple):
    """A result that the card reports."""

    type: str
    value: str
    slice: str


class Described(NamedTuple):
    """What is known of a model.

    Attributes:
        values: Name to value: `name`, `version`, `publisher`, `description`, `licence`,
            `licence_link`, `task`, `family`, `architecture`, `parameters`, `context`, `types`,
            `quantisation`, `library`, `hidden`; only those that somebody says.
        bases: Models it was made from.
        datasets: Data it was trained on.
        languages: Languages.
        tags: Tags of the card.
        metrics: Results of evaluations.
        links: Kind of reference (of CycloneDX) and address.
        prose: What the card says in words.
        emissions: Name to value, of the card's `co2_eq_emissions`.
    """

    values: dict[str, Said]
    bases: tuple[Base, ...]
    datasets: tuple[Said, ...]
    languages: tuple[str, ...]
    tags: tuple[str, ...]
    metrics: tuple[Metric, ...]
    links: tuple[tuple[str, str], ...]
    prose: Prose
    emissions: dict[str, str]


def describe(report: VetReport, facts: Facts) -> Described:
    """Gather what is known of a model.

    Args:
        report: What vetting said.
        facts: What checks learnt of the files; may be empty.
    """
    order = sorted(facts, key=lambda path: (path.count("/") + 9 * ("!" in path), path_order(path)))
    card_at, card = _first(facts, order, "card", lambda path: path.lower().endswith("readme.md"))
    config_at, config = _first(facts, order, "json", lambda path: path.endswith("config.json"))
    headers = [(path, facts[path]["gguf"]) for path in order if "gguf" in facts[path]]
    gguf_at = headers[0][0] if headers else ""
    gguf = _mapping(_mapping(headers[0][1]).get("metadata")) if headers else {}
    values: dict[str, Said] = {}

    def put(name: str, value: object, source: str) -> None:
        text = text_of(value)
        if text and name not in values:
            values[name] = Said(text, source)

    _from_report(put, report)
    _from_card(put, card, card_at)
    _from_config(put, config, config_at)
    _from_gguf(put, gguf, gguf_at)
    _from_tensors(put, facts, order)
    if "task" not in values and any("template" in facts[path] for path in order):
        put("task", "text-generation", "it has a chat template")
    prose_at = card_at or next((p for p in order if p.lower().endswith("readme.md")), "")
    body = facts[prose_at].get("text") if prose_at else None
    return Described(
        values=values,
        bases=tuple(_bases(report, card, card_at, gguf, gguf_at)),
        datasets=tuple(_datasets(card, card_at, gguf, gguf_at)),
        languages=_strings(card.get("language") or gguf.get("general.languages")),
        tags=_strings(card.get("tags") or gguf.get("general.tags")),
        metrics=tuple(_metrics(card)),
        links=tuple(_links(card, gguf)),
        prose=read_prose(body if isinstance(body, str) else ""),
        emissions=_emissions(card),
    )


def text_of(value: object) -> str:
    """Return a plain value as one line of text; "" for what is none."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int) and abs(value) >= _HUGE:
        return ""
    if isinstance(value, float) and abs(value) < _HUGE and value.is_integer():
        value = int(value)
    if isinstance(value, str | int | float):
        shown = " ".join(str(value).split())
        return "".join(c for c in shown if c.isprintable())[:_LONGEST]
    return ""


def link_of(text: object) -> str:
    """Return an address if it is a plain one of the web; "" else."""
    return text if isinstance(text, str) and _LINK.match(text) else ""


def figure(text: str | None) -> float | None:
    """Return a plain figure that is not negative; None for what is none."""
    return float(text) if text and _FIGURE.match(text) else None


def _from_report(put: Any, report: VetReport) -> None:
    licence = report.sections.get("licence")
    claims = licence.data.get("claims") if licence else None
    said = text_of(licence.data.get("expression")) if licence else ""
    if claims and said != "none found":  # as the section says when nobody claims anything
        put("licence", said, "the section `licence`")
    fit = report.sections.get("fit")
    models = fit.data.get("models") if fit else None
    if isinstance(models, list) and len(models) == 1:
        model = _mapping(models[0])
        put("family", model.get("architecture"), "the section `fit`")
        put("context", model.get("context"), "the section `fit`")
        put("parameters", _mapping(model.get("weights")).get("parameters"), "the section `fit`")


def _from_card(put: Any, card: Mapping[str, Any], at: str) -> None:
    put("name", card.get("model_name"), at)
    named = card.get("license_name") if card.get("license") == "other" else None
    put("licence", named or card.get("license"), at)
    put("licence_link", link_of(card.get("license_link")), at)
    put("task", card.get("pipeline_tag"), at)
    put("library", card.get("library_name"), at)


def _from_config(put: Any, config: Mapping[str, Any], at: str) -> None:
    classes = _strings(config.get("architectures"))
    put("architecture", ", ".join(classes), at)
    put("family", config.get("model_type"), at)
    if len(classes) == 1:
        ending = next((end for end in _OF_CLASS if classes[0].endswith(end)), "")
        put("task", _OF_CLASS.get(ending), at)
    put("context", config.get("max_position_embeddings"), at)
    put("quantisation", _mapping(config.get("quantization_config")).get("quant_method"), at)
    put("hidden", config.get("hidden_size"), at)


def _from_gguf(put: Any, gguf: Mapping[str, Any], at: str) -> None:
    for name, key in (
        ("name", "general.name"),
        ("version", "general.version"),
        ("publisher", "general.organization"),
        ("description", "general.description"),
        ("licence", "general.license"),
        ("family", "general.architecture"),
    ):
        put(name, gguf.get(key), at)
    put("licence_link", link_of(gguf.get("general.license.link")), at)
    family = text_of(gguf.get("general.architecture"))
    put("context", gguf.get(f"{family}.context_length"), at)
    put("hidden", gguf.get(f"{family}.embedding_length"), at)
    shape = [
        f"{what} {text_of(gguf.get(f'{family}.{key}'))}"
        for what, key in (
            ("layers", "block_count"),
            ("width", "embedding_length"),
            ("heads", "attention.head_count"),
            ("heads of keys and values", "attention.head_count_kv"),
            ("experts", "expert_count"),
        )
        if text_of(gguf.get(f"{family}.{key}"))
    ]
    put("architecture", ", ".join([family, *shape]) if family else "", at)


def _from_tensors(put: Any, facts: Facts, order: Iterable[str]) -> None:
    """Count parameters and types of all weights, when one format holds them."""
    for kind in ("safetensors", "gguf"):
        rows = [
            row
            for path in order
            if isinstance(found := _mapping(facts[path].get(kind)).get("tensors"), list)
            for row in found
            if isinstance(row, list | tuple) and len(row) == 3
        ]
        if not rows:
            continue
        source = f"the {kind} header"
        sizes = [math.prod(d for d in _list(dims) if isinstance(d, int)) for _, _, dims in rows]
        put("parameters", sum(sizes), source)
        put("types", ", ".join(sorted({str(row[1]) for row in rows})[:16]), source)
        return


def _bases(
    report: VetReport, card: Mapping[str, Any], card_at: str, gguf: Mapping[str, Any], gguf_at: str
) -> Iterable[Base]:
    """Each base once: what the lineage section, the card and the header name, in this order."""
    found: dict[str, Base] = {}
    lineage = report.sections.get("lineage")
    for row in map(_mapping, _list(lineage.data.get("declared") if lineage else None)[:_MOST]):
        name, place = text_of(row.get("name")), text_of(row.get("path"))
        relation, answer = text_of(row.get("relation")), text_of(row.get("answer"))
        if name:
            source = f"{place}; lineage: {answer}" if answer else place
            found.setdefault(name, Base(name, relation, _hub_link(name), source))
    relation = text_of(card.get("base_model_relation"))
    for name in _strings(card.get("base_model")):
        found.setdefault(name, Base(name, relation, _hub_link(name), card_at))
    count = gguf.get("general.base_model.count")
    for number in range(min(count, _MOST) if isinstance(count, int) else 0):
        head = f"general.base_model.{number}"
        owner, short = (text_of(gguf.get(f"{head}.{key}")) for key in ("organization", "name"))
        link = link_of(gguf.get(f"{head}.repo_url"))
        name = link.removeprefix("https://huggingface.co/") if link else short
        if not _HUB.match(name):
            name = f"{owner}/{short}" if owner and short else short
        if name:
            found.setdefault(name, Base(name, "", link, gguf_at))
    return found.values()


def _hub_link(name: str) -> str:
    return f"https://huggingface.co/{name}" if _HUB.match(name) else ""


def _datasets(
    card: Mapping[str, Any], card_at: str, gguf: Mapping[str, Any], gguf_at: str
) -> Iterable[Said]:
    names = _strings(card.get("datasets"))
    if names:
        yield from (Said(name, card_at) for name in names)
        return
    count = gguf.get("general.dataset.count")
    for number in range(min(count, _MOST) if isinstance(count, int) else 0):
        if name := text_of(gguf.get(f"general.dataset.{number}.name")):
            yield Said(name, gguf_at)
    yield from (Said(name, gguf_at) for name in _strings(gguf.get("general.datasets")))


def _metrics(card: Mapping[str, Any]) -> Iterable[Metric]:
    """Results in the form of hubs: `model-index`, each with a task, data and values."""
    for model in _list(card.get("model-index"))[:_MOST]:
        for result in _list(_mapping(model).get("results"))[:_MOST]:
            data = _mapping(_mapping(result).get("dataset"))
            where = [text_of(data.get(k)) for k in ("name", "config", "split")]
            for metric in _list(_mapping(result).get("metrics"))[:_MOST]:
                found = _mapping(metric)
                value = text_of(found.get("value"))
                if value:
                    kind = text_of(found.get("type")) or text_of(found.get("name"))
                    yield Metric(kind, value, ", ".join(filter(None, where)))


def _links(card: Mapping[str, Any], gguf: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    found = {
        (kind, link)
        for kind, value in (
            ("license", card.get("license_link")),
            ("license", gguf.get("general.license.link")),
            ("website", gguf.get("general.url")),
            ("distribution", gguf.get("general.repo_url")),
            ("source-distribution", gguf.get("general.source.url")),
            ("source-distribution", gguf.get("general.source.repo_url")),
            ("documentation", gguf.get("general.paper")),
        )
        if (link := link_of(value))
    }
    return sorted(found)


def _emissions(card: Mapping[str, Any]) -> dict[str, str]:
    said = card.get("co2_eq_emissions")
    plain = said if isinstance(said, Mapping) else {"emissions": said}
    return {str(k)[:60]: text for k, v in sorted(plain.items()) if (text := text_of(v))}


def _first(
    facts: Facts, order: Iterable[str], kind: str, wanted: Any
) -> tuple[str, Mapping[str, Any]]:
    """The first file of a kind, the nearest to the top, and what is in it."""
    for path in order:
        found = facts[path].get(kind)
        if isinstance(found, Mapping) and wanted(path):
            return path, found
    return "", {}


def file_name(path: str, manifest: Manifest) -> str:
    """Return what people call a file of a model."""
    return manifest.name if path == SINGLE_FILE else path


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _strings(value: object) -> tuple[str, ...]:
    """One text or a list of them, each once, in order."""
    given = [value] if isinstance(value, str) else _list(value)
    texts = [text_of(each) for each in given[:_MOST]]
    return tuple(dict.fromkeys(text for text in texts if text))
