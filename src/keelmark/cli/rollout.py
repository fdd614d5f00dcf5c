"""`keelmark rollout`: one model takes the place of another in steps, and goes back if worse."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark import app
from keelmark.app import decisions
from keelmark.cli._common import data_option, json_option, print_json, reason_option, say
from keelmark.core.rollouts import MEASURES, By, Evidence, Plan, Rollout
from keelmark.store.traces import traces_after

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AT_ONCE = 2000


class _Span(click.ParamType[float]):
    """A span of time: `30s`, `10m`, `2h`, `1d`."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is no span of time; write it like 30s, 10m or 2h.", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class _Steps(click.ParamType[tuple[int, ...]]):
    """Percentages with commas between them."""

    name = "steps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the percentages."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\d{1,3}(,\d{1,3})*", str(value)):
            self.fail(f"{value!r} are no steps; write them like 1,10,50,100.", param, ctx)
        return tuple(int(one) for one in str(value).split(","))


@click.group()
def command() -> None:
    """Let one model take the place of another in steps; it goes back when it does worse."""


@command.command()
@click.argument("model")
@click.option("--to", required=True, metavar="NEW", help="The model that takes its place.")
@click.option(
    "--steps",
    type=_Steps(),
    default="1,10,50,100",
    show_default=True,
    help="Shares of the new model, percent.",
)
@click.option(
    "--every", type=_Span(), default="10m", show_default=True, help="Shortest time of a step."
)
@click.option(
    "--least",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Fewest observations of the new model in a step.",
)
@click.option(
    "--alarm",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.01,
    show_default=True,
    help="Probability of going back although the new model is no worse, at most.",
)
@click.option(
    "--by",
    type=click.Choice(["subject", "request"]),
    default="subject",
    show_default=True,
    help="What stays with a model, and is counted once in a step.",
)
@click.option(
    "--slower",
    type=click.FloatRange(0, 100),
    default=0.25,
    show_default=True,
    help="Part of its time by which the new model may be slower.",
)
@click.option(
    "--worse",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.02,
    show_default=True,
    help="Part of what goes well now that may go wrong.",
)
@reason_option
@data_option
def start(
    model: str, to: str, every: float, by: By, reason: str, data: Path | None, **plan: Any
) -> None:
    """Begin to replace MODEL, whose name clients use, by NEW.

    The share of NEW grows step by step. In every step requests that fail, answers that the guard
    changes, and times are compared with those of MODEL; if NEW does worse, all requests go back to
    MODEL at once. Both have to be in the service.

    \b
    Example:
      keelmark rollout start chat --to chat-q4 --steps 5,25,100 --every 30m
    """
    wanted = Plan(seconds=every, by=by, **plan)
    with app.Home.open(data) as home:
        rollout = decisions.roll_out(home.store, model, to, wanted, reason, decisions.whoami())
    say(f"{rollout.share} % of {model} goes to {to} from now on; see `keelmark rollout status`.")


@command.command()
@data_option
@json_option
def status(data: Path | None, *, as_json: bool) -> None:
    """Show the rollouts: how far they are, and what was seen of both models."""
    with app.Home.open(data) as home:
        found = [(one, _seen(home, one)) for one in decisions.rollouts(home.store)]
    if as_json:
        print_json([{**msgspec.to_builtins(r), "share": r.share, "evidence": e} for r, e in found])
        return
    if not found:
        say("There is no rollout; begin one with `keelmark rollout start MODEL --to NEW`.")
    for rollout, seen in found:
        _show(rollout, seen)


@command.command()
@click.argument("model")
@reason_option
@data_option
def abort(model: str, reason: str, data: Path | None) -> None:
    """End the rollout of MODEL: the old model answers again."""
    with app.Home.open(data) as home:
        rollout = decisions.abort(home.store, model, reason, decisions.whoami())
    say(f"All of {model} goes to {model} again, nothing to {rollout.to}.")


def _seen(home: app.Home, rollout: Rollout) -> dict[str, Any]:
    """Work out from the traces what was seen in the step that it is in."""
    if rollout.state != "running":
        return {}
    evidence = Evidence(rollout)
    while True:
        rows = home.store.read(lambda db: traces_after(db, evidence.read, rollout.name, _AT_ONCE))
        for evidence.read, trace in rows:
            evidence.see(trace)
        if len(rows) < _AT_ONCE:
            return evidence.summary()


def _show(rollout: Rollout, seen: dict[str, Any]) -> None:
    plan = rollout.plan
    click.echo(
        f"{rollout.name} -> {rollout.to}: {rollout.state.replace('_', ' ')}, {rollout.share} % "
        f"(steps {','.join(map(str, plan.steps))}, each {plan.seconds:g} s and {plan.least} "
        f"observations by {plan.by}, false alarms at most {plan.alarm:g})"
    )
    if rollout.reason:
        click.echo(f"  {rollout.reason}")
    if not seen:
        return
    counted = seen["counted"]
    click.echo(f"  counted in this step: {counted['old']} of the old, {counted['new']} of the new")
    for name, what in MEASURES.items():
        old, new, e = seen[name]["old"], seen[name]["new"], seen[name]["e"]
        click.echo(
            f"  {what:<52} {old[0]}/{old[1]} against {new[0]}/{new[1]} of the new, e-value {e:g} "
            f"of {math.exp(plan.strength):.0f}"
        )
