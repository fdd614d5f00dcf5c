"""`keelmark guard corpus`: texts that answers must not repeat."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark.cli._common import json_option, print_json, say
from keelmark.guard._corpus import build as build_corpus

_PATH = click.Path(path_type=Path)


@click.group()
def corpus() -> None:
    """Register texts that answers must not repeat word for word."""


@corpus.command()
@click.argument("folder", type=_PATH)
@click.option("--out", required=True, type=_PATH, help="File to write.")
@json_option
def build(folder: Path, out: Path, *, as_json: bool) -> int:
    """Write hashes of all texts under FOLDER, for the detector `verbatim`.

    The file holds no text. Ends with 1 when a file is no UTF-8 text and so is not in it.

    \b
    Example:
      keelmark guard corpus build our-books --out books.hashes
    """
    built = build_corpus(folder, out)
    for name in built.unread:
        say(f"WARNING: {name} is no text in UTF-8 and is not in it.")
    if as_json:
        print_json(built)
    else:
        click.echo(f"{built.documents} texts, {built.entries} hashes in {out}")
    return int(bool(built.unread))
