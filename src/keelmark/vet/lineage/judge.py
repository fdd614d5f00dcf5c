"""Whether what is declared of a model's origin agrees with what its files show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from keelmark.vet.lineage.declared import Declared
from keelmark.vet.lineage.known import (
    GENERIC,
    Known,
    lines_of,
    lines_with,
    named,
    same_dimensions,
    same_tokenizer,
    types_of,
)
from keelmark.vet.lineage.traits import Traits, architecture

_ADDED = 512
"""Tokens by which two vocabularies of one tokenizer may differ, by additions and padding."""


class Likeness(NamedTuple):
    """Which known models a model is like.

    Attributes:
        dimensions: Those with its architecture and exactly its dimensions.
        tokenizer: Those with its tokenizer.
        built_alike: Those with both.
        family: Those with its architecture and its tokenizer, of whatever size.
    """

    dimensions: tuple[Known, ...]
    tokenizer: tuple[Known, ...]
    built_alike: tuple[Known, ...]
    family: tuple[Known, ...]


def likeness(traits: Traits, models: Iterable[Known]) -> Likeness:
    """Return which of the known models a model is like."""
    pool = tuple(models)
    own = architecture(traits.type)
    dimensions = tuple(same_dimensions(traits, pool))
    tokenizer = tuple(same_tokenizer(traits, pool))
    alike = [one for one in dimensions if architecture(one.type) == own]
    return Likeness(
        tuple(dimensions),
        tokenizer,
        tuple(one for one in alike if one in tokenizer),
        tuple(one for one in tokenizer if architecture(one.type) == own),
    )


class Opinion(NamedTuple):
    """What the files say to one statement.

    Attributes:
        answer: agrees, nothing against it, differs in size, contradicts, could not check.
        why: One sentence.
    """

    answer: str
    why: str


def opinion(said: Declared, traits: Traits, like: Likeness) -> Opinion:
    """Hold a declared base model against architecture, dimensions and tokenizer.

    It contradicts only where the files positively show another origin: an architecture or a
    tokenizer that the declared line does not have and another has, or exactly the dimensions of a
    model of another line.
    """
    exact = named(said.name)
    # Makers' own names tell nothing: a Yi may publish a Qwen.
    lines = lines_of(said.name.rpartition("/")[2]) | (exact.lines if exact else frozenset())
    if not lines:
        return Opinion("could not check", f"Nothing is known here of {said.name}.")
    if exact is not None and exact in like.dimensions and _twin(traits, exact, like):
        return Opinion("agrees", f"It has the dimensions of {exact.name}.")
    against = _against(exact, lines, traits, like)
    if against:
        return Opinion("contradicts", against)
    own_type = architecture(traits.type)
    if exact is not None and architecture(exact.type) == own_type and traits.hidden:
        why = (
            f"{exact.name} is {exact.hidden} wide with {exact.layers} layers, this one "
            f"{traits.hidden} with {traits.layers}; pruning or merging would explain it."
        )
        return Opinion("differs in size", why)
    if (_lines(like.dimensions) | _lines(like.tokenizer)) & lines:
        return Opinion("agrees", "Dimensions or tokenizer are those of models of that line.")
    if own_type not in types_of(lines):
        return Opinion("could not check", f"The architecture {traits.type} tells nothing of it.")
    if own_type in GENERIC:
        why = f"Models of that line, and of many others, have the architecture {traits.type}."
        return Opinion("nothing against it", why)
    return Opinion("agrees", f"Models of that line have the architecture {traits.type}.")


def _against(exact: Known | None, lines: frozenset[str], traits: Traits, like: Likeness) -> str:
    """Return what speaks against a declared line of models, a sentence, or ""."""
    own_type = architecture(traits.type)
    foreign = own_type not in types_of(lines)
    twins = [model for model in like.dimensions if _twin(traits, model, like)]
    shown, spoken = _lines(twins), _lines(like.tokenizer)
    certain = not foreign and own_type not in GENERIC
    if shown and not certain and not (shown | spoken) & lines:
        names = ", ".join(sorted({model.name for model in twins})[:3])
        return f"It has exactly the dimensions of {names}."
    if foreign and own_type not in GENERIC and lines_with(traits.type):
        makers = ", ".join(sorted(lines_with(traits.type)))
        return f"Its architecture {traits.type} is that of {makers}."
    resized = exact is not None and traits.hidden not in (0, exact.hidden)
    if spoken and not spoken & lines and (foreign or (resized and not certain)):
        names = ", ".join(sorted({model.name for model in like.tokenizer})[:3])
        return f"It has the tokenizer of {names}."
    return ""


def _lines(models: Iterable[Known]) -> frozenset[str]:
    return frozenset(line for model in models for line in model.lines)


def _twin(traits: Traits, model: Known, like: Likeness) -> bool:
    """Whether nothing else speaks against a match: makers meet in some dimensions by chance."""
    if not traits.inner or not model.inner:
        return False
    if model in like.tokenizer or not traits.vocabulary:
        return True
    return abs(traits.vocabulary - model.vocabulary) <= _ADDED


def contradicted(opinions: Iterable[tuple[Declared, Opinion]]) -> list[tuple[Declared, Opinion]]:
    """Return the statements that nothing supports: of several bases in one place, one may fit."""
    held = list(opinions)
    fitting = {
        (said.path, said.place.rstrip("0123456789"))
        for said, view in held
        if view.answer != "contradicts"
    }
    return [
        (said, view)
        for said, view in held
        if view.answer == "contradicts"
        and (said.path, said.place.rstrip("0123456789")) not in fitting
    ]
