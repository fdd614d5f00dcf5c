"""What a run has used, over all its parts, and what the model costs."""

from decimal import Decimal

import pytest

from keelmark.app.evaluation.spending import (
    SESSIONS,
    Session,
    machine_facts,
    metered,
    price_of,
    sessions,
    spent,
)
from keelmark.core.quota import Price, Quota
from keelmark.evaluate.manifest import Asked
from keelmark.observe.energy import Energy

USED = {"asks": 3, "tokens_in": 2_000_000, "tokens_out": 1_000_000}


def part(joules, source="measured", seconds=1800.0):
    told = Energy(joules=joules, source=source, how="So.", seconds=seconds, cpu_seconds=2.0)
    return Session(seconds=seconds, energy=told)


def test_each_part_of_a_run_leaves_a_line(tmp_path):
    for _ in range(2):
        with metered(tmp_path, Asked(how="raw", model="m")):
            pass
    with (
        pytest.raises(RuntimeError, match="broken"),
        metered(tmp_path, Asked(how="url", model="m")),
    ):
        raise RuntimeError("broken")
    with (tmp_path / SESSIONS).open("ab") as file:
        file.write(b'{"seconds": 1')
    told = sessions(tmp_path)
    assert [one.energy.joules is None for one in told if one.energy] == [False, False, True]
    assert [one.memory is None for one in told] == [False, False, True]
    assert sessions(tmp_path / "none") == []


def test_parts_are_added_and_the_worst_names_the_source():
    told = spent([part(10.0), part(5.0, "default")], **USED)
    assert (told.seconds, told.tokens_in) == (3600.0, 2_000_000)
    assert told.more["joules"] == 15.0
    assert told.more["energy"] == "default"
    assert told.more["cpu_seconds"] == 4.0


def test_the_most_memory_of_all_parts_is_told():
    some = [Session(seconds=1.0, memory=one) for one in (700, 900, 800)]
    assert spent(some, **USED).more == {"memory_bytes": 900}
    assert spent([*some, Session(seconds=1.0)], **USED).more == {}


def test_a_part_without_a_figure_leaves_no_sum():
    assert "joules" not in spent([part(10.0), part(None)], **USED).more
    older = spent([part(10.0), Session(seconds=5.0)], **USED)
    assert older.seconds == 1805.0
    assert "joules" not in older.more
    assert spent([], **USED).more == {}


def test_cost_by_the_policys_prices():
    own = Price(model="m*", engine="llama_cpp", input=Decimal("0.5"), hour=Decimal("0.25"))
    quota = Quota(currency="EUR", prices=(own,))
    price = price_of(quota, Asked(how="served", model="mine"))
    told = spent([part(1.0), part(1.0)], **USED, cost=price)
    assert (told.more["cost"], told.more["currency"]) == (1.25, "EUR")
    assert price_of(quota, Asked(how="raw", model="other")) is None


def test_cost_by_the_shipped_table():
    asked = Asked(how="url", model="gpt-4.1-mini", url="https://api.openai.com/v1")
    told = spent([], **USED, cost=price_of(Quota(), asked))
    assert told.more["cost"] == pytest.approx(2 * 0.40 + 1.60)
    for url in ("http://127.0.0.1:8000/v1", "https://openai.example.org/v1", "", "http://[bad"):
        other = Asked(how="url", model="gpt-4.1-mini", url=url)
        assert price_of(Quota(), other) is None


def test_what_is_told_of_the_machine():
    facts = machine_facts()
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 2**20
    assert set(facts) >= {"made", "processor", "engines", "load_before", "energy_counters"}
