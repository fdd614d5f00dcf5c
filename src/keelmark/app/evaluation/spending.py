"""What a run uses, and what it is made on: energy and money of all its parts, facts of the machine.

A run may be made in several parts; each leaves a line in `sessions.jsonl` of its folder.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from keelmark.core.metering import UNIT
from keelmark.core.quota import Quota
from keelmark.evaluate.manifest import Asked
from keelmark.evaluate.result import Spent
from keelmark.observe.energy import Energy, Meter, Source, counters
from keelmark.observe.processes import peak_memory
from keelmark.serve.prices import Cost, Prices
from keelmark.vet.machine import this_machine

SESSIONS = "sessions.jsonl"
CORE_WATTS = "KEELMARK_CORE_WATTS"
"""Variable that says the power of one busy core of this machine, where there are no counters."""
_WORST: tuple[Source, ...] = ("default", "estimated", "measured")


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a run.

    Attributes:
        seconds: How long it took.
        energy: What it used; None where that was not looked at.
        memory: Most memory of our processes, bytes; None where it cannot be seen.
    """

    seconds: float
    energy: Energy | None = None
    memory: int | None = None


class Money(NamedTuple):
    """A price with its currency."""

    price: Cost
    currency: str


class _Provider(NamedTuple):
    """Who runs a model, as far as prices go."""

    id: str
    provider: str


@contextlib.contextmanager
def metered(folder: Path, asked: Asked) -> Iterator[Meter]:
    """Measure what is done, and add it to the parts of the run.

    Args:
        folder: Of the run.
        asked: Who is asked: what runs elsewhere uses energy that cannot be seen here.
    """
    meter = meter_of(asked)
    try:
        with meter:
            yield meter
    finally:
        told = meter.told()
        memory = peak_memory() if asked.how != "url" else None
        line = msgspec.json.encode(Session(seconds=told.seconds, energy=told, memory=memory))
        with contextlib.suppress(OSError), (folder / SESSIONS).open("ab") as file:  # a full disk
            file.write(line + b"\n")


def meter_of(asked: Asked) -> Meter:
    """Return what measures the energy of asking somebody."""
    return Meter(_core_watts(), here=asked.how != "url")


def _core_watts() -> float | None:
    try:
        watts = float(os.environ.get(CORE_WATTS, ""))
    except ValueError:
        return None
    return watts if 0 < watts < 10_000 else None


def sessions(folder: Path) -> list[Session]:
    """Return the parts of a run; a line that was cut off while it was written is left out."""
    path = folder / SESSIONS
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        with contextlib.suppress(msgspec.DecodeError):
            found.append(msgspec.json.decode(line, type=Session))
    return found


def spent(
    parts: list[Session], *, asks: int, tokens_in: int, tokens_out: int, cost: Money | None = None
) -> Spent:
    """Return what a run has used.

    Args:
        parts: Its parts.
        asks: Requests.
        tokens_in: Tokens of prompts.
        tokens_out: Tokens of answers.
        cost: See `price_of`; None where nobody knows the price.
    """
    seconds = sum(part.seconds for part in parts)
    more = _energy([part.energy for part in parts])
    memory = [part.memory for part in parts]
    if memory and None not in memory:
        more["memory_bytes"] = max(filter(None, memory))
    if cost is not None:
        paid = cost.price.of(tokens_in, tokens_out, milliseconds=round(seconds * 1000))
        more |= {"cost": paid / UNIT, "currency": cost.currency}
    return Spent(
        seconds=round(seconds, 3), asks=asks, tokens_in=tokens_in, tokens_out=tokens_out, more=more
    )


def _energy(parts: list[Energy | None]) -> dict[str, Any]:
    """All parts together: as good as the worst of them, and nothing where one is unknown."""
    known = [part for part in parts if part is not None]
    told: dict[str, Any] = {}
    if known:
        told["cpu_seconds"] = round(sum(part.cpu_seconds for part in known), 2)
    if known and len(known) == len(parts):
        worst = min(known, key=lambda part: _WORST.index(part.source))
        told |= {"energy": worst.source, "energy_how": worst.how}
        joules = [part.joules for part in known if part.joules is not None]
        if len(joules) == len(parts):
            told["joules"] = round(sum(joules), 3)
    return told


def price_of(quota: Quota, asked: Asked) -> Money | None:
    """Return the price of a model: by the policy, else by the table that comes with Keelmark.

    A model of this machine belongs to the engine `llama_cpp`; one elsewhere to the provider that
    its address names (`https://api.openai.com/v1`: openai).

    Args:
        quota: Section of the policy.
        asked: The model.
    """
    who = _Provider("llama", "llama_cpp") if asked.how != "url" else _Provider("url", _host(asked))
    found = Prices(quota).look(who.id, who.provider, asked.model)
    return found and Money(found, quota.currency)


def _host(asked: Asked) -> str:
    try:
        parts = (urlsplit(asked.url).hostname or "").split(".")
    except ValueError:
        return ""
    return parts[-2] if len(parts) > 1 and not parts[-1].isdigit() else ""


def machine_facts() -> dict[str, Any]:
    """Return what is to know of this machine about a run that is made on it."""
    machine = this_machine()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": _cores(),
        "memory_bytes": machine.memory,
        "accelerators": [one._asdict() for one in machine.accelerators],
        "engines": dict(machine.engines),
        "load_before": None if load is None else round(load, 2),
        "energy_counters": [one.name for one in counters()],
    }


def _cores() -> int | None:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
