"""The outcome algebra of the guard."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What became of one rule, or of a whole text.

    `failed`, `skipped` and `timeout` mean that the text was not (fully) examined: they are never
    "allow". Whether they stop the text is the fail mode of the rule.
    """

    ALLOW = "allow"
    FLAG = "flag"
    REDACT = "redact"
    BLOCK = "block"
    SKIPPED = "skipped"
    TIMEOUT = "timeout"
    FAILED = "failed"

    @property
    def examined(self) -> bool:
        """Whether the text was really looked at."""
        return self in _EXAMINED


OF_ACTION = {
    "flag": Outcome.FLAG,
    "annotate": Outcome.FLAG,
    "mask": Outcome.REDACT,
    "redact": Outcome.REDACT,
    "block": Outcome.BLOCK,
}
"""Action of a rule to its outcome when something is found."""

_EXAMINED = frozenset({Outcome.ALLOW, Outcome.FLAG, Outcome.REDACT, Outcome.BLOCK})

# A text carries the gravest outcome of its rules. Skipped stands above redact, because a reader
# must see that something was not examined; only a block says more.
_GRAVITY = {
    Outcome.ALLOW: 0,
    Outcome.FLAG: 1,
    Outcome.REDACT: 2,
    Outcome.SKIPPED: 3,
    Outcome.TIMEOUT: 4,
    Outcome.FAILED: 5,
    Outcome.BLOCK: 6,
}


def gravest(*outcomes: Outcome) -> Outcome:
    """Return the gravest of the outcomes, or allow when there are none."""
    return max(outcomes, key=_GRAVITY.__getitem__, default=Outcome.ALLOW)
