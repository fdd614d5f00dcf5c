"""`keelmark passport`: show and verify what is known of a model, offline."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import (
    data_option,
    json_option,
    policy_option,
    print_json,
    progress,
    say,
)


@click.group()
def command() -> None:
    """Show or verify a passport, offline.

    REF is a passport file, a model's path, its digest, or the name it was admitted under.
    """


@command.command()
@click.argument("ref")
@data_option
@json_option
def show(ref: str, data: Path | None, *, as_json: bool) -> None:
    """Print what a passport says.

    \b
    Examples:
      keelmark passport show smollm2-135m-instruct
      keelmark passport show sha256:6f01... --json
    """
    with app.Home.open(data) as home:
        passport = app.find_passport(home, ref)
    if as_json:
        print_json(passport.show())
    else:
        click.echo(passport.text())


@command.command()
@click.argument("ref")
@click.option(
    "--model", type=click.Path(path_type=Path), help="The model's bytes, when REF is a passport."
)
@data_option
@policy_option
@json_option
def verify(
    ref: str, model: Path | None, data: Path | None, policy: Path | None, *, as_json: bool
) -> int:
    """Verify signature, time, policy and, against the bytes, the digest. Ends with 0 or 1.

    \b
    Examples:
      keelmark passport verify ./model.gguf
      keelmark passport verify model.passport.json --model ./model.gguf
    """
    with app.Home.open(data, policy) as home:
        status = app.verify_passport(home, ref, model, progress=progress("Reading"))
    if as_json:
        print_json(status)
    else:
        say(status.reason)
        click.echo("valid" if status.valid else f"not valid: {status.code}")
    return 0 if status.valid else 1
