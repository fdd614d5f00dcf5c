"""A chat call in the words of Anthropic's Messages. What Messages has not is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec

from keelmark.serve.errors import bad_request
from keelmark.serve.marks import MARK

DEFAULT_MAX_TOKENS = 4096
"""Messages demands a limit; chat does not."""

_SAME = ("model", "stream", "temperature", "top_p", "top_k")
_READ = frozenset(
    {
        *_SAME,
        MARK,
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "parallel_tool_calls",
        "prompt_cache_key",  # hints for a cache that works otherwise here
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "stop",
        "stream_options",
        "thinking_budget_tokens",
        "tool_choice",
        "tools",
        "user",
    }
)
_NOTHING: dict[str, Any] = {
    "n": 1,
    "best_of": 1,
    "store": False,
    "logprobs": False,
    "modalities": ["text"],
    "metadata": {},
    "logit_bias": {},
    "service_tier": "auto",
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "top_logprobs": 0,
}
"""Fields that ask for nothing when they have this value."""

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh"}
Fields = dict[str, Any]


def messages_of(chat: Fields) -> Fields:
    """Return the body of the call in Messages.

    Args:
        chat: The body of a chat call that has been checked.

    Raises:
        ApiError: 400, it asks for what Messages has not.
    """
    for name, value in chat.items():
        if name not in _READ and value is not None and value != _NOTHING.get(name):
            raise _not_there(name)
    asked: Fields = {n: chat[n] for n in _SAME if chat.get(n) is not None}
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens")
    asked["max_tokens"] = limit if limit and limit > 0 else DEFAULT_MAX_TOKENS
    system, asked["messages"] = _conversation(chat["messages"])
    if system:
        marked = any(MARK in block for block in system)
        asked["system"] = system if marked else "\n\n".join(block["text"] for block in system)
    if chat.get(MARK):
        asked[MARK] = chat[MARK]
    if stop := chat.get("stop"):
        asked["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if user := chat.get("safety_identifier") or chat.get("user"):
        asked["metadata"] = {"user_id": user}
    return asked | _tools(chat) | _output(chat)


def _not_there(name: str) -> Exception:
    return bad_request(
        f"The field `{name}` has no place in the protocol of this engine: leave it out.",
        name,
        "unsupported_parameter",
    )


def _conversation(given: list[Fields]) -> tuple[list[Fields], list[Fields]]:
    """The system's texts, and the others' turns: neighbours of one role are one turn."""
    system: list[Fields] = []
    turns: list[Fields] = []
    for message in given:
        if message["role"] in ("system", "developer"):
            system += _texts(message.get("content"))
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if blocks and message.get(MARK):
            blocks[-1][MARK] = message[MARK]
        if blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _blocks(message: Fields) -> list[Fields]:
    if message["role"] == "function" or message.get("function_call"):
        raise _not_there("function_call")
    blocks = _texts(message.get("content"))
    if message["role"] == "tool":
        key = message.get("tool_call_id")
        return [{"type": "tool_result", "tool_use_id": key, "content": blocks}]
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        blocks.append(
            {
                "type": "tool_use",
                "id": call.get("id"),
                "name": function.get("name"),
                "input": _input(function.get("arguments")),
            }
        )
    return blocks


def _texts(content: Any) -> list[Fields]:
    """The texts of a message; empty ones are not allowed there."""
    parts = content if isinstance(content, list) else [content]
    texts = []
    for part in parts:
        held = part if isinstance(part, dict) else {"text": part}
        text = held.get("text") or held.get("refusal") or held.get("thinking")
        if isinstance(text, str) and text:
            mark = {MARK: held[MARK]} if held.get(MARK) else {}
            texts.append({"type": "text", "text": text, **mark})
    return texts


def _input(arguments: Any) -> Fields:
    try:
        made = msgspec.json.decode(arguments or "{}")
    except (msgspec.MsgspecError, ValueError, RecursionError, TypeError):
        made = None
    return made if isinstance(made, dict) else {"raw_arguments": arguments}


def _tools(chat: Fields) -> Fields:
    made: Fields = {}
    tools = [_tool(tool) for tool in chat.get("tools") or ()]
    if tools:
        made["tools"] = tools
    choice = chat.get("tool_choice")
    if isinstance(choice, dict):
        if choice.get("type") != "function":
            raise _not_there("tool_choice")
        made["tool_choice"] = {"type": "tool", "name": choice["function"]["name"]}
    elif choice is not None and tools:
        if choice not in _CHOICES:
            raise _not_there("tool_choice")
        made["tool_choice"] = {"type": _CHOICES[choice]}
    if tools and chat.get("parallel_tool_calls") is False:
        chosen = made.setdefault("tool_choice", {"type": "auto"})
        if chosen["type"] != "none":
            chosen["disable_parallel_tool_use"] = True
    return made


def _tool(tool: Fields) -> Fields:
    function = tool.get("function")
    if tool.get("type", "function") != "function" or not isinstance(function, dict):
        raise _not_there("tools")
    schema = function.get("parameters") or {}
    made: Fields = {"name": function.get("name"), "input_schema": {"type": "object", **schema}}
    for name in ("description", "strict"):
        if function.get(name):
            made[name] = function[name]
    return made | ({MARK: tool[MARK]} if tool.get(MARK) else {})


def _output(chat: Fields) -> Fields:
    """How the answer is to look, and how much thought goes into it."""
    config: Fields = {}
    wanted = chat.get("response_format") or {"type": "text"}
    if wanted.get("type") == "json_schema":
        held = wanted.get("json_schema")
        inner = held if isinstance(held, dict) else {}
        config["format"] = {"type": "json_schema", "schema": inner.get("schema") or {}}
    elif wanted.get("type") != "text":
        raise _not_there("response_format")
    effort = chat.get("reasoning_effort")
    if effort in _EFFORTS or effort == "max":
        config["effort"] = _EFFORTS.get(effort, effort)
    elif effort not in (None, "none"):
        raise _not_there("reasoning_effort")
    made: Fields = {"output_config": config} if config else {}
    if budget := chat.get("thinking_budget_tokens"):
        made["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return made
