"""What an engine's refusal becomes for the client."""

from __future__ import annotations

from typing import Any

import msgspec

from keelmark.core.ports import UpstreamResponse
from keelmark.serve.calls import Call
from keelmark.serve.errors import ApiError

_PASSED_ON = frozenset({400, 413, 422, 429, 501})
_LONGEST = 500


def refused_by_engine(response: UpstreamResponse, body: bytes, call: Call) -> ApiError:
    """Return the error to answer when an engine did not answer 200.

    Refusals that the client can mend keep their status and the engine's sentence, which passes
    the guard because engines quote prompts. Everything else is a 502: a 401 of the engine is our
    configuration, not the client's key.
    """
    status = response.status
    if status not in _PASSED_ON:
        return ApiError(
            502, "engine_error", f"The engine failed with status {status}: try again later."
        )
    said = _message(body)
    if call.guard is not None and said:
        stream = call.guard.channel("error")
        said = stream.feed(said[:_LONGEST]) + stream.finish()
    wait = response.headers.get("retry-after", "")
    return ApiError(
        status,
        "engine_refused",
        f"The engine refused: {said}" if said else "The engine refused this request.",
        retry_after=int(wait) if wait.isdigit() and len(wait) < 6 else None,
    )


def _message(body: bytes) -> str:
    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""
