"""Everything a model may read in a request (`core.segments`), with the errors of the gateway."""

from __future__ import annotations

from typing import Any

from keelmark.core import segments
from keelmark.core.errors import UsageError
from keelmark.core.policy import Limits
from keelmark.core.segments import MOST_VALUES, Reading, write_back
from keelmark.serve.errors import bad_request

__all__ = ["MOST_VALUES", "Reading", "read_segments", "write_back"]


def read_segments(body: dict[str, Any], limits: Limits) -> Reading:
    """Return every text in a request body (see `core.segments.read_segments`).

    Raises:
        ApiError: 400, nested too deeply or too many values.
    """
    try:
        return segments.read_segments(body, limits)
    except UsageError as error:
        raise bad_request(error.message) from None
