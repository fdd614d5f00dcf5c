"""`keelmark guard scan` and `keelmark guard clean`: data files through the guard."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from keelmark import app
from keelmark.app import batch
from keelmark.cli._common import data_option, json_option, policy_option, print_json, progress, say
from keelmark.core.errors import UsageError
from keelmark.guard.engine import STAGES
from keelmark.observe.show import clean as clean_text

_Command = Callable[..., Any]


_SHARED = (
    click.argument(
        "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
    ),
    click.option(
        "--report",
        "reports",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write a report here: a page if it ends in .html, else JSON. May be repeated.",
    ),
    click.option(
        "--field",
        "fields",
        multiple=True,
        metavar="NAME",
        help="Read only this field, such as `text` or `messages.content`. May be repeated.",
    ),
    click.option("--stage", type=click.Choice(list(STAGES)), default="input"),
    click.option(
        "--consistent",
        is_flag=True,
        help="With masked copies: the same value has the same placeholder everywhere.",
    ),
    click.option(
        "--samples",
        default=3,
        show_default=True,
        type=click.IntRange(0, 100),
        help="Most samples of one kind in one place; what was found is not in them.",
    ),
    click.option(
        "--workers",
        default=0,
        type=click.IntRange(0, 256),
        help="Processes [default: one for each core].",
    ),
    click.option(
        "--ray",
        is_flag=False,
        flag_value="local",
        metavar="[ADDRESS]",
        help="Read on Ray: `auto` or HOST:PORT of a cluster that this machine is a node of, or "
        "without a value a Ray of this machine that ends with the run.",
    ),
    click.option("--resume", is_flag=True, help="Go on with a run that ended early."),
    policy_option,
    data_option,
    json_option,
)


def _options(command: _Command) -> _Command:
    """Add the options that both commands have."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for copies and for a list of every finding.",
)
@click.option(
    "--write",
    type=click.Choice(["masked", "redacted"]),
    help="Write cleaned copies to --out: the same rows in the same format.",
)
@_options
def scan(write: str | None, **options: Any) -> int:
    """Look through data files: JSONL, CSV, Parquet, text, Markdown, also gzip, and folders of them.

    Ends with 0 when nothing is found, 1 when something is, 2 when something could not be checked.
    What a rule masks, redacts or blocks is taken out of copies; what could not be checked is not
    in them at all.

    \b
    Examples:
      keelmark guard scan chats.jsonl --report found.html
      keelmark guard scan data/ --out cleaned --write masked --consistent
      keelmark guard scan data/ --out cleaned --write masked --consistent --resume
      keelmark guard scan corpus/ --report found.html --ray auto
    """
    if write and not options["out"]:
        raise UsageError("Copies need a place: name a folder with --out.")
    return _run(write or "", None, **options)


@click.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the cleaned set, and lists of findings and of rows.",
)
@click.option(
    "--write", type=click.Choice(["masked", "redacted"]), default="redacted", show_default=True
)
@click.option(
    "--duplicates",
    type=click.Choice(["drop", "flag", "keep"]),
    default="drop",
    show_default=True,
    help="Rows that say the same as an earlier one, or nearly.",
)
@click.option(
    "--similar",
    default=0.8,
    show_default=True,
    type=click.FloatRange(0.5, 1),
    help="Likeness from which rows are near duplicates.",
)
@click.option(
    "--blocked",
    type=click.Choice(["drop", "flag", "keep"]),
    default="drop",
    show_default=True,
    help="Rows that a rule of the policy blocks.",
)
@click.option(
    "--flagged",
    type=click.Choice(["drop", "flag", "keep"]),
    default="flag",
    show_default=True,
    help="Rows that a rule of the policy flags, whatever its detector.",
)
@_options
def clean(write: str, duplicates: str, similar: float, **options: Any) -> int:
    """Clean a training set: personal data and secrets out, duplicates and blocked rows too.

    Rows that are dropped or flagged are listed in rows.jsonl, findings in findings.jsonl, both
    beside the cleaned files. Exit codes are those of `guard scan`.

    \b
    Examples:
      keelmark guard clean train.jsonl --out cleaned --report cleaned.html
      keelmark guard clean corpus/ --out cleaned --duplicates flag --policy strict
    """
    cleaning = batch.Cleaning(
        duplicates=duplicates,  # type: ignore[arg-type]
        blocked=options.pop("blocked"),
        flagged=options.pop("flagged"),
        similar=similar,
    )
    return _run(write, cleaning, **options)


def _run(write: str, cleaning: batch.Cleaning | None, **options: Any) -> int:
    pool = _pool(options["ray"], options["workers"])
    policy = app.load_policy(options["policy"])
    app.make_guard(policy, options["policy"], data=options["data"])
    for note in app.policy_notes(policy, options["data"]):
        say(f"Note on the policy: {note}")
    if options["consistent"] and write != "masked":
        raise UsageError("--consistent is about placeholders: use it with --write masked.")
    if options["resume"] and not (options["out"] or options["reports"]):
        raise UsageError("Only a run with --out or --report leaves something to --resume.")
    plan = batch.Plan(
        policy=policy,
        key=app.value_key(options["data"]),
        stage=options["stage"],
        fields=options["fields"],
        write=write,  # type: ignore[arg-type]
        secret=b"?" if options["consistent"] else b"",
        listed=options["out"] is not None,
        compare=cleaning is not None and cleaning.duplicates != "keep",
        samples=options["samples"],
    )
    report = batch.scan(
        options["paths"],
        plan,
        out=options["out"],
        reports=options["reports"],
        cleaning=cleaning,
        pool=pool,
        resume=options["resume"],
        progress=_progress(),
    )
    if options["as_json"]:
        print_json(report)
    else:
        click.echo(batch.as_text(report))
    return report.exit_code


def _pool(ray: str | None, workers: int) -> batch.Opener:
    return batch.processes(workers) if ray is None else batch.on_ray(ray, workers)


def _progress() -> batch.Progress:
    """Show how far it is, and on what it waits: a text has a minute for each rule."""
    show, width = progress("Checking"), 0

    def update(done: int, total: int, note: str) -> None:
        nonlocal width
        show(done, total)
        if sys.stderr.isatty() and (note or width):
            said = f", {clean_text(note)}" if note else ""
            click.echo(said.ljust(width), err=True, nl=False)
            width = len(said)

    return update
