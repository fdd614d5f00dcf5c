"""Usage of models: one row for each call at an engine, and what is spent of budgets.

Both are written in the transaction of the request's trace and ledger record, whose body has the
same numbers; so the sum of the ledger, the sum of the usage and, from the day on that an account
has a budget, its spending are equal, always.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.events import USAGE_LOST
from keelmark.core.metering import Amounts, Hold, Usage
from keelmark.store.ledger import Transaction
from keelmark.store.port import Db

_OF_LOST = ("trace_id", "key_id", "subject", "team", "model", "engine")
_LATE = "+"  # ends the id of a usage whose hold was given up for lost before it became known


def write_usage(
    transaction: Transaction, seq: int, subject: str, usage: Sequence[Usage]
) -> dict[str, Any] | None:
    """Write the usage of a request, and count it on its accounts.

    Args:
        transaction: The transaction of the request.
        seq: Ledger index of the request's record.
        subject: Its pseudonym.
        usage: What was used.

    Returns:
        What the ledger record says of it; None when nothing was metered.
    """
    written = [_known(transaction, one) for one in usage]
    for one in written:
        _write(transaction, seq, subject, one)
    return _told(written) if written else None


def _told(usage: Sequence[Usage]) -> dict[str, Any]:
    """What the ledger says of usage that is written beside it."""
    total = Amounts()
    for one in usage:
        total = total.plus(one.amounts)
    return {
        **total._asdict(),
        "currency": usage[0].currency,
        "cached": sum(one.cached for one in usage),
        "priced": all(one.priced for one in usage),
        "how": [one.how for one in usage],
    }


def _known(transaction: Transaction, one: Usage) -> Usage:
    """The usage, or what it differs by from what was written when its hold was given up."""
    query = "SELECT money, input, output FROM usage WHERE id = ?"
    row = transaction.reading.execute(query, (one.id,)).fetchone()
    if row is None:
        return one
    amounts = one.amounts.minus(Amounts(*row))
    return msgspec.structs.replace(one, id=one.id + _LATE, amounts=amounts, how="corrected")


def _write(transaction: Transaction, seq: int, subject: str, one: Usage) -> None:
    amounts = one.amounts
    transaction.add(
        "usage",
        (
            *(one.id, seq, one.trace_id, one.admitted, _day(one.admitted), one.key_id, subject),
            *(one.team, one.model, one.engine, *amounts, one.cached, int(one.priced)),
            *(one.currency, one.how),
        ),
    )
    lost = amounts.money if one.how == "lost" else 0
    for account in one.accounts:
        transaction.add("spent", (account, *amounts, 1, lost))


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def write_lost(transaction: Transaction, holds: Iterable[Hold], owner: str) -> int:
    """Charge holds whose process has ended with all that was held; return how many there were.

    What a call really used nobody knows: the engine may have done all of its work. The whole hold
    is charged, so that no budget is exceeded; the ledger says so. One whose usage is recorded is
    left as it is.

    Args:
        transaction: A transaction.
        holds: The holds.
        owner: Who held them.
    """
    count = 0
    query = "SELECT 1 FROM usage WHERE id = ?"
    for hold in holds:
        if transaction.db.execute(query, (hold.id,)).fetchone() is not None:
            continue
        one = msgspec.convert(
            {
                **hold.about,
                "id": hold.id,
                "admitted": hold.admitted,
                "amounts": hold.amounts,
                "how": "lost",
                "accounts": [account for account, _ in hold.accounts],
            },
            Usage,
        )
        body = {name: getattr(one, name) for name in _OF_LOST}
        told = {**body, "hold": hold.id, "owner": owner, "usage": _told([one])}
        _write(transaction, transaction.append(USAGE_LOST, told), one.subject, one)
        count += 1
    return count


class UsageRow(NamedTuple):
    """What was used by one key, subject, team, model, engine or day, or by a combination.

    Attributes:
        group: The values that it is grouped by.
        currency: Of the money.
        calls: Calls at engines.
        input: Tokens read.
        output: Tokens written.
        cached: Tokens read that the engine had kept.
        money: Billionths of the currency, of the calls whose price was known.
        unpriced: Calls whose price nobody knew.
        estimated: Calls whose tokens were counted by us, or lost.
    """

    group: tuple[str, ...]
    currency: str
    calls: int
    input: int
    output: int
    cached: int
    money: int
    unpriced: int
    estimated: int


GROUPS: Mapping[str, str] = {
    "key": "key_id",
    "user": "subject",
    "team": "team",
    "model": "model",
    "engine": "engine",
}
"""What usage can be grouped by in the database, and its column."""
_DAY = "day"


def sum_usage(
    db: Db,
    by: Sequence[str],
    since: float,
    until: float,
    filters: Mapping[str, str],
) -> list[UsageRow]:
    """Return sums of the usage, in the order of the groups.

    Args:
        db: Any connection.
        by: Names of `GROUPS`, and `day` (UTC); nothing for one sum of everything.
        since: From this Unix time on, seconds.
        until: Before this Unix time, seconds.
        filters: Name of `GROUPS` to the value that it must have.

    Raises:
        UsageError: There is no such group.
    """
    for name in (*by, *filters):
        if name not in GROUPS and not (name == _DAY and name in by):
            raise UsageError(f"Usage cannot be grouped by {name!r}; choose from {list(GROUPS)}.")
    columns = [_DAY if name == _DAY else GROUPS[name] for name in by]
    where = "".join(f" AND {GROUPS[name]} = ?" for name in filters)
    groups = "".join(f"{column}, " for column in columns)
    query = (
        f"SELECT {groups}currency, count(*), sum(input), sum(output), sum(cached), sum(money),"  # noqa: S608 (our columns)
        " count(*) - sum(priced), sum(CASE WHEN how IN ('counted', 'lost') THEN 1 ELSE 0 END)"
        f" FROM usage WHERE admitted >= ? AND admitted < ?{where}"
        f" GROUP BY {groups}currency ORDER BY {groups}currency"
    )
    rows = db.execute(query, (since, until, *filters.values()))
    size = len(by)
    return [UsageRow(tuple(map(str, row[:size])), *map(_plain, row[size:])) for row in rows]


def _plain(value: Any) -> Any:
    """Sums are decimals in one of the databases."""
    return value if isinstance(value, str) else int(value)


class Spent(NamedTuple):
    """What is spent of one account.

    Attributes:
        amounts: What is used.
        calls: How often something was counted on it.
        lost: Money of `amounts` of holds that were lost.
    """

    amounts: Amounts
    calls: int
    lost: int


def read_spent(db: Db, accounts: Sequence[str]) -> dict[str, Amounts]:
    """Return what is spent of accounts; those of which nothing is are left out."""
    if not accounts:
        return {}
    marks = ",".join("?" * len(accounts))
    query = f"SELECT account, money, input, output FROM spent WHERE account IN ({marks})"  # noqa: S608 (marks)
    return {row[0]: Amounts(*row[1:]) for row in db.execute(query, tuple(accounts))}


def list_spent(db: Db) -> dict[str, Spent]:
    """Return what is spent of all accounts."""
    query = "SELECT account, money, input, output, calls, lost FROM spent ORDER BY account"
    return {row[0]: Spent(Amounts(*row[1:4]), row[4], row[5]) for row in db.execute(query)}
