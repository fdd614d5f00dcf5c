"""Requests as a program has them: a text, messages, or the body of a whole request."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from keelmark.core.aside import HERE
from keelmark.core.errors import UsageError
from keelmark.core.verdict import Verdict

T = TypeVar("T")


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard makes of a request.

    Attributes:
        request: What to give to the model: as it was given, with values masked; None where the
            verdict stops it.
        verdict: The verdict, with findings and one result per rule.
    """

    request: Any
    verdict: Verdict


def body_of(request: str | Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as a body of its own, in OpenAI's form.

    Raises:
        UsageError: It is none.
    """
    if isinstance(request, str):
        request = [{"role": "user", "content": request}]
    given = request if isinstance(request, Mapping) else {"messages": request}
    try:
        body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(given))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"This request is no JSON ({error}); give text, messages, or a body of plain values."
        ) from None
    messages = body.get("messages", [])
    for number, message in enumerate(messages if isinstance(messages, list) else [None]):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise UsageError(
                f"Message {number} of the request has no role; write "
                '{"role": "user", "content": "..."}.'
            )
    return body


def like(request: str | Sequence[Mapping[str, Any]] | Mapping[str, Any], body: Any) -> Any:
    """Return what a body holds in the form in which the request was given."""
    if isinstance(request, str):
        return body["messages"][0]["content"]
    return body if isinstance(request, Mapping) else body["messages"]


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run what gives way to others (and waits for nothing) to its end, with or without a loop."""
    token = HERE.set(True)
    try:
        while True:
            work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        HERE.reset(token)
