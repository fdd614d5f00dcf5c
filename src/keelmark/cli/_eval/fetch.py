"""`keelmark eval fetch`: data of suites from a hub."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark.app.home import data_folder
from keelmark.cli._common import data_option, json_option, print_json, say, tell
from keelmark.core.errors import UsageError
from keelmark.evaluate.data import EVALS
from keelmark.evaluate.fetching import fetch, hubs
from keelmark.evaluate.suite import load_suite, suite_ids


@click.command()
@click.argument("suites", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All suites whose data can be fetched.")
@data_option
@json_option
def command(suites: tuple[str, ...], data: Path | None, *, every: bool, as_json: bool) -> int:
    """Fetch the data of SUITES from Hugging Face into the data folder.

    Each file is taken at the commit that its suite names and checked against its digest. It is the
    only part of an evaluation that uses the network, and only when it is asked to. A mirror is
    named by HF_ENDPOINT. Needs the extra `hub`; files in Parquet need `parquet` to be read.

    \b
    Examples:
      keelmark eval fetch hellaswag piqa
      keelmark eval fetch --all
    """
    if bool(suites) == every:
        raise UsageError("Name suites, or give --all; `keelmark eval list` shows what there is.")
    wanted = [load_suite(name).suite for name in (suite_ids() if every else suites)]
    some = [one for one in wanted if not every or any(hubs(one))]
    folder = data_folder(data) / EVALS
    found = {one.id: [str(path) for path in fetch(one, folder, say)] for one in some}
    if as_json:
        print_json(found)
        return 0
    for name, paths in found.items():
        tell(f"{name}: {', '.join(paths)}")
    return 0
