"""What a client is told of limits: headers as OpenAI's clients read them, and the refusal."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from keelmark.core import semconv
from keelmark.core.metering import Level, Rate
from keelmark.core.trace import Trace
from keelmark.serve.errors import ApiError
from keelmark.serve.http import Headers

_SHOWN = ("requests", "tokens")


def rate_headers(rates: Sequence[Rate], levels: Sequence[Level]) -> Headers:
    """Return what OpenAI's clients read: of each unit the limit of which the least is left."""
    headers: Headers = []
    for unit in _SHOWN:
        pairs = [(rate, one) for rate, one in zip(rates, levels, strict=True) if rate.unit == unit]
        if not pairs:
            continue
        rate, one = min(pairs, key=lambda pair: (-pair[1].wait, pair[1].left / pair[0].most))
        name = unit.encode()
        headers += (
            (b"x-ratelimit-limit-" + name, str(rate.most).encode()),
            (b"x-ratelimit-remaining-" + name, str(one.left).encode()),
            (b"x-ratelimit-reset-" + name, duration(one.reset).encode()),
        )
    return headers


def duration(seconds: float) -> str:
    """Return a duration as OpenAI writes it: `6m0s`, `1.5s`, `20ms`."""
    if seconds < 1:
        return f"{ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{ceil(seconds * 1000) / 1000:g}s"
    whole = ceil(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return (f"{hours}h" if hours else "") + f"{minutes}m{whole % 60}s"


def let_pass(
    trace: Trace, rates: Sequence[Rate], levels: Sequence[Level], headers: Headers
) -> None:
    """Refuse a call that has not passed its limits.

    Raises:
        ApiError: 429.
    """
    rate, longest = max(zip(rates, levels, strict=True), key=lambda pair: pair[1].wait)
    if not longest.wait:
        return
    limit, _, unit = rate.key.partition("\x1f")[0].rpartition("/")
    trace.attributes[semconv.QUOTA] = limit
    what = "requests at work" if unit == "concurrent" else unit
    wait = max(ceil(longest.wait), 1)
    error = ApiError(
        429,
        "rate_limit_exceeded",
        f"The limit `{limit}` on {what} is reached: try again in {wait} s.",
        retry_after=wait,
    )
    error.headers = headers
    raise error
