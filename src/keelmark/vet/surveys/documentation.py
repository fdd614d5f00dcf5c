"""How well the model is documented, and how open it is, by what is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keelmark.core.errors import CouldNotCheckError
from keelmark.core.vetting import Line, Section
from keelmark.vet.contract import printable
from keelmark.vet.documentation import card, croissant, evidence, mof
from keelmark.vet.documentation.evidence import PROJECT, Shown
from keelmark.vet.health import clone
from keelmark.vet.survey import Subject, Survey, Surveyed

_CLASSES = {0: "not classed", 1: "Class I", 2: "Class II", 3: "Class III"}
_MOST_PATHS = 50_000


def run(subject: Subject) -> Surveyed:
    """Read the card, find the components, and say what is missing by its weight."""
    shown, doubts = _shown(subject)
    said = card.judge(shown.card, shown.metadata)
    opened = mof.classify(evidence.components(shown))
    total = card.points(said)
    sets = croissant.described(subject.facts)
    return Surveyed(
        Section(
            title="Documentation and openness",
            answer=f"{total} of 100",
            summary=_summary(total, said, shown, opened),
            lines=(
                *(_item(one) for one in said),
                *(_component(one) for one in opened.components),
                *(line for one in sets for line in one.lines()),
            ),
            unanswered=tuple(doubts),
            data=_data(shown, said, opened, sets),
        )
    )


def _shown(subject: Subject) -> tuple[Shown, list[str]]:
    """Gather what may show a component; say what could not be read."""
    doubts = []
    single = subject.manifest.name
    paths = [single if e.path == "." else e.path for e in subject.manifest.entries]
    texts = {
        path: str(facts["text"])
        for path, facts in subject.facts.items()
        if isinstance(facts.get("text"), str)
    }
    where = _card(paths)
    text = texts.get(where, "")
    metadata = dict(_front(subject.facts.get(where, {})))
    if where and not text:
        doubts.append(f"{where} is too long or is no text, so what it says was not read")
    for path in sorted(subject.facts):
        for key, value in _own(subject.facts[path]).items():
            metadata.setdefault(key, value)
    if subject.asked.project is not None:
        try:
            repository = clone.opened(subject.asked.project)
        except CouldNotCheckError as error:
            doubts.append(f"the project was not looked at: {error.message}")
        else:
            _add(repository, paths, texts, doubts)
    described = [one.path for one in croissant.described(subject.facts)]
    return Shown(sorted(paths, key=_order), texts, text, where, metadata, described), doubts


def _add(
    repository: clone.Repository, paths: list[str], texts: dict[str, str], doubts: list[str]
) -> None:
    """Add the files of the project, and the text of its licence."""
    paths += [PROJECT + path for path in repository.files[:_MOST_PATHS]]
    if len(repository.files) > _MOST_PATHS:
        doubts.append(f"only {_MOST_PATHS} files of the project were looked at")
    for path in repository.files:
        if "/" not in path and path.lower().startswith(("licen", "copying")):
            texts[PROJECT + path] = repository.text(path)


def _order(path: str) -> tuple[bool, int, str]:
    return path.startswith(PROJECT), path.count("/"), path


def _card(paths: list[str]) -> str:
    """Return the card: the README.md nearest to the top."""
    found = [path for path in paths if path.rpartition("/")[2].lower() == "readme.md"]
    return min(found, key=lambda path: (path.count("/"), path), default="")


def _front(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    found = facts.get("card")
    return found if isinstance(found, Mapping) else {}


def _own(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what weights say of themselves: GGUF's `general.*` keys."""
    found = facts.get("gguf")
    metadata = found.get("metadata") if isinstance(found, Mapping) else None
    if not isinstance(metadata, Mapping):
        return {}
    return {str(key): value for key, value in metadata.items() if str(key).startswith("general.")}


def _summary(total: int, said: list[card.Said], shown: Shown, opened: mof.Openness) -> str:
    gaps = [f"{one.item.title} ({one.item.weight})" for one in said if one.answer != "present"]
    if shown.card_path:
        card_says = f"The card says {total} of 100 points' worth"
    else:
        card_says = f"There is no card; what the files say of themselves is worth {total} of 100"
    missing = f", and lacks most of all {_listed(gaps[:3])}" if gaps else ""
    name = _CLASSES[opened.reached]
    better = 0 < opened.possible < (opened.reached or 4)
    maybe = f" (up to {_CLASSES[opened.possible]} if what is not known here is open)"
    goal = {0: "Class III", 3: "Class II", 2: "Class I"}.get(opened.reached)
    more = [f"{len(opened.lacks) - 4} more"] if len(opened.lacks) > 5 else list(opened.lacks[4:])
    names = [*opened.lacks[:4], *more]
    lacks = f"; {goal} lacks {_listed(names)}" if goal and names else ""
    openness = f"by the Model Openness Framework it is {name}{maybe if better else ''}"
    return f"{card_says}{missing}; {openness}{lacks}."


def _data(
    shown: Shown, said: list[card.Said], opened: mof.Openness, sets: list[croissant.Described]
) -> dict[str, Any]:
    """Return the answer as machines read it."""
    return {
        "card": {
            "path": shown.card_path or None,
            "points": card.points(said),
            "items": {
                one.item.id: {
                    "answer": one.answer,
                    "weight": one.item.weight,
                    "where": one.where or None,
                }
                for one in said
            },
        },
        "openness": {
            "class": opened.reached or None,
            "possible": opened.possible or None,
            "lacks": list(opened.lacks),
            "components": {
                one.component.id: {
                    "status": one.status,
                    "where": one.where or None,
                    "licence": one.licence or None,
                }
                for one in opened.components
            },
        },
        "croissant": [one.data() for one in sets],
    }


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _item(one: card.Said) -> Line:
    why = {
        "present": f"{one.item.weight} points.",
        "placeholder": f"{one.item.weight} points are missing: the place for it is there, empty.",
        "missing": f"{one.item.weight} points are missing.",
    }[one.answer]
    return Line(
        what=f"card: {one.item.title}",
        answer=one.answer,
        why=why,
        evidence=printable(one.where, 200),
    )


def _component(one: mof.Seen) -> Line:
    first = f"{_CLASSES[one.component.first]} needs it" if one.component.first else "optional"
    licence = f", {one.licence}" if one.licence else ""
    return Line(
        what=f"openness: {one.component.title}",
        answer="included"
        if one.status in (mof.INCLUDED, mof.OTHER_KIND)
        else "not included"
        if one.status in (mof.MISSING, mof.NOT_OPEN)
        else "could not tell",
        why=f"{one.status[0].upper()}{one.status[1:]}; {first}.",
        evidence=printable(f"{one.where}{licence}", 200) if one.where else "",
    )


SURVEY = Survey(
    title="Documentation and openness",
    version="1 (Model Openness Framework 1.0)",
    tags=("owasp:llm03",),
    rules=(),
    examples=(),
    run=run,
)
