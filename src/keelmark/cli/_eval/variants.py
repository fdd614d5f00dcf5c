"""`keelmark eval variants`: what questions can be turned into."""

from __future__ import annotations

import random
import sys

import click

from keelmark.cli._common import json_option, print_json, tell
from keelmark.core.errors import UsageError
from keelmark.evaluate.vary import chosen_variants, listed, variants, vary_texts


@click.command()
@click.argument("names", default="all")
@click.option("--text", help="Show what becomes of this text; - reads it from standard input.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@json_option
def command(names: str, text: str | None, seed: int, *, as_json: bool) -> int:
    """List the variants of NAMES, or show what they make of a text.

    NAMES are ids, robustness, fairness or all, with commas between.

    \b
    Examples:
      keelmark eval variants
      keelmark eval variants fairness --text "She is not going to ask Anna."
    """
    told = []
    given = sys.stdin.read() if text == "-" else text
    for name in chosen_variants(listed(names)):
        one = variants()[name]
        languages = ", ".join(one.LANGUAGES) or "any language"
        entry = {"id": name, "view": str(one.VIEW), "title": one.TITLE, "languages": languages}
        if given is not None:
            source = random.Random(f"{seed}\0{name}")  # noqa: S311 (no secret)
            entry["text"] = vary_texts(name, [given], source)[0]
        told.append(entry)
    if not told:
        raise UsageError("Name variants, or robustness, fairness, all.")
    if as_json:
        print_json(told)
        return 0
    width = max(len(one["id"]) for one in told)
    for entry in told:
        shown = f"{entry['title']} ({entry['view']}, {entry['languages']})"
        if given is not None:
            shown = entry["text"] if entry["text"] != given else "(nothing to change)"
        tell(f"{entry['id']:{width}}  {shown}")
    return 0
