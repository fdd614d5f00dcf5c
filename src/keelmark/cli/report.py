"""`keelmark report`: compile evidence from the ledger."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import say, store_option, write_out


@click.command()
@click.argument("framework", default="owasp-llm")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["html", "md", "json"]),
    help="[default: by --out, else md]",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it here.")
@store_option
def command(framework: str, kind: str | None, out: Path | None, data: Path | None) -> None:
    """Say for each demand of FRAMEWORK which control answers it, with which evidence.

    The report is a function of the ledger alone, so it can be made again from an export.

    \b
    Examples:
      keelmark report owasp-llm --out owasp.html
      keelmark report owasp-llm --format json | jq .summary
    """
    suffix = {".html": "html", ".htm": "html", ".json": "json", ".md": "md"}
    chosen = kind or suffix.get(out.suffix.lower() if out else "", "md")
    with app.Home.open(data) as home:
        text = app.report(home, framework, chosen)
    if out is None:
        click.echo(text)
        return
    write_out(out, text)
    say(f"Report written to {out}." if sys.stderr.isatty() else str(out))
