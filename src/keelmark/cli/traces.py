"""`keelmark traces`: what happened to requests."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import coloured, json_option, print_json, say, store_option
from keelmark.core.trace import Content
from keelmark.observe.show import trace_json, trace_list, trace_text


@click.command()
@click.argument("trace_id", required=False)
@click.option(
    "--limit",
    default=20,
    type=click.IntRange(1, 1_000_000),
    show_default=True,
    help="The newest N.",
)
@click.option("--team", help="Only of the keys of this team.")
@click.option("--content", is_flag=True, help="Also show what was said (masked), if it is kept.")
@store_option
@json_option
def command(
    trace_id: str | None,
    limit: int,
    team: str | None,
    data: Path | None,
    *,
    content: bool,
    as_json: bool,
) -> None:
    """List the newest traces, or show one by its id (the first characters are enough).

    \b
    Examples:
      keelmark traces
      keelmark traces 4bf92f35 --content
    """
    with app.Home.open(data) as home:
        if trace_id is None:
            traces = list(home.store.traces(limit=limit, team=team))
            if as_json:
                print_json([trace_json(t) for t in traces])
            elif traces:
                click.echo(trace_list(traces, color=coloured()))
            else:
                of = f" of team {team!r}" if team is not None else ""
                say(f"There are no traces{of} yet: send a request first.")
            return
        trace = home.store.trace(trace_id)
        said = home.store.read_content(trace.trace_id) if content else None
    shown = _decoded(said) if content else {}
    if as_json:
        print_json({**trace_json(trace), **({"content": shown} if content else {})})
        return
    click.echo(trace_text(trace, color=coloured()))
    for name, text in shown.items():
        click.echo(f"\n{name}:\n{text}")


def _decoded(said: Content | None) -> dict[str, str]:
    if said is None:
        return {"content": "not kept, expired or erased"}
    parts = {"prompt": said.prompt, "answer": said.answer}
    return {name: data.decode(errors="replace") for name, data in parts.items()}
