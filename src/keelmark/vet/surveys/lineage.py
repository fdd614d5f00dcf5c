"""Where the model comes from: what its files show and what they declare, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keelmark.core.findings import Severity
from keelmark.core.vetting import Line, Section
from keelmark.vet.contract import Rule
from keelmark.vet.lineage.beside import (
    ANSWERS,
    NOT_FROM_PARENT,
    TAGS,
    TEMPLATE,
    TENSORS,
    Part,
    beside,
)
from keelmark.vet.lineage.declared import Declared, declared
from keelmark.vet.lineage.inherited import LICENCE, inherited
from keelmark.vet.lineage.judge import Likeness, Opinion, contradicted, likeness, opinion
from keelmark.vet.lineage.known import MODELS, Known
from keelmark.vet.lineage.traits import Traits, traits_of
from keelmark.vet.survey import Subject, Survey, Surveyed

TITLE = "Lineage: where it comes from"
_UNKNOWN = "could not tell"
_SHOWN = 4

CONTRADICTS = Rule(
    "lineage.contradicts_base",
    "Not built like the model it names as its base",
    Severity.MEDIUM,
    "Licence, safety and behaviour are judged by the base model; a wrong name makes all of that "
    "wrong.",
    "Ask the publisher what it was made from, or treat it as a model of unknown origin.",
    TAGS,
)


def run(subject: Subject) -> Surveyed:
    """Say what the files show, hold it against what they declare, and compare with the parent."""
    traits = traits_of(subject.facts)
    like = likeness(traits, MODELS) if traits else Likeness((), (), (), ())
    looks = _looks(traits, like)
    said = declared(subject.facts)
    claims = _claims(said, traits, like)
    theirs = subject.asked.parent.facts if subject.asked.parent else None
    parent = Part() if theirs is None else beside(subject.facts, theirs)
    licence = inherited(subject.facts, said, theirs)
    answer, summary = _short(like, claims, parent)
    section = Section(
        title=TITLE,
        answer=answer,
        summary=summary,
        lines=(*looks.lines, *claims.lines, *parent.lines, *licence.lines),
        unanswered=(*looks.unanswered, *parent.unanswered),
        data={
            "looks": looks.data,
            "declared": claims.data,
            "parent": parent.data,
            "licences": licence.data,
        },
    )
    return Surveyed(section, (*claims.findings, *parent.findings, *licence.findings))


def _short(like: Likeness, claims: Part, parent: Part) -> tuple[str, str]:
    """Return the short answer and one sentence, of the strongest evidence there is."""
    if parent.data:
        answer, why = ANSWERS[parent.data["verdict"]]
        return answer, f"Beside the given parent: {why}"
    if claims.findings:
        return "contradicts itself", claims.findings[0].message
    if like.built_alike:
        names = _names(like.built_alike)
        return "same family", f"It is built like {names} and has the same tokenizer."
    if like.family:
        names = _names(like.family)
        return "same family", f"It has architecture and tokenizer of {names}, in another size."
    if like.tokenizer:
        return "same tokenizer", f"It has the tokenizer of {_names(like.tokenizer)}."
    if like.dimensions:
        return "same dimensions", f"It has the dimensions of {_names(like.dimensions)}."
    return _UNKNOWN, "Nothing in the files shows what it was made from."


def _looks(traits: Traits | None, like: Likeness) -> Part:
    if traits is None:
        return Part(unanswered=("family: no GGUF header and no config.json of a model is here",))
    built = (
        f"{traits.layers} layers, {traits.hidden} wide, {traits.heads} heads "
        f"({traits.kept_heads} kept), {traits.inner} within, {traits.vocabulary:,} tokens"
    )
    lines = [
        Line(
            what="architecture",
            answer=traits.type,
            why=f"{traits.path} says so.",
            evidence=built,
        ),
        Line(
            what="dimensions",
            answer=_names(like.dimensions) or f"of none of {len(MODELS)} known models",
            why="Equal dimensions mean that models are built alike, not that one comes from "
            "the other.",
        ),
    ]
    unanswered = []
    if traits.tokenizer:
        lines.append(_tokenizer(traits, like))
    else:
        unanswered.append("tokenizer: no vocabulary was found that can be read")
    data = {
        "type": traits.type,
        "dimensions": dict(
            zip(("hidden", "layers", "heads", "inner"), traits.dimensions, strict=True)
        ),
        "same_dimensions": _list(like.dimensions),
        "same_tokenizer": _list(like.tokenizer),
        "built_alike": _list(like.built_alike),
        "same_family": _list(like.family),
    }
    return Part(lines, (), unanswered, data)


def _tokenizer(traits: Traits, like: Likeness) -> Line:
    size, merges = (traits.tokenizer.get(name, 0) for name in ("size", "merges"))
    return Line(
        what="tokenizer",
        answer=_names(like.tokenizer) or f"of none of {len(MODELS)} known models",
        why="Makers share tokenizers; this tells of a family, not of derivation.",
        evidence=f"{size:,} tokens, {merges:,} merges",
    )


def _claims(said: Sequence[Declared], traits: Traits | None, like: Likeness) -> Part:
    nothing = Opinion("could not check", "The files do not show how the model is built.")
    held = [(one, opinion(one, traits, like) if traits else nothing) for one in said]
    lines = [
        Line(
            what=f"says it is made from {one.name}" + (f" ({one.relation})" * bool(one.relation)),
            answer=view.answer,
            why=view.why,
            evidence=f"{one.path}, {one.place}",
        )
        for one, view in held
    ]
    findings = [
        CONTRADICTS.about(
            one.path,
            one.place,
            f"It names {one.name} as its base, but the files speak against it: {view.why}",
            evidence=one.name,
            # What a library wrote when it saved the model is often left over from elsewhere.
            severity=Severity.LOW if one.place == "_name_or_path" else None,
        )
        for one, view in contradicted(held)
    ]
    data = [{**one._asdict(), "answer": view.answer} for one, view in held]
    return Part(lines, findings, (), data)


def _list(models: Iterable[Known]) -> list[str]:
    return sorted({f"{model.family}/{model.name}" for model in models})


def _names(models: Sequence[Known]) -> str:
    names = sorted({model.name for model in models})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


SURVEY = Survey(
    title=TITLE,
    version=f"1 ({len(MODELS)} known models)",
    tags=(*TAGS, "owasp:llm04"),
    rules=(CONTRADICTS, NOT_FROM_PARENT, TENSORS, TEMPLATE, LICENCE),
    examples=(
        "lineage-says-llama",
        "lineage-other-parent",
        "lineage-tensor-added",
        "lineage-template-changed",
        "lineage-says-mit",
    ),
    run=run,
)
