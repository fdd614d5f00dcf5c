"""What is counted of a call: rates that it must pass, amounts that are held for it, its usage."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

UNIT = 10**9
"""Money is counted in whole billionths of the currency: no sum of it is ever rounded."""

How = Literal["engine", "counted", "cache", "hedge", "refused", "lost", "corrected"]


class Rate(NamedTuple):
    """One limit that a call must pass.

    Attributes:
        key: Who it is counted for: the limit and the names that it is `per`.
        unit: What is counted.
        cost: How much of it the call asks for; 1 unless it is tokens.
        most: How much there is in `seconds`, or at once where `seconds` is 0.
        seconds: The time; 0 for what is at work at once.
        burst: How much may be asked for at once.
    """

    key: str
    unit: Literal["requests", "tokens", "concurrent"]
    cost: int
    most: int
    seconds: float
    burst: int


class Level(NamedTuple):
    """How full a limit is after a call, or would be.

    Attributes:
        wait: Seconds until the call would pass; 0 if it does.
        left: How much may still be asked for at once.
        reset: Seconds until nothing of it is used.
    """

    wait: float
    left: int
    reset: float


class Amounts(NamedTuple):
    """How much of everything that a budget can limit.

    Attributes:
        money: Billionths of the currency.
        input: Tokens read.
        output: Tokens written.
    """

    money: int = 0
    input: int = 0
    output: int = 0

    def plus(self, other: Amounts) -> Amounts:
        """Return the sum."""
        return Amounts(
            self.money + other.money, self.input + other.input, self.output + other.output
        )

    def minus(self, other: Amounts) -> Amounts:
        """Return the difference."""
        return Amounts(
            self.money - other.money, self.input - other.input, self.output - other.output
        )


NOTHING = Amounts()


class Ceiling(NamedTuple):
    """The most of everything; None where there is none.

    Attributes:
        money: Billionths of the currency.
        input: Tokens read.
        output: Tokens written.
        tokens: Tokens read and written.
    """

    money: int | None = None
    input: int | None = None
    output: int | None = None
    tokens: int | None = None

    def left(self, used: Amounts) -> Ceiling:
        """Return what is left after a use; below 0 when it is more."""
        return Ceiling(
            None if self.money is None else self.money - used.money,
            None if self.input is None else self.input - used.input,
            None if self.output is None else self.output - used.output,
            None if self.tokens is None else self.tokens - used.input - used.output,
        )

    @property
    def passed(self) -> str:
        """Name of the first that is below 0, or ""."""
        below = (n for n, v in zip(self._fields, self, strict=True) if v is not None and v < 0)
        return next(below, "")


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept free for a call that is at work.

    Attributes:
        id: Of its usage, later; unique.
        admitted: Unix time, seconds; it decides in which window the usage counts.
        amounts: The most it can use.
        accounts: The accounts that it is taken from, each with what may be used of it. An account
            is a budget, the names that it is `per`, and the begin of a window.
        about: Whose call it is and what answers it, for the record of a hold that is lost: fields
            of a usage.
    """

    id: str
    admitted: float
    amounts: Amounts
    accounts: tuple[tuple[str, Ceiling], ...]
    about: dict[str, str | bool]


class Short(NamedTuple):
    """Why nothing could be held.

    Attributes:
        account: The account that has too little.
        what: money, input, output or tokens.
        used: What was used of it.
        held: What is held of it for other calls.
        ceiling: What may be used of it.
        waits: Whether it would be enough if nothing were held.
    """

    account: str
    what: str
    used: Amounts
    held: Amounts
    ceiling: Ceiling
    waits: bool


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one call at one engine has used; one row of the table, never changed.

    Attributes:
        id: Unique; that of its hold, if there was one.
        trace_id: Of the request.
        admitted: Unix time, seconds.
        key_id: Id of the key.
        subject: Whom it was for; stored as a pseudonym.
        team: Team of the key, or "".
        model: Name asked for.
        engine: Engine id.
        amounts: Money and tokens.
        cached: Tokens read, of `amounts.input`, that the engine had kept.
        priced: Whether the price was known; where it was not, the money is 0 and means nothing.
        currency: Of the money.
        how: engine, it said so; counted, from what was passed on; cache, answered without an
            engine; hedge, another engine was faster; refused, the engine did not answer; lost,
            nobody knows: all that was held; corrected, by what is known in the end.
        accounts: Accounts that it is counted on.
    """

    id: str
    trace_id: str
    admitted: float
    key_id: str
    subject: str
    team: str
    model: str
    engine: str
    amounts: Amounts
    cached: int = 0
    priced: bool = True
    currency: str = ""
    how: How = "engine"
    accounts: tuple[str, ...] = ()
