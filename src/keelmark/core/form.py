"""What an answer has to look like: what the client asked for, and what the guard says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from keelmark.core.errors import UsageError

Holds = Literal["nothing", "calls", "all"]


class FormError(UsageError):
    """An answer was asked for in a form that cannot be checked.

    Args:
        message: Why, in one sentence.
        tool: The tool whose arguments are meant; "" for the answer itself.
    """

    def __init__(self, message: str, tool: str = "") -> None:
        super().__init__(message)
        self.tool = tool


class Form(NamedTuple):
    """The form of one text: a JSON document under a schema.

    Attributes:
        schema: The JSON Schema, decoded; True stands for any JSON document.
        tool: Name of the tool whose arguments the text is; "" for an answer.
    """

    schema: Any = True
    tool: str = ""


class AnswerForm(NamedTuple):
    """The form of an answer.

    Attributes:
        text: The form of what it says; None when that is free.
        tools: The form of the arguments of each tool that may be called.
    """

    text: Form | None = None
    tools: Mapping[str, Form] = MappingProxyType({})


class Expected(NamedTuple):
    """What the policy makes of the form of an answer.

    Attributes:
        judged: Whether any rule has something to say about it.
        holds: What may not leave a stream before it is judged: nothing is held, calls of tools
            are (from the first one on), or all of it.
    """

    judged: bool
    holds: Holds


class Fault(NamedTuple):
    """What is wrong with the form of a text.

    Attributes:
        rule: Id of the policy rule that says so.
        label: What it is (`SCHEMA_MISMATCH`).
        said: Where and what, a line each, for who may see the text.
        attempts: How often the rule has the engine asked again.
    """

    rule: str
    label: str
    said: Sequence[str]
    attempts: int


class Formed(NamedTuple):
    """What the guard says of the form of one text.

    Attributes:
        text: The text: as it was, or tidied.
        faults: What is wrong with it.
        tidied: What was taken off; "" when it is as it was.
        rules: Ids of the rules that judged it.
        stops: Why it must not leave; "" when it may.
    """

    text: str
    faults: Sequence[Fault] = ()
    tidied: str = ""
    rules: Sequence[str] = ()
    stops: str = ""
