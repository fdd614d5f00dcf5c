"""`keelmark completion`: shell completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from keelmark.core.errors import UsageError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Examples:
      keelmark completion bash >> ~/.bashrc
      keelmark completion fish > ~/.config/fish/completions/keelmark.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"There is no completion for {shell}; choose bash, zsh or fish.")
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "keelmark", "_KEELMARK_COMPLETE").source())
