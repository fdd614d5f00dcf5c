"""The given parent: the model beside it, as lines, findings and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Line
from keelmark.vet.contract import Rule
from keelmark.vet.lineage.compare import (
    CLOSE,
    FAR,
    Compared,
    Norms,
    compare,
    template_difference,
    template_of,
)
from keelmark.vet.lineage.declared import Declared, declared
from keelmark.vet.lineage.tensors import Matched, Table, table_of
from keelmark.vet.lineage.traits import Facts, traits_of

TAGS = ("owasp:llm03",)
_SHOWN = 4

NOT_FROM_PARENT = Rule(
    "lineage.not_from_parent",
    "Not made from the given parent",
    Severity.MEDIUM,
    "Its tensors, dimensions or norm layers are not those of the model it was compared with.",
    "Compare with the right parent, or treat it as a model of unknown origin.",
    TAGS,
)
TENSORS = Rule(
    "lineage.tensors_changed",
    "A quantisation whose tensors are not the parent's",
    Severity.MEDIUM,
    "Quantising keeps every tensor and the exact values of norm layers; a difference is a change "
    "that somebody made besides.",
    "Quantise the parent yourself, or ask the publisher what was changed.",
    TAGS,
)
TEMPLATE = Rule(
    "lineage.template_differs",
    "The chat template is not the parent's",
    Severity.LOW,
    "A template decides what the model reads; a line added to it can plant instructions that no "
    "test of the parent has seen.",
    "Read the difference; use the parent's template where nothing explains it.",
    (*TAGS, "owasp:llm01"),
)

ANSWERS: dict[str, tuple[str, str]] = {
    "adapter": (
        "adapter for parent",
        "Every pair of it fits the tensor of the parent that it changes.",
    ),
    "quantised": (
        "quantisation of parent",
        "Every tensor is the parent's, and the norm layers hold exactly its values.",
    ),
    "derived": (
        "derived from parent",
        "The norm layers hold the parent's values, or follow them closely.",
    ),
    "close": (
        "perhaps derived",
        "The norm layers resemble the parent's, but not enough to say that they come of it.",
    ),
    "another training": (
        "another training",
        "It is built like the parent, but the norm layers hold other values.",
    ),
    "same build": (
        "same build",
        "It is built like the parent; nothing at hand tells whether the weights are its.",
    ),
    "another": (
        "another model",
        "Architecture, dimensions or tensors are not the parent's.",
    ),
    "unknown": ("could not tell", "The files do not show enough to compare."),
}
"""Verdict of a comparison to the short answer and one sentence."""


class Part(NamedTuple):
    """A piece of the answer."""

    lines: Sequence[Line] = ()
    findings: Sequence[ArtefactFinding] = ()
    unanswered: Sequence[str] = ()
    data: Any = None


def beside(ours: Facts, theirs: Facts) -> Part:
    """Compare a model with its supposed parent; its verdict is a key of `ANSWERS`."""
    tables = table_of(ours), table_of(theirs)
    found = compare((traits_of(ours), tables[0]), (traits_of(theirs), tables[1]))
    answer, why = ANSWERS[found.verdict]
    lines = [Line(what="beside the parent", answer=answer, why=why)]
    lines += _tensor_lines(found)
    lines += [_tokenizer_line(found.tokenizer)] if found.tokenizer else []
    findings = [*_tensor_findings(found, tables[0], declared(ours))]
    only = found.verdict == "quantised" or (
        found.verdict == "derived" and any(one.relation == "quantized" for one in declared(ours))
    )
    template = _template(ours, theirs, only_quantised=only)
    unanswered = ["weights beside the parent: no norm layers to compare"] * (
        found.verdict == "same build"
    )
    data = {
        "verdict": found.verdict,
        "dimensions": found.dimensions,
        "tokenizer": found.tokenizer,
        "tensors": _tensor_data(found.tensors),
        "norms": _norm_data(found.norms),
        "adapter": found.adapter._asdict() if found.adapter else None,
        "template": template.data,
    }
    return Part(
        [*lines, *template.lines],
        [*findings, *template.findings],
        [*unanswered, *template.unanswered],
        data,
    )


def _tensor_lines(found: Compared) -> list[Line]:
    lines = []
    if found.tensors:
        same, resized, missing, extra = found.tensors
        lines.append(
            Line(
                what="tensors beside the parent's",
                answer=f"{len(same)} alike",
                why=f"{len(resized)} have other dimensions, {len(missing)} are missing, "
                f"{len(extra)} are added.",
                evidence=", ".join([*resized, *missing, *extra][:_SHOWN]),
            )
        )
    if found.norms and found.norms.compared:
        norms = found.norms
        lines.append(
            Line(
                what="norm layers beside the parent's",
                answer=f"{norms.identical} of {norms.compared} identical",
                why=f"Their median distance is {norms.distance:.3g}: up to {CLOSE} they come of "
                f"one training, from {FAR} on of another.",
                evidence=", ".join(norms.differing[:_SHOWN]),
            )
        )
    return lines


def _tokenizer_line(tokenizer: str) -> Line:
    why = {
        "same": "Every token and its number are the parent's.",
        "extended": "The parent's vocabulary, with tokens added or removed at its end.",
        "another": "The vocabulary is another than the parent's.",
    }[tokenizer]
    return Line(what="tokenizer beside the parent's", answer=tokenizer, why=why)


def _tensor_findings(
    found: Compared, table: Table | None, said: Iterable[Declared]
) -> list[ArtefactFinding]:
    if found.verdict in ("another", "another training"):
        why = ANSWERS[found.verdict][1]
        return [NOT_FROM_PARENT.about(".", "parent", why, evidence=_difference(found))]
    quantised = any(one.relation == "quantized" for one in said)
    partly = bool(found.norms and 0 < len(found.norms.differing) < found.norms.compared)
    changed = found.tensors is not None and any(found.tensors[1:])
    exact = found.norms is not None and not found.norms.differing
    if found.verdict == "same build" or not table or (exact and not changed):
        return []
    if not quantised and not (table.quantised and (partly or changed)):
        return []
    message = "Some of its tensors or norm layers are not those of the parent."
    severity = TENSORS.severity if quantised or changed else Severity.LOW
    where = _difference(found)
    return [TENSORS.about(".", "tensors", message, evidence=where, severity=severity)]


def _difference(found: Compared) -> str:
    names: list[str] = []
    for tensors in found.tensors[1:] if found.tensors else ():
        names += tensors
    names += found.norms.differing if found.norms else ()
    names += found.adapter.unfitting if found.adapter else ()
    return ", ".join(names[:_SHOWN])


def _template(ours: Facts, theirs: Facts, *, only_quantised: bool) -> Part:
    child, parent = template_of(ours), template_of(theirs)
    if child is None and parent is None:
        return Part()
    if child is None or parent is None:
        who = "this model" if child is None else "the parent"
        return Part(unanswered=(f"chat template beside the parent's: {who} has none",))
    lines = template_difference(child, parent)
    if not lines:
        same = Line(what="chat template beside the parent's", answer="same")
        return Part([same], data={"same": True})
    changes = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    message = f"{len(changes)} lines of the chat template differ from the parent's."
    severity = Severity.MEDIUM if only_quantised else None
    added = [line for line in changes if line.startswith("+")]
    finding = TEMPLATE.about(
        ".", "chat template", message, evidence=(added or changes)[0], severity=severity
    )
    line = Line(
        what="chat template beside the parent's",
        answer="differs",
        why=message,
        evidence=" ⏎ ".join(changes[:_SHOWN])[:400],
    )
    return Part([line], [finding], data={"same": False, "difference": lines})


def _tensor_data(tensors: Matched | None) -> dict[str, Any] | None:
    if tensors is None:
        return None
    return {name: len(names) for name, names in tensors._asdict().items()} | {
        f"{name}_names": list(names[:64])
        for name, names in tensors._asdict().items()
        if name != "same"
    }


def _norm_data(norms: Norms | None) -> dict[str, Any] | None:
    if norms is None:
        return None
    return {
        "compared": norms.compared,
        "identical": norms.identical,
        "distance": float(f"{norms.distance:.4g}"),
        "differing": list(norms.differing[:64]),
    }
