"""`keelmark routes`: who answers which call, and how the engines do."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from keelmark import app
from keelmark.cli._common import json_option, policy_option, print_json, say


@click.command()
@policy_option
@click.option("--url", metavar="URL", help="A running service, to show how its engines do.")
@json_option
def command(policy: Path | None, url: str | None, *, as_json: bool) -> None:
    """Show the routes of a policy as trees, and how the engines of a running service do.

    \b
    Examples:
      keelmark routes --policy own.yaml
      keelmark routes --policy own.yaml --url http://127.0.0.1:8080
    """
    routes = app.load_policy(policy).routes
    health = app.health_at(url) if url else {}
    if as_json:
        print_json({"routes": msgspec.to_builtins(routes), "health": msgspec.to_builtins(health)})
        return
    lines = list(app.drawn(routes))
    if not lines:
        say("This policy has no routes: the first engine that knows a model's name answers.")
    for line in lines:
        click.echo(line)
    for name, report in health.items():
        rest = f", tried again in {report.rest_seconds:g} s" if report.rest_seconds else ""
        click.echo(
            f"{name}: {report.state}{rest}, {report.in_flight} at work, "
            f"{report.error_ratio:.0%} failed of late, first byte {report.first_byte_ms:g} ms"
        )
    if url and not health:
        say("No request took a route there yet.")
