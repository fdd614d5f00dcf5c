"""`keelmark eval verify`: is a run what was signed?"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from keelmark.app.evaluation import verify_run
from keelmark.app.home import Home
from keelmark.cli._common import json_option, print_json, store_option, tell


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@store_option
@json_option
def command(run: Path, data: Path | None, *, as_json: bool) -> int:
    """Verify a RUN (its name, or its folder) offline: signature, files, and what belongs together.

    Ends with 0 when all holds, 1 when something does not, 2 when it could not be checked.

    \b
    Example:
      keelmark eval verify arc_easy-26dfa41f9eb5
    """
    with Home.open(data) as home:
        kept = home.data / "runs" / run
        outcome = verify_run(home, kept if kept.is_dir() else run)
    if as_json:
        print_json(msgspec.to_builtins(outcome))
        return 0
    told = outcome.told
    weights = outcome.model_digest if told.get("attested") else "weights not seen"
    tell(f"The run verifies: {told.get('run')}, {told.get('state')}.")
    tell(f"model     {outcome.model} ({weights})")
    for name, value in outcome.inputs.items():
        tell(f"{name:9} {value}")
    return 0
