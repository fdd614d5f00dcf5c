"""Licence names as SPDX expressions."""

from __future__ import annotations

import re
from functools import lru_cache

from license_expression import ExpressionError, get_spdx_licensing

_LONGEST = 200
_WORDS = re.compile(r"[A-Za-z0-9.+():\- ]+\Z")


def as_expression(said: str) -> str:
    """Return a valid SPDX expression for what somebody wrote; "" when it is none.

    Case is mended (`apache-2.0` is `Apache-2.0`); names that SPDX does not list are no expression.

    Args:
        said: Identifier or expression.
    """
    if len(said) > _LONGEST or not _WORDS.match(said):
        return ""
    return _expression(said)


@lru_cache(256)
def _expression(said: str) -> str:
    licensing = get_spdx_licensing()
    try:
        parsed = licensing.parse(said, validate=True, strict=True)
    except (ExpressionError, ValueError, TypeError, KeyError, AttributeError):
        return ""
    if parsed is None:
        return ""
    symbols = licensing.license_symbols(parsed, unique=True, decompose=True)
    if any("LicenseRef-" in symbol.key for symbol in symbols):
        return ""
    return str(parsed)
