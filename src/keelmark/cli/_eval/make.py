"""`keelmark eval make`: a suite of one's own, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark.app import own
from keelmark.app.engines import Person
from keelmark.app.evaluation import Wanted
from keelmark.app.home import Home
from keelmark.app.quality.report import number
from keelmark.cli._common import home_options, print_json, progress, say, tell
from keelmark.cli._eval.run import seed_option, target_options, wanted_of
from keelmark.cli._own import columns_of, columns_options
from keelmark.core.errors import UsageError
from keelmark.evaluate.own.form import SCORERS
from keelmark.evaluate.packs import pack_ids


@click.command()
@click.argument("table", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@columns_options
@click.option("--split", metavar="COLUMN", help="Which part of the data a row belongs to.")
@click.option("--scorer", default="", metavar="ID", help=f"Who scores: {', '.join(SCORERS)}.")
@click.option(
    "--first",
    type=click.IntRange(0, 1),
    help="What answers call the first choice, where they are numbers and it cannot be told.",
)
@click.option(
    "--documents",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Texts or folders of them: a model writes questions with answers, and what rests on its "
    "passage is kept. May be given again.",
)
@click.option(
    "--traces",
    is_flag=True,
    help="FILE is feedback on traces: a column `trace`, one that says good or bad, one with what "
    "would be right.",
)
@click.option(
    "--pack",
    metavar="NAME",
    help=f"A folder to begin with, into FILE, a new folder: {', '.join(pack_ids())}.",
)
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(0),
    help="Most passages of the documents, drawn by the seed; 0 for all.",
)
@click.option(
    "--each",
    default=1,
    show_default=True,
    type=click.IntRange(1, 16),
    help="Pairs that are written for each passage.",
)
@seed_option
@click.option("--name", default="", help="Name of the suite [default: that of the file].")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder for the suite and its data [default: this one].",
)
@click.option("--licence", metavar="SPDX", default="", help="The licence, where no file says it.")
@click.option("--language", default="en", show_default=True, help="Of the questions, BCP 47.")
@target_options
@home_options
def command(
    table: Path | None,
    data: Path | None,
    policy: Path | None,
    *,
    documents: tuple[Path, ...],
    pack: str | None,
    traces: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Make a suite from FILE (CSV, JSONL or Parquet): a YAML file, and its data with a SHA-256.

    What the columns are is guessed by their names and forms, and said; what cannot be a suite is
    refused. Look at the data first: keelmark eval data FILE.

    A suite of your own (its YAML file) takes its data as it is now, and gets the next version.

    With --traces FILE says which answers of this installation were good, or what would have been;
    what is kept of them (`keelmark traces`) becomes the suite.

    With --documents a model is asked, as `keelmark eval run` asks it, for questions with answers.
    Kept is what rests on its passage by words, numbers and names, and what the model comes back
    to when it is asked its own question; the share is told.

    \b
    Examples:
      keelmark eval make questions.csv
      keelmark eval make faq.jsonl --question q --answer a --scorer f1 --out suites
      keelmark eval make feedback.csv --traces --name support
      keelmark eval make --pack finance my-suites
      keelmark eval make --documents handbook/ --url http://127.0.0.1:8080 --name handbook
    """
    if pack is not None:
        if table is None or documents or traces:
            raise UsageError("Name a new folder for the pack, and nothing else.")
        _show_pack(own.from_pack(pack, table), as_json=as_json)
        return 0
    if (table is None) != bool(documents):
        raise UsageError("Name a table, or texts with --documents: one of them.")
    wanted = wanted_of(options, policy)
    if table is None:
        order = _documents(documents, wanted, options)
        with Home.open(data, policy) as home:
            person = Person(say, progress)
            made = own.from_documents(order, home, person, progress("Asked", things="passages"))
    elif traces:
        with Home.open(data, policy) as home:
            made = own.from_traces(_table(table, options), home)
    elif table.suffix in (".yaml", ".yml"):
        made = own.renew(table)
    else:
        made = own.from_table(_table(table, options))
    _show(made, as_json=as_json)
    return 0


def _documents(paths: tuple[Path, ...], wanted: Wanted, options: dict[str, Any]) -> own.Documents:
    return own.Documents(
        paths=paths,
        folder=options["out"],
        name=options["name"],
        limit=options["limit"],
        each=options["each"],
        wanted=wanted,
        seed=options["seed"],
        licence=options["licence"],
        language=options["language"],
    )


def _table(path: Path, options: dict[str, Any]) -> own.Table:
    return own.Table(
        path=path,
        folder=options["out"],
        name=options["name"],
        columns=columns_of(options),
        scorer=options["scorer"],
        first=options["first"],
        licence=options["licence"],
        language=options["language"],
    )


def _show_pack(made: own.Unpacked, *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(made, enc_hook=str))
        return
    tell(
        f"Made {len(made.suites)} suites with {made.rows} example rows in "
        f"{made.folder}.\n"
        f"What is missing before they measure something: {made.checklist}"
        f"\nWhat a policy may demand of them: {made.gates}"
    )


def _show(made: own.Made, *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(made, enc_hook=str))
        return
    for one in made.said:
        tell(one)
    tell(
        f"Made {made.suite}: {number(made.rows, 'question')}, measured by "
        f"{', '.join(made.measures)}.\nIts data is {made.data} "
        f"(SHA-256 {made.sha256[:12]}…).\nRun it: keelmark eval run {_path(made.suite)}"
    )


def _path(path: Path) -> str:
    text = str(path)
    return text if "/" in text else f"./{text}"
