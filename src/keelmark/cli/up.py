"""`keelmark up`: vet, admit and serve."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import Memory, policy_option, progress, say, store_option


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]REF",
    help="A GGUF file, hf:org/name[:file.gguf][@revision], or `default`; repeatable.",
)
@click.option(
    "--memory",
    type=Memory(),
    default=0,
    metavar="SIZE",
    help="Memory for all local models together, such as 8G [default: what is free].",
)
@click.option(
    "--stay",
    default=15.0,
    show_default=True,
    type=click.FloatRange(0, 86400),
    help="Seconds that a model stays loaded although another one needs its memory.",
)
@click.option(
    "--load-wait",
    default=120.0,
    show_default=True,
    type=click.FloatRange(0.1, 3600),
    help="Seconds that a request waits for its model to be loaded.",
)
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="URL|ID",
    help="Stand in front of a server instead, OpenAI-compatible or (anthropic+URL) one that "
    "speaks Messages; repeatable.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that serve; about one per core that is free.",
)
@click.option("--context", default=0, help="Context length, tokens [default: from the model].")
@click.option("--slots", default=4, show_default=True, help="Requests that decode side by side.")
@click.option("--no-admit", is_flag=True, help="Refuse a model that was never admitted.")
@click.option(
    "--transport",
    type=click.Choice(["direct", "pyreqwest", "aiohttp"]),
    default="direct",
    show_default=True,
    help="HTTP client towards engines.",
)
@click.option(
    "--engine-log",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder in which the engine logs every prompt it gets (for audits; off by default).",
)
@store_option
@click.option(
    "--valkey",
    envvar="KEELMARK_VALKEY",
    metavar="URL",
    default="",
    help="Valkey or Redis (redis://...) for limits that several machines share "
    "[default: $KEELMARK_VALKEY].",
)
@policy_option
@click.option(
    "--shadow-policy",
    envvar="KEELMARK_SHADOW_POLICY",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Second policy: records what its guard rules would have done, and changes nothing.",
)
def command(data: Path | None, policy: Path | None, **options: object) -> None:
    """Vet, admit and serve: engine, gateway and guard on one port.

    The first start fetches the bundled model by its pinned digest, makes an admin key and prints
    it once. Everything listens on loopback unless --host says otherwise.

    \b
    Examples:
      keelmark up
      keelmark up --model ./qwen2.5-0.5b-instruct-q4_k_m.gguf
      keelmark up --model small=./a.gguf --model large=./b.gguf --memory 8G
      keelmark up --upstream http://127.0.0.1:11434/v1
      keelmark up --upstream openai --policy strict.yaml
    """
    settings = app.Settings(data=data, policy=policy, **options)  # type: ignore[arg-type]
    app.serve(settings, say=say, progress=progress)
