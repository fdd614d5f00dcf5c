"""`keelmark vet`: is this model safe to load?"""

from __future__ import annotations

from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import (
    EXIT,
    coloured,
    json_option,
    policy_option,
    progress,
    say,
    write_out,
)
from keelmark.vet import vet
from keelmark.vet.render import to_json, to_sarif, to_text


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@json_option
@click.option(
    "--sarif", type=click.Path(dir_okay=False, path_type=Path), help="Also write SARIF 2.1.0 here."
)
@policy_option
def command(path: Path, *, as_json: bool, sarif: Path | None, policy: Path | None) -> int:
    """Run every applicable check on a model file or folder. Nothing in it is executed.

    Ends with 0 when it passes the policy, 1 with findings against it, 2 when something could not
    be checked.

    \b
    Examples:
      keelmark vet ./model.gguf
      keelmark vet ./my-model-folder --sarif findings.sarif
      keelmark vet ./pytorch_model.bin --json | jq .verdict
    """
    admission = app.load_policy(policy).admission
    report = vet(path, admission=admission, progress=progress("Reading"))
    if sarif:
        write_out(sarif, to_sarif(report))
        say(f"SARIF written to {sarif}.")
    click.echo(to_json(report) if as_json else to_text(report, color=coloured()))
    return EXIT[report.verdict]
