"""`keelmark budgets`: what is used, held and left of budgets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click

from keelmark import app
from keelmark.app.quota import Balance, balances_of, money, of_unit, shown
from keelmark.cli._common import json_option, policy_option, print_json, say, store_option
from keelmark.cli._tables import table
from keelmark.core.metering import UNIT
from keelmark.core.windows import NEVER


@click.command()
@click.option("--budget", help="Only this budget.")
@store_option
@policy_option
@json_option
def command(budget: str | None, data: Path | None, policy: Path | None, *, as_json: bool) -> None:
    """Show how the policy's budgets stand in their windows of now, and when they begin anew.

    It reads the store; the service may run or not. Users are shown by their pseudonyms.

    \b
    Examples:
      keelmark budgets --policy policy.yaml
      keelmark budgets --budget team-month --json
    """
    with app.Home.open(data, policy) as home:
        quota = home.policy.quota
        found = [one for one in balances_of(home.store, quota) if budget in (None, one.budget.id)]
    if as_json:
        print_json([shown(one) for one in found])
        return
    if not found:
        say(
            "Nothing is used of any budget yet."
            if quota.budgets
            else "The policy has no budgets: see quota.budgets in the reference of policies."
        )
        return
    rows = [line for one in found for line in _lines(one, quota.currency)]
    heads = ("BUDGET", "WHOSE", "OF", "USED", "HELD", "LEFT", "LIMIT", "BEGINS ANEW")
    click.echo(table(heads, rows, right=(3, 4, 5, 6)))
    if lost := sum(one.lost for one in found):
        amount = f"{money(Decimal(lost) / UNIT)} {quota.currency}"
        say(f"Of this {amount} was charged for requests whose process ended, or whose client left.")


def _lines(one: Balance, currency: str) -> list[tuple[str, ...]]:
    whose = ", ".join(f"{name} {value}" for name, value in one.account.names.items()) or "all"
    moment = datetime.fromtimestamp(min(one.end, NEVER - 1), UTC)
    again = "never" if one.end == NEVER else f"{moment:%Y-%m-%d %H:%M} UTC"
    lines = []
    for unit, ceiling in one.ceilings.items():
        used, held = of_unit(one.used, unit), of_unit(one.held, unit)
        amounts = (used, held, ceiling - used - held, ceiling)
        of = currency if unit == "money" else _TOKENS[unit]
        plain = money if unit == "money" else _whole
        lines.append((one.budget.id, whose, of, *map(plain, amounts), again))
    return lines


_TOKENS = {"input": "tokens read", "output": "tokens written", "tokens": "tokens"}


def _whole(amount: Decimal) -> str:
    return f"{amount:,.0f}"
