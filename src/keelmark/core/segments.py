"""Everything a model may read in a request, as segments; and putting the guard's texts back.

Nothing is listed: every string anywhere in the body is a segment, except a few words that carry
nothing. So a field nobody has heard of cannot smuggle text past the guard.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.policy import Limits
from keelmark.core.ports import Segment

MOST_VALUES = 200_000
"""Most JSON values in one body: bounds the time that one request can take before it is judged."""

# fmt: off
WORDS = frozenset(
    {
        "text", "function", "object", "string", "number", "integer", "boolean", "array",
        "null", "json_schema", "json_object", "auto", "none", "required", "low", "medium",
        "high", "minimal", "default", "user", "system", "assistant", "developer", "tool",
        "float", "base64", "input_text", "output_text", "refusal", "thinking", "true",
        "false", "custom", "grammar", "lark", "regex", "ephemeral",
    }
)
# fmt: on
"""Strings that are skipped wherever they stand alone: schema and protocol words."""

_PLAIN_NAME = re.compile(r"\$?[A-Za-z]{1,24}(_[A-Za-z]{1,12})?\Z|\d{1,7}\Z")
_NAMES = frozenset({"tool_call_id", "max_completion_tokens", "chat_template_kwargs"})
_PART = re.compile(r"(messages\[\d+\]\.content)\[\d+\](?:\.(?:text|refusal|thinking))?\Z")
_TOOLS = frozenset({"tools", "functions", "response_format", "tool_choice", "function_call"})
_ROLE = {"developer": "system", "function": "tool"}
RETRIEVED = ("documents", "search_results")
"""Fields of a request that hold what was looked up for it."""
TEXTS = ("text", "content", "body", "page_content", "passage", "snippet", "chunk")
"""Fields of a document that hold its text."""
_FIELD_ROLE = {
    **dict.fromkeys(_TOOLS, "tool_description"),
    **dict.fromkeys(RETRIEVED, "retrieved"),
}
_LONG_NUMBER = 10_000_000


def _plain(name: str) -> bool:
    """Whether a name is too short to say anything: one word or two, or a small number."""
    return name in _NAMES or name in WORDS or _PLAIN_NAME.match(name) is not None


class Slot(NamedTuple):
    """Where a segment's text stands: a value of `holder`, or (`is_key`) one of its keys."""

    holder: Any
    key: Any
    is_key: bool


class Reading(NamedTuple):
    """What a body holds."""

    segments: list[Segment]
    slots: list[Slot]


class _Walk:
    def __init__(self, nesting: int) -> None:
        self.segments: list[Segment] = []
        self.slots: list[Slot] = []
        self.nesting = nesting
        self.left = MOST_VALUES

    def visit(self, holder: Any, path: str, role: str, depth: int) -> None:
        """Walk a list or an object."""
        if depth > self.nesting:
            raise UsageError(f"The body is nested deeper than {self.nesting} levels: flatten it.")
        self.left -= len(holder)
        if self.left < 0:
            raise UsageError(f"The body holds more than {MOST_VALUES} values: send less at once.")
        if isinstance(holder, dict):
            for key, value in holder.items():
                self.value(holder, key, value, self.name(holder, key, path, role), role, depth)
        else:
            for index, value in enumerate(holder):
                self.value(holder, index, value, f"{path}[{index}]", role, depth)

    def name(self, holder: Any, key: str, path: str, role: str) -> str:
        """Take a name; return the path of its value, which is stored, so without what it says."""
        if _plain(key):
            return f"{path}.{key}" if path else key
        self.add(holder, key, Segment(role=role, path=path, text=key), is_key=True)
        return f"{path}.*" if path else "*"

    def value(self, holder: Any, key: Any, value: Any, path: str, role: str, depth: int) -> None:
        if isinstance(value, str):
            part = _PART.match(path)
            if value and (part or value not in WORDS):
                document = _is_document(path, role, value)
                segment = Segment(
                    role=role,
                    path=path,
                    text=value,
                    is_json=document,
                    part_of=part[1] if part else "",
                )
                self.add(holder, key, segment, is_key=False)
        elif isinstance(value, (dict, list)):
            self.visit(value, path, role, depth + 1)
        elif value is not None and _is_said(holder, value, role):
            text = _number(value)
            self.add(holder, key, Segment(role=role, path=path, text=text), is_key=False)

    def add(self, holder: Any, key: Any, segment: Segment, *, is_key: bool) -> None:
        self.segments.append(segment)
        self.slots.append(Slot(holder, key, is_key))


def read_segments(body: dict[str, Any], limits: Limits) -> Reading:
    """Return every text in a request body.

    Args:
        body: The decoded body, already checked for its shape.
        limits: How deep it may be nested.

    Raises:
        UsageError: Nested too deeply, or too many values.
    """
    walk = _Walk(limits.nesting)
    for name, value in body.items():
        if name in ("model", "seed", "max_tokens", "max_completion_tokens"):
            continue
        if name == "messages":
            for index, message in enumerate(value):
                role = _ROLE.get(message["role"], message["role"])
                walk.visit(message, f"messages[{index}]", role, 3)
        else:
            role = _FIELD_ROLE.get(name, "input")
            walk.value(body, name, value, walk.name(body, name, "", role), role, 1)
    return Reading(walk.segments, walk.slots)


def _is_said(holder: Any, value: float, role: str) -> bool:
    """Whether a number, or yes and no, is a text: a long one, or the field of a document."""
    if role == "retrieved" and isinstance(holder, dict):
        return True
    return not isinstance(value, bool) and abs(value) >= _LONG_NUMBER


def _number(value: float) -> str:
    """A number as it is written, without a point where it needs none; yes and no as JSON has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value) if value == int(value) else value)


def _is_document(path: str, role: str, text: str) -> bool:
    """Whether a text is JSON in a string: tool-call arguments and structured tool results."""
    if text[0] not in "{[" or not (role == "tool" or path.endswith(".arguments")):
        return False
    try:
        msgspec.json.decode(text.encode())
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return False
    return True


def write_back(reading: Reading, texts: Sequence[str]) -> None:
    """Put the guard's texts in the place of the originals."""
    renamed: dict[int, tuple[Any, dict[str, str]]] = {}
    for slot, segment, text in zip(reading.slots, reading.segments, texts, strict=True):
        if text == segment.text:
            continue
        if slot.is_key:
            renamed.setdefault(id(slot.holder), (slot.holder, {}))[1][slot.key] = text
        else:
            slot.holder[slot.key] = text
    for holder, names in renamed.values():
        pairs = [(names.get(key, key), value) for key, value in holder.items()]
        holder.clear()
        holder.update(pairs)


def context_segments(context: Any, question: Any = None) -> list[Segment] | None:
    """Return what an answer may rest on, as the segments of the request it answers.

    Args:
        context: A text, a list of texts or of objects, or None. An object stands for its `text` (or
            `content`), or is a record.
        question: What was asked, or None.

    Returns:
        The segments; None when the context is something else.
    """
    given = context if isinstance(context, list) else [] if context is None else [context]
    texts = [_context(one) if isinstance(one, dict) else one for one in given]
    if not all(isinstance(text, str) for text in texts):
        return None
    many = isinstance(context, list)
    segments = [
        Segment(role="retrieved", path=f"context[{number}]" if many else "context", text=text)
        for number, text in enumerate(texts)
        if text
    ]
    if isinstance(question, str) and question:
        segments.append(Segment(role="user", path="question", text=question))
    return segments


def _context(one: dict[str, Any]) -> Any:
    """The text of an object, or a record as JSON."""
    text = one.get("text", one.get("content"))
    return msgspec.json.encode(one).decode() if text is None else text
