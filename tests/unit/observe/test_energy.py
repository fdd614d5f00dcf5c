"""Energy of work: counters that are read rightly, and honest words where there are none."""

import pytest

from keelmark.observe.energy import CORE_WATTS, Counter, Meter, counters
from keelmark.observe.processes import cpu_seconds


def zone(powercap, number, name, micro, most=1_000_000):
    folder = powercap / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    for file, value in (("name", name), ("energy_uj", micro), ("max_energy_range_uj", most)):
        (folder / file).write_text(f"{value}\n")
    return folder / "energy_uj"


def test_processors_and_memory_count_once(tmp_path):
    zone(tmp_path, 0, "package-0", 5_000_000)
    zone(tmp_path, "0:0", "core", 3_000_000)
    zone(tmp_path, "0:1", "dram", 250_000)
    zone(tmp_path, 1, "psys", 9_000_000)
    broken = zone(tmp_path, 2, "package-1", "none")
    found = [one for one in counters(tmp_path) if not one.name.startswith("gpu")]
    assert [(one.name, one.read()) for one in found] == [("package-0", 5.0), ("dram", 0.25)]
    broken.write_text("1")
    assert "package-1" in {one.name for one in counters(tmp_path)}


def scripted(*values, wraps=0.0):
    """A counter that says these values, one after the other."""
    told = iter(values)
    return Counter("package-0", lambda: next(told), wraps)


def test_counters_are_summed_and_may_begin_anew():
    with Meter(found=[scripted(7.0, 9.5), scripted(90.0, 3.0, wraps=100.0)]) as meter:
        pass
    told = meter.told()
    assert told.joules == pytest.approx(2.5 + 13.0)
    assert told.source == "measured"
    assert "with all else" in told.how


def test_a_counter_that_fails_at_once_says_nothing():
    with Meter(found=[scripted(7.0, None)]) as meter:
        pass
    assert meter.told().source == "default", "not taken for measured"


def test_without_counters_it_is_reckoned_and_says_so():
    before = cpu_seconds()
    with Meter(found=[]) as meter:
        while cpu_seconds() - before < 0.03:
            sum(range(10_000))
    told = meter.told()
    assert told.source == "default"
    assert told.joules == pytest.approx(told.cpu_seconds * CORE_WATTS, abs=0.05)
    assert told.cpu_seconds > 0
    assert "common in data centres" in told.how
    with Meter(core_watts=9.0, found=[]) as meter:
        pass
    assert meter.told().source == "estimated"
    assert "9 W a core (as it was given)" in meter.told().how


def test_of_a_model_elsewhere_nothing_is_said():
    with Meter(here=False) as meter:
        pass
    assert meter.told().joules is None
    assert "elsewhere" in meter.told().how
