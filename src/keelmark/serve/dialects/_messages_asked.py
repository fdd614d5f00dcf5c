"""What is asked in Anthropic's Messages, in chat's words.

Source: Anthropic's API reference, "Create a Message", and the types of its Python client.
"""

from __future__ import annotations

from typing import Any

from keelmark.serve.dialects._documents import KINDS, NO_TEXT, Documents
from keelmark.serve.dialects._fields import (
    EXTRAS,
    Block,
    arguments,
    content,
    function,
    known,
    must,
    named,
    objects,
    text,
    unsupported,
    whole_number,
)
from keelmark.serve.marks import MARK, mark_of

Message = dict[str, Any]

_HOSTED = "no tools are run here; offer tools with a schema, and run them yourself"
_NOT_HERE = "there is nothing of this kind here"
REFUSED = {
    "container": _HOSTED,
    "diagnostics": _NOT_HERE,
    "mcp_servers": _HOSTED,
    "prefill": "end `messages` with the beginning of the answer instead",
    "speed": _NOT_HERE,
}
_AS_THEY_ARE = frozenset({"model", "temperature", "top_p", "top_k", "stream"})
_READ = frozenset(
    {
        "cache_control",
        "context_management",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "output_config",
        "service_tier",
        "stop_sequences",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
_TOOL = frozenset(
    {
        "type",
        "name",
        "description",
        "input_schema",
        "strict",
        "cache_control",
        "eager_input_streaming",
        "input_examples",
        "allowed_callers",
    }
)
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_THINKING = ("enabled", "adaptive", "between_tools", "disabled")


def chat_of(body: Any, places: dict[str, str]) -> dict[str, Any]:
    """Return the body of the chat call.

    Args:
        body: What was asked.
        places: Gets the places of parts of messages, for errors.

    Raises:
        ApiError: 400, naming the field.
    """
    fields = known(body, _AS_THEY_ARE | _READ | EXTRAS, REFUSED)
    chat = {name: fields[name] for name in fields.keys() & (_AS_THEY_ARE | EXTRAS)}
    chat["max_tokens"] = whole_number(fields, "max_tokens")
    messages: list[Message] = []
    if "system" in fields:
        messages.append({"role": "system", "content": _system(fields["system"], "system")})
    given = fields.get("messages")
    if not isinstance(given, list) or not given:
        raise must("messages", "a list with a message in it")
    documents = Documents(places)
    for number, message in enumerate(objects(given, "messages")):
        _message(message, f"messages[{number}]", messages, documents)
    chat["messages"] = messages
    if documents.found:
        chat["documents"] = documents.found
    if "stop_sequences" in fields:
        chat["stop"] = _stops(fields["stop_sequences"])
    chat |= (
        mark_of(fields, "") | _tools(fields) | _thinking(fields) | _output(fields) | _user(fields)
    )
    if fields.get("service_tier", "auto") not in ("auto", "standard_only"):
        raise must("service_tier", "`auto` or `standard_only`")
    if chat.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    return chat


def _system(given: Any, at: str) -> str | list[Block]:
    """The texts for the head of the conversation, as one, or in parts when some are marked."""
    if isinstance(given, str):
        return given
    parts = [_text(block, f"{at}[{n}]") for n, block in enumerate(objects(given, at))]
    marked = any(MARK in part for part in parts)
    return parts if marked else "\n\n".join(part["text"] for part in parts)


def _text(block: Block, at: str) -> Block:
    if block.get("type") != "text":
        raise must(f"{at}.type", "`text`")
    if block.get("citations"):
        raise unsupported(f"{at}.citations", _NOT_HERE)
    return {"type": "text", "text": text(block, "text", at), **mark_of(block, at)}


def _message(given: Block, at: str, messages: list[Message], documents: Documents) -> None:
    role, said = given.get("role"), given.get("content")
    if role == "system":
        messages.append({"role": role, "content": _system(said, f"{at}.content")})
    elif role == "assistant":
        messages.append(_answered(said, f"{at}.content"))
    elif role == "user":
        _asked(said, f"{at}.content", messages, documents)
    else:
        raise must(f"{at}.role", "`user`, `assistant` or `system`")


def _asked(given: Any, at: str, messages: list[Message], documents: Documents) -> None:
    """A message of the user: results of tools are messages of their own, and come first."""
    places = documents.places
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
        return
    blocks = list(enumerate(objects(given, at)))
    if not blocks:
        raise must(at, "text or a list with something in it")
    for number, block in blocks:
        if block.get("type") == "tool_result":
            chat_at, where = f"messages[{len(messages)}].content", f"{at}[{number}]"
            said = block.get("content")
            result = content(
                "" if said is None else said, f"{where}.content", chat_at, _part, places
            )
            key = text(block, "tool_use_id", where)
            told = {"role": "tool", "tool_call_id": key, "content": result}
            messages.append(told | mark_of(block, where))
        elif block.get("type") in KINDS:
            documents.add(block, f"{at}[{number}]")
    apart = ("tool_result", *KINDS)
    rest = [(number, block) for number, block in blocks if block.get("type") not in apart]
    if not rest:
        if any(block.get("type") in KINDS for _, block in blocks):
            messages.append({"role": "user", "content": ""})
        return
    parts = [_part(block, f"{at}[{number}]") for number, block in rest]
    chat_at = f"messages[{len(messages)}].content"
    places.update({f"{chat_at}[{n}]": f"{at}[{number}]" for n, (number, _) in enumerate(rest)})
    single = len(parts) == 1 and parts[0].keys() == {"type", "text"}
    messages.append({"role": "user", "content": parts[0]["text"] if single else parts})


def _answered(given: Any, at: str) -> Message:
    """A message of the model."""
    if isinstance(given, str):
        return {"role": "assistant", "content": given}
    said, thought, calls = [], [], []
    mark: dict[str, Any] = {}
    for number, block in enumerate(objects(given, at)):
        where, kind = f"{at}[{number}]", block.get("type")
        mark = mark_of(block, where) or mark
        if kind == "thinking":
            thought.append(text(block, "thinking", where))
        elif kind == "tool_use":
            name = {"name": text(block, "name", where)}
            called = name | {"arguments": arguments(block.get("input"), f"{where}.input")}
            calls.append({"id": text(block, "id", where), "type": "function", "function": called})
        elif kind == "text":
            said.append(_text(block, where)["text"])
        elif kind != "redacted_thinking":
            raise unsupported(f"{where}.type", "it is none of `text`, `thinking` and `tool_use`")
    message: Message = {"role": "assistant", "content": "".join(said) if said else None, **mark}
    if thought:
        message["reasoning_content"] = "".join(thought)
    return message | ({"tool_calls": calls} if calls else {})


def _part(block: Block, at: str) -> Block:
    kind = block.get("type")
    if kind == "text":
        return _text(block, at)
    source = block.get("source")
    if kind == "image" and isinstance(source, dict) and source.get("type") in ("base64", "url"):
        if source["type"] == "url":
            url = text(source, "url", f"{at}.source")
        else:
            kind = text(source, "media_type", f"{at}.source")
            url = f"data:{kind};base64,{text(source, 'data', f'{at}.source')}"
        return {"type": "image_url", "image_url": {"url": url}, **mark_of(block, at)}
    if kind in ("image", "document"):
        raise unsupported(at, NO_TEXT)
    raise unsupported(f"{at}.type", "it is none of `text`, `image`, `document` and `tool_result`")


def _stops(given: Any) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise must("stop_sequences", "a list of texts")
    return given


def _tools(fields: dict[str, Any]) -> dict[str, Any]:
    listed = objects(fields.get("tools", []), "tools")
    tools = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(listed)]
    made: dict[str, Any] = {"tools": tools} if tools else {}
    choice = known(
        fields.get("tool_choice", {}),
        ("type", "name", "disable_parallel_tool_use"),
        {},
        "tool_choice.",
    )
    if choice.get("disable_parallel_tool_use") and tools:
        made["parallel_tool_calls"] = False
    kind = choice.get("type", "auto")
    if kind == "tool":
        names = {tool["function"]["name"] for tool in tools}
        name = named(choice.get("name"), names, "tool_choice.name")
        made["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif not isinstance(kind, str) or kind not in _CHOICES:
        raise must("tool_choice.type", "`auto`, `any`, `tool` or `none`")
    elif "tool_choice" in fields and (tools or kind == "any"):
        made["tool_choice"] = _CHOICES[kind]
    return made


def _tool(tool: Block, at: str) -> Block:
    if tool.get("type") not in (None, "custom"):
        raise unsupported(f"{at}.type", _HOSTED)
    later = {"defer_loading": "every tool is there from the beginning"}
    fields = known(tool, _TOOL, later, f"{at}.")
    if "input_schema" not in fields:
        raise must(f"{at}.input_schema", "a JSON Schema")
    return function(fields, at, "input_schema") | mark_of(fields, at)


def _thinking(fields: dict[str, Any]) -> dict[str, Any]:
    names = ("type", "budget_tokens", "display")
    given = known(fields.get("thinking", {"type": "disabled"}), names, {}, "thinking.")
    if given.get("type") not in _THINKING:
        raise must("thinking.type", f"one of {', '.join(_THINKING)}")
    if given["type"] != "enabled":
        return {}
    budget = given.get("budget_tokens")
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 1:
        raise must("thinking.budget_tokens", "a whole number above 0")
    return {"thinking_budget_tokens": budget}


def _output(fields: dict[str, Any]) -> dict[str, Any]:
    given = known(fields.get("output_config", {}), ("effort", "format"), {}, "output_config.")
    made: dict[str, Any] = {}
    if "effort" in given:
        if given["effort"] not in _EFFORTS:
            raise must("output_config.effort", f"one of {', '.join(_EFFORTS)}")
        made["reasoning_effort"] = given["effort"]
    if "format" in given:
        at = "output_config.format"
        wanted = known(given["format"], ("type", "schema"), {}, f"{at}.")
        if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
            raise must(at, "`json_schema` with a `schema`")
        schema = {"name": "answer", "schema": wanted["schema"], "strict": True}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    return made


def _user(fields: dict[str, Any]) -> dict[str, Any]:
    given = known(fields.get("metadata", {}), ("user_id",), {}, "metadata.")
    if "user_id" not in given:
        return {}
    return {"user": text(given, "user_id", "metadata")}
