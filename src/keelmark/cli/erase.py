"""`keelmark erase`: forget what a person said."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import say, store_option


@click.command()
@click.argument("subject")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
def command(subject: str, data: Path | None, *, yes: bool) -> None:
    """Destroy the key under which SUBJECT's prompts and answers are stored.

    The ledger keeps its digests and still verifies; what was said can never be read again.

    \b
    Example:
      keelmark erase user-4711
    """
    if not yes:
        click.confirm(f"Destroy everything that {subject} said, for good?", abort=True, err=True)
    with app.Home.open(data) as home:
        count = home.store.erase(subject)
    say(f"Erased: the content of {count} requests of {subject} can no longer be read by anybody.")
