"""Records: what is known of each licence, one YAML file each in `vet/licences/`.

A record holds no licence text: it has the marks of its words (`words.py`), and short quotations of
the clauses that its terms rest on, each with its place in the text.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import msgspec
import yaml

from keelmark.core.errors import UsageError
from keelmark.core.yamlfile import Document, Strict, fill, read_document
from keelmark.vet.licence.words import unpack

_FOLDER = files("keelmark.vet") / "licences"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Said = Annotated[str, msgspec.Meta(min_length=1)]
Span = tuple[int, int]
"""First word and number of words."""


class Act(StrEnum):
    """Something one may want to do with a model or with data."""

    USE = "use"
    COMMERCIAL = "commercial"
    FINE_TUNE = "fine_tune"
    QUANTISE = "quantise"
    DISTIL = "distil"
    TRAIN_ON_OUTPUTS = "train_on_outputs"
    PUBLISH_WEIGHTS = "publish_weights"
    PUBLISH_DERIVATIVES = "publish_derivatives"
    SERVE = "serve"
    EMBED = "embed"


_GROUPS = {
    "all": tuple(Act),
    "modify": (Act.FINE_TUNE, Act.QUANTISE),
    "share": (Act.PUBLISH_WEIGHTS, Act.PUBLISH_DERIVATIVES, Act.EMBED),
    "learn": (Act.DISTIL, Act.TRAIN_ON_OUTPUTS),
}
ActName = Literal[
    "use", "commercial", "fine_tune", "quantise", "distil", "train_on_outputs", "publish_weights",
    "publish_derivatives", "serve", "embed", "all", "modify", "share", "learn",
]  # fmt: skip
Topic = Literal[
    "grant", "commercial", "users", "revenue", "naming", "notice", "copy", "attribution",
    "use_policy", "flow_down", "outputs", "field_of_use", "territory", "scope", "termination",
    "jurisdiction", "share_alike", "patent", "trademark", "changes", "source", "registration",
    "fee", "updates", "ownership", "disclosure",
]  # fmt: skip


class Effect(StrEnum):
    """What a term does."""

    PERMITS = "permits"
    FORBIDS = "forbids"
    REQUIRES = "requires"
    NOTES = "notes"


class When(Strict, frozen=True):
    """When a term applies: all that is given must hold. Numbers mean "more than".

    Attributes:
        commercial: The use is commercial, or is not.
        monthly_users: Monthly active users of all products.
        annual_revenue: US dollars in a year.
        regions: Where the user sits or the model is used, as in a declared use.
        domains: Fields of use, as in a declared use.
        modality: Kinds of input and output.
    """

    commercial: bool | None = None
    monthly_users: int | None = None
    annual_revenue: int | None = None
    regions: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()


class Term(Strict, frozen=True):
    """What one clause says.

    Attributes:
        id: Name within the record.
        topic: What it is about.
        effect: What it does to the acts.
        acts: What it applies to; groups such as `modify` stand for several.
        when: When it applies; always if empty.
        says: What it means, one sentence in our words; of a requirement, the duty.
        quote: The clause, or the part that carries it, word for word.
        offset: Where the quotation begins in the text, in code points.
        words: First word of the quotation in the text, and how many.
        confidence: How sure the reading is; below "high" a person should read the clause.
    """

    id: Said
    topic: Topic
    effect: Effect
    says: Said
    quote: Said
    acts: tuple[ActName, ...] = ("all",)
    when: When = When()
    offset: int = -1
    words: Span = (0, 0)
    confidence: Literal["high", "medium", "low"] = "high"

    def covers(self, act: Act) -> bool:
        """Say whether it applies to an act."""
        return any(act in _GROUPS.get(name, (name,)) for name in self.acts)


class Heirs(Strict, frozen=True):
    """What must still hold for a model made from one under this licence.

    Attributes:
        keeps: `nothing`; `notice`: any licence, with the notices; `terms`: any licence that carries
            its restrictions on; `licence`: only the same one.
        says: The same in one sentence.
        quote: The clause.
        offset: Where it begins in the text, in code points.
        words: First word of the quotation in the text, and how many.
        name: What the name of such a model must begin with, or "".
        accepts: Records that such a model may be under as well.
    """

    keeps: Literal["nothing", "notice", "terms", "licence"]
    says: Said
    quote: str = ""
    offset: int = -1
    words: Span = (0, 0)
    name: str = ""
    accepts: tuple[str, ...] = ()


class Text(Strict, frozen=True):
    """The text that the record was written from.

    Attributes:
        source: Where the text was taken from, with its edition.
        url: Where the publisher has it.
        sha256: Of the text, UTF-8.
        words: SHA-256 over its marks.
        marks: The hash of each word in order, as `words.pack` writes them.
        optional: Passages that a copy may lack: titles, notices, instructions ("first … last").
        open: Passages that every copy fills in for itself, such as a name.
        optional_words: Where those passages, and numbers of paragraphs, stand.
        open_words: Where those passages stand.
    """

    source: Said
    url: str
    sha256: Said
    words: Said
    marks: Said
    optional: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    optional_words: tuple[Span, ...] = ()
    open_words: tuple[Span, ...] = ()


class Record(Strict, frozen=True):
    """What is known of one licence, in one edition.

    Attributes:
        id: File name without its ending.
        name: Its name.
        family: Which family it belongs to.
        publisher: Who wrote it.
        kind: A licence, or a policy on use that a licence refers to.
        about: One sentence on it.
        applies_to: What it is written for.
        spdx: SPDX ids and `LicenseRef-` names.
        tags: What it is called in the metadata of model hubs.
        names: Other names, as people and texts write them.
        links: Parts of addresses that lead to it.
        text: The text, or "none" where there was none at hand: then nothing is known but names.
        policies: Records of policies that it makes part of itself.
        heirs: What must still hold for a model made from one under it.
        terms: What its clauses say.
    """

    id: Said
    name: Said
    family: Said
    publisher: Said
    about: Said
    text: Text | Literal["none"]
    kind: Literal["licence", "policy"] = "licence"
    applies_to: tuple[Literal["model", "data", "code"], ...] = ("model",)
    spdx: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    heirs: Heirs | None = None
    terms: tuple[Term, ...] = ()

    @property
    def body(self) -> Text:
        """The text it was written from.

        Raises:
            UsageError: It was written without one.
        """
        if self.text == "none":
            raise UsageError(f"The record {self.id!r} was written without a text; ask another.")
        return self.text

    def __post_init__(self) -> None:
        if len({term.id for term in self.terms}) < len(self.terms):
            raise ValueError("two terms have the same id")
        if self.text == "none" and (self.terms or self.heirs):
            raise ValueError("a record without a text has no terms")


def record_ids() -> list[str]:
    """Return the ids of all records, sorted."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in _FOLDER.iterdir()
        if entry.name.endswith(".yaml")
    )


@cache
def all_records() -> dict[str, Record]:
    """Return every record by id, sorted by id.

    Raises:
        UsageError: A file does not hold a record; the message names the line.
    """
    return {name: load_record(name) for name in record_ids()}


def load_record(name: str) -> Record:
    """Read a record that comes with Keelmark.

    Raises:
        UsageError: There is no such record, or it is not one; the message names the line.
    """
    file = _FOLDER / f"{name}.yaml"
    if not file.is_file():
        raise UsageError(f"There is no licence record {name!r}; see docs/reference/licences.md.")
    return parse_record(file.read_text(encoding="utf-8"), source=f"{name}.yaml", name=name)


def parse_record(text: str, *, source: str, name: str) -> Record:
    """Read a record.

    Raises:
        UsageError: It is not one; the message names the line.
    """
    plain: Any = None
    try:
        plain = yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe one, and a fast one)
        record = msgspec.convert(plain, Record)
    except (yaml.YAMLError, msgspec.ValidationError):
        record = fill(read_document(text, source=source), Record)
    document = Document(source, None, plain)
    if record.id != name:
        raise UsageError(f"{source}: its id must be {name!r}, as the file is called.")
    if record.text != "none":
        _check_marks(record, document)
    return record


def _check_marks(record: Record, document: Document) -> None:
    body = record.body
    try:
        count = len(unpack(body.marks))
    except ValueError:
        count = -1
    spans = [
        *body.optional_words,
        *body.open_words,
        *(term.words for term in record.terms),
    ]
    if record.heirs:
        spans.append(record.heirs.words)
    if count < 0 or any(first < 0 or first + size > count for first, size in spans):
        raise UsageError(
            f"{document.source}: its marks and places do not belong together; make them again with "
            f"training/licences/fill.py."
        )
