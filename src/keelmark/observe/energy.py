"""Energy that work took: read from counters of the machine, else reckoned from processor time.

Counters (RAPL of the processor, NVML of graphics processors) count all that the machine does while
the work is on. Where there are none, as in most virtual machines, the processor time of this
process and its children is multiplied with the power of one busy core. The result says which.
"""

from __future__ import annotations

import ctypes as c
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Self

import msgspec

from keelmark.observe.processes import cpu_seconds

Source = Literal["measured", "estimated", "default"]

CORE_WATTS = 3.5
"""Power of one virtual core under full load: the mean of the processors of AWS in the methodology
of Cloud Carbon Footprint, Appendix I, which takes it from SPECpower. Idle ones have 0.74 W there,
those of Azure 3.76 W and of Google 4.26 W under full load. Cooling is not in it."""

_POWERCAP = Path("/sys/class/powercap")
_COUNTED = ("package", "dram")
_EVERY_SECONDS = 30.0
"""Counters of the processor begin anew after some minutes at full power."""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Energy of some work.

    Attributes:
        joules: The energy; None when nothing can be said of it.
        source: `measured` by counters of the machine; `estimated` from processor time and the
            power of a core that somebody gave; `default`: the same, with a power that is common
            in data centres and may be far from this machine's.
        how: Where it comes from and what it holds, a sentence.
        seconds: How long the work took.
        cpu_seconds: Processor time of this process and its children.
    """

    joules: float | None
    source: Source
    how: str
    seconds: float
    cpu_seconds: float


class Counter(NamedTuple):
    """A counter of energy.

    Attributes:
        name: What it counts.
        read: Returns joules since some moment; None when it cannot be read.
        wraps: Joules after which it begins anew; 0 for never.
    """

    name: str
    read: Callable[[], float | None]
    wraps: float = 0.0


def counters(powercap: Path = _POWERCAP) -> list[Counter]:
    """Return the counters of this machine that can be read now."""
    found = [*_rapl(powercap), *_nvml()]
    return [one for one in found if one.read() is not None]


def _rapl(powercap: Path) -> list[Counter]:
    """Processors and main memory, each once: other domains are parts of these."""
    found = []
    for zone in sorted(powercap.glob("*-rapl:*")):
        try:
            name = (zone / "name").read_text(encoding="ascii").strip()
            most = int((zone / "max_energy_range_uj").read_text(encoding="ascii")) / 1e6
        except (OSError, ValueError):
            continue
        if name.startswith(_COUNTED):
            found.append(Counter(name, lambda path=zone / "energy_uj": _micro(path), most))  # type: ignore[misc]
    return found


def _micro(path: Path) -> float | None:
    try:
        return int(path.read_text(encoding="ascii")) / 1e6
    except (OSError, ValueError):
        return None


def _nvml() -> list[Counter]:
    try:
        library = c.CDLL("libnvidia-ml.so.1")
        count = c.c_uint()
        if library.nvmlInit_v2() or library.nvmlDeviceGetCount_v2(c.byref(count)):
            return []
        return [_device(library, number) for number in range(count.value)]
    except (OSError, AttributeError):
        return []


def _device(library: c.CDLL, number: int) -> Counter:
    handle = c.c_void_p()

    def read() -> float | None:
        spent = c.c_ulonglong()
        failed = library.nvmlDeviceGetHandleByIndex_v2(number, c.byref(handle))
        failed = failed or library.nvmlDeviceGetTotalEnergyConsumption(handle, c.byref(spent))
        return None if failed else spent.value / 1e3

    return Counter(f"gpu-{number}", read)


class Meter:
    """Energy of what is done between `with` and its end; `told` may be asked before and after.

    Args:
        core_watts: Power of one busy core, where it is known.
        found: Counters to read; those of this machine when None.
        here: Whether the work is done on this machine.
    """

    def __init__(
        self,
        core_watts: float | None = None,
        found: list[Counter] | None = None,
        *,
        here: bool = True,
    ) -> None:
        self._watts, self._here = core_watts, here
        self._counters = (counters() if found is None else found) if here else []
        self._at: list[float | None] = []
        self._joules = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ended: tuple[float, float] | None = None

    def __enter__(self) -> Self:
        self._at = [one.read() for one in self._counters]
        self._began = self._now()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if self._counters:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._counters:
            self._thread.join()
        self._add()
        self._ended = self._now()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            self._add()

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.monotonic(), cpu_seconds()

    def _add(self) -> None:
        with self._lock:
            for number, one in enumerate(self._counters):
                before, now = self._at[number], one.read()
                if before is not None and now is not None:
                    self._joules += now - before + (one.wraps if now < before else 0.0)
                self._at[number] = now

    def told(self) -> Energy:
        """Return what was used since the beginning."""
        if self._ended is None:
            self._add()
        seconds, cpu = (
            end - begin for end, begin in zip(self._ended or self._now(), self._began, strict=True)
        )
        joules, source, how = self._reckoned(max(cpu, 0.0))
        return Energy(
            joules=joules,
            source=source,
            how=how,
            seconds=round(seconds, 3),
            cpu_seconds=round(max(cpu, 0.0), 2),
        )

    def _reckoned(self, cpu: float) -> tuple[float | None, Source, str]:
        if not self._here:
            return None, "default", "The model runs elsewhere: its energy cannot be told from here."
        names = [
            one.name for one, at in zip(self._counters, self._at, strict=True) if at is not None
        ]
        if names:
            said = f"Counters of the machine ({', '.join(names)}), with all else that it did."
            return round(self._joules, 3), "measured", said
        watts = CORE_WATTS if self._watts is None else self._watts
        whose = "common in data centres" if self._watts is None else "as it was given"
        said = f"{cpu:.1f} s of processor time at {watts:g} W a core ({whose}); no counters here."
        return round(cpu * watts, 3), "default" if self._watts is None else "estimated", said
