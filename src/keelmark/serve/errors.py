"""Errors as OpenAI's clients know them: one sentence, a type, a parameter and a code."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

import msgspec

from keelmark.core.errors import (
    CouldNotCheckError,
    KeelmarkError,
    LimitError,
    UnavailableError,
    UsageError,
)

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    422: "answer_error",
    429: "rate_limit_error",
}


class ApiError(KeelmarkError):
    """An answer that is an error.

    Args:
        status: HTTP status, 400 to 599.
        code: Short machine-readable code (`invalid_api_key`, `content_filter`, ...).
        message: One sentence for the caller.
        param: Path of the field that is wrong (`messages[0].content`).
        retry_after: Seconds after which to try again.

    Attributes:
        engine_status: What the engine answered when it refused or failed, or 0.
        headers: More headers of the answer.
    """

    engine_status = 0
    headers: Sequence[tuple[bytes, bytes]] = ()

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after

    def saying(self, message: str, param: str | None) -> ApiError:
        """Return the same error in other words."""
        other = type(self)(
            self.status, self.code, message, param=param, retry_after=self.retry_after
        )
        other.headers = self.headers
        return other

    def body(self) -> bytes:
        """Return the error as JSON in OpenAI's shape."""
        fallback = "invalid_request_error" if self.status < 500 else "server_error"
        error = {
            "message": self.message,
            "type": _TYPES.get(self.status, fallback),
            "param": self.param,
            "code": self.code,
        }
        return msgspec.json.encode({"error": error})


class ClientGoneError(KeelmarkError):
    """The client closed the connection; nobody is left to answer."""

    def __init__(self) -> None:
        super().__init__("The client closed the connection before the answer was complete.")


def bad_request(message: str, param: str | None = None, code: str = "invalid_request") -> ApiError:
    """Return a 400 with one sentence about one field."""
    return ApiError(400, code, message, param=param)


def as_api_error(error: KeelmarkError) -> ApiError:
    """Return the answer to an error raised by another room."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, UsageError):
        return ApiError(400, "invalid_request", error.message)
    if isinstance(error, UnavailableError):
        return ApiError(503, "engine_unavailable", error.message, retry_after=1)
    if isinstance(error, LimitError):
        return ApiError(413, "too_large", error.message)
    if isinstance(error, CouldNotCheckError):
        return ApiError(500, "could_not_check", error.message)
    return ApiError(500, "internal_error", error.message)


def told(error: Exception) -> str:
    """Return what a log may say of an error: where it came from, and only sentences of ours.

    Other messages may quote what was said in a request.
    """
    sentence = error.message if isinstance(error, KeelmarkError) else type(error).__name__
    return f"{sentence}\n{''.join(traceback.format_tb(error.__traceback__))}"
