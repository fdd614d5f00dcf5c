"""Typed YAML: one document, one msgspec struct, and errors that name the line."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
import yaml

from keelmark.core.errors import UsageError

T = TypeVar("T", bound=msgspec.Struct)


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what people write by hand: unknown names are errors, never silently nothing."""


def read_yaml(text: str, shape: type[T], *, source: str) -> T:
    """Read one YAML document into a struct.

    Args:
        text: The YAML document; an empty one means all defaults.
        shape: The struct to fill.
        source: Name for error messages.

    Raises:
        UsageError: Not YAML, a name given twice, or not of this shape; the message names the line.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_repeats(root, source)
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise UsageError(f"{source}{where} is not valid YAML: {problem}.") from None
    except RecursionError:
        raise UsageError(f"{source} is not valid YAML: it is nested too deeply.") from None
    except ValueError as error:
        raise UsageError(f"{source} is not valid YAML: {error}.") from None
    try:
        return msgspec.convert({} if plain is None else plain, shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        unknown = re.search(r"unknown field `(.+)`", message)
        line = _line_of(root, path.strip("`") + (f".{unknown[1]}" if unknown else ""))
        said = _humane(message, path.strip("`").removeprefix("$").removeprefix("."))
        raise UsageError(f"{source}, line {line}: {said}.") from None


def line_of(text: str, path: str) -> int:
    """Return the line, from 1, of `$.guard.rules[0].action` or the deepest part of it there is.

    Args:
        text: A YAML document that `read_yaml` took.
        path: Names and indices, from `$`.
    """
    return _line_of(yaml.compose(text, Loader=yaml.SafeLoader), path)


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object (names with values)",
    "null": "nothing",
}


def _humane(message: str, field: str) -> str:
    """What msgspec says, in words for who wrote the file."""
    what = f"`{field}`" if field else "it"
    if match := re.fullmatch(r"Object contains unknown field `(.+)`", message):
        return f"there is no field `{match[1]}` here; check its spelling"
    if match := re.fullmatch(r"Object missing required field `(.+)`", message):
        return f"the field `{match[1]}` is missing"
    if match := re.fullmatch(r"Expected `([^`]+)`, got `([^`]+)`", message):
        wanted, got = (
            " or ".join(_WORDS.get(word, word) for word in kinds.split(" | "))
            for kinds in match.groups()
        )
        return f"{what} must be {wanted}, not {got}"
    if match := re.fullmatch(r"Invalid enum value (.+)", message):
        return f"{what} cannot be {match[1]}; look up what it can be"
    if message.startswith("Expected "):
        return f"{what} must be{message.removeprefix('Expected')}"
    return message


def _refuse_repeats(root: yaml.Node | None, source: str) -> None:
    """A name given twice would silently win over the first one."""
    waiting, visited = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in names:
                    line = key.start_mark.line + 1
                    raise UsageError(
                        f"{source}, line {line}: {key.value!r} is given twice; keep one of them."
                    )
                names.add(str(key.value))
                waiting += [key, value]


def _line_of(node: yaml.Node | None, path: str) -> int:
    """Line of the deepest node that `path` (`$.guard.rules[0].action`) reaches."""
    line = 1 if node is None else node.start_mark.line + 1
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if k.value == name]
            if not pairs:
                break
            key, node = pairs[0]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and index and int(index) < len(node.value):
            node = node.value[int(index)]
            line = node.start_mark.line + 1
        else:
            break
    return line
