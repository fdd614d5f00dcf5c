"""The machine that a model would run on."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

_ENGINES = ("xllamacpp",)


class Accelerator(NamedTuple):
    """A graphics processor.

    Attributes:
        name: As its driver calls it.
        memory: Bytes.
    """

    name: str
    memory: int


class Machine(NamedTuple):
    """What a model would have to live with.

    Attributes:
        memory: Main memory, bytes; 0 when unknown.
        accelerators: Graphics processors that the driver shows.
        engines: Engine to version, for those that are installed here.
    """

    memory: int = 0
    accelerators: tuple[Accelerator, ...] = ()
    engines: tuple[tuple[str, str], ...] = ()


def this_machine() -> Machine:
    """Return what can be seen of this machine; what cannot is left out."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        memory = 0
    return Machine(memory, _accelerators(), tuple(_installed()))


def _installed() -> list[tuple[str, str]]:
    found = []
    for name in _ENGINES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def _accelerators() -> tuple[Accelerator, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603  (no part of it comes from a user)
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [line.rpartition(",") for line in done.stdout.splitlines()]
    return tuple(
        Accelerator(name.strip(), int(mib) * 2**20)
        for name, _, mib in rows
        if mib.strip().isdigit()
    )
