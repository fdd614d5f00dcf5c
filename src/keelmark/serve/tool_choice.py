"""What `tool_choice` demands, and how an engine that only follows JSON schemas is made to obey.

Such an engine gets the same tools, no choice, and a schema that lets through nothing but a call:
`{"name": ..., "arguments": {...}}`, the name first, so that a stream shows it first. What comes
back is turned into a call by `keelmark.serve.forced`.
"""

from __future__ import annotations

from typing import Any

from keelmark.serve.errors import bad_request

_KINDS = ("function", "custom")
_FORMATS = ("response_format", "json_schema", "grammar")
_NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}


def check_tool_choice(body: dict[str, Any]) -> None:
    """Check that what is demanded is there.

    Raises:
        ApiError: 400, a tool is demanded and there are none, or not that one.
    """
    must, allowed = _demand(body.get("tool_choice"))
    if not must and allowed is None:
        return
    names = tool_names({"tools": body.get("tools")})
    if not names:
        raise bad_request("The field `tool_choice` demands a tool: give `tools`.", "tool_choice")
    for name in allowed or ():
        if not isinstance(name, str) or name not in names:
            raise bad_request(
                "The field `tool_choice` names a function that is not in `tools`: name one of "
                "those that are.",
                "tool_choice",
            )


def tool_names(body: dict[str, Any]) -> list[str]:
    """Return the names of all tools and functions of a request."""
    tools = [t.get("function", t.get("custom")) for t in body.get("tools") or ()]
    functions = [*tools, *(body.get("functions") or ())]
    names = [f.get("name") for f in functions if isinstance(f, dict)]
    return [name for name in names if isinstance(name, str)]


def forced_functions(body: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the functions of which one must be called; none when the model may choose to talk.

    They are the request's own objects: what the guard masks in the request is masked in them.

    Raises:
        ApiError: 400, a schema cannot demand such a call.
    """
    must, allowed = _demand(body.get("tool_choice"))
    if not must:
        return ()
    for name in _FORMATS:
        if body.get(name) not in (None, {"type": "text"}):
            raise bad_request(
                f"The field `{name}` and a `tool_choice` that demands a call exclude each other "
                "on this engine: leave one out.",
                name,
            )
    functions = [_function(tool, at) for at, tool in enumerate(body["tools"])]
    return tuple(f for f in functions if allowed is None or f["name"] in allowed)


def demand_call(body: dict[str, Any], functions: tuple[dict[str, Any], ...]) -> None:
    """Rewrite a request so that its answer can only be a call of one of the functions."""
    calls, definitions = [], {}
    for at, function in enumerate(functions):
        root = f"#/$defs/{at}"
        definitions[str(at)] = _moved(function.get("parameters") or _NO_ARGUMENTS, root)
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": function["name"]}, "arguments": {"$ref": root}},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    schema = {"anyOf": calls, "$defs": definitions}
    for name in (*_FORMATS, "parallel_tool_calls", "stop"):  # `stop` ends a text; this is none
        body.pop(name, None)
    body["tool_choice"] = "none"
    body["response_format"] = {
        "type": "json_schema",
        "json_schema": {"name": "call", "strict": True, "schema": schema},
    }


def _demand(choice: Any) -> tuple[bool, list[Any] | None]:
    """Whether a call must be made, and the names it may have (None: any)."""
    if not isinstance(choice, dict):
        return choice == "required", None
    if choice.get("type") in _KINDS:
        return True, [_name(choice)]
    if choice.get("type") != "allowed_tools":
        return False, None
    given = choice.get("allowed_tools")
    allowed = given if isinstance(given, dict) else {}
    tools = allowed.get("tools")
    names = [_name(tool) for tool in tools] if isinstance(tools, list) else []
    return allowed.get("mode") == "required", names or [None]


def _name(tool: Any) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    holder = tool.get(kind) if kind in _KINDS else None
    return holder.get("name") if isinstance(holder, dict) else None


def _function(tool: dict[str, Any], at: int) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise bad_request(
            f"`tools[{at}]` is not a function with a name: this engine can be made to call "
            "functions only.",
            f"tools[{at}]",
        )
    parameters = function.get("parameters") or {}
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise bad_request(
            f"`tools[{at}].function.parameters` must be the JSON schema of an object: say "
            '`"type": "object"` in it.',
            f"tools[{at}].function.parameters",
        )
    return function


def _moved(schema: dict[str, Any], root: str) -> dict[str, Any]:
    """A schema that stands at `root` of another one: its own references lead there."""
    return {"type": "object", **_led(schema, root)}


def _led(value: Any, root: str) -> Any:
    if isinstance(value, list):
        return [_led(item, root) for item in value]
    if not isinstance(value, dict):
        return value
    led = {name: _led(item, root) for name, item in value.items()}
    target = value.get("$ref")
    if isinstance(target, str) and target.startswith("#"):
        led["$ref"] = root + target[1:]
    return led


def renamed(names: list[str], body: dict[str, Any]) -> dict[str, str]:
    """Names as the engine sees them to the names that the client gave."""
    return dict(zip(tool_names(body), names, strict=True)) if names else {}
