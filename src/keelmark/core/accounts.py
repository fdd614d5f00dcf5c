"""Which limits and budgets are for a call, and the accounts it is counted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from keelmark.core.metering import UNIT, Ceiling, Rate
from keelmark.core.quota import Budget, Quota, RateLimit, per_second
from keelmark.core.scope import EVERYWHERE, Origin
from keelmark.core.windows import window_at

_encode = msgspec.json.Encoder().encode


class Account(NamedTuple):
    """An account of a budget.

    Attributes:
        budget: Id of the budget.
        begin: Begin of its window, Unix time in whole seconds.
        names: Whose it is: key, user (a pseudonym), team, model; as far as the budget is `per`.
    """

    budget: str
    begin: int
    names: dict[str, str]

    def __str__(self) -> str:
        """The account as it is stored."""
        return _encode(self).decode()

    @classmethod
    def read(cls, text: str) -> Account:
        """Return a stored account."""
        return msgspec.json.decode(text, type=cls)


class Drawn(NamedTuple):
    """An account that a call draws on.

    Attributes:
        account: As it is stored.
        ceiling: What may be used of it.
        budget: Its budget.
        end: End of its window, Unix time.
    """

    account: str
    ceiling: Ceiling
    budget: Budget
    end: int


class Covers:
    """The limits and budgets of a section, ready to be looked up.

    Args:
        quota: The section.
        pseudonym: Returns the name under which a subject is stored.
    """

    def __init__(self, quota: Quota, pseudonym: Callable[[str], str]) -> None:
        self._pseudonym = pseudonym
        self._limits = [(one, _rates(one)) for one in quota.limits]
        self._budgets = [(one, ceiling_of(one)) for one in quota.budgets]

    def rates(self, origin: Origin, subject: str, tokens: int) -> list[Rate]:
        """Return the limits that a call must pass.

        Args:
            origin: Whose call it is.
            subject: Whom it is for.
            tokens: How many tokens it is thought to have.
        """
        found: list[Rate] = []
        for limit, rates in self._limits:
            names = self._names(limit, origin, subject)
            if names is None:
                continue
            whose = "\x1f".join(names.values())
            for rate in rates:
                cost = tokens if rate.unit == "tokens" else 1
                found.append(rate._replace(key=f"{rate.key}\x1f{whose}", cost=cost))
        return found

    def drawn(self, origin: Origin, subject: str, moment: float) -> list[Drawn]:
        """Return the accounts that a call draws on.

        Args:
            origin: Whose call it is.
            subject: Whom it is for.
            moment: When it was admitted, Unix time, seconds.
        """
        found: list[Drawn] = []
        for budget, ceiling in self._budgets:
            names = self._names(budget, origin, subject)
            if names is not None:
                begin, end = window_at(budget.window, budget.zone, moment)
                account = str(Account(budget.id, begin, names))
                found.append(Drawn(account, ceiling, budget, end))
        return found

    def _names(
        self, one: RateLimit | Budget, origin: Origin, subject: str
    ) -> dict[str, str] | None:
        """Whose it is; None when it is not for the call."""
        if one.scope is not EVERYWHERE and not one.scope.covers(origin, unknown=True):
            return None
        names: dict[str, str] = {}
        for per in one.per:
            if per == "team" and not origin.team:
                return None  # a key of no team is in none
            names[per] = self._pseudonym(subject) if per == "user" else _NAME[per](origin)
        return names


_NAME: Mapping[str, Callable[[Origin], str]] = {
    "key": lambda origin: origin.key,
    "team": lambda origin: origin.team,
    "model": lambda origin: origin.model,
}


def _rates(limit: RateLimit) -> list[Rate]:
    found: list[Rate] = []
    if limit.requests:
        most, seconds = per_second(limit.requests)
        key = f"{limit.id}/requests"
        found.append(Rate(key, "requests", 1, most, seconds, limit.burst or most))
    if limit.tokens:
        most, seconds = per_second(limit.tokens)
        key = f"{limit.id}/tokens"
        found.append(Rate(key, "tokens", 1, most, seconds, limit.token_burst or most))
    if limit.concurrent:
        most = limit.concurrent
        found.append(Rate(f"{limit.id}/concurrent", "concurrent", 1, most, 0.0, most))
    return found


def ceiling_of(budget: Budget) -> Ceiling:
    """Return what may be used of a budget."""
    money = None if budget.money is None else int(budget.money * UNIT)
    return Ceiling(money, budget.input_tokens, budget.output_tokens, budget.tokens)
