"""Tests of a policy, written in YAML beside it: what is given, and what is expected."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.form import AnswerForm, Form
from keelmark.core.outcome import Outcome, gravest
from keelmark.core.ports import Segment
from keelmark.core.scope import Origin
from keelmark.core.verdict import Verdict
from keelmark.core.yamlfile import Document, Strict, fill, meant, read_document
from keelmark.guard.engine import ROLES
from keelmark.guard.guard import Guard, GuardedRequest
from keelmark.guard.ready import policy_file

_TOOL = "tool"


class Message(Strict, frozen=True):
    """One text that a model reads.

    Attributes:
        role: Who speaks: system, user, assistant, tool, tool_description, retrieved, input.
        text: What is said.
    """

    text: str
    role: str = "user"


class Given(Strict, frozen=True):
    """What happens: at least an input, messages or an output.

    Attributes:
        input: What a user says; short for one message.
        messages: Everything the model reads.
        output: What the model answers.
        tool_call: Arguments of a tool call that the model writes, JSON.
        schema: JSON Schema that the client asks for, of the output or of the arguments.
        key: Id or name of the API key.
        team: Team of the key.
        model: Model asked for.
        engine: Engine id.
        operation: chat, text_completion, embeddings, moderation.
    """

    input: str = ""
    messages: tuple[Message, ...] = ()
    output: str = ""
    tool_call: str = ""
    schema: dict[str, Any] | bool | None = None
    key: str = ""
    team: str = ""
    model: str = ""
    engine: str = ""
    operation: str = ""


class Expect(Strict, frozen=True):
    """What must come of it; what is left out is not looked at.

    Attributes:
        outcome: Gravest outcome of prompt and answer.
        labels: All labels that are found, each once.
        rules: All rules that find something.
        text: What the client gets of the output; without one, what the model reads.
        without: What must not be left in that, whether in upper or lower case.
        shadow: Gravest outcome of what is in shadow.
    """

    outcome: Outcome | None = None
    labels: tuple[str, ...] | None = None
    rules: tuple[str, ...] | None = None
    text: str | None = None
    without: tuple[str, ...] = ()
    shadow: Outcome | None = None


class Case(Strict, frozen=True):
    """One test.

    Attributes:
        name: What it is called.
        given: What happens.
        expect: What must come of it.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    given: Given
    expect: Expect


class Cases(Strict, frozen=True):
    """A file of tests.

    Attributes:
        policy: The policy to test: its path from the folder of this file, or the name of one that
            comes with Keelmark.
        cases: The tests.
    """

    cases: Annotated[tuple[Case, ...], msgspec.Meta(min_length=1)]
    policy: str = "default"


class Report(msgspec.Struct, frozen=True):
    """What came of one test; no complaint means that it passed."""

    name: str
    complaints: tuple[str, ...]


def read_cases(path: Path) -> Cases:
    """Read a file of tests.

    Raises:
        UsageError: It cannot be read or is none; the message names the line.
    """
    document = read_document(policy_file(path), source=str(path))
    cases = fill(document, Cases)
    for number, case in enumerate(cases.cases):
        _check(document, f"$.cases[{number}]", case)
    return cases


def _check(document: Document, path: str, case: Case) -> None:
    given = case.given
    if not (given.input or given.messages or given.output or given.tool_call):
        where = document.at(f"{path}.given")
        raise UsageError(f"{where}: nothing is given; write an input, messages or an output.")
    for message in given.messages:
        if message.role not in ROLES:
            where = document.at(f"{path}.given.messages")
            hint = meant(message.role, ROLES)
            raise UsageError(f"{where}: there is no role {message.role!r}; {hint}")


def run_cases(guard: Guard, cases: Cases) -> list[Report]:
    """Run every test through the guard, as the gateway would."""
    return [Report(case.name, tuple(_complaints(guard, case))) for case in cases.cases]


def _complaints(guard: Guard, case: Case) -> list[str]:
    verdicts, text = asyncio.run(_judge(guard, case.given))
    expect, found = case.expect, [f for v in verdicts for f in v.findings]
    shadow = gravest(*(one.outcome for v in verdicts for one in v.shadow))
    checks: list[tuple[str, object, object]] = [
        ("outcome", expect.outcome, gravest(*(v.outcome for v in verdicts))),
        ("labels", _sorted(expect.labels), sorted({f.label for f in found})),
        ("rules", _sorted(expect.rules), sorted({f.rule for f in found})),
        ("text", expect.text, text),
        ("shadow", expect.shadow, shadow),
    ]
    out = [
        f"{name} is {_told(got)}, not {_told(wanted)}"
        for name, wanted, got in checks
        if wanted is not None and got != wanted
    ]
    left = [one for one in expect.without if one.lower() in text.lower()]
    return out + [f"{one!r} is left in the text" for one in left]


def _sorted(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else sorted(set(names))


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value) if isinstance(value, Outcome) else repr(value)


async def _judge(guard: Guard, given: Given) -> tuple[list[Verdict], str]:
    """Pass what is given through the guard; return the verdicts and what gets through."""
    request = guard.open(
        Origin(given.key, given.key, given.model, given.engine, given.operation, given.team)
    )
    messages = (*given.messages, *([Message(text=given.input)] if given.input else []))
    verdicts, texts = [], list[str]()
    if messages:
        segments = [
            Segment(role=one.role, path=f"messages[{number}].content", text=one.text)
            for number, one in enumerate(messages)
        ]
        judged = await request.check_input(segments)
        verdicts.append(judged.verdict)
        texts = list(judged.texts)
    answers = (("content", given.output), ("tool_calls[0].function.arguments", given.tool_call))
    if any(text for _, text in answers) and not any(v.stops for v in verdicts):
        texts = []
        for name, text in answers:
            channel = request.channel(f"choices[0].{name}", is_json=name != "content")
            texts.append(channel.feed(text) + channel.finish())
        if guard.judges_form:
            texts = _formed(request, given, texts)
        verdicts.append(request.output_verdict())
    return verdicts, "\n".join(text for text in texts if text)


def _formed(request: GuardedRequest, given: Given, texts: list[str]) -> list[str]:
    """Judge the form of an output and of arguments; return what gets through."""
    wanted = None if given.schema is None else Form(given.schema)
    arguments = Form(True if given.schema is None else given.schema, _TOOL)
    request.expect(AnswerForm(wanted, {_TOOL: arguments}))
    out = []
    for text, tool in zip(texts, (None, _TOOL), strict=True):
        formed = request.formed("choices[0]", text, tool) if text else None
        out.append(formed.text if formed and not formed.stops else "")
    return out
