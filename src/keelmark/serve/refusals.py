"""What an engine's refusal becomes for the client.

Engines quote prompts, schemas and paths of their machine in their errors, so none of their text
leaves: refusals that are known get a sentence of ours, the rest a general one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec

from keelmark.serve.errors import ApiError

_WRONG_REQUEST = (400, 413, 422)
_OURS = (401, 403, 404)
_MOST_READ = 2000
_FIELD = re.compile(r"Field '(\w{1,64})'")


class _Kind(NamedTuple):
    """A refusal that engines are known to give; `{}` in the sentence is the limit they name."""

    sign: re.Pattern[str]
    limit: re.Pattern[str]
    code: str
    param: str
    sentence: str


_KINDS = (
    _Kind(
        re.compile(
            r"exceed_context_size_error|context_length_exceeded"
            r"|exceeds the available context size|maximum context length is",
            re.IGNORECASE,
        ),
        re.compile(r"context (?:size|length)\D{1,8}(\d{1,9})\b", re.IGNORECASE),
        "context_length_exceeded",
        "messages",
        "The prompt and its answer do not fit into the engine's context{}: shorten the messages, "
        "or ask for fewer tokens.",
    ),
    _Kind(
        re.compile(r"too large to process"),
        re.compile(r"batch size: (\d{1,9})\b"),
        "input_too_long",
        "input",
        "An input is longer than the engine reads at once{}: split it.",
    ),
    _Kind(
        re.compile(r"JSON schema error at|failed to parse grammar|Invalid grammar", re.IGNORECASE),
        re.compile(r"(?!)"),
        "invalid_schema",
        "",
        "The engine cannot follow the JSON schema of `tools` or `response_format`, or the grammar, "
        "of this request: use plain types, and references inside the schema only.",
    ),
    _Kind(
        re.compile(r"Unsupported tool type"),
        re.compile(r"(?!)"),
        "unsupported_parameter",
        "tools",
        "This engine takes tools of the type `function` only: leave the others out.",
    ),
)


def refused_by_engine(
    status: int, headers: Mapping[str, str], body: bytes, fields: Collection[str]
) -> ApiError:
    """Return the error to answer when an engine did not answer 200.

    What the client can mend is a 400. Everything else is a 502: a 401 of the engine is our
    configuration, not the client's key.

    Args:
        status: The engine's status.
        headers: The engine's headers, names in lower case.
        body: What it said.
        fields: Names of the fields of the request; an engine may point at one.
    """
    error = _refused(status, headers, body, fields)
    error.engine_status = status
    return error


def _refused(
    status: int, headers: Mapping[str, str], body: bytes, fields: Collection[str]
) -> ApiError:
    if status == 429:
        wait = headers.get("retry-after", "")
        return ApiError(
            429,
            "engine_refused",
            "The engine takes no more requests for now: try again later.",
            retry_after=int(wait) if wait.isdecimal() and len(wait) < 6 else None,
        )
    if status == 501:
        return ApiError(501, "engine_refused", "The engine does not know this kind of request.")
    failed = ApiError(502, "engine_error", f"The engine failed with status {status}: try again.")
    if status in _OURS:
        return failed
    error = _error(body)
    if status in _WRONG_REQUEST:
        return _known(error) or _wrong(error, fields)
    return _known(error) or failed


def failed_in_answer(error: Any) -> ApiError:
    """Return the error to answer when an engine said 200 and sent an error in its answer."""
    known = _known(error)
    if known is None and isinstance(error, dict) and error.get("code") in _WRONG_REQUEST:
        known = _wrong(error, ())
    return known or ApiError(502, "engine_error", "The engine failed while it answered: try again.")


def not_streamed(body: bytes) -> ApiError:
    """Return the error to answer when an engine said 200 and did not stream: it may say why."""
    said = _error(body)
    if isinstance(said, dict) and "choices" not in said:
        return failed_in_answer(said)
    return ApiError(502, "engine_protocol", "The engine answered without streaming.")


def _known(error: Any) -> ApiError | None:
    said = _said(error)
    for kind in _KINDS:
        if kind.sign.search(said):
            limit = kind.limit.search(said)
            sentence = kind.sentence.replace("{}", f" ({limit[1]} tokens)" if limit else "")
            return ApiError(400, kind.code, sentence, param=kind.param or None)
    return None


def _wrong(error: Any, fields: Collection[str]) -> ApiError:
    """A refusal of an unknown kind: at most the name of a field of the request leaves."""
    named = _FIELD.search(_said(error))
    given = error.get("param") if isinstance(error, dict) else None
    for name in (given, named and named[1]):
        if isinstance(name, str) and name in fields:
            sentence = f"The engine refused the field `{name}`: give it another value."
            return ApiError(400, "engine_refused", sentence, param=name)
    return ApiError(
        400,
        "engine_refused",
        "The engine refused this request: check its parameters against what the engine supports.",
    )


def _said(error: Any) -> str:
    """Kind and message in one text, cut."""
    if not isinstance(error, dict):
        return error[:_MOST_READ] if isinstance(error, str) else ""
    parts = (error.get("type"), error.get("code"), error.get("message"))
    return " ".join(part[:_MOST_READ] for part in parts if isinstance(part, str))


def _error(body: bytes) -> Any:
    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return answer.get("error", answer) if isinstance(answer, dict) else None
