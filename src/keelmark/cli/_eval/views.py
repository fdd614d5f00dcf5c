"""`keelmark eval views`: seven views of one run."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark.app.evaluation.views import views_of
from keelmark.app.home import data_folder
from keelmark.cli._common import data_option, json_option, print_json, tell
from keelmark.core.errors import UsageError
from keelmark.evaluate.views import shown


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@data_option
@json_option
def command(run: Path, data: Path | None, *, as_json: bool) -> int:
    """Show RUN (its name, or its folder) from seven sides, as HELM does.

    Accuracy, calibration, robustness, fairness, bias, toxicity and efficiency: each is measured
    from what the run has kept, or it says why it could not be. Robustness and fairness need a run
    with --variants.

    \b
    Examples:
      keelmark eval run truthfulqa --variants all
      keelmark eval views truthfulqa-26dfa41f9eb5
    """
    folder = run if run.is_dir() else data_folder(data) / "runs" / run
    if not folder.is_dir():
        raise UsageError(
            f"There is no run {str(run)!r}; `keelmark eval show` lists those there are."
        )
    found = views_of(folder)
    if as_json:
        print_json({view.name: view for view in found})
    else:
        tell(shown(found))
    return 0
