"""`keelmark keys`: who may call the service."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from keelmark import app
from keelmark.cli._common import json_option, print_json, say, store_option
from keelmark.core.keys import ApiKey, Scope


@click.group()
def command() -> None:
    """Create, list and revoke the keys that clients use."""


@command.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["models", "admin"]),
    help="What it may do; repeat for several [default: models].",
)
@click.option(
    "--days",
    type=click.FloatRange(0, 36500, min_open=True),
    help="Expires after so long.",
)
@click.option("--team", default="", help="Who uses it, for rules that are for some teams only.")
@store_option
@json_option
def create(
    name: str,
    scopes: tuple[Scope, ...],
    days: float | None,
    team: str,
    data: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make a key and show it once; only its hash is kept.

    \b
    Examples:
      keelmark keys create billing-bot --team billing --days 90
      keelmark keys create ops --scope models --scope admin
    """
    expires = time.time() + days * 86400 if days else None
    with app.Home.open(data) as home:
        secret, key = app.create_key(home, name, scopes or ("models",), expires, team)
    if as_json:
        print_json({"key": secret, **_row(key)})
    else:
        say(f"{key.id} for {name}: this is shown once, keep it now.")
        click.echo(secret)


@command.command("list")
@click.option("--team", help="Only the keys of this team.")
@store_option
@json_option
def list_(team: str | None, data: Path | None, *, as_json: bool) -> None:
    """List the keys; never the secrets, which are not kept."""
    with app.Home.open(data) as home:
        keys = home.store.keys()
    rows = [_row(key) for key in keys if team is None or key.team == team]
    if as_json:
        print_json(rows)
        return
    if keys and not rows:
        known = ", ".join(sorted({key.team for key in keys} - {""})) or "none"
        say(f"There is no key of team {team!r}; there are: {known}.")
    if not keys:
        say("There are no keys yet: make one with `keelmark keys create NAME`.")
    wide = max((len(row["team"]) for row in rows), default=0)
    for row in rows:
        until = row["expires"] or "never"
        scopes = ",".join(row["scopes"])
        of = f"{row['team'] or '-':<{wide}}"
        click.echo(f"{row['id']}  {row['state']:<8} {scopes:<13} {until:<20} {of} {row['name']}")


@command.command()
@click.argument("key_id")
@store_option
def revoke(key_id: str, data: Path | None) -> None:
    """Revoke a key by its id; a running service notices within seconds.

    \b
    Example:
      keelmark keys revoke key_8sK2mQ4rT0aB
    """
    with app.Home.open(data) as home:
        key = home.store.revoke_key(key_id)
    say(f"{key.id} ({key.name}) is revoked.")


def _row(key: ApiKey) -> dict[str, Any]:
    if key.revoked:
        state = "revoked"
    elif key.expires and key.expires <= time.time():
        state = "expired"
    else:
        state = "active"
    return {
        "id": key.id,
        "name": key.name,
        "team": key.team,
        "scopes": list(key.scopes),
        "state": state,
        "created": _time(key.created),
        "expires": _time(key.expires),
    }


def _time(moment: float | None) -> str | None:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else None
