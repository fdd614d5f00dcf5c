"""`keelmark eval run`: one suite against one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from keelmark.app.engines import Person
from keelmark.app.evaluation import Order, Wanted, evaluate
from keelmark.app.evaluation.views import views_of
from keelmark.app.home import Home
from keelmark.cli._common import home_options, print_json, progress, say, tell
from keelmark.core.errors import UsageError
from keelmark.evaluate.manifest import How, Sampling
from keelmark.evaluate.result import table
from keelmark.evaluate.suite import load_suite, scorer
from keelmark.evaluate.vary import fitting, listed, variants_of
from keelmark.evaluate.views import shown

N = TypeVar("N", int, float)
seed_option = click.option("--seed", default=1, show_default=True, type=click.IntRange(0))


def target_options(command: Any) -> Any:
    """Add the options that say whom to ask: --url, --key, --model, --raw and how."""
    for option in reversed(
        (
            click.option("--url", help="Ask an OpenAI-compatible service that already runs."),
            click.option(
                "--key", envvar="KEELMARK_KEY", default="", help="Its key [default: $KEELMARK_KEY]."
            ),
            click.option(
                "--model",
                default="",
                help="With --url: its name there [default: the first that is listed]. Else a GGUF "
                "file or a reference as for `keelmark up` [default: the bundled one].",
            ),
            click.option("--raw", is_flag=True, help="Ask the bare engine, without the guard."),
            click.option("--context", default=0, help="Context length of an own engine, tokens."),
            click.option(
                "--parallel", default=4, show_default=True, type=click.IntRange(1, 256),
                help="Requests at a time.",
            ),
            click.option(
                "--timeout", default=300.0, show_default=True, type=click.FloatRange(1, 86400),
                help="Seconds for one answer.",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def wanted_of(options: dict[str, Any], policy: Path | None) -> Wanted:
    """Take the options of `target_options` out of all options; return whom to ask.

    Raises:
        UsageError: They contradict each other.
    """
    url, raw = options.pop("url"), options.pop("raw")
    if url and raw:
        raise UsageError("--raw is for an engine of this machine; leave it out with --url.")
    named = {name: options.pop(name) for name in ("key", "model", "context", "parallel", "timeout")}
    how: How = "url" if url else "raw" if raw else "served"
    return Wanted(how=how, url=url or "", policy=policy, **named)


def numbers_of(text: str, option: str, read: type[N], least: N, most: N) -> list[N]:
    """Read what an option takes, numbers with commas between.

    Raises:
        UsageError: It is something else.
    """
    try:
        found = [read(one) for one in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(least <= one <= most for one in found):
        kind = "whole numbers" if read is int else "numbers"
        raise UsageError(
            f"{option} takes {kind} from {least:,} to {most:,} with commas between, not {text!r}."
        )
    return found


def judge_options(command: Any) -> Any:
    """Add the options that say which model judges: --judge, --judge-model, --judge-key."""
    for option in reversed(
        (
            click.option(
                "--judge",
                help="OpenAI-compatible service whose model judges answers, where the suite has "
                "one do that [default: the model that is evaluated].",
            ),
            click.option(
                "--judge-model", default="", help="Its name there [default: the first listed]."
            ),
            click.option(
                "--judge-key",
                envvar="KEELMARK_JUDGE_KEY",
                default="",
                help="Its key [default: $KEELMARK_JUDGE_KEY].",
            ),
        )
    ):
        command = option(command)
    return command


def judge_of(options: dict[str, Any]) -> Wanted | None:
    """Take the options of `judge_options` out of all options; return which model judges.

    Raises:
        UsageError: A model or key is named without a service.
    """
    url, model, key = (options.pop(f"judge{what}") for what in ("", "_model", "_key"))
    if url:
        return Wanted(how="url", url=url, model=model, key=key)
    if model:
        raise UsageError("--judge-model is a model of --judge URL; name that too.")
    return None


@click.command()
@click.argument("suite")
@target_options
@click.option(
    "--limit", default=0, type=click.IntRange(0), help="Only so many rows, drawn by the seed."
)
@click.option("--shots", type=click.IntRange(0, 64), help="Worked examples [default: the suite's].")
@seed_option
@click.option("--max-tokens", type=click.IntRange(1), help="Longest answer [default: the suite's].")
@click.option("--temperature", type=click.FloatRange(0, 2), help="[default: the suite's]")
@click.option("--system", default="", help="System prompt before every question.")
@click.option(
    "--variants",
    default="",
    help="Ask every question in variants too: their names (`eval variants`), robustness, fairness "
    "or all, with commas between.",
)
@click.option(
    "--views",
    is_flag=True,
    help="Show the run from seven sides, as HELM does, with every variant that fits.",
)
@judge_options
@click.option(
    "--run-code", is_flag=True, help="Run programs that the model wrote, each in a sandbox."
)
@click.option(
    "--jobs",
    default=1,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Processes that ask and score; each asks --parallel at a time.",
)
@click.option(
    "--ray",
    is_flag=False,
    flag_value="local",
    default="",
    metavar="[ADDRESS]",
    help="Ask and score on Ray: `auto` or HOST:PORT of a cluster whose nodes reach --url, or "
    "without a value a Ray of this machine, of --jobs cores, that ends with the run.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for runs.")
@click.option("--again", is_flag=True, help="Run it anew although it was run before.")
@home_options
def command(
    suite: str, data: Path | None, policy: Path | None, *, as_json: bool, **options: Any
) -> int:
    """Run SUITE (an id, or a suite's YAML file) and keep everything that came back.

    Asked is a service like that of `keelmark up`, started for the run, guard included; with --raw
    the bare engine; with --url whoever answers there. A run that ends anywhere goes on when the
    same command is given again; one that is complete is shown at once.

    Ends with 0 when the run is complete, 2 when something could not be asked or scored.

    \b
    Examples:
      keelmark eval run arc_easy
      keelmark eval run arc_easy --raw --limit 400
      keelmark eval run ./mine.yaml --url http://127.0.0.1:8080 --json
    """
    wanted, judge = wanted_of(options, policy), judge_of(options)
    varied = options.pop("variants")
    how = {name: options.pop(name) for name in ("out", "again", "run_code", "jobs", "ray")}
    all_views, asked = options.pop("views"), load_suite(suite).suite
    names = listed(varied) or (fitting(asked) if all_views else [])
    order = Order(
        suite=suite,
        wanted=wanted,
        judge=judge,
        sampling=Sampling(**options),
        variants=variants_of(asked, names, options["seed"]),
        **how,
    )
    with Home.open(data, policy) as home:
        done = evaluate(order, home, Person(say, progress), progress("Asked", things="samples"))
    if not order.run_code and "sandbox" in getattr(scorer(asked.scorer.id), "JUDGES", ()):
        say("Programs are only run with --run-code; the same command with it scores what was kept.")
    found = views_of(done.folder) if all_views else []
    if as_json:
        told = {"views": {view.name: view for view in found}} if all_views else {}
        print_json({**msgspec.to_builtins(done.result), "folder": str(done.folder), **told})
        return done.result.exit_code
    if done.cached:
        say("This run was complete already; --again runs it anew.")
    tell(table(done.result))
    if found:
        tell(f"\n{shown(found)}\n")
    tell(f"Kept in {done.folder}")
    return done.result.exit_code
