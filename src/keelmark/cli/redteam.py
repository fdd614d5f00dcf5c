"""`keelmark redteam`: what attacks achieve, and what the guard is good for and costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keelmark.app.engines import Person
from keelmark.app.evaluation.redteam import Attacking, Report, attack_suites, red_team
from keelmark.app.home import Home
from keelmark.cli._common import json_option, print_json, progress, say, store_option, tell
from keelmark.cli._eval.run import target_options, wanted_of
from keelmark.cli._foreign import foreign
from keelmark.cli._tables import table
from keelmark.core.errors import UsageError
from keelmark.evaluate.attacks import mutators
from keelmark.evaluate.contract import Measure
from keelmark.evaluate.manifest import Sampling
from keelmark.evaluate.redteam import SECONDS, Change, Line

_ALL, _NONE = "all", "none"


@click.command()
@click.argument("suites", nargs=-1)
@target_options
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="POLICY",
    help="Policy file, or the name of one that comes with Keelmark, to compare with the guard "
    "off. May be repeated [default: default].",
)
@click.option(
    "--mutator",
    "named",
    multiple=True,
    metavar="ID",
    help="Who writes attacks in other ways: an id, all, or none. May be repeated [default: all].",
)
@click.option(
    "--limit", default=0, type=click.IntRange(0), help="Only so many attacks of each suite."
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--max-tokens", type=click.IntRange(1), help="Longest answer [default: the suite's].")
@click.option("--temperature", type=click.FloatRange(0, 2), help="[default: the suite's]")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for runs.")
@click.option("--again", is_flag=True, help="Run anew what was run before.")
@click.option("--garak", metavar="SPEC", help="Let garak attack --url instead (probes.dan,...).")
@click.option(
    "--pyrit", metavar="SCRIPT", help="Let a Python script that uses PyRIT attack --url instead."
)
@click.option(
    "--read", metavar="FILE", help="Read a report of garak or a memory of PyRIT that is there."
)
@click.option("--program", help="Program of garak, or Python of PyRIT [default: as in $PATH].")
@click.option("--list", "listing", is_flag=True, help="Show suites and mutators, and ask nobody.")
@store_option
@json_option
def command(
    suites: tuple[str, ...], data: Path | None, *, as_json: bool, listing: bool, **options: Any
) -> int:
    """Attack a served model with the red-team SUITES (default: all), guard off and on.

    The harm of every attack is a marked action: two words are said, a made-up secret is told, a
    tool that does nothing is called. Each attack has a benign twin in the same form, so that what
    the guard costs stands beside what it is good for. Asked is a service like that of `keelmark
    up`, once without a guard and once with each --policy; with --url whoever answers there, as it
    is. A run that ends anywhere goes on when the same command is given again. --garak and --pyrit
    let tools of others attack instead; their results are told by OWASP's list of 2025.

    Ends with 0 when everything was asked and scored, 2 when something was not.

    \b
    Examples:
      keelmark redteam
      keelmark redteam redteam_documents redteam_tools --policy default --policy strict
      keelmark redteam --mutator in_base64 --mutator leetspeak --limit 10 --json
      keelmark redteam --url http://127.0.0.1:8080
      keelmark redteam --url http://127.0.0.1:8080 --model my-model --garak probes.promptinject
      keelmark redteam --read garak.report.jsonl
    """
    if listing:
        tell(_listed())
        return 0
    policies, named = options.pop("policies"), options.pop("named")
    others = {name: options.pop(name) for name in ("garak", "pyrit", "read", "program")}
    place, again = options.pop("out"), options.pop("again")
    wanted = wanted_of(options, None)
    if any(others.values()):
        with Home.open(data, None) as home:
            return foreign(home, wanted, others, place, as_json=as_json)
    if wanted.how == "raw":
        raise UsageError("Leave out --raw: without a guard the gateway is asked anyway.")
    if wanted.how == "url" and policies:
        raise UsageError("--policy is for a service of our own; leave it out with --url.")
    attacking = Attacking(
        wanted=wanted,
        policies=policies or ("default",),
        suites=suites,
        mutators=_mutators(named),
        sampling=Sampling(**options),
        out=place,
        again=again,
    )
    with Home.open(data, None) as home:
        bar = progress("Asked", things="pairs")
        report = red_team(attacking, home, Person(say, progress), bar)
    if as_json:
        print_json(report)
    else:
        tell(_text(report))
    return report.exit_code


def _mutators(named: tuple[str, ...]) -> tuple[str, ...]:
    if _NONE in named:
        return ()
    return tuple(mutators()) if not named or _ALL in named else named


def _listed() -> str:
    shown = [[name, one.TITLE, ", ".join(one.TAGS)] for name, one in mutators().items()]
    return "\n".join(attack_suites()) + "\n\n" + table(["mutator", "what", "tags"], shown)


def _text(report: Report) -> str:
    """The table for people: each figure with its interval, then what it changed."""
    names = [side.name for side in report.sides]
    out, group = [], ""
    for group in dict.fromkeys(line.group for line in report.lines):
        some = [line for line in report.lines if line.group == group]
        out.append(f"{_of(group)}, {_counted(some)}")
        heads = ["", *names, *(f"{name}, change" for name in names[1:])]
        out.append(table(heads, [_row(line) for line in some]) + "\n")
    for side in report.sides:
        out.append(f"{side.name}: {side.asked}")
        out += [f"  INCOMPLETE: {why}" for why in side.incomplete]
    out.append("In brackets: 95 % intervals. A change is on the same attacks; * where p < 0.05.")
    return "\n".join(out)


def _of(group: str) -> str:
    words = {"as written": "Attacks as they are written", "mutated": "Attacks that were mutated"}
    return words.get(group) or (f"Mutator {group[1:]}" if group[0] == "~" else f"Suite {group}")


def _counted(some: list[Line]) -> str:
    least = min(one.n for line in some if line.measure != SECONDS for one in line.sides)
    most = max(one.n + one.unscored for line in some for one in line.sides)
    return f"n = {most}" if least == most else f"n = {least} to {most}: the rest was not scored"


def _row(line: Line) -> list[str]:
    return [
        line.title,
        *(_figure(one, line.measure) for one in line.sides),
        *(_changed(one, line.measure) for one in line.changes),
    ]


def _figure(one: Measure, name: str) -> str:
    if one.value is None:
        return "not measured"
    said = _number(one.value, name) + _span(one.low, one.high, name)
    return said + (f" n={one.n}" if name == SECONDS else "")


def _number(value: float, name: str, sign: str = "") -> str:
    return f"{value:{sign}.2f}" if name == SECONDS else f"{100 * value:{sign}.0f} %"


def _span(low: float | None, high: float | None, name: str, sign: str = "") -> str:
    if low is None or high is None:
        return ""
    ends = (_number(one, name, sign).removesuffix(" %") for one in (low, high))
    return f" [{', '.join(ends)}]"


def _changed(one: Change | None, name: str) -> str:
    if one is None:
        return ""
    mark = "*" if one.p is not None and one.p < 0.05 else ""
    return f"{_number(one.value, name, '+')}{mark}{_span(one.low, one.high, name, '+')}"
