"""`keelmark eval export`: a run in a form that others read."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark.app.evaluation.exporting import export_inspect
from keelmark.app.evaluation.run import RUNS
from keelmark.app.evaluation.tabling import export_parquet
from keelmark.app.home import data_folder
from keelmark.cli._common import data_option, tell
from keelmark.core.errors import UsageError
from keelmark.passport.files import printable


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--inspect",
    "log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A log of Inspect, to be written here: *.eval (packed) or *.json.",
)
@click.option(
    "--parquet",
    "columns",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A table, to be written here: a row for each sample, with answers and scores.",
)
@click.option(
    "--beside",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with the data of a suite of one's own.",
)
@data_option
def command(
    run: Path, log: Path | None, columns: Path | None, beside: Path | None, data: Path | None
) -> int:
    """Write a RUN (its name, or its folder) as a log of Inspect, or as a table.

    For a log, questions are made again of the suite's data, which has to be here. Inspect itself
    need not be installed. `keelmark eval import` brings such a log back, whole.

    \b
    Examples:
      keelmark eval export arc_easy-26dfa41f9eb5 --inspect arc.eval
      inspect view --log-dir .
      keelmark eval export arc_easy-26dfa41f9eb5 --parquet arc.parquet
    """
    place = data_folder(data)
    folder = run if run.is_dir() else place / RUNS / run
    if not folder.is_dir():
        raise UsageError(
            f"There is no run {str(run)!r}; `keelmark eval show` lists those there are."
        )
    made = [export_inspect(folder, log, place, beside)] if log else []
    made += [export_parquet(folder, columns)] if columns else []
    if not made:
        raise UsageError("Say what is to be written: --inspect FILE, --parquet FILE, or both.")
    for one in made:
        tell(f"{one.samples} samples written to {printable(one.path)}.")
    return 0
