"""A declared use: what somebody means to do with a model, as far as licences care."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from keelmark.core.yamlfile import Document, Strict, fill, read_yaml
from keelmark.vet.licence.records import Act

Domain = Literal[
    "general", "research", "education", "software", "customer_service", "creative", "science",
    "translation", "office", "games", "marketing", "adult", "automated_decisions", "biometrics",
    "credit", "critical_infrastructure", "disinformation", "drugs", "employment", "espionage",
    "finance", "fraud", "housing", "impersonation", "insurance", "justice", "law_enforcement",
    "legal", "malware", "medical", "migration", "military", "minors", "nuclear", "politics",
    "profiling", "surveillance", "transport", "weapons",
]  # fmt: skip
HARMLESS = frozenset(
    [
        "general",
        "research",
        "education",
        "software",
        "customer_service",
        "creative",
        "science",
        "translation",
        "office",
        "games",
        "marketing",
    ]
)
"""Domains that no policy on use is known to restrict."""

Modality = Literal["text", "image", "audio", "video"]
_REGION = re.compile("world|[A-Z]{2}")
Count = Annotated[int, msgspec.Meta(ge=0)]

_EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "HR",
        "CY",
        "CZ",
        "DK",
        "EE",
        "FI",
        "FR",
        "DE",
        "GR",
        "HU",
        "IE",
        "IT",
        "LV",
        "LT",
        "LU",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SK",
        "SI",
        "ES",
        "SE",
    ]
)


class Use(Strict, frozen=True):
    """What is to be done with a model. What is not said is not assumed.

    Attributes:
        commercial: For commercial advantage or payment, in whatever way.
        monthly_users: Monthly active users of all products of the organisation.
        annual_revenue: Annual revenue of the organisation, US dollars.
        regions: Where the organisation sits and the model is used: two-letter country codes, `EU`,
            or `world`.
        fine_tune: Train it further.
        quantise: Change the precision or format of its weights.
        distil: Train another model to behave like it.
        train_on_outputs: Train another model on what it generates.
        publish_weights: Pass its weights on as they are.
        publish_derivatives: Pass on what is made from it.
        serve: Let third parties use it over a network.
        embed: Ship it inside a product.
        domains: Fields of use.
        modality: What goes in and comes out.
    """

    commercial: bool | None = None
    monthly_users: Count | None = None
    annual_revenue: Count | None = None
    regions: tuple[str, ...] | None = None
    fine_tune: bool = False
    quantise: bool = False
    distil: bool = False
    train_on_outputs: bool = False
    publish_weights: bool = False
    publish_derivatives: bool = False
    serve: bool = False
    embed: bool = False
    domains: tuple[Domain, ...] | None = None
    modality: tuple[Modality, ...] | None = None

    def __post_init__(self) -> None:
        wrong = next((name for name in self.regions or () if not _REGION.fullmatch(name)), None)
        if wrong is not None:
            raise ValueError(
                f"`regions` takes country codes such as DE, or EU, or world, not {wrong!r}"
            )

    @property
    def acts(self) -> tuple[Act, ...]:
        """Everything that is to be done, plain use first."""
        done = [act for act in Act if getattr(self, act.value, False)]
        return (Act.USE, *done)

    def in_region(self, region: str) -> bool | None:
        """Say whether it takes place in a region; None when nothing is declared."""
        if self.regions is None:
            return None
        here = set(self.regions)
        if "world" in here or region in here:
            return True
        return region == "EU" and bool(here & _EU)


class Question(NamedTuple):
    """One question for who has no file.

    Attributes:
        field: Field of `Use` that the answer fills.
        kind: `yes-no`, `number`, `words` (a list, comma between).
        asks: The question.
        help: What it is for, one sentence.
    """

    field: str
    kind: Literal["yes-no", "number", "words"]
    asks: str
    help: str


QUESTIONS: tuple[Question, ...] = (
    Question("commercial", "yes-no", "Is the use commercial?",
             "Internal use in a company counts as commercial in most licences."),
    Question("monthly_users", "number", "How many monthly active users have all your products?",
             "Some licences end above 100 or 700 million."),
    Question("annual_revenue", "number", "What is your annual revenue, in US dollars?",
             "Some licences end above one million."),
    Question("regions", "words", "Where do you sit, and where is it used (DE, US, EU, world)?",
             "Some licences leave out territories."),
    Question("fine_tune", "yes-no", "Do you train it further?", "Includes adapters."),
    Question("quantise", "yes-no", "Do you quantise or convert its weights?",
             "Licences count this as a change."),
    Question("distil", "yes-no", "Do you train another model to behave like it?",
             "Some licences forbid it, or follow that model."),
    Question("train_on_outputs", "yes-no", "Do you train another model on its outputs?",
             "Some licences forbid it; some ask for a name."),
    Question("publish_weights", "yes-no", "Do you pass its weights on unchanged?",
             "Notices and copies are owed then."),
    Question("publish_derivatives", "yes-no", "Do you pass on what you make from it?",
             "Names, notices and share-alike matter then."),
    Question("serve", "yes-no", "Do third parties use it over a network?",
             "Some licences count this as distribution."),
    Question("embed", "yes-no", "Do you ship it inside a product?", "This is distribution."),
    Question("domains", "words", "In which fields is it used?",
             "Policies on use leave out fields such as military or medical."),
    Question("modality", "words", "What goes in and comes out (text, image, audio, video)?",
             "Some licences treat multimodal models differently."),
)  # fmt: skip


def read_use(text: str, *, source: str) -> Use:
    """Read a declared use from YAML.

    Raises:
        UsageError: Not YAML, an unknown name or a wrong value; the message names the line.
    """
    return read_yaml(text, Use, source=source)


def use_from(plain: Mapping[str, Any], *, source: str = "the declared use") -> Use:
    """Read a declared use from plain values.

    Raises:
        UsageError: An unknown name or a wrong value.
    """
    return fill(Document(source, None, dict(plain)), Use)


def use_schema() -> dict[str, Any]:
    """Return the JSON Schema of a declared use."""
    return msgspec.json.schema(Use)
