"""Typed YAML: one document, one msgspec struct, and errors that name the line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar

import msgspec
import msgspec.inspect as shapes
import yaml

from keelmark.core.errors import UsageError, sentence

T = TypeVar("T", bound=msgspec.Struct)
_MOST_NAMES = 24


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what people write by hand: unknown names are errors, never silently nothing."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which reads a date as the text it is."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Document(NamedTuple):
    """One YAML document as it was written.

    Attributes:
        source: Name for error messages.
        root: Its nodes, which know their lines.
        plain: Its values; an empty document is an empty object.
    """

    source: str
    root: yaml.Node | None
    plain: Any

    def at(self, path: str) -> str:
        """Return `SOURCE, line N` of `$.guard.rules[0].action`, or of the part of it there is."""
        return self.at_part(*_steps(path))

    def at_part(self, *steps: str | int) -> str:
        """Return `SOURCE, line N` of what names and numbers lead to, or of the part there is."""
        return f"{self.source}, line {_line_of(self.root, steps)}"


def read_document(text: str, *, source: str) -> Document:
    """Read one YAML document.

    Raises:
        UsageError: Not YAML, or a name given twice; the message names the line.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        _refuse_repeats(root, source)
        plain = yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe one)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise UsageError(f"{source}{where} is not valid YAML: {problem}.") from None
    except RecursionError:
        raise UsageError(f"{source} is not valid YAML: it is nested too deeply.") from None
    except ValueError as error:
        raise UsageError(f"{source} is not valid YAML: {error}.") from None
    return Document(source, root, {} if plain is None else plain)


_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # its messages are worse
_DEPTH = 40
_EVENTS = 100_000


def stranger_yaml(text: str) -> Any:
    """Return the plain values of YAML that a stranger wrote.

    Aliases are refused, because a few lines of them stand for gigabytes, and so is deep nesting,
    on which the parser takes a time that grows with its square.

    Raises:
        ValueError: Not YAML, or more than anybody writes by hand.
    """
    depth, strange = 0, "it has aliases, is nested too deeply, or is too long"
    try:
        for count, event in enumerate(yaml.parse(text, Loader=_Fast)):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH or count > _EVENTS or isinstance(event, yaml.AliasEvent):
                raise ValueError(strange)
        return yaml.load(text, Loader=_Fast)  # noqa: S506 (a safe one)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None


def fill(document: Document, shape: type[T], plain: Any = None) -> T:
    """Read a document into a struct.

    Args:
        document: The document, which errors point into.
        shape: The struct to fill.
        plain: Values to take instead of the document's, such as those with defaults filled in.

    Raises:
        UsageError: Not of this shape; the message names the line.
    """
    try:
        return msgspec.convert(document.plain if plain is None else plain, shape)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        path = place.strip("`")
        unknown = re.search(r"unknown field `(.+)`", message)
        where = document.at(path + (f".{unknown[1]}" if unknown else ""))
        said = _humane(message, path.removeprefix("$").removeprefix("."), _choices(shape, path))
        raise UsageError(f"{where}: {sentence(said)}") from None


def read_yaml(text: str, shape: type[T], *, source: str) -> T:
    """Read one YAML document into a struct.

    Args:
        text: The YAML document; an empty one means all defaults.
        shape: The struct to fill.
        source: Name for error messages.

    Raises:
        UsageError: Not YAML, a name given twice, or not of this shape; the message names the line.
    """
    return fill(read_document(text, source=source), shape)


def meant(wrong: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about a wrong name: the one that was meant, or what there is."""
    names = sorted(known)
    near = get_close_matches(wrong, names, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    left = len(names) - _MOST_NAMES
    more = f" and {left} more" if left > 1 else ""
    return f"choose from: {', '.join(names[: _MOST_NAMES if more else None]) or 'none'}{more}."


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object (names with values)",
    "null": "nothing",
}


def _choices(shape: type[msgspec.Struct], path: str) -> list[str]:
    """The names or words that may stand at a place: fields of an object, values of a choice."""
    kinds: list[Any] = [shapes.type_info(shape)]
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", path):
        kinds = [inner for kind in _flat(kinds) for inner in _inside(kind, name, index)]
    out: list[str] = []
    for kind in _flat(kinds):
        if isinstance(kind, shapes.StructType):
            out += (field.encode_name for field in kind.fields)
        elif isinstance(kind, shapes.LiteralType):
            out += map(str, kind.values)
        elif isinstance(kind, shapes.EnumType):
            out += (str(one.value) for one in kind.cls)
    return out


def _flat(kinds: Iterable[Any]) -> list[Any]:
    """Types without what is wrapped around them: metadata and unions."""
    out: list[Any] = []
    for kind in kinds:
        if isinstance(kind, shapes.Metadata):
            out += _flat([kind.type])
        elif isinstance(kind, shapes.UnionType):
            out += _flat(kind.types)
        else:
            out.append(kind)
    return out


def _inside(kind: Any, name: str, index: str) -> list[Any]:
    if name and isinstance(kind, shapes.StructType):
        return [field.type for field in kind.fields if field.encode_name == name]
    if index and isinstance(kind, shapes.VarTupleType | shapes.ListType):
        return [kind.item_type]
    return []


def _humane(message: str, field: str, choices: list[str]) -> str:
    """What msgspec says, in words for who wrote the file."""
    what = f"`{field}`" if field else "it"
    if match := re.fullmatch(r"Object contains unknown field `(.+)`", message):
        near = get_close_matches(match[1], choices, 1)
        hint = f"did you mean `{near[0]}`?" if near else "check its spelling"
        return f"there is no field `{match[1]}` here; {hint}"
    if match := re.fullmatch(r"Object missing required field `(.+)`", message):
        return f"the field `{match[1]}` is missing"
    if match := re.fullmatch(r"Expected `([^`]+)`, got `([^`]+)`", message):
        wanted, got = (
            " or ".join(_WORDS.get(word, word) for word in kinds.split(" | "))
            for kinds in match.groups()
        )
        return f"{what} must be {wanted}, not {got}"
    if match := re.fullmatch(r"Invalid enum value (.+)", message):
        return f"{what} cannot be {match[1]}; {meant(match[1].strip(chr(39)), choices)}"
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


def _steps(path: str) -> list[str | int]:
    """The names and numbers in `$.guard.rules[0].action`."""
    found = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path)
    return [name or int(index) for name, index in found]


def _line_of(node: yaml.Node | None, steps: Iterable[str | int]) -> int:
    """Line of the deepest node that names and numbers reach."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if k.value == step]
            if not pairs:
                break
            key, node = pairs[0]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and step in range(len(node.value)):
            node = node.value[int(step)]
            line = node.start_mark.line + 1
        else:
            break
    return line
