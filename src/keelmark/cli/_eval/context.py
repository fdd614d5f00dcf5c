"""`keelmark eval context`: from which length on a fact is overlooked, and where in the document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark.app.engines import Person
from keelmark.app.evaluation import Order, evaluate
from keelmark.app.home import Home
from keelmark.cli._common import home_options, print_json, progress, say, tell
from keelmark.cli._eval.run import numbers_of, seed_option, target_options, wanted_of
from keelmark.core.canonical import digest
from keelmark.core.errors import UsageError
from keelmark.evaluate.haystack import ROWS, Wanted, rows, suite_text
from keelmark.evaluate.journal import Journal
from keelmark.evaluate.result import each_score, table
from keelmark.passport.files import write_whole

_LONGEST = 2_000_000


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One length and depth.

    Attributes:
        length: About how many tokens were wanted.
        depth: Where the fact was, in hundredths of the document.
        found: Share of the documents in which it was found; None when none could be asked.
        asked: How many documents were asked about.
        failed: How many could not be: mostly because they do not fit.
        tokens: How long the prompts really were, on average; 0 when it is not known.
    """

    length: int
    depth: int
    found: float | None
    asked: int
    failed: int
    tokens: int


@click.command()
@target_options
@click.option(
    "--lengths", default="250,1000,2000", show_default=True,
    help="Of the documents, tokens, about, with commas between.",
)  # fmt: skip
@click.option(
    "--depths", default="0,25,50,75,100", show_default=True,
    help="Where the fact is: 0 at the beginning, 100 at the end.",
)  # fmt: skip
@click.option("--each", default=1, show_default=True, type=click.IntRange(1, 1000),
              help="Documents of each length and depth.")  # fmt: skip
@click.option("--weigh", is_flag=True, help="Weigh four numbers instead of letting it write one.")
@seed_option
@click.option("--again", is_flag=True, help="Run it anew although it was run before.")
@home_options
def command(
    data: Path | None,
    policy: Path | None,
    *,
    lengths: str,
    depths: str,
    again: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Hide a fact in long documents and ask for it: quality up to the limit of the context.

    The documents are made up, with the fact at several depths, and are a suite like others: the run
    is kept, goes on after an end, and can be compared. A document that does not fit is counted as
    failed, and the run is incomplete.

    Ends with 0 when the run is complete, 2 when something could not be asked.

    \b
    Examples:
      keelmark eval context
      keelmark eval context --lengths 500,2000,7000 --weigh --each 4
      keelmark eval context --url http://127.0.0.1:8080 --json
    """
    wanted = Wanted(
        lengths=_sorted(lengths, "--lengths", 1, _LONGEST),
        depths=_sorted(depths, "--depths", 0, 100),
        **{name: options.pop(name) for name in ("each", "seed", "weigh")},
    )
    target = wanted_of(options, policy)
    with Home.open(data, policy) as home:
        order = Order(suite=str(_suite(home.data, wanted)), wanted=target, again=again)
        done = evaluate(order, home, Person(say, progress), progress("Asked", things="documents"))
    cells = grid(done.folder, wanted, done.result.primary)
    if as_json:
        told = msgspec.to_builtins(done.result)
        print_json({**told, "grid": msgspec.to_builtins(cells), "folder": str(done.folder)})
        return done.result.exit_code
    tell(table(done.result))
    tell(f"\n{shown(cells)}\n")
    tell(f"Kept in {done.folder}")
    return done.result.exit_code


def _sorted(text: str, option: str, least: int, most: int) -> tuple[int, ...]:
    return tuple(sorted(set(numbers_of(text, option, int, least, most))))


def _suite(data: Path, wanted: Wanted) -> Path:
    """Write the documents and the suite, once; return the suite's path."""
    name = digest(wanted._asdict()).removeprefix("sha256:")[:12]
    folder = data / "suites" / f"context-{name}"
    path = folder / "context_limits.yaml"
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows(wanted))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / ROWS, lines)
        write_whole(path, suite_text(wanted).encode())
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}).") from None
    return path


def grid(folder: Path, wanted: Wanted, measure: str) -> list[Cell]:
    """Return what came of each length and depth of a run.

    Args:
        folder: Of the run.
        wanted: What was asked for.
        measure: Which score says that the fact was found.
    """
    scores: Mapping[tuple[str, str], list[float | None]] = defaultdict(list)
    names: dict[str, tuple[str, str]] = {}
    for one in each_score(folder):
        names[one.id] = place = one.slices["length"], one.slices["depth"]
        scores[place].append(one.scores.get(measure))
    tokens: Mapping[tuple[str, str], list[int]] = defaultdict(list)
    for kept in Journal(folder).kept():
        reply = kept.replies[0]
        if reply.tokens_in and kept.id in names:
            each = len(reply.weights) or 1
            tokens[names[kept.id]].append(reply.tokens_in // each)
    return [
        _cell(length, depth, scores[str(length), str(depth)], tokens[str(length), str(depth)])
        for length in wanted.lengths
        for depth in wanted.depths
    ]


def _cell(length: int, depth: int, scores: Sequence[float | None], tokens: Sequence[int]) -> Cell:
    known = [one for one in scores if one is not None]
    return Cell(
        length=length,
        depth=depth,
        found=sum(known) / len(known) if known else None,
        asked=len(known),
        failed=len(scores) - len(known),
        tokens=round(sum(tokens) / len(tokens)) if tokens else 0,
    )


def shown(cells: Sequence[Cell]) -> str:
    """Return lengths and depths as a person reads them."""
    lengths = list(dict.fromkeys(cell.length for cell in cells))
    depths = list(dict.fromkeys(cell.depth for cell in cells))
    by_place = {(cell.length, cell.depth): cell for cell in cells}
    lines = ["tokens" + "".join(f"{f'at {depth} %':>10}" for depth in depths)]
    for length in lengths:
        row = [by_place[length, depth] for depth in depths]
        real = max((cell.tokens for cell in row), default=0) or length
        told = ("could not" if one.found is None else f"{one.found:.0%}" for one in row)
        lines.append(f"{real:>6}" + "".join(f"{one:>10}" for one in told))
    return "\n".join(lines)
