"""Templates of suites: Jinja in a sandbox with bounds, where nothing is missing silently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jinja2

from keelmark.core.errors import UsageError
from keelmark.evaluate.bounds import Bounded, written

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_ENVIRONMENT = Bounded()
_WRONG = (
    *(jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError),
    *(SyntaxError, RecursionError),  # of what Jinja makes of it, which is nested too deep
)


@lru_cache(512)
def _compiled(template: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(template)


@lru_cache(64)
def _formula(expression: str) -> Callable[..., Any]:
    return _ENVIRONMENT.compile_expression(expression, undefined_to_none=False)


def _why(error: Exception) -> str:
    said = str(error).rstrip(".")
    return f": {said}" if isinstance(error, jinja2.TemplateError) else f" ({said})"


def filled(template: str, values: Mapping[str, Any], where: str) -> str:
    """Fill a template (Jinja, in its sandbox) with values.

    Args:
        template: The template.
        values: What it may name; `letters` is always there.
        where: For messages: which template of which suite.

    Raises:
        UsageError: It is no template, or names something that is not there.
    """
    try:
        return written(_compiled(template).generate({"letters": LETTERS, **values}))
    except _WRONG as error:
        raise UsageError(f"{where}: the template cannot be filled in{_why(error)}.") from None


def worked_out(expression: str, values: Mapping[str, Any], where: str) -> Any:
    """Work out a Jinja expression; return its value as it is, not as text.

    Args:
        expression: `question_stem`, `choices.label.index(answerKey)`.
        values: What it may name.
        where: For messages.

    Raises:
        UsageError: It is no expression, or names something that is not there.
    """
    try:
        found = _formula(expression)(**values)
    except _WRONG as error:
        raise UsageError(f"{where}: {expression} cannot be worked out{_why(error)}.") from None
    if isinstance(found, jinja2.Undefined):
        raise UsageError(f"{where}: there is no {expression}.")
    return found
