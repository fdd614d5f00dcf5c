"""`keelmark models`: what is here and whether it may be served."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import (
    json_option,
    policy_option,
    print_json,
    progress,
    say,
    store_option,
)


@click.group()
def command() -> None:
    """List models and fetch them."""


@command.command("list")
@store_option
@policy_option
@json_option
def list_(data: Path | None, policy: Path | None, *, as_json: bool) -> None:
    """List the models that were admitted, and whether their passports hold today.

    The bytes are hashed again, so this tells what would happen at the next start.
    """
    with app.Home.open(data, policy) as home:
        rows = app.list_models(home, progress=progress("Reading"))
    if as_json:
        print_json(rows)
        return
    if not rows:
        say("No model was admitted yet: `keelmark up`, or `keelmark admit PATH`.")
    for row in rows:
        mark = "valid" if row["passport"]["valid"] else "NOT VALID"
        click.echo(f"{row['name']:<32} {row['digest'][:19]}  {mark:<9}  {row['path']}")
        if not row["passport"]["valid"]:
            click.echo(f"    {row['passport']['reason']}")


@command.command()
@click.argument("ref", default="default")
@store_option
def pull(ref: str, data: Path | None) -> None:
    """Fetch a model without serving it: `default`, or `hf:org/name[:file.gguf][@revision]`.

    \b
    Example:
      keelmark models pull default
    """
    click.echo(app.fetch_model(ref, app.data_folder(data), say))
