"""`keelmark eval load`: latency against load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark.app.engines import Person
from keelmark.app.evaluation.load import Curve, LoadOrder, load_curve
from keelmark.app.home import Home
from keelmark.cli._common import home_options, print_json, progress, say, tell, write_out
from keelmark.cli._eval.run import numbers_of, seed_option, target_options, wanted_of
from keelmark.evaluate.load import Level, Times

_HEAD = (
    "load", "answered", "refused", "failed", "a second", "tokens/s",
    "first words", "whole answer", "same", "J/token",
)  # fmt: skip

_LEAST, _MOST = 0.001, 10_000
_RATES: dict[str, tuple[float, ...] | None] = {"auto": None, "none": ()}


@click.command()
@target_options
@click.option(
    "--at-a-time", "widths", default="1,2,4,8", show_default=True,
    help="Closed loop: clients that ask one after the other, one level each.",
)  # fmt: skip
@click.option(
    "--per-second", "rates", default="auto", show_default=True,
    help="Open loop: requests that come at random, so many a second; auto is 0.5, 0.8 and 1.2 of "
    "what the closed loop reached, none leaves it out.",
)  # fmt: skip
@click.option("--requests", default=32, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--tokens", default=32, show_default=True, type=click.IntRange(1, 100_000))
@seed_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Keep it as JSON.")
@home_options
def command(
    data: Path | None,
    policy: Path | None,
    *,
    widths: str,
    rates: str,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Measure how long answers take, with more and more requests at a time.

    Times are of the half, 95 and 99 of a hundred answers, in seconds. In the open loop they count
    from the moment a request was due. `same` is the share of answers that are, word for word, those
    of the first level: quality under load. Energy says where it comes from.

    Ends with 0, or 1 when a request failed.

    \b
    Examples:
      keelmark eval load
      keelmark eval load --raw --at-a-time 1,4 --per-second none
      keelmark eval load --url http://127.0.0.1:8080 --per-second 0.5,1,2 --out load.json
    """
    wanted = wanted_of(options, policy)
    order = LoadOrder(
        wanted=wanted,
        widths=tuple(numbers_of(widths, "--at-a-time", int, 1, _MOST)),
        rates=_RATES[rates]
        if rates in _RATES
        else tuple(numbers_of(rates, "--per-second", float, _LEAST, _MOST)),
        **options,
    )
    with Home.open(data, policy) as home:
        curve = load_curve(order, home, Person(say, progress), lambda one: say(_said(one)))
    if out is not None:
        write_out(out, msgspec.json.format(msgspec.json.encode(curve), indent=1) + b"\n")
    if as_json:
        print_json(msgspec.to_builtins(curve))
    else:
        tell(table(curve))
    return 1 if any(one.failed for one in curve.levels) else 0


def _said(one: Level) -> str:
    return f"{_load(one)}: {one.answered} of {one.requests} answered, {one.per_second:.2f} a second"


def _load(one: Level) -> str:
    return f"{one.load:g} at a time" if one.loop == "closed" else f"{one.load:g} a second"


def table(curve: Curve) -> str:
    """Return a load curve as a person reads it."""
    rows = [_HEAD, *(_row(one) for one in curve.levels)]
    wide = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, wide, strict=True)) for row in rows
    ]
    best = max(curve.levels, key=lambda one: one.per_second)
    made = f"{curve.requests} requests a level, at most {curve.tokens} tokens each"
    reached = f"{best.per_second:.2f} answers a second with {_load(best)}"
    lines += ["", f"{curve.asked.model}, {made}. Best: {reached}."]
    sources = {one.energy for one in curve.levels if one.energy}
    if sources:
        lines.append(f"Energy is {' and '.join(sorted(sources))}.")
    before = curve.machine.get("load_before")
    if before and before > 0.5 * (curve.machine.get("cores") or 1):
        lines.append(f"The machine had other work (load {before:g}): the times are too long.")
    return "\n".join(lines)


def _row(one: Level) -> tuple[str, ...]:
    return (
        _load(one), str(one.answered), str(one.refused), str(one.failed),
        f"{one.per_second:.2f}", f"{one.tokens_per_second:.1f}",
        _times(one.first), _times(one.whole),
        "-" if one.same is None else f"{one.same:.0%}",
        "-" if one.joules_per_token is None else f"{one.joules_per_token:.2f}",
    )  # fmt: skip


def _times(one: Times) -> str:
    return " / ".join(
        "-" if value is None else f"{value:.2f}" for value in (one.p50, one.p95, one.p99)
    )
