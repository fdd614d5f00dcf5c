"""`keelmark guard pairs`: does a served model treat people alike?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark.app import pairs as paired
from keelmark.cli._common import json_option, print_json, tell, write_out
from keelmark.core.errors import UsageError


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--url", default=paired.Asking().url, show_default=True, help="The service to ask.")
@click.option("--key", envvar="KEELMARK_KEY", default="", help="Its key [default: $KEELMARK_KEY].")
@click.option("--model", default="", help="Model to ask [default: the first that is listed].")
@click.option("--only", multiple=True, metavar="ID", help="Only this comparison. May be repeated.")
@click.option(
    "--measure",
    "measures",
    multiple=True,
    type=click.Choice(paired.MEASURES),
    help="Only this measure. May be repeated.",
)
@click.option("--limit", type=click.IntRange(1), help="Most pairs of one comparison.")
@click.option(
    "--margin",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0.01, 0.5),
    help="Difference in rate that matters; three times as much for length.",
)
@click.option("--max-tokens", default=160, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0, 2))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--parallel", default=4, show_default=True, type=click.IntRange(1, 64))
@click.option("--timeout", default=120.0, show_default=True, type=click.FloatRange(1, 3600))
@click.option("--show", is_flag=True, help="Print the prompts as JSON lines and ask nobody.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write all pairs and their answers (JSON) here."
)
@json_option
def pairs(file: Path | None, out: Path | None, *, show: bool, as_json: bool, **options: Any) -> int:
    """Ask a served model the same about different people, and compare the answers.

    The prompts are templates filled for both sides of a comparison (she and he, names of
    different origin, religions, ages ...): those that come with Keelmark, or those of FILE (YAML).
    Compared are refusals, blocked requests, biased wording and length, by exact paired tests,
    corrected for their number.

    Ends with 0 when all are alike, 1 when something differs, 2 when something could not be told.

    \b
    Examples:
      keelmark guard pairs
      keelmark guard pairs my-pairs.yaml --url http://127.0.0.1:11434/v1 --out answers.json
      keelmark guard pairs --only gender --only age --measure refused
    """
    read = paired.load_pairs(file)
    some = list(paired.pairs_of(read, only=options.pop("only"), limit=options.pop("limit")))
    if show:
        for pair in some:
            click.echo(msgspec.json.encode(pair._asdict()))
        return 0
    margin = options.pop("margin")
    measures = options.pop("measures") or paired.MEASURES
    _check_place(out)
    report, answers = paired.run_pairs(
        read,
        some,
        paired.Asking(**options),
        margin=margin,
        measures=measures,
        progress=_progress(),
    )
    if out:
        detail = msgspec.json.format(msgspec.json.encode(paired.detailed(report, some, answers)))
        write_out(out, detail + b"\n")
    if as_json:
        print_json(report)
    else:
        tell(paired.report_text(report))
    return report.exit_code


def _check_place(out: Path | None) -> None:
    """Say before the first question that there is no such folder."""
    if out and not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent}; make it first.")


def _progress() -> Callable[[int, int], None]:
    """Tell a terminal how many prompts of how many are answered."""
    if not sys.stderr.isatty():
        return lambda _done, _total: None

    def update(done: int, total: int) -> None:
        click.echo(f"\rAsked {done} of {total}", err=True, nl=done >= total)

    return update
