"""`keelmark eval import`: a log of Inspect becomes a run."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from keelmark.app.evaluation.importing import import_inspect
from keelmark.app.home import Home
from keelmark.cli._common import json_option, print_json, say, store_option, tell
from keelmark.evaluate.result import table


@click.command(name="import")
@click.argument("log", type=click.Path(dir_okay=False, path_type=Path))
@store_option
@json_option
def command(log: Path, data: Path | None, *, as_json: bool) -> int:
    """Take in a LOG of Inspect (*.eval or *.json) as a run, to be shown and compared like others.

    A log that `keelmark eval export` wrote comes back as the run that it was, and its signature is
    verified. Of any other, the scores become numbers as Inspect's metrics take them, and the run
    says where it is from. Nothing is written into the ledger: Keelmark has not seen the run.

    Ends with 0 when the run is complete, 1 when its signature does not hold, 2 when something could
    not be asked or scored.

    \b
    Example:
      keelmark eval import logs/2026-11-22T19-05-47_arc-easy.eval
    """
    with Home.open(data) as home:
        made = import_inspect(log, home)
    code = 1 if made.own and made.doubt else made.result.exit_code
    if as_json:
        plain = msgspec.to_builtins(made.result)
        print_json({**plain, "folder": str(made.folder), "own": made.own, "doubt": made.doubt})
        return code
    if made.doubt:
        say(f"Whether Keelmark made this run cannot be told: {made.doubt}")
    tell(table(made.result))
    tell(f"Kept in {made.folder}")
    return code
