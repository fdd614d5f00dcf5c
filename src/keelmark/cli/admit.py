"""`keelmark admit`: sign a passport for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keelmark import app
from keelmark.cli._common import (
    EXIT,
    json_option,
    policy_option,
    print_json,
    progress,
    say,
    store_option,
    write_out,
)
from keelmark.cli.vet import asked_options


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write it here.")
@asked_options
@store_option
@policy_option
@json_option
def command(
    path: Path,
    out: Path | None,
    data: Path | None,
    policy: Path | None,
    *,
    as_json: bool,
    also: str | None,
    **wanted: Any,
) -> int:
    """Vet a model and, when it passes, sign a passport for exactly these bytes.

    Ends with 0 when it is admitted, 1 with findings against the policy, 2 when something could not
    be checked.

    \b
    Examples:
      keelmark admit ./model.gguf
      keelmark admit ./model.gguf --out model.passport.json
      keelmark admit ./my-model-folder --use use.yaml
    """
    with app.Home.open(data, policy) as home:
        asked = app.asked(**wanted, also=path if also else None)
        admitted = app.admit(home, path, asked=asked, progress=progress("Reading"))
    if out and admitted.passport:
        write_out(out, admitted.passport.to_bytes())
    if as_json:
        print_json(
            {
                "admitted": admitted.passport is not None,
                "digest": admitted.report.digest,
                "reason": admitted.reason,
            }
        )
    else:
        say(admitted.reason)
        if admitted.passport:
            click.echo(admitted.report.digest)
    return EXIT[admitted.report.verdict]
