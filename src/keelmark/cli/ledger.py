"""`keelmark ledger`: verify and export the record of everything that happened."""

from __future__ import annotations

import os
from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import DATABASE, json_option, print_json, say, store_option


@click.group()
def command() -> None:
    """Verify or export the ledger."""


@command.command()
@click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A checkpoint that was kept elsewhere: finds records that were cut off since.",
)
@store_option
@json_option
def verify(against: Path | None, data: Path | None, *, as_json: bool) -> int:
    """Recompute every record and checkpoint; name whatever was changed. Ends with 0 or 1.

    \b
    Examples:
      keelmark ledger verify
      keelmark ledger verify --against last-month.checkpoint
    """
    with app.Home.open(data) as home:
        report = app.verify_ledger(home, against)
    if as_json:
        print_json(report)
    else:
        click.echo(report.text())
    return 0 if report.ok else 1


@command.command()
@click.option("--kind", "kinds", multiple=True, help="Only records of this kind; repeatable.")
@click.option(
    "--limit",
    default=20,
    type=click.IntRange(1, 1_000_000),
    show_default=True,
    help="The newest N records.",
)
@store_option
@json_option
def show(kinds: tuple[str, ...], limit: int, data: Path | None, *, as_json: bool) -> None:
    """Print the newest records.

    \b
    Example:
      keelmark ledger show --kind model.loaded
    """
    with app.Home.open(data) as home:
        records = app.newest_records(home, kinds, limit)
    if as_json:
        print_json(records)
        return
    for record in records:
        body = "  ".join(f"{k}={v}" for k, v in record.body.items() if isinstance(v, str | int))
        click.echo(f"{record.seq:>7}  {record.time}  {record.kind:<16} {body}"[:240])


@command.command()
@store_option
def checkpoint(data: Path | None) -> None:
    """Print the newest signed checkpoint; keep it elsewhere to notice a cut ledger.

    \b
    Example:
      keelmark ledger checkpoint > $(date +%F).checkpoint
    """
    with app.Home.open(data) as home:
        click.echo(app.newest_checkpoint(home), nl=False)


@command.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@store_option
def export(out: Path, data: Path | None) -> None:
    """Write a bundle that verifies on a machine without Keelmark.

    It carries the records, a checkpoint, the public key and `verify_bundle.py`, which needs only
    Python's standard library.

    \b
    Example:
      keelmark ledger export audit-2026.zip
    """
    with app.Home.open(data) as home:
        count = home.store.export(out)
    say(f"{out}: {count} records. Verify it anywhere with `python verify_bundle.py {out.name}`.")


@command.command()
@store_option
def move(data: Path | None) -> None:
    """Move all that is kept from the data folder to an empty PostgreSQL database.

    API keys, traces, content, passports and the ledger are copied in one transaction and verified
    there; then the file is put aside. Stop the service first. The keys stay in the data folder:
    every machine that uses the database needs them.

    \b
    Example:
      keelmark ledger move --database postgresql://keelmark@db.example.org/keelmark
    """
    count, place = app.move_store(data, os.environ.get(DATABASE, ""))
    say(f"{count} records are in {place} now; the file is put aside as `keelmark.db.moved`.")
