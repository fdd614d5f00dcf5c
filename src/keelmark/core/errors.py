"""The error tree, branched by what the caller can do about it.

Every message is one sentence that says what is wrong and how to mend it. A blocked prompt is a
`Verdict`, not an exception.
"""

from __future__ import annotations


class KeelmarkError(Exception):
    """Base of everything Keelmark raises on purpose.

    Args:
        message: One sentence for the person who has to mend it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageError(KeelmarkError):
    """The input or the configuration is wrong; the caller can mend it and try again."""


class UnavailableError(KeelmarkError):
    """A part that is needed does not answer now.

    Args:
        message: One sentence for the person who has to mend it.
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class CouldNotCheckError(KeelmarkError):
    """Something could not be examined; this is never the same as clean."""


class IntegrityError(KeelmarkError):
    """A digest, a signature, a passport or the ledger does not verify."""


class LimitError(KeelmarkError):
    """A limit on size, time or number was exceeded."""


def sentence(said: str) -> str:
    """Return what somebody else's error says with an end to it."""
    return said if said.endswith(("?", "!", ".")) else f"{said}."
