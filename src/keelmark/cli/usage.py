"""`keelmark usage`: what was used, by whom, and what it cost."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from keelmark import app
from keelmark.app.quota import money
from keelmark.cli._common import json_option, print_json, say, store_option
from keelmark.cli._tables import table
from keelmark.core.metering import UNIT
from keelmark.store.usage import UsageRow, sum_usage

_GROUPS = ("key", "user", "team", "model", "engine", "day")
_FIELDS = ("calls", "input", "output", "cached", "money", "currency", "unpriced", "estimated")
_EVER = datetime(9999, 12, 31, tzinfo=UTC)


@click.command()
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(_GROUPS),
    help="Group by this; may be repeated [default: model].",
)
@click.option("--since", type=click.DateTime(), help="From this day or time on (UTC).")
@click.option("--until", type=click.DateTime(), help="Before this day or time (UTC).")
@click.option("--key", help="Only of this API key (its id).")
@click.option("--user", help="Only of this user (the real name).")
@click.option("--team", help="Only of keys of this team.")
@click.option("--model", help="Only of this model, as clients ask for it.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV to stdout.")
@store_option
@json_option
def command(
    by: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    data: Path | None,
    *,
    as_csv: bool,
    as_json: bool,
    **only: str | None,
) -> None:
    """Show what was used: calls at engines, tokens, money.

    There is usage from the day on that the policy has a `quota` section. Money is exact, of the
    calls whose price was known; UNPRICED says of how many it was not. ESTIMATED are calls whose
    engine did not say how many tokens it used. Users are shown by their pseudonyms.

    \b
    Examples:
      keelmark usage --by team --by day --since 2026-11-01
      keelmark usage --by key --model gpt-4o-mini --csv
    """
    groups = by or ("model",)
    begin = 0.0 if since is None else since.replace(tzinfo=UTC).timestamp()
    end = (_EVER if until is None else until.replace(tzinfo=UTC)).timestamp()
    with app.Home.open(data) as home:
        filters = {name: value for name, value in only.items() if value is not None}
        if "user" in filters:
            filters["user"] = home.store.pseudonym(filters["user"])
        rows = home.store.read(lambda db: sum_usage(db, groups, begin, end, filters))
    if as_json:
        print_json([_shown(groups, row) for row in rows])
    elif as_csv:
        click.echo(_csv(groups, rows), nl=False)
    elif rows:
        heads = [*(name.upper() for name in groups), *(name.upper() for name in _FIELDS)]
        cells = [[_cell(value) for value in _shown(groups, row).values()] for row in rows]
        numbers = range(len(groups), len(heads))
        click.echo(table(heads, cells, right=[n for n in numbers if heads[n] != "CURRENCY"]))
    else:
        say("There is no usage of that: it is counted while the policy has a `quota` section.")


def _shown(groups: tuple[str, ...], row: UsageRow) -> dict[str, Any]:
    """A row as JSON; money as text, so that no digit is lost, and none where none is known."""
    known = row.unpriced < row.calls
    amounts = row._asdict() | {"money": money(Decimal(row.money) / UNIT) if known else None}
    return dict(zip(groups, row.group, strict=True)) | {name: amounts[name] for name in _FIELDS}


def _cell(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _csv(groups: tuple[str, ...], rows: list[UsageRow]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*groups, *_FIELDS])
    for row in rows:
        shown = _shown(groups, row).values()
        writer.writerow(["unknown" if value is None else value for value in shown])
    return out.getvalue()
