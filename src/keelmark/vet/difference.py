"""What changed between two versions of a model: files, metadata, tensors, template, findings."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from keelmark.core.findings import ArtefactFinding
from keelmark.core.vetting import Section
from keelmark.passport.manifest import SINGLE_FILE, Manifest
from keelmark.vet.contract import printable
from keelmark.vet.survey import Facts

Kind = Literal["file", "metadata", "tensor", "template", "finding", "answer"]
_SHOWN = 20
_TITLES: dict[Kind, str] = {
    "file": "Files",
    "metadata": "Metadata and configuration",
    "tensor": "Tensors",
    "template": "Chat template",
    "finding": "Findings",
    "answer": "Answers about the whole",
}


class Side(NamedTuple):
    """One of two versions.

    Attributes:
        manifest: Its files.
        findings: What vetting found.
        sections: What vetting says of the whole.
        facts: What was learnt of the files; None when only a passport is at hand.
    """

    manifest: Manifest
    findings: tuple[ArtefactFinding, ...]
    sections: Mapping[str, Section]
    facts: Facts | None


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is not the same.

    Attributes:
        kind: What kind of thing it is.
        what: Which one: a path, a key, a tensor, a rule.
        before: What it was; "" when it was not there.
        after: What it is; "" when it is gone.
    """

    kind: Kind
    what: str
    before: str = ""
    after: str = ""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is not the same.

    Attributes:
        before: Digest of the older one.
        after: Digest of the newer one.
        changes: What changed, by kind and name.
        not_compared: What could not be compared, and why.
    """

    before: str
    after: str
    changes: tuple[Change, ...]
    not_compared: tuple[str, ...] = ()


def difference(old: Side, new: Side) -> Difference:
    """Compare two versions of a model.

    A file that is alone in its artefact is compared with the other's only file, whatever their
    names are.
    """
    changes = [*_files(old.manifest, new.manifest)]
    not_compared = []
    if old.facts is None or new.facts is None:
        not_compared.append(
            "metadata, tensors and templates: a passport does not hold them, give both models"
        )
    else:
        before, after = _by_role(old), _by_role(new)
        changes += _named("metadata", _metadata(before), _metadata(after))
        changes += _named("tensor", _tensors(before), _tensors(after))
        changes += _named("template", _templates(before), _templates(after))
    changes += _findings(old.findings, new.findings)
    changes += _named("answer", _answers(old.sections), _answers(new.sections))
    return Difference(
        before=old.manifest.digest,
        after=new.manifest.digest,
        changes=tuple(changes),
        not_compared=tuple(not_compared),
    )


def to_text(found: Difference) -> str:
    """Return a difference for people: first line the answer, then what changed, by kind."""
    if not found.changes:
        lines = [f"The same: {found.after}"]
    else:
        counts = Counter(change.kind for change in found.changes)
        parts = ", ".join(f"{_TITLES[kind].lower()} {n}" for kind, n in counts.items())
        lines = [f"Not the same: {parts}.", f"before  {found.before}", f"after   {found.after}"]
        for kind in counts:
            mine = [change for change in found.changes if change.kind == kind]
            lines += ["", f"{_TITLES[kind]} ({len(mine)})"]
            for change in mine[:_SHOWN]:
                lines += _shown(change)
            if len(mine) > _SHOWN:
                lines.append(f"  … and {len(mine) - _SHOWN} more; --json has them all")
    lines += [f"not compared: {what}" for what in found.not_compared]
    return "\n".join(printable(line, 2000) for line in lines) + "\n"


def _shown(change: Change) -> Iterator[str]:
    if not change.before:
        yield f"  + {change.what}: {_short(change.after)}"
    elif not change.after:
        yield f"  - {change.what}: {_short(change.before)}"
    elif change.kind == "template":
        yield f"  ~ {change.what}"
        lines = difflib.unified_diff(
            change.before.splitlines(), change.after.splitlines(), lineterm="", n=1
        )
        yield from (f"      {line}" for line in list(lines)[2:])
    else:
        yield f"  ~ {change.what}: {_short(change.before)} -> {_short(change.after)}"


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:119] + "…"


def _named(kind: Kind, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for what in sorted(old.keys() | new.keys()):
        before, after = old.get(what, ""), new.get(what, "")
        if before != after:
            yield Change(kind=kind, what=what, before=before, after=after)


def _files(old: Manifest, new: Manifest) -> Iterator[Change]:
    def listed(manifest: Manifest) -> dict[str, str]:
        return {e.path: f"{e.size} bytes, sha256:{e.sha256}" for e in manifest.entries}

    return _named("file", listed(old), listed(new))


def _by_role(side: Side) -> dict[str, Mapping[str, Any]]:
    """Facts by path; of a single file, by "." so that its name does not matter."""
    facts = side.facts or {}
    if not side.manifest.is_file:
        return dict(facts)
    name = side.manifest.name
    return {
        SINGLE_FILE + path.removeprefix(name) if path.startswith(name) else path: known
        for path, known in facts.items()
    }


def _metadata(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    found = {}
    for path, known in facts.items():
        for part in ("gguf", "safetensors"):
            for key, value in (known.get(part) or {}).get("metadata", {}).items():
                found[f"{path} {key}"] = _value(value)
        for part in ("json", "card"):
            value = known.get(part)
            if isinstance(value, dict):
                found |= {f"{path} {key}": _value(value[key]) for key in value}
    return found


def _tensors(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Tensors by name alone: a model may be cut into other files than before."""
    found = {}
    for known in facts.values():
        for part in ("gguf", "safetensors"):
            for name, kind, dims, *_ in (known.get(part) or {}).get("tensors", ()):
                found[name] = f"{kind} {'x'.join(map(str, dims)) or 'scalar'}"
    return found


def _templates(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        path: known["template"] if isinstance(known["template"], str) else _value(known["template"])
        for path, known in facts.items()
        if known.get("template")
    }


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _findings(
    old: tuple[ArtefactFinding, ...], new: tuple[ArtefactFinding, ...]
) -> Iterator[Change]:
    def counted(findings: tuple[ArtefactFinding, ...]) -> dict[str, str]:
        number = Counter((f.rule, f.severity.value) for f in findings)
        return {rule: f"{severity}, {n} times" for (rule, severity), n in sorted(number.items())}

    return _named("finding", counted(old), counted(new))


def _answers(sections: Mapping[str, Section]) -> dict[str, str]:
    return {name: f"{s.answer}: {s.summary}" for name, s in sections.items()}
