"""`keelmark eval data`: what is wrong with data, before anybody trains or tests on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keelmark import app
from keelmark.app import batch, quality
from keelmark.cli._common import data_option, json_option, print_json, progress, say, tell
from keelmark.cli._own import columns_of, columns_options


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@columns_options
@click.option("--split", metavar="COLUMN", help="Which part of the data a row belongs to.")
@click.option("--licence", metavar="SPDX", default="", help="The licence, where no file says it.")
@click.option(
    "--similar",
    default=0.8,
    show_default=True,
    type=click.FloatRange(0.5, 1),
    help="Likeness from which rows are near duplicates.",
)
@click.option("--no-contents", is_flag=True, help="Leave out what the guard's detectors find.")
@click.option(
    "--policy",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Rules by which contents are looked through [default: personal data, secrets, biased "
    "wording, toxic words, injections, invisible text].",
)
@click.option(
    "--workers",
    default=0,
    type=click.IntRange(0, 256),
    help="Processes [default: one for each core].",
)
@data_option
@json_option
def command(
    paths: tuple[Path, ...],
    policy: Path | None,
    data: Path | None,
    *,
    no_contents: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Report on the quality of data: JSONL, CSV, Parquet, text, also gzip, and folders of them.

    Duplicates, splits that overlap, labels that contradict each other, lopsided or told by length,
    missing fields, answers that are none of the choices, personal data, secrets, toxic words,
    biased wording, and whether a licence is declared. Several files are splits of one data set.

    Ends with 0 when nothing speaks against the data, 1 when something does, 2 when something could
    not be checked. The columns are guessed, and the report says how.

    \b
    Examples:
      keelmark eval data questions.csv
      keelmark eval data train.jsonl test.jsonl --json
      keelmark eval data reviews.csv --question text --answer stars --split part
    """
    rules = None
    if not no_contents:
        rules = app.load_policy(policy) if policy else quality.content_policy()
        app.make_guard(rules, policy, data=data)
    report = quality.look(
        paths,
        quality.Options(
            columns=columns_of(options),
            policy=rules,
            licence=options["licence"],
            similar=options["similar"],
            key=app.value_key(data),
        ),
        pool=batch.processes(options["workers"]),
        progress=progress("Checking"),
    )
    if as_json:
        print_json(report)
    else:
        tell(quality.as_text(report))
        if no_contents:
            say("Contents were not looked through (--no-contents).")
    return report.exit_code
