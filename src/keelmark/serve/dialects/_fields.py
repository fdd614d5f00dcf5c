"""Reading what is asked in a dialect: what is known, what is refused, and texts with parts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from keelmark.serve.errors import ApiError, bad_request

EXTRAS = frozenset(
    {
        "chat_template_kwargs",
        "frequency_penalty",
        "logit_bias",
        "min_p",
        "presence_penalty",
        "repeat_penalty",
        "repetition_penalty",
        "seed",
    }
)
"""Fields of chat that no dialect has and engines know: passed on as they are."""

_LONGEST_NAME = 64
_encode = msgspec.json.Encoder().encode
Block = dict[str, Any]


def known(
    given: Any, names: Collection[str], refused: Mapping[str, str], at: str = ""
) -> dict[str, Any]:
    """Return the fields of an object that are not null.

    Args:
        given: The object.
        names: The fields that are known.
        refused: Field to the reason why it is refused, unless it is false.
        at: Path of the object with a full stop at its end, or "" for the body.

    Raises:
        ApiError: 400, no object, or another field.
    """
    if not isinstance(given, dict):
        where = f"`{at.removesuffix('.')}`" if at else "The body"
        raise bad_request(f"{where} must be a JSON object.", at.removesuffix(".") or None)
    fields = {name: value for name, value in given.items() if value is not None}
    for name, value in list(fields.items()):
        path = at + name[:_LONGEST_NAME]
        if name in refused:
            if value is not False:
                raise unsupported(path, refused[name])
            del fields[name]
        elif name not in names:
            raise bad_request(
                f"The field `{path}` is not known here: leave it out.",
                path,
                "unsupported_parameter",
            )
    return fields


def unsupported(path: str, why: str) -> ApiError:
    """Return the error for a field that asks for what is not there."""
    return bad_request(f"`{path}` is refused: {why}.", path, "unsupported_parameter")


def must(path: str, wanted: str) -> ApiError:
    """Return the error for a field of the wrong form."""
    return bad_request(f"`{path}` must be {wanted}.", path)


def text(holder: Mapping[str, Any], name: str, at: str) -> str:
    """Return a field that must be text.

    Raises:
        ApiError: 400, it is missing or something else.
    """
    value = holder.get(name)
    if not isinstance(value, str):
        raise must(f"{at}.{name}", "text")
    return value


def objects(value: Any, at: str) -> list[dict[str, Any]]:
    """Return a field that must be a list of objects.

    Raises:
        ApiError: 400, it is something else.
    """
    if not isinstance(value, list):
        raise must(at, "a list of objects")
    for number, item in enumerate(value):
        if not isinstance(item, dict):
            raise must(f"{at}[{number}]", "an object")
    return value


def arguments(value: Any, at: str) -> str:
    """Return the input of a tool as chat has it: an object, written as JSON.

    Raises:
        ApiError: 400, it is no object, or nested too deeply.
    """
    if not isinstance(value, dict):
        raise must(at, "an object")
    try:
        return _encode(value).decode()
    except RecursionError:
        raise bad_request(f"`{at}` is nested too deeply: flatten it.", at) from None


def content(
    given: Any,
    at: str,
    chat_at: str,
    read: Callable[[Block, str], Block],
    places: dict[str, str],
) -> str | list[Block]:
    """Return the content of a message as chat has it: one text, or parts.

    Args:
        given: A text, or a list of blocks.
        at: Where it stands in the request.
        chat_at: Where it will stand in the body of the chat call.
        read: Turns a block into a part, given its path.
        places: Gets the places of the parts.

    Raises:
        ApiError: 400, naming the block.
    """
    if isinstance(given, str):
        return given
    parts = [read(block, f"{at}[{n}]") for n, block in enumerate(objects(given, at))]
    if len(parts) == 1 and parts[0].get("type") == "text":
        return str(parts[0]["text"])
    places.update({f"{chat_at}[{n}]": f"{at}[{n}]" for n in range(len(parts))})
    return parts


def function(tool: Mapping[str, Any], at: str, parameters: str) -> dict[str, Any]:
    """Return a tool as chat has it.

    Args:
        tool: A tool with name, description, strict and the schema of its input.
        at: Where it stands.
        parameters: Name of the field with the schema.

    Raises:
        ApiError: 400, a field is missing or wrong.
    """
    made: dict[str, Any] = {"name": text(tool, "name", at)}
    if "description" in tool:
        made["description"] = text(tool, "description", at)
    schema = tool.get(parameters)
    if schema is not None:
        if not isinstance(schema, dict):
            raise must(f"{at}.{parameters}", "a JSON Schema")
        made["parameters"] = schema
    if "strict" in tool:
        made["strict"] = tool["strict"] is True
    return {"type": "function", "function": made}


def named(name: Any, names: Collection[str], at: str) -> str:
    """Return the name of a tool that is there.

    Raises:
        ApiError: 400, there is no such tool.
    """
    if not isinstance(name, str) or name not in names:
        raise bad_request(f"`{at}` names no tool of `tools`: name one that is there.", at)
    return name


def whole_number(fields: Mapping[str, Any], name: str) -> int:
    """Return a field that must be a whole number above 0.

    Raises:
        ApiError: 400, it is missing or something else.
    """
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise must(name, "a whole number above 0")
    return value
