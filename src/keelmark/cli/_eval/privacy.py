"""`keelmark eval privacy`: what a model has kept of its training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark.app.engines import Person
from keelmark.app.evaluation import Order
from keelmark.app.evaluation.memory import ask_texts
from keelmark.app.home import Home
from keelmark.cli._common import home_options, print_json, progress, say, tell
from keelmark.cli._eval.run import seed_option, target_options, wanted_of
from keelmark.evaluate.manifest import Sampling
from keelmark.evaluate.result import table

_SUITES = ("membership", "extraction")


@click.command()
@click.argument(
    "texts", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@target_options
@click.option(
    "--limit", default=0, type=click.IntRange(0), help="Only so many texts, drawn by the seed."
)
@seed_option
@home_options
def command(
    texts: Path | None, data: Path | None, policy: Path | None, *, as_json: bool, **options: Any
) -> int:
    """Ask what a model has kept of texts: can one tell that it read them, does it say them?

    TEXTS (JSONL, CSV or Parquet) has `text` and `member`: 1 for texts that surely were in the
    training data (those of your fine-tuning), 0 for texts of the same kind that surely were not.
    Without it, famous texts are held against new ones, as in the suites `membership` and
    `extraction`.

    \b
    Examples:
      keelmark eval privacy --raw
      keelmark eval privacy letters.jsonl --raw --model tuned.gguf
    """
    wanted = wanted_of(options, policy)
    done = []
    with Home.open(data, policy) as home:
        for suite in _SUITES:
            order = Order(suite=suite, wanted=wanted, sampling=Sampling(**options))
            told = progress("Asked", things="texts")
            done.append(ask_texts(suite, texts, order, home, Person(say, progress), told))
    results = [one.result for one in done]
    if as_json:
        print_json({one.suite: msgspec.to_builtins(one) for one in results})
    else:
        tell("\n\n".join(map(table, results)))
    return max(one.exit_code for one in results)
