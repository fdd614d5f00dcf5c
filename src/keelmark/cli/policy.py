"""`keelmark policy`: show, check and describe the policy."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import json_option, policy_option, print_json, say
from keelmark.core.policy import policy_schema


@click.group()
def command() -> None:
    """Show, check and describe the policy."""


@command.command()
@policy_option
@json_option
def show(policy: Path | None, *, as_json: bool) -> None:
    """Print the policy file in force, comments included; with --json also all defaults.

    \b
    Example:
      keelmark policy show > my-policy.yaml
    """
    loaded = app.load_policy(policy)
    if as_json:
        print_json(loaded)
    else:
        click.echo(app.policy_text(policy), nl=False)


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check a policy file: names, types, detectors.

    \b
    Example:
      keelmark policy check my-policy.yaml
    """
    loaded = app.load_policy(file)
    app.make_guard(loaded, file)
    say(f"{file} is a valid policy with {len(loaded.guard.rules)} guard rules.")
    for note in app.policy_notes(loaded):
        say(f"WARNING: {note}")
    click.echo(loaded.digest)


@command.command()
def schema() -> None:
    """Print the JSON Schema of the policy file, for editors.

    \b
    Example:
      keelmark policy schema > policy.schema.json
    """
    print_json(policy_schema())
