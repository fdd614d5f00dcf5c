"""The form in which an answer was asked for, and the question that asks for it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from keelmark.core.form import AnswerForm, Fault, Form, Formed

_OBJECT = {"type": "object"}
_AGAIN = "Answer again with nothing but the JSON: no explanation, no code fence."
_CALL_AGAIN = "Call the tool again with arguments that fit."
_SHORTER = "It was cut off: make it shorter."
_NOT_DONE = "This call was not made, because another one was wrong."
CALLS = ("tool_calls", "function_call")
_ONCE = frozenset({"role", "type", "id"})  # fields that come whole


class Call(NamedTuple):
    """A call of a tool as it leaves.

    Attributes:
        path: Where its arguments stand in the answer.
        name: The tool.
        arguments: What it is called with.
    """

    path: str
    name: str
    arguments: str


class Said(NamedTuple):
    """One choice of an answer as it leaves.

    Attributes:
        path: Where its text stands.
        text: What it says; None when it only calls tools or refuses.
        calls: The calls of tools.
        finish: Its finish reason.
    """

    path: str
    text: str | None
    calls: tuple[Call, ...]
    finish: str


def asked_form(body: Mapping[str, Any]) -> AnswerForm:
    """Return the form that a request asks for, in any of the ways that engines know."""
    listed = [tool.get("function") for tool in body.get("tools") or ()]
    functions = [f for f in (*listed, *(body.get("functions") or ())) if isinstance(f, dict)]
    tools = {
        f["name"]: Form(_decoded(f.get("parameters") or _OBJECT), f["name"])
        for f in functions
        if isinstance(f.get("name"), str)
    }
    schema = _schema(body)
    return AnswerForm(None if schema is None else Form(_decoded(schema)), tools)


def _schema(body: Mapping[str, Any]) -> Any:
    """The schema that the text of an answer has to fit; None when it is free."""
    wanted = body.get("response_format")
    if isinstance(wanted, dict):
        if wanted.get("type") == "json_schema":
            held = wanted.get("json_schema")
            inner = held if isinstance(held, dict) else {}
            return inner.get("schema", wanted.get("schema", _OBJECT))
        if wanted.get("type") == "json_object":
            return wanted.get("schema") or _OBJECT
    structured = body.get("structured_outputs")
    named = structured if isinstance(structured, dict) else {}
    if named.get("json_object"):
        return _OBJECT
    given = (body.get("json_schema"), body.get("guided_json"), body.get("format"))
    return next((one for one in (*given, named.get("json")) if one), None)


def _decoded(schema: Any) -> Any:
    """A schema may be given as text; `json` asks for any JSON."""
    if not isinstance(schema, str):
        return schema
    if schema == "json":
        return True
    try:
        return msgspec.json.decode(schema.encode())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return schema


def said_in(answer: Mapping[str, Any]) -> list[Said]:
    """Return what a whole answer says."""
    return [_said(choice) for choice in answer["choices"]]


def _said(choice: dict[str, Any]) -> Said:
    message = choice.get("message", choice)
    path = f"choices[{choice['index']}]"
    field = "content" if "message" in choice else "text"
    calls = [
        Call(at, function.get("name") or "", function.get("arguments") or "")
        for at, function in _functions(path, message)
    ]
    text = None if calls or message.get("refusal") else message.get(field) or ""
    return Said(f"{path}.{field}", text, tuple(calls), choice.get("finish_reason") or "")


def _functions(path: str, message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The functions that a message, or a piece of one, calls, with where their arguments stand."""
    for number, call in enumerate(message.get("tool_calls") or ()):
        if isinstance(function := call.get("function"), dict):
            at = call.get("index", number)
            yield f"{path}.tool_calls[{at}].function.arguments", function
    if isinstance(function := message.get("function_call"), dict):
        yield f"{path}.function_call.arguments", function


def tidy(answer: Sequence[dict[str, Any]], formed: Mapping[str, Formed]) -> None:
    """Put tidied texts in the place of the originals.

    Args:
        answer: The whole answer, or the chunks of a stream: the first one that has any of a text
            gets all of it.
        formed: Path of a text to what was made of it.
    """
    new = {path: one.text for path, one in formed.items() if one.tidied}
    for choice in [choice for part in answer if new for choice in part.get("choices") or ()]:
        message = choice.get("message", choice.get("delta", choice))
        path = f"choices[{choice['index']}]"
        places = [(at, function, "arguments") for at, function in _functions(path, message)]
        places += [(f"{path}.{field}", message, field) for field in ("content", "text")]
        for at, holder, field in places:
            if at in new and holder.get(field):
                holder[field], new[at] = new[at], ""
                if "logprobs" in choice:
                    choice["logprobs"] = None


def calls_only(chunks: Sequence[dict[str, Any]]) -> None:
    """Take everything but calls of tools out of the chunks of a chat."""
    for choice in [choice for chunk in chunks for choice in chunk.get("choices") or ()]:
        choice["delta"] = {n: v for n, v in (choice.get("delta") or {}).items() if n in CALLS}
        if "logprobs" in choice:
            choice["logprobs"] = None


def chunks_in(events: bytes) -> list[dict[str, Any]]:
    """Return the chunks in the events of a stream of ours."""
    parts = [part.removeprefix(b"data: ") for part in events.split(b"\n\n")]
    return [msgspec.json.decode(part) for part in parts if part not in (b"", b"[DONE]")]


def gathered(chunks: Iterable[Mapping[str, Any]], *, chat: bool) -> dict[str, Any]:
    """Return the whole answer that the chunks of a stream make up, as far as its form goes."""
    choices: dict[int, dict[str, Any]] = {}
    for piece in (piece for chunk in chunks for piece in chunk.get("choices") or ()):
        fresh: dict[str, Any] = {"message": {}} if chat else {"text": ""}
        fresh["index"] = piece["index"]
        choice = choices.setdefault(piece["index"], fresh)
        if chat:
            _join(choice["message"], piece.get("delta") or {})
        else:
            choice["text"] += piece.get("text") or ""
        choice["finish_reason"] = piece.get("finish_reason") or choice.get("finish_reason")
    for choice in choices.values():
        if calls := choice.get("message", {}).get("tool_calls"):
            choice["message"]["tool_calls"] = [call for _, call in sorted(calls.items())]
    return {"choices": [choice for _, choice in sorted(choices.items())]}


def _join(message: dict[Any, Any], delta: Mapping[str, Any]) -> None:
    """Add a piece to a message: texts grow, calls are told apart by their number."""
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault(name, {})
            for call in value or ():
                _join(calls.setdefault(call.get("index", 0), {}), call)
        elif isinstance(value, dict):
            _join(message.setdefault(name, {}), value)
        elif isinstance(value, str) and name not in _ONCE:
            message[name] = (message.get(name) or "") + value
        elif value is not None:
            message[name] = value


def question(said: Said, faults: Mapping[str, Sequence[Fault]]) -> list[dict[str, Any]]:
    """Return the messages that ask again: the answer as it was given, and what is wrong with it.

    Args:
        said: The answer.
        faults: Path of a text to what is wrong with it.
    """
    if not said.calls:
        told = _told(faults.get(said.path, ()), _AGAIN)
        return [
            {"role": "assistant", "content": said.text or ""},
            {
                "role": "user",
                "content": f"Your answer has not the form that was asked for.\n{told}",
            },
        ]
    results = [_told(faults.get(call.path, ()), _CALL_AGAIN) for call in said.calls]
    functions = [{"name": call.name, "arguments": call.arguments} for call in said.calls]
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if said.calls[0].path.endswith(".function_call.arguments"):
        result = {"role": "function", "name": said.calls[0].name, "content": results[0]}
        return [{**message, "function_call": functions[0]}, result]
    ids = [f"call_{number}" for number in range(len(functions))]
    message["tool_calls"] = [
        {"id": name, "type": "function", "function": function}
        for name, function in zip(ids, functions, strict=True)
    ]
    answers = [
        {"role": "tool", "tool_call_id": name, "content": result}
        for name, result in zip(ids, results, strict=True)
    ]
    return [message, *answers]


def _told(faults: Sequence[Fault], end: str) -> str:
    lines = [f"- {line}" for fault in faults for line in fault.said]
    cut = any(fault.label == "TRUNCATED_JSON" for fault in faults)
    return "\n".join(dict.fromkeys([*(lines or [_NOT_DONE]), *([_SHORTER] * cut), end]))
