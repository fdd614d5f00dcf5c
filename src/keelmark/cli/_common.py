"""What several verbs share: options, colours, progress."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.vetting import VetVerdict
from keelmark.passport.files import escape_lines, write_whole

DATABASE = "KEELMARK_DATABASE"
_UNUSUAL = re.compile(r"[^\n -~]")
EXIT = {VetVerdict.PASS: 0, VetVerdict.FAIL: 1, VetVerdict.INCOMPLETE: 2}

data_option = click.option(
    "--data",
    envvar="KEELMARK_DATA",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder [default: $KEELMARK_DATA, else ~/.local/share/keelmark].",
)


def _remember(context: click.Context, _: click.Parameter, address: str | None) -> None:
    """Put the address where the store and all processes that are started look for it."""
    if address is None:
        return
    before = os.environ.get(DATABASE)
    os.environ[DATABASE] = address

    def restore() -> None:
        os.environ.pop(DATABASE)
        if before is not None:
            os.environ[DATABASE] = before

    context.call_on_close(restore)


_database_option = click.option(
    "--database",
    metavar="URL",
    callback=_remember,
    expose_value=False,
    help="PostgreSQL database (postgresql://...) instead of SQLite in the data folder "
    "[default: $KEELMARK_DATABASE].",
)


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the store is: --data and --database."""
    return data_option(_database_option(command))


policy_option = click.option(
    "--policy",
    envvar="KEELMARK_CONFIG",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Policy file (YAML) [default: $KEELMARK_CONFIG, else the built-in policy].",
)
reason_option = click.option(
    "--reason", default="", metavar="TEXT", help="Why; it is kept in the ledger."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")


def home_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every verb has that works in an installation: --policy, --data ... and --json."""
    return policy_option(store_option(json_option(command)))


class Memory(click.ParamType[int]):
    """An amount of memory: `8G`, `1.5GiB`, `512M`. Powers of 1024, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(
            r"(\d{1,12}(?:\.\d{1,6})?) ?([KMGT])(?:i?B)?", str(value), re.IGNORECASE
        )
        if found is None:
            self.fail(f"{value!r} is no amount of memory; write it like 8G or 512M.", param, ctx)
        return int(float(found[1]) * 1024 ** ("KMGT".index(found[2].upper()) + 1))


def coloured() -> bool:
    """Whether to colour stdout: a terminal, and neither NO_COLOR nor TERM=dumb."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def tell(text: str, *, nl: bool = True) -> None:
    """Print on stdout what others had a word in (names, answers, errors): it cannot steer it."""
    click.echo(escape_lines(text), nl=nl)


def say(text: str) -> None:
    """Tell the person something; data goes to stdout, this to stderr."""
    click.echo(escape_lines(text), err=True)


def print_json(value: Any) -> None:
    """Print a value as indented JSON on stdout; what could steer a terminal is escaped in it."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo(_UNUSUAL.sub(_escaped, text))


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def progress(label: str, *, things: str = "") -> Callable[[int, int], None]:
    """Return a callback that shows how much is done on a terminal, and is quiet else.

    Args:
        label: What is being done.
        things: What is counted; bytes when left out.
    """
    shown = [0.0]

    def update(done: int, total: int) -> None:
        now = time.monotonic()
        if not sys.stderr.isatty() or total <= 0 or (now - shown[0] < 0.1 and done < total):
            return
        shown[0] = now
        end = "\n" if done >= total else ""
        whole = f"{total:,} {things}" if things else f"{total / 1e6:,.0f} MB"
        text = f"\r{label} {done / total:4.0%} of {whole}"
        click.echo(text, err=True, nl=False)
        click.echo(end, err=True, nl=False)

    return update


def write_out(path: Path, text: str | bytes) -> None:
    """Write what a person asked for with `--out`: whole, or not at all.

    Raises:
        UsageError: It cannot be written there.
    """
    data = text.encode() if isinstance(text, str) else text
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a pipe or /dev/stdout: nothing there can be replaced
        else:
            write_whole(path, data)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); choose another place, or free some "
            "space."
        ) from None
