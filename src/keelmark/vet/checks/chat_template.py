"""Chat templates of transformers: in configuration files and as .jinja files of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from keelmark.vet.contract import Check, File, Result
from keelmark.vet.templates import MAX_TEMPLATE, VERSIONS, examine_template, template_rules

T = template_rules("chat_template")
_MAX_JSON = 32 * 1024 * 1024


def _claims(file: File) -> bool:
    is_json = file.suffix == ".json" and ("config" in file.name or "template" in file.name)
    return is_json or file.suffix in {".jinja", ".jinja2", ".j2"}


def _run(file: File) -> Result:
    if file.size > (_MAX_JSON if file.suffix == ".json" else MAX_TEMPLATE):
        return Result((), "it is too long for a file that may hold a chat template")
    try:
        text = file.all().decode("utf-8-sig")
        sources = list(_in_json(json.loads(text))) if file.suffix == ".json" else [("", text)]
    except (ValueError, RecursionError) as error:
        return Result((), f"it cannot be read ({error})")
    findings = []
    reasons = []
    facts = {"template": dict(sorted(sources))} if sources else {}
    for place, source in sources:
        seen, reason = examine_template(T, file, place, source)
        findings += seen
        reasons += [reason] if reason else []
    return Result(tuple(findings), "; ".join(reasons[:3]), facts=facts)


def _in_json(value: Any) -> Iterator[tuple[str, str]]:
    """Yield place and text of every template, wherever a `chat_template` key stands."""
    pending = [("", value)]
    while pending:
        path, item = pending.pop()
        if isinstance(item, list):
            pending += [(f"{path}[{number}]", child) for number, child in enumerate(item)]
        if not isinstance(item, dict):
            continue
        for key, child in item.items():
            where = f"{path}.{key}".lstrip(".")
            if key in {"chat_template", "template"} and isinstance(child, str):
                yield where, child
            elif key == "chat_template" and isinstance(child, dict):
                yield from ((f"{where}.{k}", v) for k, v in child.items() if isinstance(v, str))
            pending.append((where, child))


CHECK = Check(
    title="Chat templates beside the weights",
    version=f"1 ({VERSIONS})",
    tags=("owasp:llm03", "owasp:llm04", *T.code.tags),
    rules=tuple(T),
    examples=("template-ssti", "template-backdoor", "template-invisible", "template-url"),
    claims=_claims,
    run=_run,
)
