"""`keelmark eval contamination`: whether a suite's rows were learnt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark.app.engines import Person
from keelmark.app.evaluation import Order
from keelmark.app.evaluation.memory import ask_by_heart, ask_order, overlap
from keelmark.app.home import Home, data_folder
from keelmark.cli._common import home_options, print_json, progress, say, tell
from keelmark.cli._eval.run import seed_option, target_options, wanted_of
from keelmark.core.errors import UsageError
from keelmark.evaluate.contamination import WORDS, Overlap
from keelmark.evaluate.manifest import Sampling
from keelmark.evaluate.result import table

_SHOWN = 20
_CHANCE = 0.01
"""Share of rows that may be said by heart without being a sign."""


@click.command()
@click.argument("suite")
@click.option(
    "--corpus",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Look for the rows in this file or folder of training data, and ask no model. May be "
    "repeated.",
)
@target_options
@click.option("--limit", default=240, show_default=True, type=click.IntRange(0),
              help="The first so many rows; 0 for all.")  # fmt: skip
@click.option("--size", default=6, show_default=True, type=click.IntRange(2, 64),
              help="Rows that are put into one order.")  # fmt: skip
@click.option("--orders", default=4, show_default=True, type=click.IntRange(1, 64),
              help="Other orders of each.")  # fmt: skip
@click.option(
    "--only", type=click.Choice(["order", "by-heart"]), help="Ask for one of the two signs."
)
@seed_option
@home_options
def command(
    suite: str,
    corpus: tuple[Path, ...],
    data: Path | None,
    policy: Path | None,
    *,
    as_json: bool,
    **options: Any,
) -> int:
    """Look for signs that the rows of SUITE were learnt: in a corpus, or in a model.

    With --corpus: which rows share 13 words in a row with it; ends with 1 when there are some.
    Else a model is asked, twice: whether it finds the rows likelier in the order of their file
    than in others, and whether it says them by heart. Signs speak for training on them; their
    absence does not prove that there was none.

    \b
    Examples:
      keelmark eval contamination arc_easy --corpus train.jsonl --corpus books/
      keelmark eval contamination arc_easy --raw
    """
    if corpus:
        found = overlap(suite, corpus, data_folder(data))
        print_json(_plain(found)) if as_json else _tell(found)
        return 1 if found.met else 0
    size, orders, only = (options.pop(name) for name in ("size", "orders", "only"))
    wanted = wanted_of(options, policy)
    order = Order(suite=suite, wanted=wanted, sampling=Sampling(**options))
    with Home.open(data, policy) as home:
        person = Person(say, progress)
        told = progress("Asked", things="samples")
        ranked = by_heart = None
        if only != "by-heart":
            ranked = ask_order(suite, size, orders, order, home, person, told)
        if only != "order":
            by_heart = ask_by_heart(suite, order, home, person, told)
            if by_heart is None:
                say("No row is long enough to be asked for by heart.")
    results = [one.result for one in (ranked, by_heart) if one]
    if not results:
        raise UsageError(f"{suite} has no rows that could be asked for.")
    if as_json:
        print_json({one.suite: msgspec.to_builtins(one) for one in results})
    else:
        tell("\n\n".join(map(table, results)))
        lows = {one.primary: one.metrics[one.primary].low or 0.0 for one in results}
        tell(f"\n{_sentence(lows)}")
    return max(one.exit_code for one in results)


def _sentence(lows: Mapping[str, float]) -> str:
    """What the lower ends of the intervals say."""
    signs = [
        *(["it finds the order of the file likelier than others"] * (lows.get("rank", 0) > 0.5)),
        *(["it says rows by heart"] * (lows.get("extracted", 0) > _CHANCE)),
    ]
    if signs:
        return f"Signs of contamination: {' and '.join(signs)}."
    return "No sign of contamination was found, which does not prove that there is none."


def _plain(found: Overlap) -> dict[str, Any]:
    return {**found._asdict(), "met": [one._asdict() for one in found.met], "words": WORDS}


def _tell(found: Overlap) -> None:
    tell(
        f"{len(found.met)} of {found.rows} rows share {WORDS} words in a row with the corpus "
        f"({found.texts:,} texts)."
    )
    if found.short:
        tell(f"{found.short} rows are too short to tell.")
    for one in found.met[:_SHOWN]:
        tell(f"  {one.id}: {one.share:.0%} of it, in {one.where}: {one.words}")
    if len(found.met) > _SHOWN:
        tell(f"  and {len(found.met) - _SHOWN} others; --json names them all.")
