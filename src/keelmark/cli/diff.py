"""`keelmark diff`: what changed between two versions of a model?"""

from __future__ import annotations

from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import json_option, print_json, progress, store_option
from keelmark.vet.difference import to_text


@click.command()
@click.argument("old")
@click.argument("new")
@store_option
@json_option
def command(old: str, new: str, data: Path | None, *, as_json: bool) -> int:
    """Compare two models, or two passports: files, metadata, tensors, template, findings.

    OLD and NEW are files or folders of models, passport files, or the names or digests of admitted
    models. Ends with 0 when they are the same, 1 when they are not.

    \b
    Examples:
      keelmark diff ./model-v1 ./model-v2
      keelmark diff v1.passport.json ./model-v2 --json
    """
    found = app.compare(old, new, data=data, progress=progress("Reading"))
    if as_json:
        print_json(found)
    else:
        click.echo(to_text(found), nl=False)
    return 1 if found.changes else 0
