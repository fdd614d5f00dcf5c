"""Excuses: why a rule does not count what it found, such as an exception of the policy."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Protocol

from keelmark.core.scope import RuleException
from keelmark.guard.normalise import fold
from keelmark.guard.spoken import Around

_LONGEST = 1024  # of a value that is compared; no exception is for a longer one
_PURPOSE = b"keelmark exception 1\n"


def value_hash(value: str, key: bytes) -> str:
    """Return the keyed hash by which an exception names a value.

    Args:
        value: The value; case, accents, look-alike letters and white space make no difference.
        key: The secret of the installation.
    """
    digest = hmac.digest(key, _PURPOSE + _plain(value).encode("utf-8", "surrogatepass"), "sha256")
    return f"hmac-sha256:{digest.hex()}"


def _plain(value: str) -> str:
    return "".join(fold(value).lower().split())


class Excuse(Protocol):
    """Something because of which a rule does not count what it found.

    Attributes:
        told: What the verdict says when it covers something.
    """

    told: str

    def covers(self, label: str, text: str, start: int, end: int) -> bool:
        """Say whether something found in a text does not count."""


class ExceptionInForce:
    """One exception of the policy, ready to be asked.

    Attributes:
        told: What the verdict says when it covers something.
        languages: Languages that must be written around what it covers; none asks for none.

    Args:
        exception: What the policy says.
        key: Secret of the installation; without one, no keyed hash is ever met.
        clock: Unix time, seconds.
    """

    def __init__(
        self, exception: RuleException, key: bytes = b"", clock: Callable[[], float] = time.time
    ) -> None:
        self.told = f"exception {exception.id!r} applied"
        self._labels = frozenset(exception.labels)
        self._value = exception.value
        self._pattern = _plain(exception.pattern)
        self._key = key
        self.languages = frozenset(exception.scope.languages)
        self._until = exception.until
        self._clock = clock

    def covers(self, label: str, text: str, start: int, end: int) -> bool:
        """Say whether something found is excused today."""
        value = text[start:end]
        if self._labels and label not in self._labels:
            return False
        if self._value and not self._is_it(value):
            return False
        if self._pattern and not (
            len(value) <= _LONGEST and fnmatchcase(_plain(value), self._pattern)
        ):
            return False
        if self.languages and not Around(text).surely_is(self.languages, start, end):
            return False
        return self._clock() < self._until

    def _is_it(self, value: str) -> bool:
        if not self._key or len(value) > _LONGEST:
            return False
        return hmac.compare_digest(value_hash(value, self._key), self._value)


def first(excuses: Iterable[Excuse], label: str, text: str, start: int, end: int) -> str:
    """Return what the first excuse that covers something found in a text says; "" if none does."""
    return next((one.told for one in excuses if one.covers(label, text, start, end)), "")


class Values:
    """Values that a rule may find and does not count.

    Args:
        values: The values.
        told: What the verdict says when one is found.
    """

    def __init__(self, values: Iterable[str], told: str) -> None:
        self.told = told
        self._values = {one for value in values for one in (value, fold(value)) if len(one) > 1}

    def __bool__(self) -> bool:
        return bool(self._values)

    def covers(self, label: str, text: str, start: int, end: int) -> bool:  # noqa: ARG002
        """Say whether what was found is one of them, or most of one."""
        value = text[start:end]
        return value in self._values or any(
            value in one and 2 * len(value) > len(one) for one in self._values
        )
