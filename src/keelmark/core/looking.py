"""Looking through what a model would read, before it is decided which model that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from keelmark.core.ports import Segment


class Looked(NamedTuple):
    """What a look has shown.

    Attributes:
        found: The names of what is there.
        unsure: The names of what could not be looked for everywhere: nobody knows, so it counts as
            found.
    """

    found: frozenset[str]
    unsure: frozenset[str]


class Looking(Protocol):
    """Looks for some things in requests."""

    async def look(self, segments: Sequence[Segment]) -> Looked:
        """Look through everything that a model would read; changes nothing."""

    def language(self, segments: Sequence[Segment]) -> str:
        """Return the language in which somebody speaks to the model (ISO 639-1); "" if unclear."""


@runtime_checkable
class Looks(Protocol):
    """A guard that can look for things without acting on them."""

    def looking(self, names: Sequence[str]) -> Looking:
        """Return who looks for things by their names.

        Args:
            names: Labels (EMAIL), detectors (secrets), their tags, or ids of the policy's rules.

        Raises:
            UsageError: Nothing is called so; the message says what was meant.
        """
