"""The entry point: finds the verbs, turns errors into one sentence and an exit code.

Exit codes: 0 pass, 1 findings against the policy (also a digest, passport or ledger that does not
hold), 2 could not check or usage error; 130 and 141 when a person or a closed pipe stopped it, as
shells say it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
import traceback

import click

from keelmark import __version__, cli
from keelmark.core.errors import IntegrityError, KeelmarkError
from keelmark.passport.files import escape

_EPILOG = """\b
Start here:
  keelmark up                      vet, admit and serve the bundled model
  keelmark vet ./model.gguf        is this file safe to load?
  keelmark guard notes.txt         what would the guard make of these lines?
  keelmark ledger verify           has anybody changed the record?

Data lives in $KEELMARK_DATA (default ~/.local/share/keelmark), the policy is $KEELMARK_CONFIG,
passports are signed with $KEELMARK_SIGNING_KEY (default: a key in the data folder).
"""


class Verbs(click.Group):
    """One file per verb in this folder; each is imported only when it is used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the verbs: the file names without a leading underscore, except this file."""
        names = (info.name for info in pkgutil.iter_modules(cli.__path__))
        return sorted(n for n in names if not n.startswith("_") and n != "main")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"keelmark.cli.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(cls=Verbs, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keelmark")
def root() -> None:
    """Take an open-weight model from a download to an audited production service."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit the process."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    try:
        result = root.main(arguments, prog_name="keelmark", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except BaseException as error:  # boundary: nobody shall ever see a traceback
        if os.environ.get("KEELMARK_DEBUG"):
            traceback.print_exc()
        said, code = _explain(error)
        if code == 141:  # keep the interpreter from complaining at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        else:
            click.echo(f"keelmark: {escape(said)}", err=True)
        return code


def _explain(error: BaseException) -> tuple[str, int]:
    """One sentence for a person, and the exit code."""
    if isinstance(error, KeelmarkError):
        return error.message, 1 if isinstance(error, IntegrityError) else 2
    if isinstance(error, click.ClickException):
        return _sentence(error), 2
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "stopped.", 130
    if isinstance(error, BrokenPipeError | SystemExit):  # click exits when the reader has gone
        return "", 141  # not 0: what was not told was not found clean
    if isinstance(error, OSError):  # such as a full disk behind stdout
        where = f" {error.filename}" if error.filename else ""
        why = error.strerror or error
        return f"cannot read or write{where} ({why}): check permissions and free space.", 2
    what = f"internal error ({type(error).__name__}: {error})"
    return f"{what}; run it again with KEELMARK_DEBUG=1 for the details and report them.", 2


def _sentence(error: click.ClickException) -> str:
    """What click has to say, as one sentence with the mend at its end."""
    hint = r"\.? \(?Did you mean (.+?)\?\)?$"
    said = re.sub(hint, r" (did you mean \1?)", " ".join(error.format_message().split()))
    context = error.ctx if isinstance(error, click.UsageError) else None
    verb = context.command_path if context else "keelmark"
    return f"{said.rstrip('.')}; see `{verb} --help`."
