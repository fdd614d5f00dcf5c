"""The line with a canary that the guard puts at the end of a system prompt, and takes out again.

A canary is made for one request and dies with it. The line says nothing that a model would act
on, so it does not change answers; who sees it in one has seen the system prompt.
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # 5 bits each; none that looks like another
_SAYS = "Reference of these instructions: "
_LINE = re.compile(rf"(?:\n\n)?{_SAYS}\w{{4}}(?:-\w{{4}}){{4}}\Z")
_WRITTEN = re.compile(rb"(?:\\n\\n)?" + _SAYS.encode() + rb"\w{4}(?:-\w{4}){4}")


class Canary(NamedTuple):
    """A canary, and the system prompt with it."""

    token: str
    prompt: str


def with_canary(prompt: str) -> Canary:
    """Make a canary of 100 random bits and put it at the end of a system prompt.

    One of an earlier asking is taken out.
    """
    letters = "".join(secrets.choice(_LETTERS) for _ in range(20))
    token = "-".join(letters[at : at + 4] for at in range(0, 20, 4))
    return Canary(token, f"{_LINE.sub('', prompt)}\n\n{_SAYS}{token}")


def without_canary(body: bytes) -> bytes:
    """Return a JSON body without the lines with canaries in it."""
    return _WRITTEN.sub(b"", body) if _SAYS.encode() in body else body
