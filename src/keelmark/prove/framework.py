"""A framework: the demands of a catalogue, and the queries that answer each of them.

One YAML file in `prove/frameworks/` per framework; the file name is the id. Wording is our own:
catalogues are cited by id only.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Any, Literal

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.yamlfile import Strict, read_yaml
from keelmark.prove.query import Query

Weight = Literal["high", "medium", "low"]
Text = Annotated[str, msgspec.Meta(min_length=1)]
_FOLDER = files("keelmark.prove") / "frameworks"


class Limit(Strict, frozen=True):
    """Something that Keelmark does not do, so that the control is answered in part at best.

    Attributes:
        what: What is missing, one sentence.
        how: How to get it or do without, one sentence.
    """

    what: Text
    how: Text


class Control(Strict, frozen=True):
    """One demand of a framework.

    Attributes:
        id: Its id in the catalogue.
        title: Short title, our wording.
        risk: What can go wrong, two sentences, our wording.
        answer: What Keelmark does about it.
        evidence: Questions to the ledger.
        weight: How grave a gap is; orders the list of gaps.
        limits: What Keelmark does not do: with any, the control is never more than partial.
        manual: What a person has to see to; never shown as done.
    """

    id: Text
    title: Text
    risk: Text
    answer: Text
    evidence: Annotated[tuple[Query, ...], msgspec.Meta(min_length=1)]
    weight: Weight = "medium"
    limits: tuple[Limit, ...] = ()
    manual: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _refuse_twins([query.id for query in self.evidence], f"pieces of evidence in {self.id}")


class Framework(Strict, frozen=True):
    """A catalogue of demands.

    Attributes:
        id: File name without its ending.
        title: For people.
        edition: Which edition of the catalogue the ids are of.
        source: Where the catalogue is published, as text.
        about: What the report is, for a reader who has not seen one.
        controls: The demands, in the order of the catalogue.
    """

    id: Text
    title: Text
    edition: Text
    source: Text
    about: Text
    controls: Annotated[tuple[Control, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        _refuse_twins([control.id for control in self.controls], "controls")


def parse_framework(text: str, *, source: str) -> Framework:
    """Read a framework from YAML.

    Args:
        text: The YAML document.
        source: Name for error messages.

    Raises:
        UsageError: Not YAML, or not a framework; the message names the line.
    """
    return read_yaml(text, Framework, source=source)


def framework_ids() -> list[str]:
    """Return the ids of the frameworks that are there."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def load_framework(framework_id: str) -> Framework:
    """Return a framework by its id.

    Raises:
        UsageError: There is none of this id.
    """
    known = framework_ids()
    if framework_id not in known:
        raise UsageError(f"There is no framework {framework_id!r}; choose from {', '.join(known)}.")
    text = (_FOLDER / f"{framework_id}.yaml").read_text(encoding="utf-8")
    return parse_framework(text, source=f"{framework_id}.yaml")


def framework_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a framework file."""
    schema = msgspec.json.schema(Framework)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _refuse_twins(ids: list[str], what: str) -> None:
    for name in ids:
        if ids.count(name) > 1:
            raise ValueError(f"Two {what} are called {name!r}")
