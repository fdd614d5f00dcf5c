"""What is asked in OpenAI's Responses, in chat's words.

Source: OpenAI's API reference, "Create a model response", and the types of its Python client.
"""

from __future__ import annotations

from typing import Any

from keelmark.serve.dialects._fields import (
    EXTRAS,
    Block,
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
from keelmark.serve.errors import bad_request

Message = dict[str, Any]

_NOT_KEPT = "nothing is kept between calls; send the whole conversation in `input`"
_HOSTED = "no tools are run here; offer functions, and run them yourself"
REFUSED = {
    "background": "answers are given at once; leave it out, and stream if they take long",
    "context_management": "conversations are not shortened here",
    "conversation": _NOT_KEPT,
    "moderation": "the policy of this gateway says what is judged",
    "previous_response_id": _NOT_KEPT,
    "prompt": "there are no stored prompts here; send the texts themselves",
    "store": _NOT_KEPT,
}
_AS_THEY_ARE = frozenset(
    {
        "model",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "stop",
        "stream",
        "temperature",
        "top_k",
        "top_p",
        "user",
    }
)
_READ = frozenset(
    {
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_options",
        "reasoning",
        "service_tier",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "truncation",
    }
)
_LOGPROBS = "message.output_text.logprobs"
_INCLUDED = (_LOGPROBS, "reasoning.encrypted_content")
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


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
    if "input" not in fields:
        raise bad_request("The field `input` is missing: say something.", "input")
    reader = _Input(places)
    if "instructions" in fields:
        if not isinstance(fields["instructions"], str):
            raise must("instructions", "text")
        reader.add("system", fields["instructions"])
    reader.read(fields["input"])
    chat["messages"] = reader.done()
    if "max_output_tokens" in fields:
        chat["max_tokens"] = whole_number(fields, "max_output_tokens")
    chat |= _tools(fields) | _format(fields.get("text", {})) | _reasoning(fields)
    chat |= _logprobs(fields)
    for name, allowed in (("truncation", ("disabled",)), ("service_tier", ("auto", "default"))):
        if fields.get(name, allowed[0]) not in allowed:
            raise unsupported(name, f"only `{allowed[-1]}` is there")
    if not isinstance(fields.get("metadata", {}), dict):
        raise must("metadata", "an object")
    if chat.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    return chat


class _Input:
    """The messages of a request while they are read."""

    def __init__(self, places: dict[str, str]) -> None:
        self.messages: list[Message] = []
        self._places = places
        self._head: list[str] = []
        self._thought: list[str] = []

    def add(self, role: str, said: Any) -> None:
        """Add a message; what the system says at the head is one text (see `done`)."""
        if role == "system" and isinstance(said, str) and len(self.messages) == bool(self._head):
            self._head.append(said)
            if self.messages:
                return
        message: Message = {"role": role, "content": said}
        if role == "assistant" and any(self._thought):
            message["reasoning_content"] = "".join(self._thought)
        self._thought = []
        self.messages.append(message)

    def done(self) -> list[Message]:
        """Return all messages."""
        if self._head:
            self.messages[0]["content"] = "\n\n".join(self._head)
        return self.messages

    def read(self, given: Any) -> None:
        """Read `input`."""
        if isinstance(given, str):
            self.add("user", given)
            return
        if not isinstance(given, list) or not given:
            raise must("input", "text or a list with something in it")
        for number, item in enumerate(objects(given, "input")):
            self._item(item, f"input[{number}]")
        if not self.messages:
            raise bad_request("The field `input` says nothing to the model.", "input")

    def _item(self, item: Block, at: str) -> None:
        kind = item.get("type", "message")
        if kind == "message":
            self._message(item, at)
        elif kind == "function_call":
            self._call(item, at)
        elif kind == "function_call_output":
            said = self._content(item.get("output"), f"{at}.output")
            key = text(item, "call_id", at)
            self.add("tool", said)
            self.messages[-1]["tool_call_id"] = key
        elif kind == "reasoning":
            self._thought.append(_thought(item, at))
        elif kind == "item_reference":
            raise unsupported(f"{at}.type", _NOT_KEPT)
        else:
            raise unsupported(f"{at}.type", _HOSTED)

    def _message(self, item: Block, at: str) -> None:
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise must(f"{at}.role", f"one of {', '.join(sorted(_ROLES))}")
        self.add(_ROLES[role], self._content(item.get("content"), f"{at}.content"))

    def _content(self, given: Any, at: str) -> str | list[Block]:
        chat_at = f"messages[{len(self.messages)}].content"
        return content(given, at, chat_at, _part, self._places)

    def _call(self, item: Block, at: str) -> None:
        call = {
            "id": text(item, "call_id", at),
            "type": "function",
            "function": {
                "name": text(item, "name", at),
                "arguments": text(item, "arguments", at),
            },
        }
        if any(self._thought) or not self.messages or self.messages[-1]["role"] != "assistant":
            self.add("assistant", None)
        self.messages[-1].setdefault("tool_calls", []).append(call)


def _thought(item: Block, at: str) -> str:
    """What a reasoning item says that can be read: all of it, or else its summary."""
    for name in ("content", "summary"):
        if item.get(name):
            blocks = objects(item[name], f"{at}.{name}")
            return "".join(text(b, "text", f"{at}.{name}[{n}]") for n, b in enumerate(blocks))
    return ""


def _part(block: Block, at: str) -> Block:
    kind = block.get("type")
    if isinstance(kind, str) and kind in _TEXTS:
        return {"type": "text", "text": text(block, _TEXTS[kind], at)}
    if kind == "input_image" and isinstance(block.get("image_url"), str):
        image = {"url": block["image_url"], "detail": block.get("detail") or "auto"}
        return {"type": "image_url", "image_url": image}
    if kind == "input_audio" and isinstance(block.get("input_audio"), dict):
        return {"type": "input_audio", "input_audio": block["input_audio"]}
    if kind in ("input_image", "input_file", "input_audio"):
        raise unsupported(at, "files are not read here; send their text")
    raise must(f"{at}.type", "`input_text`, `output_text`, `refusal` or `input_image`")


def _tools(fields: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    tools = [
        _tool(t, f"tools[{n}]") for n, t in enumerate(objects(fields.get("tools", []), "tools"))
    ]
    if "parallel_tool_calls" in fields:
        if not isinstance(fields["parallel_tool_calls"], bool):
            raise must("parallel_tool_calls", "true or false")
        if tools:
            made["parallel_tool_calls"] = fields["parallel_tool_calls"]
    choice = fields.get("tool_choice")
    if isinstance(choice, dict):
        tools, choice = _choice(choice, tools)
    elif choice not in (None, "none", "auto", "required"):
        raise must("tool_choice", "`none`, `auto`, `required` or an object")
    if choice is not None and (tools or choice != "auto"):
        made["tool_choice"] = choice
    return made | ({"tools": tools} if tools else {})


def _tool(tool: Block, at: str) -> Block:
    if tool.get("type") != "function":
        raise unsupported(f"{at}.type", _HOSTED)
    for name in ("defer_loading", "async"):
        if tool.get(name):
            raise unsupported(
                f"{at}.{name}", "every tool is there from the beginning, and waited for"
            )
    return function({n: v for n, v in tool.items() if v is not None}, at, "parameters")


def _choice(choice: Block, tools: list[Block]) -> tuple[list[Block], Any]:
    """Return the tools that may be called, and chat's `tool_choice`."""
    at, names = "tool_choice.name", {tool["function"]["name"] for tool in tools}
    if choice.get("type") == "function":
        name = named(choice.get("name"), names, at)
        return tools, {"type": "function", "function": {"name": name}}
    if choice.get("type") != "allowed_tools":
        raise unsupported("tool_choice.type", _HOSTED)
    if choice.get("mode") not in ("auto", "required"):
        raise must("tool_choice.mode", "`auto` or `required`")
    listed = enumerate(objects(choice.get("tools"), "tool_choice.tools"))
    allowed = {named(one.get("name"), names, f"tool_choice.tools[{n}]") for n, one in listed}
    return [t for t in tools if t["function"]["name"] in allowed], choice["mode"]


def _format(given: Any) -> dict[str, Any]:
    """The form of the text, and how much of it."""
    fields = known(given, ("format", "verbosity"), {}, "text.")
    made: dict[str, Any] = {}
    if fields.get("verbosity", "medium") != "medium":
        made["verbosity"] = text(fields, "verbosity", "text")
    wanted = known(
        fields.get("format", {"type": "text"}),
        ("type", "name", "schema", "strict", "description"),
        {},
        "text.format.",
    )
    kind = wanted.pop("type", None)
    if kind == "json_schema":
        if not isinstance(wanted.get("schema"), dict):
            raise must("text.format.schema", "a JSON Schema")
        schema = {**wanted, "name": text(wanted, "name", "text.format")}
        made["response_format"] = {"type": kind, "json_schema": schema}
    elif kind == "json_object":
        made["response_format"] = {"type": kind}
    elif kind != "text":
        raise must("text.format.type", "`text`, `json_object` or `json_schema`")
    return made


def _reasoning(fields: dict[str, Any]) -> dict[str, Any]:
    names = ("effort", "summary", "generate_summary", "context", "mode")
    given = known(fields.get("reasoning", {}), names, {}, "reasoning.")
    effort = given.get("effort")
    if effort is None:
        return {}
    if effort not in _EFFORTS:
        raise must("reasoning.effort", f"one of {', '.join(_EFFORTS)}")
    return {"reasoning_effort": effort}


def _logprobs(fields: dict[str, Any]) -> dict[str, Any]:
    included = fields.get("include", [])
    if not isinstance(included, list):
        raise must("include", "a list")
    for number, name in enumerate(included):
        if name not in _INCLUDED:
            raise unsupported(f"include[{number}]", f"there is nothing but {', '.join(_INCLUDED)}")
    most = fields.get("top_logprobs")
    if _LOGPROBS not in included and not most:
        return {}
    return {"logprobs": True} | ({} if most is None else {"top_logprobs": most})
