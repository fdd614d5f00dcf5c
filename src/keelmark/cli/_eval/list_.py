"""`keelmark eval list`: the suites."""

from __future__ import annotations

import click
import msgspec

from keelmark.cli._common import json_option, print_json, tell
from keelmark.evaluate.suite import Suite, load_suite, suite_ids


@click.command(name="list")
@click.option("--tag", "tags", multiple=True, help="Only suites with this tag. May be repeated.")
@json_option
def command(tags: tuple[str, ...], *, as_json: bool) -> int:
    """List the suites that come with Keelmark or are installed beside it."""
    suites = [load_suite(name).suite for name in suite_ids()]
    some = [one for one in suites if set(tags) <= set(one.tags)]
    if as_json:
        print_json([_plain(one) for one in some])
        return 0
    width = max((len(one.id) for one in some), default=0)
    for one in some:
        rows = f"{one.data.rows:,} rows" if one.data.rows else "your rows"
        tell(f"{one.id:{width}}  {one.title} ({rows}, {one.language}, {one.data.licence})")
    return 0


def _plain(suite: Suite) -> object:
    kept = ("id", "title", "about", "version", "primary", "measures", "tags", "language", "data")
    return {name: msgspec.to_builtins(getattr(suite, name)) for name in kept}
