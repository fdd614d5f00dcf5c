"""`keelmark eval show`: runs that there are, and what came of one."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from keelmark.app.home import data_folder
from keelmark.cli._common import data_option, json_option, print_json, tell
from keelmark.core.errors import KeelmarkError, UsageError
from keelmark.evaluate.result import Result, figure, read_result, table


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--slices", is_flag=True, help="Show every slice of a run.")
@data_option
@json_option
def command(run: Path | None, data: Path | None, *, slices: bool, as_json: bool) -> int:
    """Show what came of a RUN (its name, or its folder); without one, list the runs there are.

    \b
    Examples:
      keelmark eval show
      keelmark eval show arc_easy-26dfa41f9eb5 --slices
    """
    runs = data_folder(data) / "runs"
    if run is None:
        return _list(runs, as_json=as_json)
    folder = run if run.is_dir() else runs / run
    if not folder.is_dir():
        raise UsageError(
            f"There is no run {str(run)!r}; `keelmark eval show` lists those there are."
        )
    result = read_result(folder)
    if as_json:
        print_json({**msgspec.to_builtins(result), "folder": str(folder)})
        return result.exit_code
    tell(table(result))
    if slices:
        _show_slices(result)
    return result.exit_code


def _show_slices(result: Result) -> None:
    for field, values in result.slices.items():
        tell(f"\n{result.primary} by {field}")
        width = max(map(len, values), default=0)
        for value, measures in values.items():
            if one := measures.get(result.primary):
                tell(f"  {value:{width}}  {figure(one)}")


def _list(runs: Path, *, as_json: bool) -> int:
    found = []
    for folder in sorted(runs.iterdir()) if runs.is_dir() else ():
        try:
            found.append(read_result(folder))
        except KeelmarkError:
            continue  # a run that has only just begun, or something else
    if as_json:
        print_json(found)
        return 0
    if not found:
        tell("There are no runs yet; begin with `keelmark eval run arc_easy --limit 100`.")
    width = max((len(one.run) for one in found), default=0)
    for one in found:
        said = figure(one.metrics[one.primary])
        state = "" if one.state == "complete" else "  INCOMPLETE"
        tell(f"{one.run:{width}}  {one.primary} {said}  {one.asked}{state}")
    return 0
