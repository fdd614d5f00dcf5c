"""Jinja for templates that strangers may have written: nothing in it grows without bound.

Jinja's sandbox keeps a template from reaching out, and lets it fill the memory: by multiplying
texts, by filters that pad, by joining a text with itself over and over. Here a template may use
what the tables below name; whatever makes a text or a list of others looks at their length first.
Time is not bounded: a file may have any number of rows anyway.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import jinja2
from jinja2 import filters, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

LONGEST: Final = 32 << 20
"""Characters of a text."""
_MOST_VALUES = 1 << 20
"""Values within one that is written out."""
_LARGEST = 1 << 64

_NODES = (
    *("Add", "And", "Assign", "Call", "Compare", "Concat", "CondExpr", "Const", "Dict", "Div"),
    *("Filter", "FloorDiv", "For", "Getattr", "Getitem", "If", "Keyword", "List", "Mod", "Mul"),
    *("Name", "Neg", "Not", "Operand", "Or", "Output", "Pair", "Pos", "Slice", "Sub", "Template"),
    *("TemplateData", "Test", "Tuple"),
)
_METHODS = (
    *("capitalize", "count", "endswith", "find", "get", "index", "items", "keys", "lower"),
    *("lstrip", "rstrip", "split", "splitlines", "startswith", "strip", "title", "upper"),
    "values",
)
_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items"),
    *("last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse"),
    *("round", "select", "selectattr", "sort", "string", "title", "tojson", "trim", "truncate"),
    *("unique", "upper", "wordcount"),
)
_NUMBERS_ONLY = frozenset({"+", "-", "*", "/", "//", "%"})


class Bounded(ImmutableSandboxedEnvironment):
    """An environment in which a template cannot fill the memory."""

    intercepted_binops = _NUMBERS_ONLY

    def __init__(self) -> None:
        super().__init__(
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            finalize=bounded,
            optimized=False,  # it tries deep expressions again at every level
        )
        self.globals = {"range": safe_range}
        self.filters = {name: _checked(filters.FILTERS[name]) for name in _FILTERS}
        self.filters |= {"join": _join, "replace": _replace}

    def call_binop(
        self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any
    ) -> Any:
        """Calculate with numbers that are no longer than 64 bits; nothing else is added."""
        for one in (left, right):
            if not isinstance(one, int | float) or abs(one) >= _LARGEST:
                raise SecurityError(
                    f"`{operator}` is for numbers below 2**64 here; texts are put together with ~"
                )
        return super().call_binop(context, operator, left, right)

    def _generate(self, source: nodes.Template, *given: Any, **named: Any) -> str:
        _check(source)
        _Joined().visit(source)
        return super()._generate(source, *given, **named)


def bounded(value: Any) -> Any:
    """Return a value that is not too long to be written out.

    Raises:
        SecurityError: It is.
    """
    length, values, todo = 0, 0, [value]
    while todo:
        one = todo.pop()
        values += 1
        if isinstance(one, str):
            length += len(one)
        elif isinstance(one, Mapping):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            todo += one
        if values > _MOST_VALUES:
            raise SecurityError("a value holds more than a million others")
        _room(length)
    return value


def written(parts: Iterable[str]) -> str:
    """Return what a template yields, in one.

    Raises:
        SecurityError: It is too long.
    """
    kept, length = [], 0
    for one in parts:
        kept.append(one)
        length += len(one)
        _room(length)
    return "".join(kept)


def _check(source: nodes.Template) -> None:
    """Refuse what a template may not use."""
    for node in source.find_all(nodes.Node):
        kind = type(node).__name__
        if isinstance(node, nodes.Call) and not _may_be_called(node.node):
            said = "a template may call range and methods such as strip; filters do the rest"
        elif kind not in _NODES and not isinstance(node, nodes.Helper | nodes.EvalContextModifier):
            said = f"a template may not use {kind}"
        else:
            continue
        raise SecurityError(f"{said} (line {node.lineno})")


def _may_be_called(node: nodes.Expr) -> bool:
    if isinstance(node, nodes.Getattr):
        return node.attr in _METHODS
    return isinstance(node, nodes.Name) and node.name == "range"


class _Joined(jinja2.visitor.NodeTransformer):
    """Makes `a ~ b` a list that is joined, so that its length is looked at."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 (Jinja's)
        self.generic_visit(node)
        texts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(texts, "join", [], [], None, None, lineno=node.lineno)


def _checked(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def checked(*given: Any, **named: Any) -> Any:
        for one in (*given, *named.values()):
            bounded(one)
        return call(*given, **named)

    return checked


def _join(values: Iterable[Any], between: str = "", attribute: str | None = None) -> str:
    if attribute is not None:
        values = [one[attribute] for one in values]
    texts = [str(bounded(one)) for one in values]
    _room(sum(map(len, texts)) + len(between) * max(len(texts) - 1, 0))
    return between.join(texts)


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    whole = str(bounded(text))
    found = whole.count(old) if count < 0 else min(count, whole.count(old))
    _room(len(whole) + found * (len(new) - len(old)))
    return whole.replace(old, new, count)


def _room(length: int) -> None:
    if length > LONGEST:
        raise SecurityError(f"it would be longer than {LONGEST >> 20} million characters")
