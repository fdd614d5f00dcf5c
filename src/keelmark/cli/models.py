"""`keelmark models`: what is here, whether it may be served, and what a running service does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark import app
from keelmark.app import decisions
from keelmark.cli._common import (
    data_option,
    json_option,
    policy_option,
    print_json,
    progress,
    reason_option,
    say,
)
from keelmark.core.errors import UnavailableError, UsageError
from keelmark.serve.steering import Switch

_PATIENCE_SECONDS = 900.0
_NOTICED_SECONDS = 5.0


@click.group()
def command() -> None:
    """List models and fetch them; load, unload, stop and start those of a running service."""


@command.command("list")
@data_option
@policy_option
@json_option
def list_(data: Path | None, policy: Path | None, *, as_json: bool) -> None:
    """List the models that were admitted, whether their passports hold, and how they stand.

    The bytes are hashed again, so this tells what would happen at the next start.
    """
    with app.Home.open(data, policy) as home:
        rows = app.list_models(home, progress=progress("Reading"))
        running = decisions.services(home.store)
        stopped = decisions.switches(home.store)
    if as_json:
        print_json(_with_services(rows, running, stopped))
        return
    if not rows and not running:
        say("No model was admitted yet: `keelmark up`, or `keelmark admit PATH`.")
    for row in rows:
        mark = "valid" if row["passport"]["valid"] else "NOT VALID"
        click.echo(f"{row['name']:<32} {row['digest'][:19]}  {mark:<9}  {row['path']}")
        if not row["passport"]["valid"]:
            click.echo(f"    {row['passport']['reason']}")
    for service in running:
        _show_service(service, stopped)
    for switch in stopped.values():
        why = f": {switch.reason}" if switch.reason else ""
        click.echo(f"{switch.name} is stopped, by {switch.who}{why}")


def _with_services(
    rows: list[dict[str, Any]],
    running: list[decisions.ServiceReport],
    stopped: dict[str, Switch],
) -> list[dict[str, Any]]:
    """Return the models that were admitted, and those of services, with how they stand."""
    reports: dict[str, list[dict[str, Any]]] = {}
    for service in running:
        for model in service.models:
            told = {"service": service.place, **msgspec.to_builtins(model)}
            reports.setdefault(model.name, []).append(told)
    known = {row["name"] for row in rows}
    others = [
        {"name": name, "digest": "", "path": "", "passport": None}
        for name in reports
        if name not in known
    ]
    return [
        {
            **row,
            "services": reports.get(row["name"], []),
            "stopped": msgspec.to_builtins(stopped.get(row["name"])),
        }
        for row in (*rows, *others)
    ]


def _show_service(service: decisions.ServiceReport, stopped: dict[str, Switch]) -> None:
    used = f"{_mib(service.taken)} of {_mib(service.budget)} MiB taken"
    click.echo(f"\nservice on {service.place}: {used}")
    for model in service.models:
        state = "stopped" if model.name in stopped else model.state
        need = f"{'' if model.reckoned else '~'}{_mib(model.memory)} MiB" if model.local else "-"
        busy = f"{model.requests} at work, {model.waiting} waiting" if model.local else ""
        line = f"  {model.name:<30} {state:<10} {need:>12}  {model.engine:<20} {busy}"
        click.echo(line.rstrip())
        if model.reason:
            click.echo(f"    {model.reason}")


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f}"


@command.command()
@click.argument("ref", default="default")
@data_option
def pull(ref: str, data: Path | None) -> None:
    """Fetch a model without serving it: `default`, or `hf:org/name[:file.gguf][@revision]`.

    \b
    Example:
      keelmark models pull default
    """
    click.echo(app.fetch_model(ref, app.data_folder(data), say))


@command.command()
@click.argument("name")
@reason_option
@data_option
def load(name: str, reason: str, data: Path | None) -> None:
    """Bring a local model of the running service into memory."""
    _wish("load", name, reason, data)


@command.command()
@click.argument("name")
@reason_option
@data_option
def unload(name: str, reason: str, data: Path | None) -> None:
    """Take a local model out of memory when its requests have ended.

    It comes back when it is asked for; `stop` keeps it away.
    """
    _wish("unload", name, reason, data)


@command.command()
@click.argument("ref", metavar="[NAME=]REF")
@reason_option
@data_option
def add(ref: str, reason: str, data: Path | None) -> None:
    """Take one more local model into the running service, until it stops.

    \b
    Example:
      keelmark models add new=./qwen3-1.7b-q4_k_m.gguf
    """
    named, equals, path = ref.rpartition("=")
    if Path(path).exists():  # the service may run in another folder
        ref = f"{named}{equals}{Path(path).absolute()}"
    _wish("add", ref, reason, data)


@command.command()
@click.argument("name")
@reason_option
@data_option
def remove(name: str, reason: str, data: Path | None) -> None:
    """Take a local model out of the running service when its requests have ended."""
    _wish("remove", name, reason, data)


@command.command()
@click.argument("name")
@reason_option
@data_option
def stop(name: str, reason: str, data: Path | None) -> None:
    """Stop a model at once: new requests are refused, those at work are ended.

    It holds for local models and for those of upstreams, in every service on this data folder,
    and after a restart, until `start`.

    \b
    Example:
      keelmark models stop gpt-5 --reason "answers quote the system prompt"
    """
    with app.Home.open(data) as home:
        decisions.stop_model(home.store, name, reason, decisions.whoami())
        noticed = _noticed(home, name, stopped=True)
    say(f"{name} is stopped. {noticed}")


@command.command()
@click.argument("name")
@reason_option
@data_option
def start(name: str, reason: str, data: Path | None) -> None:
    """Let a model that was stopped answer again."""
    with app.Home.open(data) as home:
        decisions.start_model(home.store, name, reason, decisions.whoami())
        noticed = _noticed(home, name, stopped=False)
    say(f"{name} may answer again. {noticed}")


def _noticed(home: app.Home, name: str, *, stopped: bool) -> str:
    """Wait for the running services to take it up; say whether they have."""
    if not decisions.services(home.store):
        return "No service runs; it holds from the next start on."

    def look() -> list[str] | None:
        running = decisions.services(home.store)
        late = [one.place for one in running if (name in one.stopped) is not stopped]
        return None if late else [one.place for one in running]

    done = decisions.wait_for(look, _NOTICED_SECONDS)
    if done is None:
        raise UnavailableError(
            "It is written down, but a running service has not taken it up yet: look at its log."
        )
    return f"Taken up by {'; '.join(done)}."


def _wish(verb: str, name: str, reason: str, data: Path | None) -> None:
    with app.Home.open(data) as home:
        key = decisions.wish(home.store, decisions.VERBS[verb], name, reason, decisions.whoami())
        answer: Any = decisions.wait_for(
            lambda: decisions.granted(home.store, key), _PATIENCE_SECONDS
        )
    if answer is None:
        raise UnavailableError("The service has not answered; look at its log.")
    if not answer.done:
        raise UsageError(answer.message)
    say(answer.message)
